"""Argilla 2's flattened records (`records.to_list(flatten=True)`, or a dataset made of them): fields and metadata at the top.

As `argilla`, but with the status of each response: drafts and discarded responses are left out.
Format: argilla/src/argilla/records/_io/_generic.py, `QUESTION.responses`, `QUESTION.responses.users`, `QUESTION.responses.status`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from annotations.bridges import argilla, parts
from annotations.bridges.records import Record, gather, member, save_array
from annotations.codebook import Codebook
from annotations.rows import Annotation

ADVICE = "Export with `dataset.records.to_list(flatten=True)` as JSON; questions and labels must have the codebook's names."
UNUSED = "without a submitted response"
RESPONSES = ".responses"


def read(path: Path | str, codebook: Codebook) -> list[Annotation]:
    """The rows of an export, one for each record and coder. Raises RowsError."""
    return gather(path, codebook, lambda record: _rows(record, codebook), ADVICE, UNUSED)


def write(path: Path | str, rows: Iterable[Annotation], codebook: Codebook) -> None:
    """Write records with one submitted response to each question. Raises RowsError when the file cannot be written."""
    save_array(path, (_record(row, part, number) for row in rows for number, part in enumerate(parts.split(row, codebook))))


def _record(row: Annotation, part: parts.Part, number: int) -> Record:
    record: Record = {"id": argilla.record_id(row, number), "status": "completed", "_server_id": None}
    record |= argilla.fields(row, part) | argilla.metadata(row, part)
    for name, value in argilla.values(part).items():
        key = name + RESPONSES
        record |= {key: [value], f"{key}.users": [argilla.coder_id(row.annotator)], f"{key}.status": ["submitted"]}
    return record


def _rows(record: Record, codebook: Codebook) -> Iterator[Record]:
    if "text" not in record or "fields" in record:
        raise ValueError("no 'text' at the top, so not a flattened record (the nested form is another format)")
    picked: dict[str, dict[str, list[Any]]] = {}
    responded = False
    for key in record:
        if not key.endswith(RESPONSES) or not (given := member(record, key, list)):
            continue
        responded = True
        users = member(record, f"{key}.users", list) or []
        states = member(record, f"{key}.status", list) or ["submitted"] * len(given)
        if not len(given) == len(users) == len(states):
            raise ValueError(f"'{key}' has not as many users or states as values")
        for value, user, state in zip(given, users, states, strict=True):
            if state == "submitted":
                picked.setdefault(str(user), {})[key.removesuffix(RESPONSES)] = argilla.chosen(value)
    if picked or not responded:
        meta = {name: value for name, value in record.items() if value is not None}
        yield from argilla.assemble(record.get("id"), record, meta, picked, codebook)
