"""What the page shows: predictions as coloured prose, legend, summary and table. Everything from outside is escaped here."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from annotations.codebook import Codebook, Question
from classifier.predictions import Answer, Prediction

# Okabe & Ito (2008): told apart with any colour vision. Each label also has its own mark and underline, so colour is never alone.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#F0E442", "#999999")
UNDERLINES = ("solid", "dashed", "double", "dotted")
STANCE_SIGNS = {"against": "−", "favor": "+", "neutral": "0"}


@dataclass(frozen=True)
class Style:
    """How one label looks: colour, underline and a short mark."""

    colour: str
    underline: str
    mark: str


def styles(question: Question) -> dict[str, Style]:
    """A style for each label, by codebook order; marks are initials, made longer until they differ."""
    marks: dict[str, str] = {}
    for name in question.label_names:
        words = name.replace("_", " ").split()
        mark = "".join(word[0] for word in words).upper() if len(words) > 1 else name[:2].upper()
        marks[name] = mark if mark not in marks.values() else name[:4].upper()
    return {
        name: Style(COLOURS[number % len(COLOURS)], UNDERLINES[number // len(COLOURS) % len(UNDERLINES)], marks[name])
        for number, name in enumerate(question.label_names)
    }


def readable(name: str) -> str:
    """A label's name in words."""
    return name.replace("_", " ")


def legend(codebook: Codebook) -> str:
    """The labels with their marks and, on hover, their definitions."""
    items = []
    for question in codebook.questions:
        if question.per_target:
            continue
        for label in question.labels:
            style = styles(question)[label.name]
            items.append(
                f'<span class="fw-key" tabindex="0" title="{html.escape(label.definition, quote=True)}">'
                f'<span class="fw-swatch" style="--c:{style.colour}">{html.escape(style.mark)}</span>{html.escape(readable(label.name))}</span>'
            )
    signs = "".join(f'<span class="fw-key"><b>{sign}</b> {name}</span>' for name, sign in STANCE_SIGNS.items())
    return f'<div class="fw-legend" role="note" aria-label="Legend">{"".join(items)}<span class="fw-key">stance:</span>{signs}</div>'


def prose(predictions: Sequence[Prediction], text: str) -> str:
    """The article, sentence by sentence; a framed sentence has its strongest label's colour, the marks of all, and stance signs."""
    parts = ['<div class="fw-prose">']
    end = 0
    for item in predictions:
        gap = text[end : item.sentence.start] if item.sentence.start >= 0 else " "
        parts.append("</p><p>" if "\n" in gap else " ") if end else parts.append("<p>")
        parts.append(_sentence(item))
        end = max(end, item.sentence.end)
    parts.append("</p></div>" if predictions else "</div>")
    return "".join(parts)


def _sentence(item: Prediction) -> str:
    held = [(answer, label) for answer in item.answers if not answer.target and answer.question.choose == "any" for label in answer.labels]
    held.sort(key=lambda pair: -pair[0].score(pair[1]))
    tip = html.escape("; ".join(_described(answer) for answer in item.answers), quote=True)
    words = html.escape(item.sentence.text)
    signs = "".join(f'<span class="fw-sign fw-{_sign_class(answer)}">{html.escape(_sign(answer))}</span>' for answer in item.answers if answer.target)
    if not held:
        return f'<span class="fw-s" title="{tip}">{words}{signs}</span>'
    looks = [styles(answer.question)[label] for answer, label in held]
    unsure = " fw-unsure" if any(label in answer.uncertain for answer, label in held) else ""
    marks = "".join(f'<span class="fw-swatch" style="--c:{look.colour}">{html.escape(look.mark)}</span>' for look in looks)
    return (
        f'<mark class="fw-s{unsure}" tabindex="0" title="{tip}" style="--c:{looks[0].colour};--u:{looks[0].underline}">{words}</mark>{marks}{signs}'
    )


def _described(answer: Answer) -> str:
    scores = ", ".join(f"{readable(name)} {score:.0%}" for name, score in answer.named_scores.items())
    return f"{answer.target or answer.question.name}: {scores}" + (" (uncertain)" if answer.uncertain else "")


def _sign(answer: Answer) -> str:
    label = answer.labels[0] if answer.labels else ""
    return STANCE_SIGNS.get(label, readable(label))


def _sign_class(answer: Answer) -> str:
    return answer.labels[0] if answer.labels and answer.labels[0] in STANCE_SIGNS else "other"


def summary(predictions: Sequence[Prediction], codebook: Codebook) -> str:
    """How many sentences carry each label, and the balance of stance toward each target."""
    total = len(predictions)
    rows = []
    for question in codebook.questions:
        answers = [answer for item in predictions for answer in item.answers if answer.question.name == question.name]
        for target in dict.fromkeys(answer.target for answer in answers):
            about = [answer for answer in answers if answer.target == target]
            for label in question.label_names:
                count = sum(label in answer.labels for answer in about)
                share = count / len(about)
                colour = styles(question)[label].colour if not target else "#777777"
                name = f"{html.escape(target)}: {label}" if target else readable(label)
                rows.append(
                    f'<div class="fw-bar"><span class="fw-name">{name}</span><span class="fw-track"><span class="fw-fill" '
                    f'style="width:{share:.1%};--c:{colour}"></span></span><span class="fw-count">{count} of {len(about)} ({share:.0%})</span></div>'
                )
    return f'<div class="fw-summary" aria-label="Summary of {total} sentences">{"".join(rows)}</div>'


def table(predictions: Sequence[Prediction]) -> tuple[list[str], list[list[str | int | float]]]:
    """Header and rows of the table: a row for each sentence, its labels in words and every probability to two decimals."""
    if not predictions:
        return ["#", "sentence"], []
    header = ["#", "sentence"]
    for answer in predictions[0].answers:
        stem = answer.target or answer.question.name
        header += [stem, *(f"{stem}: {readable(name)}" if answer.target else readable(name) for name in answer.question.label_names)]
    rows = []
    for item in predictions:
        row: list[str | int | float] = [item.sentence.position + 1, item.sentence.text]
        for answer in item.answers:
            words = ", ".join(readable(label) for label in answer.labels) or "none"
            row += [words + (" (uncertain)" if answer.uncertain else ""), *(round(score, 2) for score in answer.scores)]
        rows.append(row)
    return header, rows
