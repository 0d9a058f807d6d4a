"""Records: the rows of .jsonl, .csv and .parquet files one at a time, each with its text or with the reason why it has none."""

import codecs
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow
import pyarrow.parquet

from annotations.errors import InputError

LONGEST_TEXT = 5_000_000  # characters of one document
LONGEST_LINE = 20_000_000  # bytes of one row
PARQUET_BATCH = 1_000  # rows decoded at once
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


def jsonl_rows(stream: BinaryIO, name: str, columns: Columns, first: bytes = b"") -> Iterator[Record]:
    """Rows of JSON lines; `first` is a line that was read off the stream already."""
    number = 0
    while raw := first or stream.readline(LONGEST_LINE + 1):
        first = b""
        number += 1
        place = f"{name}:{number}"
        if not raw.strip():
            continue
        try:
            if len(raw) > LONGEST_LINE:
                while raw and not raw.endswith(b"\n"):
                    raw = stream.readline(LONGEST_LINE)
                raise ValueError(f"a line of more than {LONGEST_LINE:,} bytes")
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


def csv_rows(stream: BinaryIO, name: str, columns: Columns, delimiter: str) -> Iterator[Record]:
    """Rows of CSV in UTF-8, or in Windows-1252 where the file is not UTF-8. Raises InputError for a header that does not do."""
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


def parquet_rows(stream: BinaryIO, name: str, columns: Columns) -> Iterator[Record]:
    """Rows of a Parquet file; a row group that cannot be decoded is one record with its fault, after the rows of it that could."""
    try:
        table = pyarrow.parquet.ParquetFile(stream, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{name}: not a readable Parquet file ({type(error).__name__}).", "Write the file again.") from None
    _require(table.schema_arrow.names, name, columns)
    start = 0
    for group in range(table.num_row_groups):
        number, start = start, start + table.metadata.row_group(group).num_rows
        try:
            for batch in table.iter_batches(batch_size=PARQUET_BATCH, row_groups=[group]):
                for row in batch.to_pylist():
                    number += 1
                    yield _row(row, f"{name}:row {number}", columns)
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            yield Record(f"{name}:row group {group + 1}", name, None, fault=f"damaged block ({type(error).__name__})")


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
    return record(place, document, text, row)


def _encodes(row: dict[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def record(place: str, document: str, text: str, row: dict[str, Any]) -> Record:
    """A record of `text` with what is wrong with it, if anything."""
    if not any(character.isalnum() for character in text):
        return Record(place, document, None, row, "the text is empty")
    if len(text) > LONGEST_TEXT:
        return Record(place, document, None, row, f"a text of {len(text):,} characters; at most {LONGEST_TEXT:,} are read")
    return Record(place, document, text.encode("utf-8", errors="replace").decode("utf-8"), row)
