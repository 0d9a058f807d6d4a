"""The files of other tools: JSON arrays and JSONL, read record by record with its place, and written whole or not at all."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from annotations import rows as annotated
from annotations.bridges import parts
from annotations.codebook import Codebook
from annotations.errors import RowsError
from annotations.rows import MOST_FAULTS, Annotation

Record = dict[str, Any]
T = TypeVar("T")

log = logging.getLogger("framewire")


def gather(path: Path | str, codebook: Codebook, rows_of: Callable[[Record], Iterable[Record]], advice: str, unused: str) -> list[Annotation]:
    """Read a tool's file; `rows_of` turns a record into rows, or parts of rows, in the shape of our JSON.

    A record that gives none was not coded: it is left out and counted in a warning that says `unused`. Raises RowsError with
    place and reason of up to MOST_FAULTS faults, and `advice` as the remedy; rows are all right or none is returned.
    """
    found: list[tuple[str, Record]] = []
    faults: list[str] = []
    total, left_out = collect(path, rows_of, found, faults)
    whole = join(path, found, codebook, faults, advice)
    if left_out:
        log.warning("%s: %d of %d records left out: %s.", path, left_out, total, unused)
    return whole


def collect(path: Path | str, rows_of: Callable[[Record], Iterable[Record]], found: list[tuple[str, Record]], faults: list[str]) -> tuple[int, int]:
    """Add to `found` what `rows_of` makes of each record, with its place, and to `faults` what it refuses.

    Returns how many records there are and how many of them gave nothing. Raises RowsError as `records` does.
    """
    total = left_out = 0
    for place, raw in records(path):
        total += 1
        try:
            record = annotated.parse(raw) if isinstance(raw, bytes) else raw
            if not isinstance(record, dict):
                raise ValueError("not a JSON object")
            rows = list(rows_of(record))
        except ValueError as error:
            faults.append(f"{place}: {error}.")
            continue
        found += [(place, row) for row in rows]
        left_out += not rows
    return total, left_out


def join(path: Path | str, found: Iterable[tuple[str, Record]], codebook: Codebook, faults: list[str], advice: str) -> list[Annotation]:
    """Checked rows out of (place, row or part of a row). Raises RowsError with `faults` and those that it finds itself."""
    rows = parts.merge(found, codebook, faults)
    if faults:
        more = f"\n... and {len(faults) - MOST_FAULTS} more." if len(faults) > MOST_FAULTS else ""
        raise RowsError("\n".join(faults[:MOST_FAULTS]) + more, f"{advice} Nothing was changed.")
    if not rows:
        raise RowsError(f"{path}: no coded rows.", advice)
    return rows


def records(path: Path | str) -> Iterator[tuple[str, Any]]:
    """(place, record) for each record of a JSON array, or (place, bytes) for each line of JSONL.

    Raises RowsError when the file cannot be read, or is an array that was cut off.
    """
    content = content_of(path)
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        for number, raw in enumerate(content.split(b"\n"), 1):
            if raw.strip(b"\xef\xbb\xbf \t\r\n"):
                yield f"{path}:{number}", raw
        return
    remedy = "Was the file cut off? Export it again, as UTF-8."
    try:
        listed = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise RowsError(f"{path}: not UTF-8 text.", remedy) from None
    except json.JSONDecodeError as error:
        raise RowsError(f"{path}:{error.lineno}: not valid JSON ({error.msg}).", remedy) from None
    except (ValueError, RecursionError):
        raise RowsError(f"{path}: not JSON that a tool would write (a number or a nesting beyond all bounds).", remedy) from None
    yield from ((f"{path}, record {number}", record) for number, record in enumerate(listed, 1))


def content_of(path: Path | str) -> bytes:
    """The bytes of a file. Raises RowsError when it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise RowsError(f"{path}: cannot be read ({error.strerror}).", "Give the file that was exported.") from None


def member(record: Record, name: str, kind: type[T]) -> T | None:
    """What `record` has at `name`; None where it is absent or null. Raises ValueError, in words, when it is of another type."""
    value = record.get(name)
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"'{name}' is a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def objects(listed: list[Any] | None, what: str) -> list[Record]:
    """`listed` (None: empty) as JSON objects. Raises ValueError, naming `what`, when one is something else."""
    for item in listed or []:
        if not isinstance(item, dict):
            raise ValueError(f"'{what}' holds a {type(item).__name__} where an object belongs")
    return listed or []


def save_array(path: Path | str, listed: Iterable[Record]) -> None:
    """Write records as a JSON array, one to a line, so that two versions can be compared."""
    save(path, "[\n" + ",\n".join(json.dumps(record, ensure_ascii=False) for record in listed) + "\n]\n")


def save_lines(path: Path | str, listed: Iterable[Record]) -> None:
    """Write records as JSONL."""
    save(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in listed))


def save(path: Path | str, text: str) -> None:
    """Write beside the target and rename into place, so that no half file has its name. Raises RowsError."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(text.encode())
        beside.replace(path)
    except UnicodeEncodeError:
        raise RowsError(f"{path}: a row holds half a character (a lone surrogate).", "Mend the text that was cut there.") from None
    except OSError as error:
        raise RowsError(f"{path}: cannot be written ({error.strerror}).", "Is there such a folder, and room in it?") from None
