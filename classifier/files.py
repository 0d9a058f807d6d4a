"""Reading what users score: rows of .jsonl, .csv and .parquet, documents of .txt and .html, folders of these, standard input."""

import codecs
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import ftfy
import pyarrow.parquet

from annotations.errors import InputError
from classifier.records import LONGEST_TEXT, Columns, Record, csv_rows, jsonl_rows, parquet_rows, record

ROW_ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
DOCUMENT_ENDINGS = (".txt", ".md", ".html", ".htm")
LARGEST_HTML = 5_000_000  # bytes of one page
STDIN = "-"
REMOTE = "://"  # an address that fsspec opens: s3://bucket/articles, gs://..., hf://...


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
        elif REMOTE in name:
            found += _remote(name)
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


def _remote(name: str) -> list[str]:
    """The files at an fsspec address: itself, or those in that folder, sorted. Raises InputError."""
    import fsspec

    try:
        store, path = fsspec.url_to_fs(name)
        inside = sorted(store.find(path)) if store.isdir(path) else [path] if store.exists(path) else []
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{name}: cannot be opened ({error}).", "Give an address that fsspec knows, and install its driver.") from None
    kept = [store.unstrip_protocol(file) for file in inside if Path(file).suffix.lower() in ROW_ENDINGS + DOCUMENT_ENDINGS]
    if not kept:
        raise InputError(f"{name}: no file to score there.", f"It may hold {', '.join(ROW_ENDINGS + DOCUMENT_ENDINGS)}.")
    return kept


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def read_all(names: Sequence[str], columns: Columns, alone: bool | None = None) -> Iterator[Record]:
    """The records of all files. Among several, a file that cannot be read is one record with its fault; `alone`, it raises InputError."""
    alone = len(names) == 1 if alone is None else alone
    for name in names:
        try:
            yield from read(name, columns)
        except InputError as error:
            if alone:
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
    ending = Path(name).suffix.lower()
    with open_file(name) as stream:
        if ending in (".jsonl", ".ndjson"):
            yield from jsonl_rows(stream, name, columns)
        elif ending in (".csv", ".tsv"):
            yield from csv_rows(stream, name, columns, "\t" if ending == ".tsv" else ",")
        elif ending == ".parquet":
            yield from parquet_rows(stream, name, columns)
        else:
            yield _document(stream.read(LONGEST_TEXT * 4 + 1), name, ending in (".html", ".htm"))


def open_file(name: str) -> BinaryIO:
    """A path or fsspec address, open for reading bytes. Raises OSError."""
    if REMOTE not in name:
        return Path(name).open("rb")
    import fsspec  # takes half a second with its drivers

    return fsspec.open(name, "rb").open()  # type: ignore[no-any-return]


def version(name: str) -> str:
    """What tells that a file changed: its size and time, or what its store says of it."""
    if REMOTE not in name:
        status = Path(name).stat()
        return f"{name} {status.st_size} {status.st_mtime_ns}"
    import fsspec

    store, path = fsspec.url_to_fs(name)
    return f"{name} {store.ukey(path)}"


def count(names: Sequence[str]) -> int | None:
    """About how many rows and documents the files hold, for the time left; None where that cannot be known beforehand."""
    total = 0
    try:
        for name in names:
            ending = Path(name).suffix.lower()
            if name == STDIN or REMOTE in name:
                return None
            if ending == ".parquet":
                total += pyarrow.parquet.read_metadata(name).num_rows
            elif ending in DOCUMENT_ENDINGS:
                total += 1
            else:
                with Path(name).open("rb") as stream:
                    total += sum(piece.count(b"\n") for piece in iter(lambda: stream.read(1 << 20), b""))
    except (OSError, pyarrow.ArrowException):
        return None
    return total


def _standard_input(columns: Columns) -> Iterator[Record]:
    """Rows where the first line is a JSON object, one document otherwise."""
    stream = sys.stdin.buffer
    first = stream.readline().removeprefix(codecs.BOM_UTF8)
    while first.isspace():
        first = stream.readline()
    if first.lstrip().startswith(b"{"):
        yield from jsonl_rows(stream, "standard input", columns, first)
    elif columns.text.encode() in first.strip().split(b","):
        raise InputError("Standard input looks like CSV.", "Give CSV as a file; through a pipe, rows are JSON lines and anything else is one text.")
    else:
        yield _document(first + stream.read(LONGEST_TEXT * 4 + 1), "standard input", first.lstrip()[:1] == b"<")


def _document(raw: bytes, name: str, html: bool) -> Record:
    try:
        text = page_text(raw) if html else decoded(raw)
    except ValueError as error:
        return Record(name, name, None, fault=str(error))
    return record(name, name, text, {})


def decoded(raw: bytes) -> str:
    """Text of unknown encoding: UTF-8, UTF-16 or UTF-32 by its mark, else UTF-8, else Windows-1252, with broken accents mended.

    Raises ValueError for bytes that are no text.
    """
    if raw[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):  # before UTF-16, whose mark the first begins with
        return raw.decode("utf-32", errors="replace")
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
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
