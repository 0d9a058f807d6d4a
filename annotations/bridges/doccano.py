"""doccano's JSONL of text classification: one record for each row, all its answers in one list of labels.

A label of a question without targets stands alone (`security`), or as `question=label` where two questions share its name; an answer about
a target is `question:target=label`. `question=-` and `question:target=-` say "none of them". Other keys of a record are
doccano's metadata and come back as they were, so a row loses nothing. doccano exports documents that nobody has looked at
with an empty list: a record without any label is left out unless it says what was asked (`row-asked`, which `write` adds).
Format: doccano's backend/data_export (id, text, metadata, label, Comments).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from annotations.bridges import parts
from annotations.bridges.records import Record, gather, member, save_lines
from annotations.codebook import Codebook
from annotations.rows import Annotation

ADVICE = "In doccano export JSONL, approved documents only; labels are LABEL, QUESTION=LABEL or QUESTION:TARGET=LABEL of this codebook."
UNUSED = "no label, which doccano also writes for documents not yet coded (label 'none of them' as QUESTION=-)"
NONE = "-"


def read(path: Path | str, codebook: Codebook) -> list[Annotation]:
    """The rows of an export. Raises RowsError."""
    return gather(path, codebook, lambda record: _rows(record, codebook), ADVICE, UNUSED)


def write(path: Path | str, rows: Iterable[Annotation], codebook: Codebook) -> None:
    """Write one record for each row. Raises RowsError when the file cannot be written."""
    owners = _owners(codebook)
    save_lines(path, (_record(row, codebook, owners) for row in rows))


def _owners(codebook: Codebook) -> dict[str, str | None]:
    """The question that a bare label answers, or None where it would be a guess."""
    owners: dict[str, str | None] = {}
    for question in codebook.questions:
        if not question.per_target:
            owners |= {name: None if name in owners else question.name for name in question.label_names}
    return owners


def _record(row: Annotation, codebook: Codebook, owners: dict[str, str | None]) -> Record:
    listed: list[str] = []
    for question in codebook.questions:
        answer = row.answers.get(question.name)
        if isinstance(answer, Mapping):
            for target, one in answer.items():
                listed += [f"{question.name}:{target}={label}" for label in parts.labels(one) or [NONE]]
        elif answer is not None:
            listed += [label if owners[label] else f"{question.name}={label}" for label in parts.labels(answer)]
    asked = " ".join(question.name for question in codebook.questions if question.name in row.answers)
    return {"text": row.text, "label": listed} | parts.metadata(row) | {parts.ASKED: asked}


def _rows(record: Record, codebook: Codebook) -> Iterator[Record]:
    listed = member(record, "label", list)
    if listed is None or "text" not in record:
        raise ValueError("no 'text' with a list 'label', so not an export of text classification")
    if not listed and record.get(parts.ASKED) is None:
        return
    owners = _owners(codebook)
    picked: dict[str | None, dict[str, list[str]]] = {None: {}}
    for label in listed:
        question, target, name = _taken_apart(label, owners)
        labels = picked.setdefault(target, {}).setdefault(question, [])
        if name != NONE or labels:  # "none of them" beside a label is refused as a label that does not exist
            labels.append(name)
    start = parts.head(record, record.get("id"))
    comments = member(record, "Comments", list)
    if comments and "note" not in start:
        start["note"] = "; ".join(map(str, comments))
    without_target = {question.name for question in codebook.questions if not question.per_target}
    put = parts.asked(record, None, codebook) & without_target
    for target, chosen in picked.items():
        yield parts.assemble(start, record["text"], target, chosen, put if target is None else chosen, codebook)


def _taken_apart(label: Any, owners: dict[str, str | None]) -> tuple[str, str | None, str]:
    """(question, target or None, label). Targets may hold any character; names of questions and labels have neither : nor =."""
    if not isinstance(label, str):
        raise ValueError("a label is not text; is it an export of sequence labelling?")
    before, equals, name = label.rpartition("=")
    if equals:
        question, colon, target = before.partition(":")
        return question, target if colon else None, name
    if label not in owners:
        raise ValueError(f"the codebook has no label '{label}'; labels without a target are {', '.join(owners)}")
    owner = owners[label]
    if owner is None:
        raise ValueError(f"two questions have the label '{label}'; write QUESTION={label}")
    return owner, None, label
