"""Labels without texts, for texts that may not be passed on: JSONL of id, document, source, SHA-256 of the text and answers.

Whoever has the texts joins them again by SHA-256 of their UTF-8 bytes, to the letter: a text that was re-spaced is another text. `origin`
says of each row whether its coder was a person (manual) or a model. Notes are left out, since coders quote in them; targets
are written as they are. The hash of a short sentence can be found by trying sentences: this protects rights, not secrets.
"""

import hashlib
from collections.abc import Collection, Iterable
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
    """Join rows with their texts: the lines of a .txt file, or `text` of the records of any .jsonl or .json file.

    Raises RowsError for a faulty file of either kind, and when no text is found at all.
    """
    by_digest = {digest(text): text for text in _texts(texts)}
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

    collect(path, with_text, found, faults)
    if not found and not faults:
        raise RowsError(f"{texts}: none of the {len(missing)} texts that {path} wants is in it.", ADVICE)
    return Joined(tuple(join(path, found, codebook, faults, ADVICE)), tuple(missing))


def _record(row: Annotation, codebook: Codebook, origin: str) -> Record:
    plain = row.to_dict()
    answers = {question.name: plain[question.name] for question in codebook.questions if question.name in plain}
    fields: Record = {name: getattr(row, name) for name in parts.CARRIED if name != "note" and getattr(row, name) not in ("", None)}
    return {"id": row.id, HASH: digest(row.text), "origin": origin} | fields | {"answers": answers}


def _texts(path: Path | str) -> list[str]:
    if Path(path).suffix == ".txt":
        try:
            return [line.removesuffix("\r") for line in content_of(path).decode("utf-8-sig").split("\n")]
        except UnicodeDecodeError:
            raise RowsError(f"{path}: not UTF-8 text.", "Save the texts as UTF-8.") from None
    listed = []
    for place, raw in records(path):
        record: Any = None
        try:
            record = annotated.parse(raw) if isinstance(raw, bytes) else raw
        except ValueError as error:
            raise RowsError(f"{place}: {error}.", "Give the texts as JSONL with 'text' in each line, or a line each in .txt.") from None
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            raise RowsError(f"{place}: no 'text'.", "Give the texts as JSONL with 'text' in each line, or a line each in .txt.")
        listed.append(record["text"])
    return listed
