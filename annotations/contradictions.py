"""Coders whose labels contradict the rest: by mistake, by another reading of the codebook, or on purpose.

Each coder's answers are compared with the majority of the other coders' on the same sentence of the same document. A coder is named who
differs so often that another coder, who differs as the middle one does, hardly would by chance: a one-sided binomial test, its level
divided by the number of coders (Bonferroni). Where most coders lie together, the honest one is named: read before leaving anybody out.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from scipy.stats import binom

from annotations.codebook import Codebook
from annotations.rows import Annotation

LEVEL = 0.01
FEWEST = 10  # shared answers; with fewer nothing is said
LEAST = 0.05  # how often an honest coder may differ, at the least
APART = 0.25  # and by how much more than the others one must differ to be named


@dataclass(frozen=True)
class Coder:
    """`shared`: answers that others gave too; `differs`: the share of these, 0 to 1, where the others' majority says something else;
    `others`: the middle one of the other coders' shares.
    """

    coder: str
    rows: int
    shared: int
    differs: float
    others: float
    contradicts: bool


def against_the_rest(rows: Iterable[Annotation], codebook: Codebook) -> list[Coder]:
    """Every coder, the one who differs most first. A coder's last answer to a question about a sentence counts."""
    count: Counter[str] = Counter()
    given: dict[Hashable, dict[str, Hashable]] = defaultdict(dict)
    for row in rows:
        count[row.annotator] += 1
        for unit, answer in _answers(row, codebook):
            given[unit][row.annotator] = answer
    shared: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    for answers in given.values():
        for coder, answer in answers.items():
            others = Counter(other for name, other in answers.items() if name != coder)
            leading = others.most_common(2)
            if not leading or (len(leading) == 2 and leading[0][1] == leading[1][1]):
                continue  # nobody else, or the others are not of one mind
            shared[coder] += 1
            differing[coder] += answer != leading[0][0]
    shares = {coder: differing[coder] / number for coder, number in shared.items()}
    found = []
    for coder in count:
        rest = median([share for name, share in shares.items() if name != coder and shared[name] >= FEWEST] or [0.0])
        chance = float(binom.sf(differing[coder] - 1, shared[coder], max(LEAST, rest))) if shared[coder] >= FEWEST else 1.0
        share = shares.get(coder, 0.0)
        found.append(Coder(coder, count[coder], shared[coder], share, rest, chance < LEVEL / len(count) and share > rest + APART))
    return sorted(found, key=lambda item: (-item.contradicts, -item.differs, item.coder))


def _answers(row: Annotation, codebook: Codebook) -> Iterator[tuple[Hashable, Hashable]]:
    """A row's answers, each with what it is about; for a question that takes several labels, each label by itself."""
    for question in codebook.questions:
        answer = row.answers.get(question.name)
        if answer is None:
            continue
        for target, one in (answer if isinstance(answer, Mapping) else {"": answer}).items():
            about = (row.document, row.text, question.name, target)
            if isinstance(one, str):
                yield about, one
            else:
                yield from (((*about, label), label in one) for label in question.label_names)
