"""From annotated rows to the numbers that a network is fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.codebook import Codebook, Question
from annotations.rows import Annotation
from classifier.folder import Member
from classifier.network import Input, encode


@dataclass(frozen=True)
class Example:
    """One input of the network with what it should say.

    `goal` has one number for each of the member's outputs: 1 for a label that holds, 0 for one that does not, NaN where the question was
    not asked. `row` is the index of the row that it comes from, `target` the target asked about, "" for none.
    """

    input: Input
    goal: tuple[float, ...]
    row: int
    target: str
    weight: float


def before(rows: Sequence[Annotation]) -> list[str]:
    """The text before each row in its document, "" for a document's first; rows of a document stand together, in order."""
    return [rows[index - 1].text if index and rows[index - 1].document == row.document else "" for index, row in enumerate(rows)]


def build(
    rows: Sequence[Annotation], codebook: Codebook, member: Member, context: bool, unsure_weight: float = 1.0, unasked: bool = False
) -> list[Example]:
    """The examples of one checkpoint: one for each row and one for each (row, target) that answer a question of `member`.

    With `unasked`, rows that were not asked a question without target are there too, with NaN for goal: a teacher answers them.
    """
    questions = [codebook.question(name) for name in member.questions]
    examples = []
    for index, (row, previous) in enumerate(zip(rows, before(rows), strict=True)):
        weight = unsure_weight if row.unsure else 1.0
        targets = [target for question in questions if question.per_target for target in row.answers.get(question.name, {})]
        for target in (None, *dict.fromkeys(targets)):
            goal = tuple(number for question in questions for number in _goal(question, row, target))
            if not all(np.isnan(goal)) or (unasked and target is None and not all(question.per_target for question in questions)):
                examples.append(Example(encode(row.text, previous, target, context), goal, index, target or "", weight))
    return examples


def _goal(question: Question, row: Annotation, target: str | None) -> list[float]:
    answer = row.answers.get(question.name)
    if question.per_target and isinstance(answer, dict):
        answer = answer.get(target) if target is not None else None
    if answer is None or question.per_target is (target is None):
        return [float("nan")] * len(question.labels)
    held = (answer,) if isinstance(answer, str) else answer
    return [float(name in held) for name in question.label_names]


def goals(examples: Sequence[Example], member: Member, codebook: Codebook, question: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Indices of the examples that answer `question`, and its goals there, shape (found, labels)."""
    width = sum(len(codebook.question(name).labels) for name in member.questions)
    begin = 0
    for name in member.questions:
        size = len(codebook.question(name).labels)
        if name == question:
            matrix = np.array([example.goal for example in examples], dtype=np.float64).reshape(len(examples), width)[:, begin : begin + size]
            asked = np.flatnonzero(~np.isnan(matrix).any(axis=1))
            return asked, matrix[asked]
        begin += size
    raise KeyError(question)
