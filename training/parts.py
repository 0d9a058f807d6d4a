"""The rows of a run, checked and cut into what is learnt from, what sets thresholds and what judges. No torch: bad rows are refused at once."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from annotations import rows as annotated
from annotations import splits
from annotations.codebook import Codebook, Question
from annotations.errors import TrainingError
from annotations.rows import Annotation, Answer

Parts = dict[str, list[Annotation]]


def checked_parts(rows: Sequence[Annotation], codebook: Codebook) -> Parts:
    """Rows by split. Raises TrainingError where they cannot teach: a split without rows, a leak, a label without positives."""
    parts = {split: [row for row in rows if row.split == split] for split in annotated.SPLITS}
    for split, part in parts.items():
        if not part:
            raise TrainingError(f"No rows in the split '{split}'.", "Add documents, or name splits in the rows; at least one document each.")
    leaks = splits.overlaps(rows)
    if leaks:
        row, held = leaks[0]
        raise TrainingError(
            f"{len(leaks)} texts stand in test and outside it, first '{row.id}' ({row.split}) and '{held.id}' (test).",
            "Remove one of each pair, or give both documents the same split.",
        )
    _contradictions(rows, codebook)
    for question in codebook.questions:
        taught = {label for row in parts["train"] for answer in answers(row, question).values() for label in labels(answer)}
        for label in question.label_names:
            if label not in taught:
                raise TrainingError(
                    f"The label '{label}' of '{question.name}' has no positive row to learn from.",
                    "Label some sentences with it, or take it out of the codebook.",
                )
    return parts


def only(codebook: Codebook, questions: Sequence[str]) -> Codebook:
    """The codebook with these questions alone; with none named, as it is. Raises CodebookError for an unknown one."""
    return dataclasses.replace(codebook, questions=tuple(codebook.question(name) for name in questions)) if questions else codebook


def asked(rows: Sequence[Annotation], codebook: Codebook) -> list[Annotation]:
    """The rows that answer a question of `codebook`, with answers to its questions alone."""
    names = {question.name for question in codebook.questions}
    found = [dataclasses.replace(row, answers={name: answer for name, answer in row.answers.items() if name in names}) for row in rows]
    return [row for row in found if row.answers]


def _contradictions(rows: Sequence[Annotation], codebook: Codebook) -> None:
    """Refuse two rows of one document with the same text and other answers; in another document the words may mean another thing."""
    seen: dict[tuple[str, str, str, str], tuple[Answer, str]] = {}
    for row in rows:
        for question in codebook.questions:
            for target, answer in answers(row, question).items():
                before, other = seen.setdefault((row.text, row.document, question.name, target), (answer, row.id))
                if before != answer:
                    raise TrainingError(
                        f"Rows '{other}' and '{row.id}' have the same text and contradict each other on '{question.name}'.",
                        "Adjudicate them and keep one.",
                    )


def answers(row: Annotation, question: Question) -> Mapping[str, Answer]:
    """A row's answers to a question by target, "" for a question without."""
    answer = row.answers.get(question.name)
    if answer is None:
        return {}
    return answer if isinstance(answer, Mapping) else {"": answer}


def labels(answer: Answer) -> tuple[str, ...]:
    """The labels of an answer, whether one or any may be chosen."""
    return (answer,) if isinstance(answer, str) else answer


def targets(rows: Sequence[Annotation], codebook: Codebook) -> dict[str, set[str]]:
    """The targets that `rows` ask about, for each question per target."""
    return {question.name: {target for row in rows for target in answers(row, question)} for question in codebook.questions if question.per_target}


def data_digest(rows: Sequence[Annotation]) -> str:
    """SHA-256 of the rows as they were learnt from, splits included."""
    lines = sorted(json.dumps(row.to_dict(), sort_keys=True, ensure_ascii=False) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def counts(parts: Parts) -> dict[str, Any]:
    """How many rows and documents each split has, and how many rows of each source."""
    return {split: _count(part) for split, part in parts.items()}


def _count(rows: Sequence[Annotation]) -> dict[str, Any]:
    sources = Counter(row.source for row in rows)
    return {"rows": len(rows), "documents": len({row.document for row in rows}), "sources": dict(sources.most_common())}
