"""Candidate against promoted model on the same test documents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.codebook import Question
from annotations.rows import Annotation
from classifier.folder import ModelFolder
from training.evaluate import judge
from training.metrics import macro_f1, resampled

MARGIN = 0.02  # macro-F1 that a candidate may lose on a question and still be promoted


@dataclass(frozen=True)
class Difference:
    """Candidate minus promoted, macro-F1 of one question on the labels that both know, with its 95% paired bootstrap interval."""

    question: str
    candidate: float
    promoted: float
    low: float
    high: float

    @property
    def worse(self) -> bool:
        """Worse beyond the margin, or worse within it but certainly so."""
        return self.candidate < self.promoted - MARGIN or self.high < 0


def compare(candidate: ModelFolder, promoted: ModelFolder, rows: Sequence[Annotation]) -> list[Difference]:
    """Differences on `rows` (test documents) for every question that both codebooks ask in the same way.

    The paired bootstrap (Efron & Tibshirani 1993) draws whole documents, the same for both models.
    """
    ours, theirs = judge(candidate, rows), judge(promoted, rows)
    differences = []
    for name, item in ours.items():
        other = theirs.get(name)
        if other is None or not len(item.goal) or _kind(other.question) != _kind(item.question):
            continue
        shared = [label for label in item.question.label_names if label in other.question.label_names]
        if len(shared) < (2 if item.question.choose == "one" else 1) or len(other.goal) != len(item.goal):
            continue
        mine = [item.question.label_names.index(label) for label in shared]
        yours = [other.question.label_names.index(label) for label in shared]
        truth = item.goal[:, mine] > 0.5
        chosen = item.chosen(candidate.calibrations[name])[:, mine]
        rival = other.chosen(promoted.calibrations[name])[:, yours]
        draws = resampled(item.documents, _difference(truth, chosen, rival))
        low, high = (float(value) for value in np.quantile(draws, [0.025, 0.975]))
        differences.append(Difference(name, macro_f1(truth, chosen), macro_f1(truth, rival), low, high))
    return differences


def _kind(question: Question) -> tuple[str, bool]:
    return question.choose, question.per_target


def _difference(truth: NDArray[np.bool_], chosen: NDArray[np.bool_], rival: NDArray[np.bool_]) -> Callable[[NDArray[np.intp]], float]:
    return lambda rows: macro_f1(truth[rows], chosen[rows]) - macro_f1(truth[rows], rival[rows])
