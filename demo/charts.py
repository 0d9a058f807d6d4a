"""Plots of shares as HTML that needs no script: dots with their intervals, lines over weeks. Everything from outside is escaped here."""

import html
import math
from collections.abc import Iterable
from urllib.parse import quote

import pandas as pd

from annotations.codebook import Codebook, Question
from demo.shares import BALANCE, KEYS, balances
from demo.tables import readable
from demo.view import Style, styles

MOST_ROWS = 12  # groups in a plot; the rest are in its CSV
SHOWN = 5  # strongest sentences of a label on the page; its CSV has more
WIDE, HIGH = 600, 120  # of the drawing's own units, stretched to the place there is
_BALANCE = Style("#7A7A7A", "solid", "±", "fw-balance-dot")


def dots(table: pd.DataFrame, codebook: Codebook, order: list[str]) -> str:
    """For each label a row for each group: its share as a dot, the interval as a bar, figures in words."""
    parts = []
    for question, target, label, part in _labels(table, codebook):
        mine = part.drop_duplicates("group").set_index("group").reindex([group for group in order if group in set(part["group"])][:MOST_ROWS])
        low, high = (-1.0, 1.0) if label == BALANCE else (0.0, _nice(max(mine["high"].max(skipna=True), mine["share"].max())))
        rows = "".join(_dot(str(group), row, low, high) for group, row in mine.iterrows())
        axis = f'<div class="fw-axis"><span>{_percent(low, label)}</span><span>{_percent(high, label)}</span></div>'
        parts.append((_folded(question, label), _figure(question, target, label, rows + axis)))
    return _gathered(parts)


def weeks(table: pd.DataFrame, codebook: Codebook) -> str:
    """For each label a line over weeks with the band of its interval; a week without a document is a gap."""
    if table["week"].nunique() < 2:
        return '<p class="fw-note">The documents fall into fewer than two weeks, or no column holds their dates.</p>'
    every = [str(day.date()) for day in pd.date_range(table["week"].min(), table["week"].max(), freq="7D")]
    parts = []
    for question, target, label, part in _labels(table, codebook):
        mine = part.set_index("week").reindex(every)
        low, high = (-1.0, 1.0) if label == BALANCE else (0.0, _nice(max(mine["high"].max(skipna=True), mine["share"].max())))
        said = f"{_name(label, question)}: from {_percent(mine['share'].min(), label)} to {_percent(mine['share'].max(), label)} a week."
        shape = f'viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" role="img" aria-label="{html.escape(said, quote=True)}"'
        ends = f'<span class="fw-top">{_percent(high, label)}</span><span class="fw-bottom">{_percent(low, label)}</span>'
        drawing = f'<div class="fw-weeks"><svg {shape}>{_line(mine, low, high)}</svg>{ends}</div>'
        axis = f'<div class="fw-axis fw-dates"><span>{every[0]}</span><span>{every[-1]}</span></div>'
        parts.append((_folded(question, label), _figure(question, target, label, drawing + axis)))
    return _gathered(parts)


def _labels(table: pd.DataFrame, codebook: Codebook) -> Iterable[tuple[Question, str, str, pd.DataFrame]]:
    """(question, target, label, its rows) in the codebook's order."""
    found = dict(iter(table.groupby(KEYS, sort=False)))
    for question in codebook.questions:
        targets = dict.fromkeys(target for name, target, _ in found if name == question.name)
        for target in targets:
            for label in [BALANCE, *question.label_names]:
                if (question.name, target, label) in found:
                    yield question, target, label, found[question.name, target, label]


def _gathered(figures: list[tuple[bool, str]]) -> str:
    """All figures; those of a question's single labels are folded away where its balance is shown."""
    main = "".join(figure for folded, figure in figures if not folded)
    rest = "".join(figure for folded, figure in figures if folded)
    more = f'<details><summary>Each label by itself</summary><div class="fw-charts">{rest}</div></details>' if rest else ""
    return f'<div class="fw-charts">{main}</div>{more}'


def _folded(question: Question, label: str) -> bool:
    return balances(question) and label != BALANCE


def _figure(question: Question, target: str, label: str, body: str) -> str:
    look = _BALANCE if label == BALANCE else styles(question)[label]
    about = f' <span class="fw-of">toward {html.escape(target)}</span>' if target else ""
    return (
        f'<figure class="fw-chart" style="--c:{look.colour}"><figcaption><span class="fw-mark" aria-hidden="true">{html.escape(look.mark)}</span>'
        f"<b>{html.escape(_name(label, question))}</b>{about}</figcaption>{body}</figure>"
    )


def _name(label: str, question: Question) -> str:
    if label != BALANCE:
        return readable(label)
    return f"balance: {readable(question.label_names[1])} minus {readable(question.label_names[0])}"


def _dot(group: str, row: "pd.Series[float]", low: float, high: float) -> str:
    place = (row["share"] - low) / (high - low)
    label = BALANCE if low < 0 else ""
    bar, words = "", _percent(row["share"], label)
    if not math.isnan(row["low"]):
        start, end = (row["low"] - low) / (high - low), (row["high"] - low) / (high - low)
        bar = f'<span class="fw-range" style="left:{start:.1%};width:{max(0.0, end - start):.1%}"></span>'
        words += f' <span class="fw-soft">({_percent(row["low"], label)} to {_percent(row["high"], label)})</span>'
    count = f'<span class="fw-soft">{int(row["documents"]):,} doc., {int(row["sentences"]):,} sent.</span>'
    zero = '<span class="fw-zero"></span>' if low < 0 else ""
    return (
        f'<div class="fw-row"><span class="fw-name">{html.escape(group) or "(none)"}</span>'
        f'<span class="fw-scale">{zero}{bar}<span class="fw-dot" style="left:{place:.1%}"></span></span>'
        f'<span class="fw-count">{words} {count}</span></div>'
    )


def _line(mine: pd.DataFrame, low: float, high: float) -> str:
    """The band and the line, cut where a week is missing, and a short stroke for each week, so that a lone one is seen too."""
    step = WIDE / max(1, len(mine) - 1)
    top = {name: [HIGH * (1 - (value - low) / (high - low)) for value in mine[name]] for name in ("share", "low", "high")}
    drawn, run = [], []
    for place in range(len(mine) + 1):
        if place < len(mine) and not math.isnan(top["share"][place]):
            run.append(place)
            continue
        if run:
            points = " ".join(f"{at * step:.1f},{top['share'][at]:.1f}" for at in run)
            banded = [at for at in run if not math.isnan(top["low"][at])]
            ring = [f"{at * step:.1f},{top['high'][at]:.1f}" for at in banded] + [f"{at * step:.1f},{top['low'][at]:.1f}" for at in banded[::-1]]
            drawn.append(f'<polygon class="fw-band" points="{" ".join(ring)}"/><polyline class="fw-line" points="{points}"/>')
        run = []
    for place, value in enumerate(top["share"]):
        if not math.isnan(value):
            drawn.append(f'<path class="fw-tick" d="M{place * step:.1f} {value - 3:.1f}v6"/>')
            if not math.isnan(top["low"][place]):
                drawn.append(f'<path class="fw-whisker" d="M{place * step:.1f} {top["high"][place]:.1f}V{top["low"][place]:.1f}"/>')
    zero = f'<path class="fw-zeroline" d="M0 {HIGH / 2}H{WIDE}"/>' if low < 0 else ""
    return zero + "".join(drawn)


def _nice(value: float) -> float:
    """A round end of the axis above `value`."""
    return next((end for end in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8) if value <= end), 1.0)


def _percent(value: float, label: str) -> str:
    return f"{value * 100:+.0f}" if label == BALANCE else f"{value:.0%}"


def comparison(table: pd.DataFrame, codebook: Codebook, first: str, second: str) -> str:
    """Two groups beside each other in a table; differences whose interval leaves out zero are set in bold."""
    head = "".join(
        f"<th>{html.escape(name)}</th>" for name in ("label", first or "(none)", second or "(none)", "difference in points (95% interval)")
    )
    body = []
    for question, target, label, part in _labels(table, codebook):
        row = part.iloc[0]
        if math.isnan(row["low"]):
            ends, sure = "too few documents", False
        else:
            ends, sure = f"{row['low'] * 100:+.1f} to {row['high'] * 100:+.1f}", row["low"] > 0 or row["high"] < 0
        words = f"{row['difference'] * 100:+.1f} ({ends})"
        about = f" toward {html.escape(target)}" if target else ""
        cells = [f"{html.escape(_name(label, question))}{about}", f"{row['first']:.1%}", f"{row['second']:.1%}", f"<b>{words}</b>" if sure else words]
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    table_ = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="fw-table" tabindex="0" role="region" aria-label="Comparison">{table_}</div>'


def strongest(table: pd.DataFrame, codebook: Codebook) -> str:
    """The sentences of which the model is surest, a list for each label."""
    parts = []
    for question, target, label, part in _labels(table, codebook):
        items = []
        for _, row in part.head(SHOWN).iterrows():
            place = html.escape(" · ".join(filter(None, (row["group"], row["date"][:10], row["document"]))))
            items.append(f'<li>{html.escape(row["sentence"])} <span class="fw-soft">{row["score"]:.0%} · {place}</span></li>')
        parts.append(_figure(question, target, label, f"<ol>{''.join(items)}</ol>"))
    return f'<div class="fw-charts fw-strongest">{"".join(parts)}</div>'


def inline(table: pd.DataFrame, name: str) -> str:
    """A link to a small table as CSV that needs no second request."""
    data = quote(table.to_csv(index=False, float_format="%.4f"))
    link = f'<a class="fw-button" download="framewire-{name}.csv" href="data:text/csv;charset=utf-8,{data}">CSV of this table</a>'
    return f'<div class="fw-buttons">{link}</div>'
