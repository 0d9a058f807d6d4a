"""The rows that a released model learns from: ours and the protected ones, with thresholds from real sentences."""

import dataclasses
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from annotations.codebook import Codebook
from annotations.rows import Annotation, Answer
from annotations.splits import assign

ENOUGH = 200  # answers of protected validation rows from which a question's thresholds are set on them alone


def mix(written: Sequence[Annotation], protected: Sequence[Annotation], codebook: Codebook, keep: float = 1.0, seed: int = 1) -> list[Annotation]:
    """Written and protected rows as one set; a question that ENOUGH protected validation rows answer gets its thresholds from these alone.

    Thresholds depend on how often a label holds, and sentences that were written to a label hold it far more often than news does. So the
    written validation rows are learnt from where protected ones stand in for all questions; otherwise they stay and answer the other
    questions only. Test rows are the written ones, untouched, and protected rows marked `test`. `keep` is the share (0 to 1, drawn with
    `seed`) that stays of the most frequent answer to a question per target in written rows to learn from: most sentences of an
    article take no stance toward its targets. Raises RowsError where a document is in two splits.
    """
    ours, theirs = assign(written), assign(protected)
    asked = Counter(name for row in theirs if row.split == "validation" for name in row.answers)
    replaced = {question.name for question in codebook.questions if asked[question.name] >= ENOUGH}
    learns = len(replaced) == len(codebook.questions)
    draw = random.Random(seed)  # noqa: S311  # a sample, not a secret
    frequent = {question.name: _most_frequent(ours, question.name) for question in codebook.questions if question.per_target}
    mixed: list[Annotation] = []
    for row in ours:
        split, answers = row.split, dict(row.answers)
        if split == "validation":
            split = "train" if learns else split
            answers = answers if learns else {name: answer for name, answer in answers.items() if name not in replaced}
        if split == "train":
            for name, most in frequent.items():
                by_target = answers.pop(name, None)
                kept = (
                    {target: one for target, one in by_target.items() if one != most or draw.random() < keep}
                    if isinstance(by_target, Mapping)
                    else {}
                )
                answers |= {name: kept} if kept else {}
        if answers:
            mixed.append(dataclasses.replace(row, split=split, answers=answers))
    return assign([*mixed, *theirs])


def _most_frequent(rows: Sequence[Annotation], question: str) -> Answer | None:
    given = [row.answers.get(question) for row in rows]
    counts = Counter(answer for by_target in given if isinstance(by_target, Mapping) for answer in by_target.values())
    return counts.most_common(1)[0][0] if counts else None


def _thinned(by_target: Mapping[str, Answer], most: Answer | None, keep: float, draw: random.Random) -> dict[str, Answer]:
    return {target: answer for target, answer in by_target.items() if answer != most or draw.random() < keep}
