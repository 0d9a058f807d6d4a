"""What the coders themselves reach against the adjudicated rows: the ceiling of a model that learns from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from annotations import rows as annotated
from annotations.codebook import Codebook
from annotations.errors import RowsError
from annotations.rows import Annotation
from training.metrics import figures
from training.parts import answers, labels

FOLDER = "coders"


def beside(paths: Sequence[Path], codebook: Codebook) -> dict[str, list[Annotation]]:
    """Each coder's rows by the coder's name: the files of a folder `coders` beside a file of rows or its folder (annotations/coders for ours).

    A file that was not coded with this codebook is left out.
    """
    found: dict[str, list[Annotation]] = {}
    places = [place for path in paths for place in list(path.resolve().parents)[: 2 if path.is_file() else 1]]
    for folder in dict.fromkeys(place / FOLDER for place in places):
        for file in sorted(folder.glob("*.jsonl")):
            try:
                found.setdefault(file.stem, []).extend(annotated.read(file, codebook))
            except RowsError:
                continue
    return found


def ceiling(rows: Sequence[Annotation], coders: dict[str, list[Annotation]], codebook: Codebook) -> dict[str, Any]:
    """Figures of each coder against `rows` (adjudicated), by question and coder; only rows of the same id and text count.

    The coders were two of the three voices in the adjudication, so this is an upper bound and no independent judgement.
    """
    found: dict[str, Any] = {}
    for coder, coded in coders.items():
        theirs = {(row.id, row.text): row for row in coded}
        for question in codebook.questions:
            right, said = [], []
            for row in rows:
                other = theirs.get((row.id, row.text))
                given = answers(other, question) if other else {}
                for target, answer in answers(row, question).items():
                    if target in given:
                        right.append([name in labels(answer) for name in question.label_names])
                        said.append([name in labels(given[target]) for name in question.label_names])
            if right:
                found.setdefault(question.name, {})[coder] = figures(question, np.array(right, dtype=np.float64), np.array(said, dtype=np.bool_))
    return found
