"""Labels without texts, for texts that may not be passed on: JSONL of id, document, source, SHA-256 of the text and answers.

Whoever has the texts joins them again by SHA-256 of their UTF-8 bytes, to the letter; a folder of tables of others is searched cell by cell,
each cell also with its spaces put in order, since such rows were coded in that spelling. `origin` says of each row whether its coder was
a person (manual) or a model. Notes are left out, since coders quote in them; targets are written as they are. The hash of a short
sentence can be found by trying sentences: this protects rights, not secrets.
"""

import csv
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations import rows as annotated
from annotations.bridges import parts
from annotations.bridges.records import Record, collect, content_of, join, member, records, save_lines
from annotations.codebook import Codebook
from annotations.errors import RowsError
from annotations.rows import Annotation

ADVICE = "Give the file that `export --to ids-only` wrote, and the texts to the letter as they were coded."
ORIGINS = ("manual", "model")
HASH = "text-sha256"
TABLES = {".csv": ",", ".tsv": "\t"}
LISTS = (".jsonl", ".json", ".txt")
LONGEST_CELL = 10_000_000  # characters; the csv module stops at 131,072 unless told


@dataclass(frozen=True)
class Joined:
    """Rows whose text was found, and the ids of those whose text is not in the file."""

    rows: tuple[Annotation, ...]
    missing: tuple[str, ...]


def write(path: Path | str, rows: Iterable[Annotation], codebook: Codebook, models: Collection[str] = ()) -> None:
    """Write rows without their texts; coders named in `models` are models, all others people. Raises RowsError."""
    save_lines(path, (_record(row, codebook, "model" if row.annotator in models else "manual") for row in rows))


def digest(text: str) -> str:
    """SHA-256 of the UTF-8 bytes, 64 hex digits; half a character, which no file of texts can hold, is hashed as '?'."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def read(path: Path | str, codebook: Codebook, texts: Path | str) -> Joined:
    """Join the rows of a file, or of all .jsonl files of a folder, with their texts.

    `texts` is a .txt file with one to a line, a .jsonl or .json file with `text` in each record, a .csv or .tsv table, or a folder of such
    files at any depth, as published by others. Raises RowsError for a faulty file of either kind, and when no text is found at all.
    """
    by_digest = {digest(spelling): spelling for text in _texts(Path(texts)) for spelling in _spellings(text)}
    found: list[tuple[str, Record]] = []
    faults: list[str] = []
    missing: list[str] = []

    def with_text(record: Record) -> list[Record]:
        wanted, answers = member(record, HASH, str), member(record, "answers", dict)
        if wanted is None or answers is None or record.get("origin") not in ORIGINS:
            raise ValueError(f"no '{HASH}' with 'answers' and an 'origin' out of {', '.join(ORIGINS)}")
        unknown = set(answers) - {question.name for question in codebook.questions}
        if unknown:
            raise ValueError(f"the codebook has no question {', '.join(sorted(unknown))}")
        if wanted not in by_digest:
            missing.append(str(record.get("id")))
            return []
        return [parts.head(record, record.get("id")) | answers | {"text": by_digest[wanted]}]

    for file in annotated.files(path):
        collect(file, with_text, found, faults)
    if not found and not faults:
        raise RowsError(f"{texts}: none of the {len(missing)} texts that {path} wants is in it.", ADVICE)
    return Joined(tuple(join(path, found, codebook, faults, ADVICE)), tuple(missing))


def _record(row: Annotation, codebook: Codebook, origin: str) -> Record:
    plain = row.to_dict()
    answers = {question.name: plain[question.name] for question in codebook.questions if question.name in plain}
    fields: Record = {name: getattr(row, name) for name in parts.CARRIED if name != "note" and getattr(row, name) not in ("", None)}
    return {"id": row.id, HASH: digest(row.text), "origin": origin} | fields | {"answers": answers}


def _spellings(text: str) -> Iterator[str]:
    """The text as it is, with single spaces, and without spaces before closing and after opening marks (tokenized text put together again)."""
    single = " ".join(text.split())
    closed = re.sub(r"\s+([.,;:!?%)\]’”])", r"\1", single)
    opened = re.sub(r"([(\[“$])\s+", r"\1", closed)
    yield from dict.fromkeys((text, text.strip(), single, closed, opened, re.sub(r"\s+(['’]s\b)", r"\1", opened)))


def _texts(path: Path) -> Iterator[str]:
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.suffix in (*TABLES, *LISTS) and file.is_file()]
        if not files:
            raise RowsError(f"{path}: no {', '.join((*TABLES, *LISTS))} in this folder.", "Give the folder that holds the texts.")
        for file in files:
            yield from _cells(file) if file.suffix in TABLES else _listed(file, strict=False)
    else:
        yield from _cells(path) if path.suffix in TABLES else _listed(path, strict=True)


def _cells(path: Path) -> Iterator[str]:
    """Every cell of a table, read with quotation marks as quotes and then as letters: tables of others do either."""
    lines = content_of(path).decode("utf-8-sig", errors="replace").replace("\0", "").splitlines(keepends=True)
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            for row in csv.reader(lines, delimiter=TABLES[path.suffix], quoting=quoting):
                yield from row
    except csv.Error as error:
        raise RowsError(f"{path}: not a table ({error}).", "Give the texts as .csv or .tsv, or one to a line in .txt.") from None
    finally:
        csv.field_size_limit(before)


def _listed(path: Path, strict: bool) -> Iterator[str]:
    """Lines of .txt, or `text` of JSON records; unless `strict`, a file of something else gives nothing."""
    try:
        if path.suffix == ".txt":
            yield from (line.removesuffix("\r") for line in content_of(path).decode("utf-8-sig").split("\n"))
            return
        for place, raw in records(path):
            yield _text(place, raw)
    except UnicodeDecodeError:
        if strict:
            raise RowsError(f"{path}: not UTF-8 text.", "Save the texts as UTF-8.") from None
    except RowsError:
        if strict:
            raise


def _text(place: str, raw: Any) -> str:
    remedy = "Give the texts as JSONL with 'text' in each line, or a line each in .txt."
    try:
        record = annotated.parse(raw) if isinstance(raw, bytes) else raw
    except ValueError as error:
        raise RowsError(f"{place}: {error}.", remedy) from None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise RowsError(f"{place}: no 'text'.", remedy)
    return str(record["text"])
