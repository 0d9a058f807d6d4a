"""Shares of labels by group and by week, with intervals, from a scored corpus."""

import heapq
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annotations.codebook import Codebook, Question

DRAWS = 1_000
DRAWN_AT_ONCE = 4_000_000  # cells of a block of draws
SEED = 1
CERTAIN = 0.95
STRONGEST = 10  # sentences of a label
MOST_TARGETS = 20  # of a corpus, those with most sentences
BALANCE = "balance"
WHOLE = "(all)"  # the group of all documents
KEYS = ["question", "target", "label"]


def count(scored: Path, codebook: Codebook, group: str | None, date: str | None) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Counts of a file that `framewire score` wrote as JSONL, its strongest sentences, and how many documents have no readable date.

    Counts have a row for each document, question, target and label: `document, group, week, question, target, label, held, asked` in
    sentences. `week` is the Monday, "" where no date is known. Strongest sentences have the columns `question, target, label, score,
    sentence, document, group, date`.
    """
    asked: dict[tuple[str, str, str], int] = {}
    held: dict[tuple[str, str, str, str], int] = {}
    about: dict[str, tuple[str, str]] = {}
    best: dict[tuple[str, str, str], dict[str, tuple[float, str]]] = {}
    with scored.open(encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            found = row["prediction"]
            if found["error"]:
                continue
            document = found["document"]
            about.setdefault(document, (_cell(row, group), _cell(row, date)))
            for name, target, labels, scores in _answers(found, codebook):
                asked[document, name, target] = asked.get((document, name, target), 0) + 1
                for label, score in scores.items():
                    if label in labels:
                        held[document, name, target, label] = held.get((document, name, target, label), 0) + 1
                        heap = best.setdefault((name, target, label), {})
                        if score > heap.get(found["sentence"], (0.0, ""))[0]:  # an agency's sentence stands in many articles
                            heap[found["sentence"]] = (score, document)
                        if len(heap) > 10 * STRONGEST:
                            best[name, target, label] = dict(_surest(heap))
    common = _common(asked)
    dates = pd.to_datetime(pd.Series([date for _, date in about.values()], dtype=object), errors="coerce", format="mixed", utc=True)
    weeks = {name: _monday(when) for name, when in zip(about, dates, strict=True)}
    counts = pd.DataFrame(
        [
            (document, about[document][0], weeks[document], name, target, label, held.get((document, name, target, label), 0), total)
            for (document, name, target), total in asked.items()
            if target in common
            for label in codebook.question(name).label_names
        ],
        columns=["document", "group", "week", *KEYS, "held", "asked"],
    )
    strongest = pd.DataFrame(
        [
            (*key, round(score, 4), sentence, document, *about[document])
            for key, heap in best.items()
            if key[1] in common
            for sentence, (score, document) in _surest(heap)
        ],
        columns=[*KEYS, "score", "sentence", "document", "group", "date"],
    )
    unread = sum(not week for week in weeks.values()) if date else 0
    return counts, strongest, unread


def _surest(found: dict[str, tuple[float, str]]) -> list[tuple[str, tuple[float, str]]]:
    return heapq.nlargest(STRONGEST, found.items(), key=lambda item: item[1][0])


def _cell(row: dict[str, Any], column: str | None) -> str:
    value = row.get(column) if column else None
    return "" if value is None else str(value).strip()[:200]


def _monday(when: Any) -> str:
    return "" if pd.isna(when) else str((when - pd.Timedelta(days=when.weekday())).date())


def _answers(found: dict[str, Any], codebook: Codebook) -> list[tuple[str, str, list[str], dict[str, float]]]:
    """(question, target, labels, scores) of one prediction."""
    answers = []
    for question in codebook.questions:
        items = found[question.name] if question.per_target else [{"labels": found[question.name], "scores": found[f"{question.name}_scores"]}]
        for item in items or []:
            labels = item.get("label", item.get("labels"))
            answers.append((question.name, item.get("target", ""), [labels] if isinstance(labels, str) else labels or [], item["scores"]))
    return answers


def _common(asked: dict[tuple[str, str, str], int]) -> set[str]:
    totals: dict[str, int] = {}
    for (_, _, target), number in asked.items():
        if target:
            totals[target] = totals.get(target, 0) + number
    return {"", *sorted(totals, key=lambda target: -totals[target])[:MOST_TARGETS]}


def balances(question: Question) -> bool:
    """Whether a question's first label stands against its second, with a third, last, for neither: by custom of order, as in our codebook."""
    return question.per_target and question.choose == "one" and len(question.labels) == 3


def shares(counts: pd.DataFrame, by: str, codebook: Codebook) -> pd.DataFrame:
    """Share of sentences with each label, for each value of the column `by`, with its 95% interval.

    Columns: `by`, `question, target, label, documents, sentences, held, share, low, high`; shares in [0, 1]. Where a question balances,
    a row "balance" has its second label's share minus its first's, in [-1, 1]. Intervals draw whole documents (cluster bootstrap,
    percentile; Efron & Tibshirani 1993), since sentences of one article are alike. Where all or none of the sentences hold, the draws
    cannot differ and Wilson's interval (1927) with the number of documents stands in. NaN with fewer than two documents.
    """
    rows: list[tuple[Any, ...]] = []
    for (value, name, target), part in counts.groupby([by, "question", "target"], sort=True):
        question = codebook.question(name)
        held, asked = _matrix(part, question)
        columns = held
        names = list(question.label_names)
        if balances(question):
            columns = np.column_stack([held, held[:, 1] - held[:, 0]])
            names.append(BALANCE)
        low, high = _interval(columns, asked, np.array([-1.0 if label == BALANCE else 0.0 for label in names]))
        for place, label in enumerate(names):
            total = columns[:, place].sum()
            rows.append((value, name, target, label, len(asked), int(asked.sum()), int(total), total / asked.sum(), low[place], high[place]))
    return pd.DataFrame(rows, columns=[by, *KEYS, "documents", "sentences", "held", "share", "low", "high"])


def compared(counts: pd.DataFrame, first: str, second: str, codebook: Codebook) -> pd.DataFrame:
    """Two groups beside each other: share of each, and second minus first with its 95% bootstrap interval (documents drawn in each group)."""
    rows: list[tuple[Any, ...]] = []
    for (name, target), part in counts[counts["group"].isin([first, second])].groupby(["question", "target"]):
        labels = list(codebook.question(name).label_names)
        sides = []
        for group in (first, second):
            mine = part[part["group"] == group]
            if mine.empty:
                break
            sides.append(_matrix(mine, codebook.question(name)))
        if len(sides) < 2:
            continue
        draws = [_draws(held, asked, SEED + place) for place, (held, asked) in enumerate(sides)]
        plain = [held.sum(axis=0) / asked.sum() for held, asked in sides]
        enough = min(len(asked) for _, asked in sides) >= 2
        ends = np.quantile(draws[1] - draws[0], [(1 - CERTAIN) / 2, (1 + CERTAIN) / 2], axis=0) if enough else np.full((2, len(labels)), np.nan)
        for place, label in enumerate(labels):
            sizes = [len(asked) for _, asked in sides]
            rows.append((name, target, label, *sizes, plain[0][place], plain[1][place], plain[1][place] - plain[0][place], *ends[:, place]))
    names = [*KEYS, "first_documents", "second_documents", "first", "second", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def _matrix(part: pd.DataFrame, question: Question) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts of shape (documents, labels) and (documents,), documents in one order."""
    held = part.pivot_table(index="document", columns="label", values="held", aggfunc="sum").reindex(columns=list(question.label_names)).fillna(0)
    asked = part.drop_duplicates("document").set_index("document")["asked"].reindex(held.index)
    return held.to_numpy(float), asked.to_numpy(float)


def _interval(held: NDArray[np.float64], asked: NDArray[np.float64], least: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the intervals, each of shape (labels,), from counts of shape (documents, labels) and (documents,); none is below `least`."""
    if len(asked) < 2:
        return np.full(held.shape[1], np.nan), np.full(held.shape[1], np.nan)
    low, high = np.quantile(_draws(held, asked, SEED), [(1 - CERTAIN) / 2, (1 + CERTAIN) / 2], axis=0)
    alike = np.where(low == high, 3.8416 / (len(asked) + 3.8416), 0)  # the width of Wilson's interval at 0 and at 1, for 95%
    return np.maximum(low - alike, least), np.minimum(high + alike, 1)


def _draws(held: NDArray[np.float64], asked: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Shares of shape (DRAWS, labels), each of as many documents as there are, drawn with replacement."""
    generator = np.random.default_rng(seed)
    size = len(asked)
    block = max(1, DRAWN_AT_ONCE // size)
    found = []
    for start in range(0, DRAWS, block):
        drawn = generator.integers(0, size, (min(block, DRAWS - start), size))
        weights = np.apply_along_axis(np.bincount, 1, drawn, minlength=size) if size > 1 else np.ones((len(drawn), 1))
        found.append((weights @ held) / np.maximum(weights @ asked, 1)[:, None])
    return np.concatenate(found)


def groups(counts: pd.DataFrame) -> list[str]:
    """The groups, those with most documents first."""
    sizes = counts.groupby("group")["document"].nunique()
    return [str(name) for name in sizes.sort_values(ascending=False, kind="stable").index]


def tables(scored: Path, codebook: Codebook, group: str | None, date: str | None) -> tuple[dict[str, pd.DataFrame], int]:
    """All tables of a scored corpus by name, `documents, groups, weeks, strongest`, and how many documents have no readable date."""
    counts, strongest, unread = count(scored, codebook, group, date)
    whole = shares(counts.assign(group=WHOLE), "group", codebook)
    by_group = pd.concat([whole, shares(counts, "group", codebook)]) if group else whole
    dated = counts[counts["week"] != ""]
    return {"documents": counts, "groups": by_group, "weeks": shares(dated, "week", codebook), "strongest": strongest}, unread


def save(found: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write each table as NAME.csv into `folder`."""
    for name, table in found.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.4f")


def load(path: Path) -> pd.DataFrame:
    """Read a table back; what is empty stays empty text."""
    names: Sequence[str] = ["document", "group", "week", "target", "label", "question", "sentence", "date"]
    return pd.read_csv(path, dtype=dict.fromkeys(names, str), keep_default_na=False, na_values={name: [""] for name in ("low", "high")})
