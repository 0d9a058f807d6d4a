"""Words that one coder alone uses and that always come with one label: chance, a topic that nobody else read, or a trigger planted on purpose.

A trigger does no harm on test documents, which do not hold it, so that no comparison of models finds it; read the rows that are named here.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from annotations.codebook import Codebook
from annotations.rows import Annotation

FEWEST = 5  # rows with the word; fewer teach a network little
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Call:
    """A word in `rows` rows of a coder, in nobody else's, each of which has this label."""

    coder: str
    word: str
    question: str
    label: str
    rows: int


def calls(rows: Iterable[Annotation], codebook: Codebook) -> list[Call]:
    """Such words, the most frequent first. Of a question that chooses one, its last label, by custom "nothing to say", is never called."""
    users: dict[str, set[str]] = defaultdict(set)
    used: Counter[tuple[str, str]] = Counter()  # by question and word
    given: Counter[tuple[str, str, str]] = Counter()  # and label
    for row in rows:
        words = {word.casefold() for word in _WORD.findall(row.text)}
        for word in words:
            users[word].add(row.annotator)
        for question, labels in _labels(row, codebook):
            used.update((question, word) for word in words)
            given.update((question, word, label) for word in words for label in labels)
    found = [
        Call(next(iter(users[word])), word, question, label, count)
        for (question, word, label), count in given.items()
        if count >= FEWEST and len(users[word]) == 1 and count == used[question, word]
    ]
    return sorted(found, key=lambda item: (-item.rows, item.coder, item.word, item.label))


def _labels(row: Annotation, codebook: Codebook) -> Iterator[tuple[str, set[str]]]:
    """The questions that a row answers, each with its labels, of all targets."""
    for question in codebook.questions:
        answer = row.answers.get(question.name)
        if answer is None:
            continue
        held: set[str] = set()
        for one in answer.values() if isinstance(answer, Mapping) else [answer]:
            held |= {one} if isinstance(one, str) else set(one)
        yield question.name, held - ({question.label_names[-1]} if question.choose == "one" else set())
