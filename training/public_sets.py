"""Public labelled sets as rows of ours, each with a codebook and the protocol that its published figures were made with. Data is not included."""

import csv
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold

from annotations.codebook import Codebook
from annotations.errors import InputError
from annotations.rows import Annotation, Answers
from training.parts import Parts

CODEBOOKS = Path(__file__).with_name("codebooks")
CLIMATE = "climate change is a serious concern"  # the one target of gwsd
HELD_OUT = 0.15  # share of training rows that pick rate and epoch, and of un_quadclass that judges

Runs = Iterator[tuple[str, Parts]]


@dataclass(frozen=True)
class PublicSet:
    """A set and its protocol.

    `read(folder)` gives its rows (a row of a published split names it), `runs(rows, seed)` the runs of one seed as (fold or "", parts).
    `pick` says which figure of the epochs counts: "best" on validation rows, the "mean" of all, or the "last". `rates` are
    tried and picked on validation rows, none meaning that of the settings. `published` are figures of others, in words.
    """

    name: str
    codebook: str
    read: Callable[[Path], list[Annotation]]
    runs: Callable[[list[Annotation], int], Runs]
    metric: str
    pick: str
    published: str
    seeds: tuple[int, ...] = (1, 2, 3)
    rates: tuple[float, ...] = ()

    def book(self) -> Codebook:
        return _book(self.codebook)


@functools.cache
def _book(name: str) -> Codebook:
    return Codebook.load(CODEBOOKS / f"{name}.toml")


def _labels(name: str) -> tuple[str, ...]:
    return _book(name).questions[0].label_names


def _row(name: str, number: int, text: str, answer: str, target: str = "", split: str | None = None, source: str = "") -> Annotation:
    key = f"{name}-{number}"
    answers: Answers = {_book(name).questions[0].name: {target: answer} if target else answer}
    return Annotation(key, key, text.strip(), answers, name, split, source=source)


def _table(path: Path, delimiter: str = "\t", quoted: bool = True) -> list[list[str]]:
    csv.field_size_limit(10_000_000)
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).", "Give the folder that holds the sets (docs/benchmarks.md).") from None
    lines = text.splitlines(keepends=True)
    return [row for row in csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE) if row]


def _records(path: Path, delimiter: str = "\t", quoted: bool = True) -> list[dict[str, str]]:
    """Rows of a table with a header, from .tsv, .csv or .xlsx."""
    if path.suffix == ".xlsx":
        import pandas as pd

        try:
            frame = pd.read_excel(path, dtype=str, keep_default_na=False)
        except ImportError:
            raise InputError(f"{path}: reading it needs openpyxl.", "pip install 'framewire[benchmarks]'") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}).", "Give the folder that holds the sets (docs/benchmarks.md).") from None
        return [{str(name): str(value) for name, value in record.items()} for record in frame.to_dict("records")]
    header, *rows = _table(path, delimiter, quoted)
    return [dict(zip(header, row, strict=False)) for row in rows]


def _cameo(folder: Path) -> list[Annotation]:
    names = _labels("cameo_quadclass")
    found: list[Annotation] = []
    for split in ("train", "test"):
        for text, label, *_ in _table(folder / "cameo_quadclass" / f"{split}.tsv"):
            found.append(_row("cameo_quadclass", len(found), text, names[int(label)], split=split))
    return found


def _un(folder: Path) -> list[Annotation]:
    names = _labels("un_quadclass")
    rows = _table(folder / "un_quadclass" / "en_annotations_quad_multiclass.tsv", quoted=False)[1:]
    return [_row("un_quadclass", number, text, names[int(label)]) for number, (text, label, *_) in enumerate(rows)]


def _gvfc(folder: Path) -> list[Annotation]:
    names = _labels("gvfc")
    rows = _records(folder / "gvfc" / "GVFC_headlines_and_annotations.xlsx")
    framed = [(row["news_title"], int(float(row["Q3 Theme1"]))) for row in rows if row["Q3 Theme1"].strip()]
    return [_row("gvfc", number, text, names[code - 1]) for number, (text, code) in enumerate(framed) if 1 <= code <= len(names)]


def _gwsd(folder: Path) -> list[Annotation]:
    names = _labels("gwsd")
    found: list[Annotation] = []
    for row in _records(folder / "gwsd" / "GWSD.tsv"):
        if row["disagree"]:  # screening sentences have no posterior
            answer = max(names, key=lambda name: float(row[name]))
            found.append(_row("gwsd", len(found), row["sentence"], answer, CLIMATE, "test" if row["in_held_out_test"] == "True" else "train"))
    return found


def _vast(folder: Path) -> list[Annotation]:
    names = _labels("vast")
    found: list[Annotation] = []
    for row in _records(folder / "vast" / "vast_train.xlsx"):
        found.append(_row("vast", len(found), row["post"], names[int(row["label"])], row["new_topic"].strip(), "train"))
    for file, split in (("vast_dev.csv", "validation"), ("vast_test.csv", "test")):
        for row in _records(folder / "vast" / file, ","):
            kind = "few-shot" if row["seen?"] == "1" else "zero-shot"
            found.append(_row("vast", len(found), row["Tweet"], names[int(row["Stance"])], row["Target"].strip(), split, kind))
    return found


def _carved(rows: list[Annotation], seed: int) -> tuple[list[Annotation], list[Annotation]]:
    """Rows to learn from and HELD_OUT of them to pick by: the first of a permutation, as ConfliBERT-v2's src/eval/finetune_benchmark.py does."""
    order = np.random.RandomState(seed).permutation(len(rows))
    cut = max(1, int(HELD_OUT * len(rows)))
    return [rows[index] for index in order[cut:]], [rows[index] for index in order[:cut]]


def _published_split(rows: list[Annotation], seed: int) -> Runs:
    """The split that the rows name; validation rows, where none are named, carved by 42 whatever the seed is."""
    parts = {split: [row for row in rows if row.split == split] for split in ("train", "validation", "test")}
    if not parts["validation"]:
        parts["train"], parts["validation"] = _carved(parts["train"], 42)
    yield "", parts


def _random_split(rows: list[Annotation], seed: int) -> Runs:
    """Another HELD_OUT of the rows as test rows for each seed."""
    order = np.random.RandomState(seed).permutation(len(rows))
    cut = round(HELD_OUT * len(rows))
    yield "", {"train": [rows[index] for index in order[cut:]], "validation": [], "test": [rows[index] for index in order[:cut]]}


def _five_folds(rows: list[Annotation], seed: int) -> Runs:
    held = [str(next(iter(row.answers.values()))) for row in rows]
    for number, (learnt, judged) in enumerate(StratifiedKFold(5, shuffle=True, random_state=seed).split(np.zeros(len(rows)), held)):
        yield f"fold {number + 1}", {"train": [rows[index] for index in learnt], "validation": [], "test": [rows[index] for index in judged]}


SETS = {
    item.name: item
    for item in (
        PublicSet(
            "cameo_quadclass",
            "cameo_quadclass",
            _cameo,
            _published_split,
            "macro_f1",
            "best",
            "ConfliBERT .895, ModernBERT-base .870 (3 seeds)",
            (123, 124, 125),
            (2e-5, 3e-5, 5e-5, 8e-5),
        ),
        PublicSet(
            "un_quadclass",
            "un_quadclass",
            _un,
            _random_split,
            "macro_f1",
            "mean",
            "ConfliBERT .661, RoBERTa-base .651, BERT-base .636 (10 seeds)",
            tuple(range(1, 11)),
        ),
        PublicSet("gvfc", "gvfc", _gvfc, _five_folds, "accuracy", "last", "OpenFraming .82 to .84 (5 folds)"),
        PublicSet("gwsd", "gwsd", _gwsd, _published_split, "macro_f1", "best", "none readable"),
        PublicSet("gwsd_5_fold", "gwsd", _gwsd, _five_folds, "macro_f1", "last", "none readable"),
        PublicSet(
            "vast",
            "vast",
            _vast,
            _published_split,
            "macro_f1",
            "best",
            "all (zero-shot): TGA-Net .665 (.666), WS-BERT .745 (.753), TATA .763 (.771)",
        ),
    )
}
