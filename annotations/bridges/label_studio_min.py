"""Label Studio's JSON_MIN: one flat record for each annotation, and three shapes for a question's labels.

Two labels or more are `{"choices": ["a", "b"]}`, one is `"a"`, and none leaves the key out. So a question whose name is
misspelt in the labelling interface cannot be told from one that nobody answered with a label: export full JSON where in doubt.
The record is the task's `data` (see `label_studio`) with the labels beside it, and holds all that a row has.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from annotations.bridges import label_studio, parts
from annotations.bridges.records import Record, gather, member, save_array
from annotations.codebook import Codebook
from annotations.rows import Annotation

ADVICE = "In Label Studio choose Export > JSON-MIN; its choices must have the names of the codebook's questions and labels."


def read(path: Path | str, codebook: Codebook) -> list[Annotation]:
    """The rows of an export, one for each row and coder. Raises RowsError."""
    return gather(path, codebook, lambda record: _rows(record, codebook), ADVICE, "not annotated")


def write(path: Path | str, rows: Iterable[Annotation], codebook: Codebook) -> None:
    """Write one record for each row and target. Raises RowsError when the file cannot be written."""
    shown = ((row, part) for row in rows for part in parts.split(row, codebook))
    save_array(path, ({"id": number} | _record(row, part) for number, (row, part) in enumerate(shown, 1)))


def _record(row: Annotation, part: parts.Part) -> Record:
    chosen = {name: parts.labels(answer) for name, answer in part.answers.items()}
    shapes = {name: {"choices": labels} if len(labels) > 1 else labels[0] for name, labels in chosen.items() if labels}
    return label_studio.data(row, part) | shapes


def _rows(record: Record, codebook: Codebook) -> Iterator[Record]:
    if "text" not in record or "annotations" in record:
        raise ValueError("no 'text' beside the answers, so not JSON_MIN (the full JSON is another format)")
    known = [question.name for question in codebook.questions]
    target = record.get("target") or None
    picked: dict[str, list[Any]] = {}
    for name, value in record.items():
        if name in known and isinstance(value, str):
            picked[name] = [value]
        elif name in known and isinstance(value, list):
            picked[name] = value
        elif isinstance(value, dict) and "choices" in value:
            picked[name] = member(value, "choices", list) or []
        elif name in known and value is not None:
            raise ValueError(f"'{name}' is neither a label nor a list of labels")
    yield parts.assemble(parts.head(record, record.get("id")), record["text"], target, picked, parts.asked(record, target, codebook), codebook)
