"""Prodigy's JSONL of the choice interface: one task for each row, target and question.

A task that was rejected or ignored says nothing about its labels: it is left out, and never read as "none of them", which is an accepted
task without a choice. Who coded a task is read from `_annotator_id` or `_session_id`, which `write` leaves to Prodigy as it does
the hashes; until then the coder stands in `meta` with all else that a row has, and nothing is lost. Binary decisions about one
label (`textcat.teach`) are refused, since they leave the other labels open. Format: https://prodi.gy/docs/api-interfaces#choice
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from annotations.bridges import parts
from annotations.bridges.records import Record, gather, member, objects, save_lines
from annotations.codebook import Codebook, Question
from annotations.rows import Annotation, Answer

ADVICE = "Export with `prodigy db-out` a dataset of the choice interface whose options are the labels of one question of the codebook."
UNUSED = "rejected or ignored, which is not 'none of them'"


def read(path: Path | str, codebook: Codebook) -> list[Annotation]:
    """The rows of an export, one for each text and coder. Raises RowsError."""
    return gather(path, codebook, lambda task: _rows(task, codebook), ADVICE, UNUSED)


def write(path: Path | str, rows: Iterable[Annotation], codebook: Codebook) -> None:
    """Write accepted tasks, to be loaded with `prodigy db-in`. Raises RowsError when the file cannot be written."""
    answered = ((row, part.target, name, answer) for row in rows for part in parts.split(row, codebook) for name, answer in part.answers.items())
    save_lines(path, (_task(row, target, codebook.question(name), answer) for row, target, name, answer in answered))


def _task(row: Annotation, target: str | None, question: Question, answer: Answer) -> Record:
    about = {"question": question.name} | ({} if target is None else {"target": target})
    return {
        "text": row.text,
        "meta": about | parts.metadata(row),
        "options": [{"id": name, "text": name} for name in question.label_names],
        "accept": parts.labels(answer),
        "answer": "accept",
        "_view_id": "choice",
    }


def _rows(task: Record, codebook: Codebook) -> Iterator[Record]:
    if "text" not in task or "answer" not in task:
        raise ValueError("no 'text' with an 'answer', so not an annotated task")
    if task["answer"] in ("reject", "ignore"):
        return
    accepted = member(task, "accept", list)
    if task["answer"] != "accept" or accepted is None:
        raise ValueError("no accepted choices; a decision about one 'label' leaves the others open")
    meta = member(task, "meta", dict) or {}
    target = meta.get("target") or task.get("target") or None
    question = meta.get("question") or _asked(task, codebook)
    if not isinstance(question, str):
        raise ValueError("'question' is not text")
    other_id = meta.get("id") if meta.get("id") is not None else task.get("_input_hash")
    start = parts.head(meta, other_id)
    for key in ("_session_id", "_annotator_id"):
        if task.get(key) is not None:
            start["annotator"] = str(task[key])
    yield parts.assemble(start, task["text"], target, {question: accepted}, {question}, codebook)


def _asked(task: Record, codebook: Codebook) -> str:
    """The question whose labels the options are, for tasks that do not name it. Raises ValueError where it would be a guess."""
    options = {str(option.get("id")) for option in objects(member(task, "options", list), "options")}
    fitting = [question.name for question in codebook.questions if options and options <= set(question.label_names)]
    if len(fitting) != 1:
        raise ValueError(f"its options are the labels of {' and '.join(fitting) or 'no question'}; name one as meta.question")
    return fitting[0]
