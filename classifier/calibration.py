"""From logits to answers: calibrated probabilities, decision thresholds, and the band in which the model abstains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.codebook import Question
from classifier.predictions import Answer

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """How one question's logits become probabilities and labels; all tuples have one number for each label, in codebook order.

    Where any label may be chosen: score = sigmoid(slope * logit + intercept) (Platt scaling, Platt 1999), chosen at or above
    `threshold`. Where one is chosen: scores = softmax(slope * logit + intercept) (vector scaling, Guo et al. 2017), chosen
    by the largest score / threshold. A label is uncertain when its score is within `band` of the decision.
    """

    slope: tuple[float, ...]
    intercept: tuple[float, ...]
    threshold: tuple[float, ...]
    band: float = 0.0

    @classmethod
    def plain(cls, question: Question) -> "Calibration":
        """No calibration: raw probabilities, threshold 0.5 (or the plain argmax)."""
        size = len(question.labels)
        return cls((1.0,) * size, (0.0,) * size, (0.5,) * size)

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> "Calibration":
        slope, intercept, threshold = (tuple(map(float, shape[name])) for name in ("slope", "intercept", "threshold"))
        return cls(slope, intercept, threshold, float(shape["band"]))

    def scores(self, question: Question, logits: NDArray[np.float32]) -> Scores:
        """Probabilities, shape (n, labels), from logits of that shape."""
        scaled = logits.astype(np.float64) * np.array(self.slope) + np.array(self.intercept)
        if question.choose == "any":
            return np.asarray(1.0 / (1.0 + np.exp(-np.clip(scaled, -60, 60))))
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def decide(self, question: Question, scores: Scores) -> NDArray[np.bool_]:
        """Which labels are chosen, shape (n, labels); exactly one a row where the question chooses one."""
        if question.choose == "any":
            return np.asarray(scores >= np.array(self.threshold))
        chosen = np.zeros(scores.shape, dtype=np.bool_)
        chosen[np.arange(len(scores)), (scores / np.array(self.threshold)).argmax(axis=1)] = True
        return chosen

    def answers(self, question: Question, scores: Scores, targets: Sequence[str]) -> list[Answer]:
        """The answer for each row of scores, shape (n, labels), asked toward the target beside it ("" for none)."""
        chosen = self.decide(question, scores)
        if question.choose == "any":
            near = np.abs(scores - np.array(self.threshold)) < self.band
        else:
            weighed = scores / np.array(self.threshold)
            weighed = weighed / weighed.sum(axis=1, keepdims=True)
            largest = np.sort(weighed, axis=1)
            near = chosen & (largest[:, -1:] - largest[:, -2:-1] < self.band)
        names = question.label_names

        def labels(held: list[bool]) -> tuple[str, ...]:
            return tuple(name for name, yes in zip(names, held, strict=True) if yes)

        return [
            Answer(question, tuple(row), labels(held), labels(close), target)
            for row, held, close, target in zip(scores.tolist(), chosen.tolist(), near.tolist(), targets, strict=True)
        ]
