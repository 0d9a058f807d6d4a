"""Fitting calibration and thresholds, on validation documents only."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from annotations.codebook import Question
from classifier.calibration import Calibration

FEWEST = 5  # positives below which a label keeps the pooled calibration and the plain threshold
THRESHOLDS = np.linspace(0.1, 0.9, 81)
PRIOR = 10.0  # pseudo-rows that pull a threshold toward 0.5 (or equal weights), so that few rows cannot push it to an edge
BAND = 0.1  # scores this close to the decision are shown as uncertain


def calibrate(question: Question, logits: NDArray[np.float64], goal: NDArray[np.float64]) -> Calibration:
    """Calibration of one question from validation logits and goals, both of shape (n, labels).

    Platt scaling for each label where any may be chosen, with the threshold of best F1; temperature scaling where one is chosen,
    with the label weights of best macro-F1. With too few rows of a label, its plain values stay.
    """
    if not len(logits):
        return Calibration.plain(question)
    return _any(question, logits, goal) if question.choose == "any" else _one(question, logits, goal)


def _any(question: Question, logits: NDArray[np.float64], goal: NDArray[np.float64]) -> Calibration:
    slopes, intercepts, thresholds = [], [], []
    for column in range(len(question.labels)):
        held = goal[:, column] > 0.5
        slope, intercept, threshold = 1.0, 0.0, 0.5
        if min(held.sum(), (~held).sum()) >= FEWEST:
            fitted = LogisticRegression(C=1.0).fit(logits[:, [column]], held)
            if fitted.coef_[0, 0] > 0:  # a label that validation ranks the wrong way keeps its raw order
                slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
            scores = 1 / (1 + np.exp(-(logits[:, column] * slope + intercept)))
            threshold = _best_threshold(scores, held)
        slopes.append(slope)
        intercepts.append(intercept)
        thresholds.append(threshold)
    return Calibration(tuple(slopes), tuple(intercepts), tuple(thresholds), BAND)


def _best_threshold(scores: NDArray[np.float64], held: NDArray[np.bool_]) -> float:
    """The middle of the thresholds whose F1 is best, shrunk toward 0.5 by PRIOR pseudo-positives."""
    found = np.array([f1_score(held, scores >= threshold, zero_division=0) for threshold in THRESHOLDS])
    best = float(np.median(THRESHOLDS[found >= found.max() - 1e-9]))
    trust = held.sum() / (held.sum() + PRIOR)
    return float(trust * best + (1 - trust) * 0.5)


def _one(question: Question, logits: NDArray[np.float64], goal: NDArray[np.float64]) -> Calibration:
    size = len(question.labels)
    held = goal.argmax(axis=1)
    counts = np.bincount(held, minlength=size)
    if counts.min() < FEWEST:
        return Calibration.plain(question)

    def loss(parameters: NDArray[np.float64]) -> float:
        scaled = logits * np.exp(parameters[0])
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(held)), held]))

    slope = float(np.exp(minimize(loss, np.zeros(1), method="Nelder-Mead").x[0]))
    plain = Calibration((slope,) * size, (0.0,) * size, (0.5,) * size, BAND)
    scores = plain.scores(question, logits.astype(np.float32))
    weights = np.full(size, 0.5)
    for _ in range(2):  # coordinate search; a second round lets the first label answer to the others
        for column in range(size):
            tried = np.tile(weights, (len(THRESHOLDS), 1))
            tried[:, column] = THRESHOLDS
            found = np.array([f1_score(held, (scores / row).argmax(axis=1), average="macro") for row in tried])
            best = float(np.median(THRESHOLDS[found >= found.max() - 1e-9]))
            trust = counts[column] / (counts[column] + PRIOR)
            weights[column] = trust * best + (1 - trust) * 0.5
    return Calibration(plain.slope, plain.intercept, tuple(float(weight) for weight in weights), BAND)
