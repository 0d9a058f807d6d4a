"""Writing predictions beside the user's own columns: JSON lines, CSV and Parquet."""

import base64
import csv
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from annotations.bridges.spreadsheet import guarded
from annotations.codebook import Codebook
from annotations.errors import InputError
from classifier.predictions import Prediction, columns, flat

ENDINGS = (".jsonl", ".csv", ".parquet")
ROWS_AT_ONCE = 5_000


def check(out: Path) -> None:
    """Raise InputError when `out` has no ending that can be written or no folder to stand in."""
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"{out}: unknown kind of output.", f"Its name must end in {', '.join(ENDINGS)}.")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent}: no such folder.", "Make it first, or write elsewhere.")
    if out.is_dir():
        raise InputError(f"{out}: is a folder.", "Give the name of a file.")


def rejects_of(out: Path) -> Path:
    """The file beside `out` that lists what could not be scored."""
    return out.with_name(f"{out.name}.rejects.jsonl")


def line(row: dict[str, Any], prediction: Prediction, strict: bool = True) -> str:
    """One line of JSON output: the user's row with the key `prediction`."""
    return encoded(row | {"prediction": prediction.to_dict()}, strict)


def encoded(value: Any, strict: bool = True) -> str:
    """JSON of `value`; what JSON has no form for is text (dates, decimals; bytes in base64), and numbers that are none (NaN) are null.

    Where not `strict`, NaN stays as Python writes it: for shards that become CSV or Parquet, which have a form for it.
    """
    try:
        return json.dumps(value, ensure_ascii=False, default=_text, allow_nan=not strict)
    except ValueError:
        return json.dumps(_without_nan(value), ensure_ascii=False, default=_text)


def _text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _bytes_again(value: Any, kind: pyarrow.DataType) -> Any:
    """What a column of this type was before it passed through JSON: bytes were base64."""
    types = pyarrow.types
    if value is None:
        return None
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return base64.b64decode(value)
    if types.is_list(kind) or types.is_large_list(kind):
        return [_bytes_again(item, kind.value_type) for item in value]
    if types.is_struct(kind):
        return {name: _bytes_again(item, kind.field(name).type) for name, item in value.items()}
    return value


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines beside `path`, wait until they are on disk, and rename into place."""
    beside = path.with_name(f"{path.name}.part")
    with beside.open("w", encoding="utf-8") as stream:
        for text in lines:
            stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)


def save(predictions: Sequence[Prediction], out: Path) -> Path:
    """Write predictions that are in memory, without columns of anybody's, to `out` (.jsonl or .csv).

    The CSV is for spreadsheets: what one would run as a formula stands behind an apostrophe. The JSON lines are exact.
    """
    if out.suffix == ".jsonl":
        write_lines(out, (line({}, prediction) for prediction in predictions))
        return out
    targets = max((sum(bool(answer.target) for answer in prediction.answers) for prediction in predictions), default=0)
    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns(predictions[0].codebook, targets) if predictions else [], extrasaction="ignore")
        writer.writeheader()
        for prediction in predictions:
            cells = flat(prediction.to_dict())
            writer.writerow({name: guarded(cell) if isinstance(cell, str) else cell for name, cell in cells.items()})
    return out


def assemble(parts: Path, out: Path, codebook: Codebook, targets: int, names: list[str]) -> Path | None:
    """Join the shards in `parts` into `out`, and their rejects into a file beside it; returns that file, None where nothing was rejected.

    `targets` is the most targets that a row can have; `names` are the input files, whose Parquet types are kept in Parquet output.
    """
    shards = sorted(parts.glob("*.jsonl"))  # their names sort in the order of the input
    beside = parts / "whole"
    writer = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[out.suffix.lower()]
    writer(beside, shards, codebook, targets, names)
    with beside.open("rb") as stream:
        os.fsync(stream.fileno())
    rejects = rejects_of(out)
    rejects.unlink(missing_ok=True)
    listed = [shard for shard in sorted(parts.glob("*.rejects")) if shard.stat().st_size]
    if listed:
        write_lines(rejects, (text.removesuffix("\n") for shard in listed for text in _lines(shard)))
    beside.replace(out)
    return rejects if listed else None


def _lines(shard: Path) -> Iterator[str]:
    with shard.open(encoding="utf-8", newline="\n") as stream:
        yield from stream


def _jsonl(out: Path, shards: list[Path], *_: Any) -> None:
    with out.open("wb") as stream:
        for shard in shards:
            with shard.open("rb") as source:
                shutil.copyfileobj(source, stream)


def _rows(shards: list[Path], wanted: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Flat rows: the user's columns, then those of the prediction that are `wanted` (a question without targets has none)."""
    for shard in shards:
        with shard.open(encoding="utf-8", newline="\n") as stream:
            for text in stream:
                row = json.loads(text)
                prediction = flat(row.pop("prediction"))
                yield row | {name: value for name, value in prediction.items() if name in wanted}


def _header(shards: list[Path], ours: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for row in _rows(shards, frozenset()):
        found |= dict.fromkeys(row)
    return [*(name for name in found if name not in ours), *ours]


def _csv(out: Path, shards: list[Path], codebook: Codebook, targets: int, _: list[str]) -> None:
    ours = columns(codebook, targets)
    header = _header(shards, ours)
    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, header)
        writer.writeheader()
        for row in _rows(shards, frozenset(ours)):
            writer.writerow({name: encoded(value) if isinstance(value, dict | list) else value for name, value in row.items()})


def _parquet(out: Path, shards: list[Path], codebook: Codebook, targets: int, names: list[str]) -> None:
    ours = columns(codebook, targets)
    schema = _schema(shards, _header(shards, ours), frozenset(ours), names)
    try:
        _write_parquet(out, shards, frozenset(ours), schema)
    except (pyarrow.ArrowException, OverflowError, TypeError, ValueError):
        # A type that does not come back from JSON (a duration, a map, ever larger numbers): the user's columns go out as text.
        texts = [field if field.name in ours else pyarrow.field(field.name, pyarrow.string()) for field in schema]
        _write_parquet(out, shards, frozenset(ours), pyarrow.schema(texts))


def _write_parquet(out: Path, shards: list[Path], ours: frozenset[str], schema: pyarrow.Schema) -> None:
    with pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for row in _rows(shards, ours):
            rows.append(row)
            if len(rows) == ROWS_AT_ONCE:
                writer.write_table(_table(rows, schema))
                rows = []
        if rows:
            writer.write_table(_table(rows, schema))


def _schema(shards: list[Path], header: list[str], ours: frozenset[str], names: list[str]) -> pyarrow.Schema:
    """Types of the columns: as in the input where that is one Parquet file; the prediction's own; else what the JSON values are, text where
    they differ.
    """
    known: dict[str, pyarrow.DataType] = {}
    if len(names) == 1 and names[0].lower().endswith(".parquet"):
        known = {field.name: field.type for field in pyarrow.parquet.read_schema(names[0]) if not pyarrow.types.is_dictionary(field.type)}
    kinds: dict[str, set[type]] = {name: set() for name in header}
    for row in _rows(shards, ours):
        for name, value in row.items():
            if value is not None:
                kinds[name].add(type(value))
    return pyarrow.schema([(name, known.get(name) or _type(name, kinds[name])) for name in header])


def _type(name: str, kinds: set[type]) -> pyarrow.DataType:
    if (name.startswith("prediction.") and ".scores." in name) or ("_scores." in name and name.startswith("prediction.")):
        return pyarrow.float64()
    if kinds == {bool} or (name.startswith("prediction.") and name.endswith(".uncertain")):
        return pyarrow.bool_()
    if kinds == {int}:
        return pyarrow.int64()
    return pyarrow.float64() if kinds and kinds <= {int, float} else pyarrow.string()


def _table(rows: list[dict[str, Any]], schema: pyarrow.Schema) -> pyarrow.Table:
    arrays = []
    for field in schema:
        values = [_bytes_again(row.get(field.name), field.type) for row in rows]
        if pyarrow.types.is_string(field.type):
            values = [value if value is None or isinstance(value, str) else encoded(value) for value in values]
        try:
            arrays.append(pyarrow.array(values, field.type))
        except (pyarrow.ArrowException, TypeError, ValueError):
            arrays.append(pyarrow.array([None if value is None else str(value) for value in values]).cast(field.type))
    return pyarrow.Table.from_arrays(arrays, schema=schema)
