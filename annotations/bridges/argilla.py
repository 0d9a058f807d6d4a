"""Argilla 2's nested records (`records.to_json()`): one record for each row and target, questions named as in the codebook.

Fields are `text` and `target`; all else that a row has is metadata. This form has no status of a response, so that drafts and discarded
responses cannot be told from submitted ones (`argilla_flat` can). Argilla accepts no empty list of labels: "none of them" is a
question that was asked (`row-asked`, or any question of a record that somebody answered in part) and has no response.
Coders are UUIDs there; a name that is none is written as the UUID made of it, and read back as long as the metadata has it.
Format: argilla/src/argilla/records/_resource.py, Record.to_dict.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from annotations.bridges import parts
from annotations.bridges.records import Record, gather, member, objects, save_array
from annotations.codebook import Codebook
from annotations.rows import Annotation

ADVICE = "Export with `dataset.records.to_json()`; questions and labels must have the names that the codebook gives them."
UNUSED = "without a response"

Picked = Mapping[str, Mapping[str, list[Any]]]


def read(path: Path | str, codebook: Codebook) -> list[Annotation]:
    """The rows of an export, one for each record and coder. Raises RowsError."""
    return gather(path, codebook, lambda record: _rows(record, codebook), ADVICE, UNUSED)


def write(path: Path | str, rows: Iterable[Annotation], codebook: Codebook) -> None:
    """Write records with one response to each question. Raises RowsError when the file cannot be written."""
    save_array(path, (_record(row, part, number) for row in rows for number, part in enumerate(parts.split(row, codebook))))


def record_id(row: Annotation, number: int) -> str:
    """Argilla replaces a record of the same id, so the parts of a row need ids of their own."""
    return f"{row.id}#{number}" if number else row.id


def fields(row: Annotation, part: parts.Part) -> Record:
    """What the coder sees."""
    return {"text": row.text} | ({} if part.target is None else {"target": part.target})


def metadata(row: Annotation, part: parts.Part) -> Record:
    """What the coder need not see; Argilla takes words and numbers only."""
    kept = parts.metadata(row) | {parts.ASKED: " ".join(part.answers)}
    return kept | ({"unsure": "true"} if row.unsure else {})


def values(part: parts.Part) -> Record:
    """The value of each response; a question answered with "none of them" has none."""
    return {name: answer if isinstance(answer, str) else list(answer) for name, answer in part.answers.items() if answer}


def coder_id(name: str) -> str:
    """The UUID of a coder: the name itself where it is one."""
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _record(row: Annotation, part: parts.Part, number: int) -> Record:
    coder = coder_id(row.annotator)
    return {
        "id": record_id(row, number),
        "fields": fields(row, part),
        "metadata": metadata(row, part),
        "suggestions": {},
        "responses": {name: [{"value": value, "user_id": coder}] for name, value in values(part).items()},
        "vectors": {},
        "status": "completed",
        "_server_id": None,
    }


def _rows(record: Record, codebook: Codebook) -> Iterator[Record]:
    shown = member(record, "fields", dict)
    if shown is None or "responses" not in record:
        raise ValueError("no 'fields' with 'responses', so not a nested record (the flattened form is another format)")
    picked: dict[str, dict[str, list[Any]]] = {}
    responses = member(record, "responses", dict) or {}
    for question in responses:
        for response in objects(member(responses, question, list), question):
            picked.setdefault(str(response.get("user_id")), {})[question] = chosen(response.get("value"))
    yield from assemble(record.get("id"), shown, member(record, "metadata", dict) or {}, picked, codebook)


def chosen(value: Any) -> list[Any]:
    """The labels of a response's value."""
    return value if isinstance(value, list) else [] if value is None else [value]


def assemble(other_id: Any, shown: Record, meta: Record, picked: Picked, codebook: Codebook) -> Iterator[Record]:
    """A part of a row for each coder of a record; `picked` maps coder to question to labels.

    A record to which nobody responded counts only where the metadata says what was asked: then each answer was "none of them".
    """
    target = shown.get("target") or None
    put = parts.asked(meta, target, codebook)
    start = parts.head(meta, other_id)
    if not picked and parts.ASKED in meta:
        yield parts.assemble(start, shown.get("text"), target, {}, put, codebook)
    for coder, labels in picked.items():
        name = str(meta.get("annotator") or "")
        known = coder == coder_id(name)
        yield parts.assemble(start | {"annotator": name if known else coder}, shown.get("text"), target, labels, put, codebook)
