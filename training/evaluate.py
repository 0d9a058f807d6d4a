"""Judging a model folder on annotated rows, through the same network that serves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.codebook import Question
from annotations.rows import Annotation
from classifier.calibration import Calibration
from classifier.folder import ModelFolder
from classifier.network import Network
from training.examples import Example, build, goals
from training.metrics import figures, interval, macro_f1

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """A model's answers to one question: the examples that were asked, what is right and what the model says, shapes (n, labels)."""

    question: Question
    examples: list[Example]
    rows: list[Annotation]
    goal: Matrix
    logits: Matrix

    @property
    def documents(self) -> list[str]:
        return [row.document for row in self.rows]

    def chosen(self, calibration: Calibration) -> NDArray[np.bool_]:
        return calibration.decide(self.question, self.scores(calibration))

    def scores(self, calibration: Calibration) -> Matrix:
        return calibration.scores(self.question, self.logits.astype(np.float32))


def judge(folder: ModelFolder, rows: Sequence[Annotation], network: Network | None = None) -> dict[str, Judged]:
    """The model's logits for every question that `rows` answer, by question name."""
    network = network or Network(folder)
    judged: dict[str, Judged] = {}
    for member in folder.members:
        examples = build(rows, folder.codebook, member, folder.context)
        logits = network.logits(member, [example.input for example in examples]).astype(np.float64)
        begin = 0
        for name in member.questions:
            question = folder.codebook.question(name)
            asked, goal = goals(examples, member, folder.codebook, name)
            kept = [examples[index] for index in asked]
            part = logits[asked, begin : begin + len(question.labels)]
            judged[name] = Judged(question, kept, [rows[example.row] for example in kept], goal, part)
            begin += len(question.labels)
    return judged


def summarize(judged: dict[str, Judged], calibrations: dict[str, Calibration]) -> dict[str, Any]:
    """Figures of each question that was asked, with a 95% interval on its macro-F1."""
    report: dict[str, Any] = {}
    for name, item in judged.items():
        if not len(item.goal):
            continue
        calibration = calibrations[name]
        scores = item.scores(calibration)
        chosen = calibration.decide(item.question, scores)
        report[name] = figures(item.question, item.goal, chosen, scores)
        report[name]["macro_f1_interval"] = interval(item.documents, _macro(item.goal > 0.5, chosen))
        report[name]["documents"] = len(set(item.documents))
    return report


def _macro(truth: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> Any:
    return lambda indices: macro_f1(truth[indices], chosen[indices])


def evaluate(folder: ModelFolder, rows: Sequence[Annotation]) -> dict[str, Any]:
    """`summarize` of a finished model folder on `rows`."""
    return summarize(judge(folder, rows), folder.calibrations)
