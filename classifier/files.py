"""Reading what users score: rows of .jsonl, .csv and .parquet, documents of .txt and .html, folders of these, standard input."""

import codecs
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import ftfy
import pyarrow
import pyarrow.parquet

from annotations.errors import InputError

ROW_ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
DOCUMENT_ENDINGS = (".txt", ".md", ".html", ".htm")
LONGEST_TEXT = 5_000_000  # characters of one document
LONGEST_LINE = 20_000_000  # bytes of one row
LARGEST_HTML = 5_000_000  # bytes of one page
PARQUET_BATCH = 1_000  # rows decoded at once
STDIN = "-"
RESULT = "prediction"

csv.field_size_limit(LONGEST_LINE)


@dataclass(frozen=True)
class Record:
    """One row or document of the user's.

    `row` is every column as it came, {} for a plain document; `text` what is to be scored, None when there is none, and then `fault`
    says why; `place` is file and line, `document` its name.
    """

    place: str
    document: str
    text: str | None
    row: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns of a row are read: the text, the document's id (None: each row is one), and one that names a target."""

    text: str = "text"
    document: str | None = None
    target: str | None = None


def find(inputs: Iterable[str]) -> list[str]:
    """The files that the arguments name, folders walked in sorted order without following links. Raises InputError."""
    found: list[str] = []
    for name in inputs:
        path = Path(name)
        if not name.isprintable():
            raise InputError(f"{name!a}: a file name with characters that cannot be shown.", "Rename the file.")
        if name == STDIN and name in found:
            raise InputError("Standard input is given twice.", "Give - once.")
        if name == STDIN:
            found.append(name)
        elif path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in ROW_ENDINGS + DOCUMENT_ENDINGS]
            inside = [file for file in inside if file.is_file() and not file.is_symlink() and not _hidden(file.relative_to(path))]
            if not inside:
                raise InputError(f"{name}: no file to score in this folder.", f"It may hold {', '.join(ROW_ENDINGS + DOCUMENT_ENDINGS)}.")
            found += map(str, inside)
        elif not path.is_file():
            raise InputError(f"{name}: no such file.", "Give files, folders, or - for standard input.")
        elif path.suffix.lower() not in ROW_ENDINGS + DOCUMENT_ENDINGS:
            raise InputError(f"{name}: unknown kind of file.", f"Endings that can be read: {', '.join(ROW_ENDINGS + DOCUMENT_ENDINGS)}.")
        else:
            found.append(name)
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def read_all(names: Sequence[str], columns: Columns) -> Iterator[Record]:
    """The records of all files. Among several, a file that cannot be read is one record with its fault; alone, it raises InputError."""
    for name in names:
        try:
            yield from read(name, columns)
        except InputError as error:
            if len(names) == 1:
                raise
            yield Record(name, name, None, fault=str(error).removeprefix(f"{name}: ").rstrip("."))


def read(name: str, columns: Columns) -> Iterator[Record]:
    """The records of one file, in order, one at a time; a record that cannot be scored carries its fault.

    Raises InputError when the file as a whole cannot be read or lacks a column.
    """
    try:
        yield from _read(name, columns)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}).", "Check the file and its permissions.") from None


def _read(name: str, columns: Columns) -> Iterator[Record]:
    if name == STDIN:
        yield from _standard_input(columns)
        return
    path = Path(name)
    ending = path.suffix.lower()
    if ending in (".jsonl", ".ndjson"):
        with path.open("rb") as stream:
            yield from _jsonl(stream, name, columns)
    elif ending in (".csv", ".tsv"):
        with path.open("rb") as stream:
            yield from _csv(stream, name, columns, "\t" if ending == ".tsv" else ",")
    elif ending == ".parquet":
        yield from _parquet(path, columns)
    else:
        yield _document(path.read_bytes(), name, ending in (".html", ".htm"))


def _standard_input(columns: Columns) -> Iterator[Record]:
    """Rows where the first line is a JSON object, one document otherwise."""
    stream = sys.stdin.buffer
    first = stream.readline().removeprefix(codecs.BOM_UTF8)
    while first.isspace():
        first = stream.readline()
    if first.lstrip().startswith(b"{"):
        yield from _jsonl(stream, "standard input", columns, first)
    elif columns.text.encode() in first.strip().split(b","):
        raise InputError("Standard input looks like CSV.", "Give CSV as a file; through a pipe, rows are JSON lines and anything else is one text.")
    else:
        yield _document(first + stream.read(LONGEST_TEXT * 4 + 1), "standard input", first.lstrip()[:1] == b"<")


def _document(raw: bytes, name: str, html: bool) -> Record:
    try:
        text = page_text(raw) if html else decoded(raw)
    except ValueError as error:
        return Record(name, name, None, fault=str(error))
    return _record(name, name, text, {})


def decoded(raw: bytes) -> str:
    """Text of unknown encoding: UTF-8 or UTF-16 by its mark, else UTF-8, else Windows-1252, with broken accents mended.

    Raises ValueError for bytes that are no text.
    """
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    control = sum(byte < 9 or 13 < byte < 32 for byte in raw[:10_000])
    if b"\0" in raw[:10_000] or control > len(raw[:10_000]) / 50:
        raise ValueError("binary data, not text; save the article as plain text or HTML")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return str(ftfy.fix_encoding(raw.decode("cp1252", errors="replace")))


def page_text(raw: bytes) -> str:
    """The readable text of an HTML page. Raises ValueError when there is none, or too much."""
    if len(raw) > LARGEST_HTML:
        raise ValueError(f"a page of {len(raw):,} bytes; at most {LARGEST_HTML:,} are read")
    import trafilatura  # takes half a second, and most runs have no HTML

    page = decoded(raw)
    text = trafilatura.extract(page, include_comments=False, favor_recall=True) or trafilatura.baseline(page)[1]
    if not text.strip():
        raise ValueError("no readable text in this page")
    return str(text)


def _jsonl(stream: BinaryIO, name: str, columns: Columns, first: bytes = b"") -> Iterator[Record]:
    lines = iter([first]) if first else iter(())
    for number, raw in enumerate((line for part in (lines, stream) for line in part), 1):
        place = f"{name}:{number}"
        if not raw.strip():
            continue
        try:
            if len(raw) > LONGEST_LINE:
                raise ValueError(f"a line of {len(raw):,} bytes; at most {LONGEST_LINE:,} are read")
            row = json.loads(raw.decode("utf-8-sig"))
            if not isinstance(row, dict):
                raise ValueError("not a JSON object")
        except UnicodeDecodeError:
            yield Record(place, place, None, fault="not UTF-8 text")
        except (json.JSONDecodeError, RecursionError):
            yield Record(place, place, None, fault="not valid JSON")
        except ValueError as error:
            yield Record(place, place, None, fault=str(error))
        else:
            yield _row(row, place, columns)


def _csv(stream: BinaryIO, name: str, columns: Columns, delimiter: str) -> Iterator[Record]:
    head = stream.read(10_000)
    stream.seek(0)
    if b"\0" in head:
        raise InputError(f"{name}: binary data, not CSV.", "Export the table as CSV in UTF-8.")
    encoding = "utf-8-sig" if _is_utf8(stream) else "cp1252"
    stream.seek(0)
    # Strict: else a quotation mark that is never closed swallows the rest of the file into one cell without a word.
    reader = csv.reader(io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline=""), delimiter=delimiter, strict=True)
    header = next(reader, None)
    if header is None:
        raise InputError(f"{name}: empty file.", "The first line names the columns.")
    _require(header, name, columns)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(f"{name}:{reader.line_num}", name, None, fault=f"not valid CSV: {error}")
            continue
        place = f"{name}:{reader.line_num}"
        if not cells:
            continue
        if len(cells) != len(header):
            row = dict(zip(header, cells, strict=False))
            yield Record(place, place, None, row, f"{len(cells)} cells where the header has {len(header)}")
            continue
        yield _row(dict(zip(header, cells, strict=True)), place, columns)


def _is_utf8(stream: BinaryIO) -> bool:
    """Whether the whole stream, from its start, is UTF-8; read in pieces, so that a large file costs no memory."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    stream.seek(0)
    try:
        while piece := stream.read(1 << 20):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _parquet(path: Path, columns: Columns) -> Iterator[Record]:
    try:
        table = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({type(error).__name__}).", "Write the file again.") from None
    _require(table.schema_arrow.names, str(path), columns)
    start = 0
    for group in range(table.num_row_groups):
        number, start = start, start + table.metadata.row_group(group).num_rows
        try:
            for batch in table.iter_batches(batch_size=PARQUET_BATCH, row_groups=[group]):
                for row in batch.to_pylist():
                    number += 1
                    yield _row(row, f"{path}:row {number}", columns)
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            yield Record(f"{path}:row group {group + 1}", str(path), None, fault=f"damaged block ({type(error).__name__})")


def _require(header: list[str], name: str, columns: Columns) -> None:
    for column in header:
        if header.count(column) > 1:
            raise InputError(f"{name}: the column '{column}' stands twice.", "Give each column its own name.")
    if RESULT in header:
        raise InputError(f"{name}: it has a column '{RESULT}' already.", "Rename it; the model's answers go there.")
    for wanted in (columns.text, columns.document, columns.target):
        if wanted is not None and wanted not in header:
            raise InputError(
                f"{name}: no column '{wanted}'; it has {', '.join(header)[:500]}.",
                "Name the right one with --text-column, --document-column or --target-column.",
            )


def _row(row: dict[str, Any], place: str, columns: Columns) -> Record:
    if RESULT in row:
        return Record(place, place, None, {}, f"it has a key '{RESULT}' already; rename it, the model's answers go there")
    if not _encodes(row):
        return Record(place, place, None, {}, "it holds half a character (a lone surrogate)")
    document = str(row[columns.document]) if columns.document and row.get(columns.document) is not None else place
    text = row.get(columns.text)
    if columns.text not in row:
        return Record(place, document, None, row, f"no column '{columns.text}'; name the right one with --text-column")
    if not isinstance(text, str):
        return Record(place, document, None, row, f"'{columns.text}' is {'empty' if text is None else type(text).__name__ + ', not text'}")
    return _record(place, document, text, row)


def _encodes(row: dict[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _record(place: str, document: str, text: str, row: dict[str, Any]) -> Record:
    if not any(character.isalnum() for character in text):
        return Record(place, document, None, row, "the text is empty")
    if len(text) > LONGEST_TEXT:
        return Record(place, document, None, row, f"a text of {len(text):,} characters; at most {LONGEST_TEXT:,} are read")
    return Record(place, document, text.encode("utf-8", errors="replace").decode("utf-8"), row)
