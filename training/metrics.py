"""How good answers are: figures for one question, with bootstrap intervals clustered by document."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support

from annotations.codebook import Question

FEWEST_POSITIVES = 20  # below this a label's figures are not reported
RESAMPLES = 1_000
BINS = 10

Matrix = NDArray[np.float64]


def figures(question: Question, goal: Matrix, chosen: NDArray[np.bool_], scores: Matrix | None = None) -> dict[str, Any]:
    """Precision, recall, F1, support (and average precision where scores are given) of each label; macro and micro F1.

    `goal` and `chosen` have shape (n, labels). F1 is that of the label's presence alone: a label that is never predicted has 0.
    Labels with fewer than FEWEST_POSITIVES positives carry `"few": true`; macro-F1 is over all labels that occur.
    """
    truth = goal > 0.5
    labels: dict[str, Any] = {}
    for column, name in enumerate(question.label_names):
        precision, recall, f1, _ = precision_recall_fscore_support(truth[:, column], chosen[:, column], average="binary", zero_division=0)
        labels[name] = {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(truth[:, column].sum())}
        labels[name]["few"] = labels[name]["support"] < FEWEST_POSITIVES
        if scores is not None and truth[:, column].any():
            labels[name]["average_precision"] = float(average_precision_score(truth[:, column], scores[:, column]))
    result = {"rows": len(truth), "labels": labels, "macro_f1": macro_f1(truth, chosen)}
    result["micro_f1"] = float(f1_score(truth.ravel(), chosen.ravel(), zero_division=0))
    if scores is not None:
        precisions = [item["average_precision"] for item in labels.values() if "average_precision" in item]
        result["mean_average_precision"] = float(np.mean(precisions)) if precisions else None
        result["calibration_error"] = calibration_error(question, truth, scores)
        result["reliability"] = reliability(question, truth, scores)
    if question.choose == "one" and {"against", "favor"} <= set(labels):
        result["f_avg"] = (labels["against"]["f1"] + labels["favor"]["f1"]) / 2
    return result


def macro_f1(truth: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> float:
    """Mean of the labels' F1 over labels that occur in `truth` or are chosen; 0 where none is.

    F1 = 2 TP / (2 TP + FP + FN), label by label: a bootstrap asks a thousand times, and scikit-learn takes a millisecond for each.
    """
    hits = 2.0 * (truth & chosen).sum(axis=0)
    counts = truth.sum(axis=0) + chosen.sum(axis=0)
    used = counts > 0
    return float(np.mean(hits[used] / counts[used])) if used.any() else 0.0


def reliability(question: Question, truth: NDArray[np.bool_], scores: Matrix) -> list[dict[str, float]]:
    """Bins of a reliability plot (BINS of equal width, empty ones left out): number of decisions, mean probability, share that was right.

    Over all label decisions where any may be chosen; over the most probable label where one is.
    """
    if question.choose == "any":
        confidence, right = scores.ravel(), truth.ravel()
    else:
        top = scores.argmax(axis=1)
        confidence, right = scores.max(axis=1), truth[np.arange(len(truth)), top]
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    inside = [bins == number for number in np.unique(bins)]
    return [{"count": int(part.sum()), "probability": float(confidence[part].mean()), "right": float(right[part].mean())} for part in inside]


def calibration_error(question: Question, truth: NDArray[np.bool_], scores: Matrix) -> float:
    """Expected calibration error: mean gap of the bins of `reliability`, weighed by their counts (Naeini et al. 2015)."""
    bins = reliability(question, truth, scores)
    total = sum(item["count"] for item in bins)
    return float(sum(abs(item["right"] - item["probability"]) * item["count"] for item in bins) / max(1, total))


def intervals(question: Question, truth: NDArray[np.bool_], chosen: NDArray[np.bool_], documents: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """95% intervals of macro-F1 and of each label's F1, drawing whole documents as in `interval`: {"macro_f1": pair, "labels": {label: pair}}.

    F1 is a quotient of counts, so the counts of the documents are drawn, not their rows.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(documents))}
    place = np.array([numbers[name] for name in documents])
    hits, sums = np.zeros((len(numbers), truth.shape[1])), np.zeros((len(numbers), truth.shape[1]))
    np.add.at(hits, place, 2.0 * (truth & chosen))
    np.add.at(sums, place, truth.astype(float) + chosen)
    random = np.random.default_rng(seed)
    shares = np.full(len(numbers), 1 / len(numbers))
    drawn = np.array([[counts @ hits, counts @ sums] for counts in (random.multinomial(len(numbers), shares) for _ in range(RESAMPLES))])
    used = drawn[:, 1] > 0
    f1 = np.divide(drawn[:, 0], drawn[:, 1], out=np.zeros_like(drawn[:, 0]), where=used)
    macro = f1.sum(axis=1) / np.maximum(used.sum(axis=1), 1)
    pairs = np.quantile(np.column_stack([macro, f1]), [0.025, 0.975], axis=0).T.tolist()
    return {"macro_f1": pairs[0], "labels": dict(zip(question.label_names, pairs[1:], strict=True))}


def interval(documents: Sequence[str], statistic: Callable[[NDArray[np.intp]], float], seed: int = 0) -> tuple[float, float]:
    """95% percentile bootstrap interval of `statistic(row indices)`, drawing whole documents (cluster bootstrap, Field & Welsh 2007)."""
    values = np.array(resampled(documents, statistic, seed))
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def resampled(documents: Sequence[str], statistic: Callable[[NDArray[np.intp]], float], seed: int = 0) -> list[float]:
    """`statistic` over RESAMPLES draws of documents with replacement; the same seed draws the same documents."""
    groups: dict[str, list[int]] = {}
    for index, document in enumerate(documents):
        groups.setdefault(document, []).append(index)
    clusters = [np.array(indices) for indices in groups.values()]
    random = np.random.default_rng(seed)
    return [statistic(np.concatenate([clusters[number] for number in random.integers(len(clusters), size=len(clusters))])) for _ in range(RESAMPLES)]
