"""Label Studio's full JSON: one task for each row and target, choices named as the codebook names its questions.

The labelling interface has a `<Text name="text" value="$text"/>`, a `<Text name="target" value="$target"/>` and for each question
`<Choices name="QUESTION" toName="text" choice="multiple">` (or "single" where one label is chosen). What a row has beside its
text and answers goes into the task's `data`; who coded it comes back as Label Studio's number of the user once the
file has been through the tool, because a name that it does not know makes it refuse the import. Predictions, drafts and
regions of other kinds are not read. Format: https://labelstud.io/guide/task_format
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from annotations.bridges import parts
from annotations.bridges.records import Record, gather, member, objects, save_array
from annotations.codebook import Codebook
from annotations.rows import Annotation

ADVICE = "In Label Studio choose Export > JSON; its choices must have the names of the codebook's questions and labels."
UNUSED = "not annotated, or the annotation was skipped"


def read(path: Path | str, codebook: Codebook) -> list[Annotation]:
    """The rows of an export, one for each row and coder. Raises RowsError."""
    return gather(path, codebook, lambda task: _rows(task, codebook), ADVICE, UNUSED)


def write(path: Path | str, rows: Iterable[Annotation], codebook: Codebook) -> None:
    """Write tasks with one submitted annotation each. Raises RowsError when the file cannot be written."""
    save_array(path, (_task(row, part) for row in rows for part in parts.split(row, codebook)))


def data(row: Annotation, part: parts.Part) -> Record:
    """A task's `data`: text, target, and what else the row has."""
    about = {} if part.target is None else {"target": part.target}
    return {"text": row.text} | about | parts.metadata(row) | {parts.ASKED: " ".join(part.answers)}


def _task(row: Annotation, part: parts.Part) -> Record:
    result = [
        {"id": name, "from_name": name, "to_name": "text", "type": "choices", "origin": "manual", "value": {"choices": parts.labels(answer)}}
        for name, answer in part.answers.items()
        if answer
    ]
    return {"data": data(row, part), "annotations": [{"was_cancelled": False, "ground_truth": False, "result": result}], "predictions": []}


def _rows(task: Record, codebook: Codebook) -> Iterator[Record]:
    fields, annotations = member(task, "data", dict), member(task, "annotations", list)
    if fields is None or annotations is None:
        raise ValueError("no 'data' and 'annotations', so not a full task (JSON_MIN is another format)")
    target = fields.get("target") or None
    for annotation in objects(annotations, "annotations"):
        if annotation.get("was_cancelled"):
            continue
        start = parts.head(fields, task.get("id"))
        if annotation.get("completed_by") is not None:
            start["annotator"] = _coder(annotation["completed_by"])
        picked: dict[str, list[Any]] = {}
        for item in objects(member(annotation, "result", list), "result"):
            if item.get("type") == "choices":
                chosen = member(member(item, "value", dict) or {}, "choices", list)
                picked.setdefault(str(item.get("from_name")), []).extend(chosen or [])
        yield parts.assemble(start, fields.get("text"), target, picked, parts.asked(fields, target, codebook), codebook)


def _coder(completed_by: Any) -> str:
    """Older and newer versions write a number, an address, or a record of the user."""
    if isinstance(completed_by, dict):
        return str(completed_by.get("email") or completed_by.get("id") or "")
    return str(completed_by)
