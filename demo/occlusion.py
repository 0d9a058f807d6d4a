"""Which words drove a label: each is left out in turn, and the label's probability falls or rises (Li, Monroe & Jurafsky 2016, by erasure).

`python -m demo.occlusion` runs the deletion test: do the words that it names matter more than words drawn at random?
"""

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from annotations import rows as annotated
from annotations import splits
from annotations.rows import Annotation
from classifier.classifier import Classifier
from classifier.models import Models
from classifier.predictions import Answer, Prediction
from classifier.sentences import Sentence

MOST_PIECES = 60  # a longer sentence is left out in pieces of several words
DELETED = 5  # words taken away, one after the other, in the deletion test
RANDOM_DRAWS = 5
Predict = Callable[[Sequence[Sentence]], list[Prediction]]


@dataclass(frozen=True)
class Drove:
    """A label's probability and, for each piece of the sentence in order, how far it falls without that piece."""

    question: str
    target: str
    label: str
    score: float
    pieces: tuple[tuple[str, float], ...]


def drove(predict: Predict, sentence: Sentence) -> list[Drove]:
    """For every label that the sentence was given, what each of its words did; one call of `predict` for all."""
    pieces = _pieces(sentence.text)
    whole, *without = predict([sentence, *(_without(sentence, pieces, {place}) for place in range(len(pieces)))])
    found = []
    for answer in whole.answers:
        for label in answer.labels:
            drops = [answer.score(label) - other.answer(answer.question.name, answer.target).score(label) for other in without]
            found.append(Drove(answer.question.name, answer.target, label, answer.score(label), tuple(zip(pieces, drops, strict=True))))
    return found


def _pieces(text: str) -> list[str]:
    words = text.split()
    size = -(-len(words) // MOST_PIECES)
    return [" ".join(words[start : start + size]) for start in range(0, len(words), size)]


def _without(sentence: Sentence, pieces: Sequence[str], places: set[int]) -> Sentence:
    kept = [piece for place, piece in enumerate(pieces) if place not in places]
    return dataclasses.replace(sentence, text=" ".join(kept) or ".")


@dataclass(frozen=True)
class Deletion:
    """The deletion test of one question over `cases` sentences, in probability.

    `words` is the mean fall after taking away the 1, 2, ... DELETED words that drove the label (the area over the perturbation curve,
    Samek et al. 2017); `chance` the same for words drawn at random; `better` the share of cases where the first falls further.
    """

    question: str
    cases: int
    words: float
    chance: float
    better: float


def deletion_test(classifier: Classifier, rows: Sequence[Annotation], seed: int = 1) -> list[Deletion]:
    """One line for each question, over each sentence's strongest label. Rows need more than DELETED words."""
    generator = random.Random(seed)  # noqa: S311
    falls: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        targets = tuple(dict.fromkeys(target for answer in row.answers.values() if isinstance(answer, dict) for target in answer))
        sentence = Sentence(row.text, row.document, targets=targets)
        pieces = row.text.split()
        if not DELETED < len(pieces) <= MOST_PIECES:
            continue
        orders = [generator.sample(range(len(pieces)), DELETED) for _ in range(RANDOM_DRAWS)]
        for answer, order in _orders(classifier, sentence, pieces):
            label = max(answer.question.label_names, key=answer.score)
            alone = dataclasses.replace(sentence, targets=(answer.target,) if answer.target else ())
            cut = [_without(alone, pieces, set(taken[:size])) for taken in [order, *orders] for size in range(1, DELETED + 1)]
            others = [item.answer(answer.question.name, answer.target).score(label) for item in classifier.predict(cut)]
            mean = [answer.score(label) - sum(others[start : start + DELETED]) / DELETED for start in range(0, len(others), DELETED)]
            falls.setdefault(answer.question.name, []).append((mean[0], sum(mean[1:]) / RANDOM_DRAWS))
    return [
        Deletion(
            name,
            len(pairs),
            sum(first for first, _ in pairs) / len(pairs),
            sum(second for _, second in pairs) / len(pairs),
            sum(first > second for first, second in pairs) / len(pairs),
        )
        for name, pairs in falls.items()
    ]


def _orders(classifier: Classifier, sentence: Sentence, pieces: Sequence[str]) -> list[tuple[Answer, list[int]]]:
    """For each answer of the whole sentence, the places of its words, those that drove its strongest label first."""
    whole, *without = classifier.predict([sentence, *(_without(sentence, pieces, {place}) for place in range(len(pieces)))])
    found = []
    for answer in whole.answers:
        label = max(answer.question.label_names, key=answer.score)
        left = [other.answer(answer.question.name, answer.target).score(label) for other in without]
        found.append((answer, sorted(range(len(pieces)), key=left.__getitem__)))
    return found


def main(
    model: Annotated[Path | None, typer.Option(help="Model folder; default: the promoted model.")] = None,
    annotations: Annotated[Path, typer.Option(help="Rows; those of split 'test' are used.")] = annotated.OURS,
    cases: Annotated[int, typer.Option(help="Sentences drawn from them.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 1,
) -> None:
    """Print the deletion test of a model."""
    classifier = Classifier(model or Models().current())
    rows = [row for row in splits.assign(annotated.read(annotations, classifier.codebook)) if row.split == "test"]
    drawn = random.Random(seed).sample(rows, min(cases, len(rows)))  # noqa: S311
    for item in deletion_test(classifier, drawn, seed):
        typer.echo(
            f"{item.question}: {item.cases} cases; probability falls by {item.words:.3f} without the words that drove it, "
            f"by {item.chance:.3f} without random ones; further in {item.better:.0%} of cases."
        )


if __name__ == "__main__":
    typer.run(main)
