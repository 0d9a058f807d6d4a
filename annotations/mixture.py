"""The rows that a released model learns from: ours and the protected ones, with thresholds from real sentences."""

import dataclasses
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from annotations.codebook import Codebook
from annotations.rows import Annotation, Answer, Answers
from annotations.splits import assign

ENOUGH = 200  # answers of protected validation rows from which a question's thresholds are set on them alone


def mix(
    written: Sequence[Annotation],
    protected: Sequence[Annotation],
    codebook: Codebook,
    keep: float = 1.0,
    keep_empty: float = 1.0,
    seed: int = 1,
) -> list[Annotation]:
    """Written and protected rows as one set; a question that ENOUGH protected validation rows answer gets its thresholds from these alone.

    Thresholds depend on how often a label holds, and sentences that were written to a label hold it far more often than news does. So the
    written validation rows are learnt from where protected ones stand in for all questions; otherwise they stay and answer the other
    questions only. Test rows are the written ones, untouched, and protected rows marked `test`. Of the rows to learn from, shares (0 to 1,
    drawn with `seed`) stay: `keep` of the most frequent answer to a question per target, since most sentences of an article take no
    stance toward its targets, and `keep_empty` of the answers without a label. Raises RowsError where a document is in two splits.
    """
    ours, theirs = assign(written), assign(protected)
    asked = Counter(name for row in theirs if row.split == "validation" for name in row.answers)
    replaced = {question.name for question in codebook.questions if asked[question.name] >= ENOUGH}
    learns = len(replaced) == len(codebook.questions)
    draw = random.Random(seed)  # noqa: S311  # a sample, not a secret
    frequent = {question.name: _most_frequent(ours, question.name) for question in codebook.questions if question.per_target}
    mixed: list[Annotation] = []
    for row, is_ours in [*((row, True) for row in ours), *((row, False) for row in theirs)]:
        split, answers = row.split, dict(row.answers)
        if split == "validation" and is_ours:
            split = "train" if learns else split
            answers = answers if learns else {name: answer for name, answer in answers.items() if name not in replaced}
        if split == "train":
            answers = _thinned(answers, frequent, keep, keep_empty, draw)
        if answers:
            mixed.append(dataclasses.replace(row, split=split, answers=answers))
    return assign(mixed)


def _most_frequent(rows: Sequence[Annotation], question: str) -> Answer | None:
    given = [row.answers.get(question) for row in rows]
    counts = Counter(answer for by_target in given if isinstance(by_target, Mapping) for answer in by_target.values())
    return counts.most_common(1)[0][0] if counts else None


def _thinned(answers: Answers, frequent: Mapping[str, Answer | None], keep: float, keep_empty: float, draw: random.Random) -> dict[str, Any]:
    """The answers without a share of those that most rows give: toward a target, and "no label"."""
    kept: dict[str, Any] = {}
    for name, answer in answers.items():
        if isinstance(answer, Mapping):
            left = {target: one for target, one in answer.items() if one != frequent.get(name) or draw.random() < keep}
            kept |= {name: left} if left else {}
        elif answer or draw.random() < keep_empty:
            kept[name] = answer
    return kept
