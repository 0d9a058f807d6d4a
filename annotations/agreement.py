"""How far coders agree: Krippendorff's alpha, percentage agreement, and what they disagree on.

Alpha is 1 - Do / De, observed over expected disagreement; 1 is perfect agreement, 0 what chance would give. Source: Klaus Krippendorff,
Computing Krippendorff's Alpha-Reliability (2011), https://repository.upenn.edu/asc_papers/43. Sets of labels are compared by
MASI: Rebecca Passonneau, Measuring Agreement on Set-valued Items (MASI) for Semantic and Pragmatic Annotation (LREC 2006).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nltk.metrics import binary_distance, masi_distance
from nltk.metrics.agreement import AnnotationTask
from numpy.typing import NDArray

from annotations.codebook import Codebook, Question
from annotations.errors import RowsError
from annotations.rows import Annotation, Answer

Floats = NDArray[np.float64]
Distance = Callable[[Any, Any], float]

RESAMPLES = 2_000
COVERED = 0.95


@dataclass(frozen=True)
class Measure:
    """Agreement on one label (is it there or not), or, where `label` is empty, on a question's whole answer.

    `distance` is "nominal" or "MASI"; `units` counts rows, or (row, target) pairs, that at least two coders answered; `agreed` is the
    share of pairs of answers to the same unit that are equal; `interval` holds 95 % of the alphas of resampled documents,
    and is None where there are fewer than two documents.
    """

    question: str
    label: str
    distance: str
    units: int
    agreed: float
    alpha: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Disagreement:
    """One question on which the coders of a row differ; `target` is empty for a question without targets."""

    id: str
    question: str
    target: str
    answers: Mapping[str, Answer]
    text: str


@dataclass(frozen=True)
class Agreement:
    """What two or more coders have in common; `alone` counts the rows that only this coder has, which are left out."""

    rows: int
    alone: Mapping[str, int]
    measures: tuple[Measure, ...]
    disagreements: tuple[Disagreement, ...]


@dataclass(frozen=True)
class _Unit:
    row: Annotation
    target: str
    answers: Mapping[str, Answer]


def compare(coders: Mapping[str, Sequence[Annotation]], codebook: Codebook, resamples: int = RESAMPLES, seed: int = 0) -> Agreement:
    """Compare coders (name to rows) by the ids of their rows; a question that a coder was not asked is missing.

    A row belongs to the document that its first coder gives. Raises RowsError when fewer than two coders are given, when two have
    different texts under one id, or when no row has two coders.
    """
    if len(coders) < 2:
        raise RowsError("agreement needs two coders.", "Give a file of rows for each coder.")
    coded: dict[str, dict[str, Annotation]] = {}
    for coder, rows in coders.items():
        for row in rows:
            others = coded.setdefault(row.id, {})
            for other, theirs in others.items():
                if theirs.text != row.text:
                    raise RowsError(f"the row '{row.id}' has not the same text for {other} and {coder}.", "Compare codings of the same texts.")
            others[coder] = row
    shared = [by_coder for by_coder in coded.values() if len(by_coder) > 1]
    if not shared:
        raise RowsError("no row has two coders.", "The files must have ids in common.")
    alone = {coder: sum(list(by_coder) == [coder] for by_coder in coded.values()) for coder in coders}
    measures: list[Measure] = []
    disagreements: list[Disagreement] = []
    for question in codebook.questions:
        units = [unit for by_coder in shared for unit in _units(question, by_coder)]
        if units:
            measures += _measures(question, units, resamples, seed)
        for unit in units:
            if len(set(unit.answers.values())) > 1:
                disagreements.append(Disagreement(unit.row.id, question.name, unit.target, unit.answers, unit.row.text))
    return Agreement(len(shared), alone, tuple(measures), tuple(disagreements))


def _units(question: Question, by_coder: Mapping[str, Annotation]) -> list[_Unit]:
    """What at least two coders answered: the row, or the row and each of its targets."""
    first = next(iter(by_coder.values()))
    answers: dict[str, dict[str, Answer]] = {}
    for coder, row in by_coder.items():
        answer = row.answers.get(question.name)
        if isinstance(answer, Mapping):
            for target, one in answer.items():
                answers.setdefault(target, {})[coder] = one
        elif answer is not None:
            answers.setdefault("", {})[coder] = answer
    return [_Unit(first, target, given) for target, given in answers.items() if len(given) > 1]


def _measures(question: Question, units: Sequence[_Unit], resamples: int, seed: int) -> list[Measure]:
    documents = [unit.row.document for unit in units]

    def measure(label: str, name: str, values: Sequence[Mapping[str, Hashable]], distance: Distance) -> Measure:
        interval = bootstrap(values, documents, distance, resamples, seed)
        return Measure(question.name, label, name, len(values), percentage(values), alpha(values, distance), interval)

    if question.choose == "one":
        return [measure("", "nominal", [unit.answers for unit in units], binary_distance)]
    each = [
        measure(label, "nominal", [{coder: label in answer for coder, answer in unit.answers.items()} for unit in units], binary_distance)
        for label in question.label_names
    ]
    sets = [{coder: frozenset(answer) for coder, answer in unit.answers.items()} for unit in units]
    return [*each, measure("", "MASI", sets, masi)]


def masi(one: frozenset[str], other: frozenset[str]) -> float:
    """MASI distance, 0 to 1; nltk divides by zero for two empty sets, which are equal and so at distance 0."""
    return float(masi_distance(one, other)) if one or other else 0.0


def percentage(units: Sequence[Mapping[str, Hashable]]) -> float:
    """The share, 0 to 1, of pairs of answers to the same unit (coder to answer, for each unit) that are equal."""
    pairs = [(a, b) for unit in units for answers in [list(unit.values())] for i, a in enumerate(answers) for b in answers[:i]]
    return sum(a == b for a, b in pairs) / len(pairs)


def alpha(units: Sequence[Mapping[str, Hashable]], distance: Distance = binary_distance) -> float:
    """Krippendorff's alpha of units, each a mapping from coder to answer; units of one coder do not count.

    Where all answers are the same, Do and De are both 0 and the quotient is undefined (nltk has divided by zero there). It is 1 here,
    since perfect agreement is Do = 0 and alpha = 1 (Krippendorff 2011, introduction). Such an alpha says nothing about how the
    coders would fare where the label does occur.
    """
    data = [(coder, number, answer) for number, unit in enumerate(units) if len(unit) > 1 for coder, answer in unit.items()]
    if len({answer for _, _, answer in data}) == 1:
        return 1.0
    return float(AnnotationTask(data, distance).alpha())


def alphas(counts: Floats, observed: Floats, distances: Floats) -> Floats:
    """Alpha of many samples at once, from what their coincidence matrices sum up to (Krippendorff 2011, sections C and D).

    `counts` (samples, values): how often each value was given; `observed` (samples): the sum over units of
    sum_cd n_uc n_ud distance_cd / (m_u - 1), n_uc being how often the unit has the value and m_u how many answers;
    `distances` (values, values), 0 and 1 for nominal data. Gives (samples); 1 where no disagreement is to be expected.
    """
    total = counts.sum(axis=1)
    expected = ((counts @ distances) * counts).sum(axis=1)
    disagreement: Floats = np.divide(observed * (total - 1), expected, out=np.zeros_like(expected), where=expected > 0)
    return 1 - disagreement


def sums(units: Sequence[Mapping[str, Hashable]], distance: Distance) -> tuple[Floats, Floats, Floats]:
    """What `alphas` needs, for each unit by itself: counts (units, values), observed (units) and distances (values, values)."""
    values = {value: number for number, value in enumerate(dict.fromkeys(value for unit in units for value in unit.values()))}
    counts = np.zeros((len(units), len(values)))
    for number, unit in enumerate(units):
        for value in unit.values():
            counts[number, values[value]] += 1
    distances = np.array([[distance(one, other) for other in values] for one in values])
    answers = counts.sum(axis=1)
    counts[answers < 2] = 0  # nothing to agree with
    observed = ((counts @ distances) * counts).sum(axis=1) / np.maximum(answers - 1, 1)
    return counts, observed, distances


def bootstrap(
    units: Sequence[Mapping[str, Hashable]], documents: Sequence[str], distance: Distance, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """The middle 95 % of alpha when whole documents (one for each unit) are drawn again, with replacement.

    Sentences of one document are not independent, so drawing sentences would make the interval too narrow.
    None where there are fewer than two documents.
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(documents))}
    if len(names) < 2:
        return None
    counts, observed, distances = sums(units, distance)
    place = np.array([names[document] for document in documents])
    document_counts = np.zeros((len(names), counts.shape[1]))
    document_observed = np.zeros(len(names))
    np.add.at(document_counts, place, counts)
    np.add.at(document_observed, place, observed)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples).astype(float)
    low, high = np.quantile(alphas(drawn @ document_counts, drawn @ document_observed, distances), [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return float(low), float(high)
