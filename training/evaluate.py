"""Judging a model folder on annotated rows, through the same network that serves it."""

from collections.abc import Collection, Sequence
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
from training.metrics import figures, intervals

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
    """Figures of each question that was asked, with 95% intervals on F1, and by the rows' source where there are several."""
    report: dict[str, Any] = {}
    for name, item in judged.items():
        if not len(item.goal):
            continue
        calibration = calibrations[name]
        scores = item.scores(calibration)
        chosen, truth = calibration.decide(item.question, scores), item.goal > 0.5
        report[name] = figures(item.question, item.goal, chosen, scores)
        found = intervals(item.question, truth, chosen, item.documents)
        report[name]["macro_f1_interval"] = found["macro_f1"]
        for label, pair in found["labels"].items():
            report[name]["labels"][label]["f1_interval"] = pair
        report[name]["documents"] = len(set(item.documents))
        sources = list(dict.fromkeys(row.source for row in item.rows))
        if len(sources) > 1:
            held = np.array([sources.index(row.source) for row in item.rows])
            report[name]["sources"] = {source or "(none)": _part(item, chosen, held == number) for number, source in enumerate(sources)}
    return report


def by_target(judged: Judged, calibration: Calibration, known: Collection[str]) -> dict[str, Any]:
    """Figures on targets that training rows asked about ("seen") and on those that they never did ("unseen"); a part without rows is absent."""
    chosen = judged.chosen(calibration)
    seen = np.array([example.target in known for example in judged.examples])
    return {name: _part(judged, chosen, part) for name, part in (("seen", seen), ("unseen", ~seen)) if part.any()}


def _part(judged: Judged, chosen: NDArray[np.bool_], part: NDArray[np.bool_]) -> dict[str, Any]:
    found = figures(judged.question, judged.goal[part], chosen[part])
    return {key: found[key] for key in ("rows", "macro_f1", "f_avg") if key in found}


def evaluate(folder: ModelFolder, rows: Sequence[Annotation]) -> dict[str, Any]:
    """`summarize` of a finished model folder on `rows`."""
    return summarize(judge(folder, rows), folder.calibrations)
