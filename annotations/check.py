"""What can be wrong with rows that read well: doubles, contradictions, leaks between splits, and labels that words or length give away."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from annotations.codebook import Codebook, Question
from annotations.errors import RowsError
from annotations.rows import MOST_FAULTS, SPLITS, Annotation, Answer
from annotations.splits import SHORTEST_LEAK

SHINGLE = 5  # words
NEAR = 0.7  # Jaccard similarity of two sets of shingles

Shingles = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class LabelCount:
    """How often a label was given, by split, and the mean number of words of texts with and without it (None: there are none)."""

    question: str
    label: str
    positives: Mapping[str, int]
    words_with: float | None
    words_without: float | None


@dataclass(frozen=True)
class QuestionCount:
    """Of one question: how many answers it has (a row has one for each target), how many are "none of them", how many targets.

    `leakage` is the macro-F1, 0 to 1, of single words alone: TF-IDF and logistic regression fitted on train and judged on test.
    Near the score of the model, the labels can be told without reading. None where train or test cannot tell.
    """

    question: str
    answers: int
    none: int
    targets: int
    leakage: float | None


@dataclass(frozen=True)
class Pair:
    """Two rows whose texts are alike: `similarity` is 1 where they differ in case, punctuation and spacing only."""

    first: Annotation
    second: Annotation
    similarity: float

    @property
    def in_one_document(self) -> bool:
        return self.first.document == self.second.document


@dataclass(frozen=True)
class Findings:
    """What `examine` found.

    `duplicates` pairs each row whose text was met before with the first such row; `contradictions` are rows of the same text
    with different answers to a question; `near` are texts that are alike in two splits.
    """

    rows: int
    documents: int
    questions: tuple[QuestionCount, ...]
    labels: tuple[LabelCount, ...]
    samplings: Mapping[str, int]
    sources: Mapping[str, int]
    duplicates: tuple[Pair, ...]
    contradictions: tuple[Pair, ...]
    near: tuple[Pair, ...]

    def refuse(self) -> None:
        """Raise RowsError, naming the rows, for contradictions in one document and texts that are alike in two splits."""
        faults = [
            f"rows '{pair.first.id}' and '{pair.second.id}' have the same text in document '{pair.first.document}' and different answers."
            for pair in self.contradictions
            if pair.in_one_document
        ]
        faults += [
            f"rows '{pair.first.id}' ({pair.first.split}) and '{pair.second.id}' ({pair.second.split}) are alike ({pair.similarity:.2f})."
            for pair in self.near
        ]
        if faults:
            more = f"\n... and {len(faults) - MOST_FAULTS} more." if len(faults) > MOST_FAULTS else ""
            raise RowsError("\n".join(faults[:MOST_FAULTS]) + more, "Drop one row of each pair, or give both documents the same split.")


def check(rows: Sequence[Annotation], codebook: Codebook) -> Findings:
    """Examine rows that have a split, and refuse them (RowsError) where `Findings.refuse` does."""
    findings = examine(rows, codebook)
    findings.refuse()
    return findings


def examine(rows: Sequence[Annotation], codebook: Codebook) -> Findings:
    """Count and compare rows that have a split (`splits.assign` gives one), without refusing anything; seconds for 10,000 rows."""
    return Findings(
        rows=len(rows),
        documents=len({row.document for row in rows}),
        questions=tuple(_question(rows, question) for question in codebook.questions),
        labels=tuple(count for question in codebook.questions for count in _labels(rows, question)),
        samplings=dict(Counter(row.sampling for row in rows).most_common()),
        sources=dict(Counter(row.source for row in rows).most_common()),
        duplicates=tuple(_duplicates(rows)),
        contradictions=tuple(_contradictions(rows, codebook)),
        near=tuple(near_duplicates(rows)),
    )


def _given(row: Annotation, question: Question) -> Iterator[tuple[str, Answer]]:
    """(target, answer) for each time that the question was asked of the row; the target is empty where there is none."""
    answer = row.answers.get(question.name)
    if isinstance(answer, Mapping):
        yield from answer.items()
    elif answer is not None:
        yield "", answer


def _has(answer: Answer, label: str) -> bool:
    return answer == label if isinstance(answer, str) else label in answer


def _question(rows: Sequence[Annotation], question: Question) -> QuestionCount:
    given = [(row, target, answer) for row in rows for target, answer in _given(row, question)]
    return QuestionCount(
        question.name,
        answers=len(given),
        none=sum(not answer for _, _, answer in given),
        targets=len({target for _, target, _ in given if target}),
        leakage=_leakage(given, question),
    )


def _labels(rows: Sequence[Annotation], question: Question) -> Iterator[LabelCount]:
    given = [(row.split or "", len(row.text.split()), answer) for row in rows for _, answer in _given(row, question)]
    for label in question.label_names:
        positives = Counter(split for split, _, answer in given if _has(answer, label))
        with_it = [words for _, words, answer in given if _has(answer, label)]
        without = [words for _, words, answer in given if not _has(answer, label)]
        counts = {split: positives[split] for split in SPLITS}
        yield LabelCount(question.name, label, counts, fmean(with_it) if with_it else None, fmean(without) if without else None)


def _leakage(given: Sequence[tuple[Annotation, str, Answer]], question: Question) -> float | None:
    """Macro-F1 over the labels that occur in test; a label that is on every train text, or on none, is guessed so."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    train, test = ([(f"{row.text} {target}", answer) for row, target, answer in given if row.split == split] for split in ("train", "test"))
    present = [label for label in question.label_names if any(_has(answer, label) for _, answer in test)]
    if not present or not any(_words(text) for text, _ in train):
        return None
    vectors = TfidfVectorizer(analyzer=_words, sublinear_tf=True)
    known, unknown = vectors.fit_transform(text for text, _ in train), vectors.transform(text for text, _ in test)

    def guess(wanted: list[str]) -> list[str]:
        if len(set(wanted)) == 1:
            return wanted[:1] * len(test)
        return list(LogisticRegression(class_weight="balanced", max_iter=1000).fit(known, wanted).predict(unknown))

    if question.choose == "one":
        guessed = guess([str(answer) for _, answer in train])
        return float(f1_score([answer for _, answer in test], guessed, labels=present, average="macro", zero_division=0))
    scores = []
    for label in present:
        guessed = guess([label if label in answer else "" for _, answer in train])
        scores.append(f1_score([label if label in answer else "" for _, answer in test], guessed, labels=[label], average="macro", zero_division=0))
    return fmean(scores)


def _words(text: str) -> list[str]:
    """Words without case and punctuation."""
    return "".join(character if character.isalnum() else " " for character in text.casefold()).split()


def _duplicates(rows: Iterable[Annotation]) -> list[Pair]:
    first: dict[tuple[str, ...], Annotation] = {}
    pairs = []
    for row in rows:
        before = first.setdefault(tuple(_words(row.text)) or (row.text,), row)
        if before is not row:
            pairs.append(Pair(before, row, 1.0))
    return pairs


def _contradictions(rows: Sequence[Annotation], codebook: Codebook) -> list[Pair]:
    """Rows with the same text that answer a question differently, about the same target where it has one.

    A row is set against the first of its document that was asked the same, and against the first of all.
    """
    said: dict[tuple[object, ...], tuple[Annotation, Answer]] = {}
    pairs: dict[tuple[str, str], Pair] = {}
    for row in rows:
        text = tuple(_words(row.text)) or (row.text,)
        for question in codebook.questions:
            for target, answer in _given(row, question):
                for scope in (row.document, None):
                    before, other = said.setdefault((scope, text, question.name, target), (row, answer))
                    if other != answer:
                        pairs[before.id, row.id] = Pair(before, row, 1.0)
    return list(pairs.values())


def shingles(text: str) -> Shingles:
    """The sets of SHINGLE words in a row of a text, or all its words where it has fewer."""
    words = _words(text)
    return frozenset(tuple(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1)))


def near_duplicates(rows: Sequence[Annotation], threshold: float = NEAR) -> Iterator[Pair]:
    """Pairs of rows in different splits whose sets of shingles have a Jaccard similarity of at least `threshold`, one pair for two sets.

    Texts of fewer than SHORTEST_LEAK letters and digits are left out, as in `splits.overlaps`. Exact, but near linear: two sets
    can only be that alike if they share one of their rarest |set| - ceil(threshold |set|) + 1 shingles, so only those
    are looked up (prefix filtering: Bayardo, Ma and Srikant, Scaling Up All Pairs Similarity Search, WWW 2007).
    """
    groups: dict[Shingles, dict[str, Annotation]] = defaultdict(dict)  # equal sets once, however often a line of boilerplate stands
    for row in rows:
        if sum(map(len, _words(row.text))) >= SHORTEST_LEAK:
            groups[shingles(row.text)].setdefault(row.split or "", row)
    frequency = Counter(shingle for found in groups for shingle in found)
    index: dict[tuple[str, ...], list[Shingles]] = defaultdict(list)
    for found, splits in groups.items():
        ordered = list(splits.values())
        yield from (Pair(ordered[0], other, 1.0) for other in ordered[1:])
        rarest = sorted(found, key=lambda shingle: (frequency[shingle], shingle))[: len(found) - _least(found, threshold) + 1]
        for other in dict.fromkeys(candidate for shingle in rarest for candidate in index[shingle]):
            shared = len(found & other)
            similarity = shared / (len(found) + len(other) - shared)
            pair = _across(groups[other], splits) if similarity >= threshold else None
            if pair:
                yield Pair(*pair, similarity)
        for shingle in rarest:
            index[shingle].append(found)


def _least(found: Shingles, threshold: float) -> int:
    return math.ceil(threshold * len(found) - 1e-9)  # 0.7 of 10 may come out above 7


def _across(one: Mapping[str, Annotation], other: Mapping[str, Annotation]) -> tuple[Annotation, Annotation] | None:
    """A row of each in different splits, if there are such."""
    return next(((a, b) for split, a in one.items() for other_split, b in other.items() if split != other_split), None)
