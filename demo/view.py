"""What the page and the report show: predictions as coloured prose, summary and table. Everything from outside is escaped here."""

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annotations.codebook import Codebook, Question
from classifier.predictions import Answer, Prediction
from demo.occlusion import Drove
from demo.tables import readable, scores
from demo.voices import voices

# Okabe & Ito (2008): told apart with any colour vision. Each label also has its own mark and underline, so colour is never alone.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#F0E442", "#999999")
COLOURS_PER_TARGET = ("#D55E00", "#0072B2", "#8A8A8A", "#F0E442", "#CC79A7", "#009E73", "#56B4E9", "#E69F00")
UNDERLINES = ("solid", "dashed", "double", "dotted")
VOICES = {"quoted": "quoted speech", "part": "partly quoted speech", "own": "the outlet's own voice"}
_DOUBT = '<abbr class="fw-mark fw-unsure" title="close to the threshold: the model could as well have said otherwise">?</abbr>'
WEAKEST = 15  # per cent of the strongest word, from which a word is marked
LONGEST_HEADING = 120  # characters; longer lines without a closing mark are prose

# What stands around an article on a web page. Only looked for in sentences without a closing mark.
_FURNITURE = re.compile(
    r"by( [\w.'’-]+){1,5}|(leave|post|add) a (reply|comment)|(\d+ )?comments?( \(\d+\))?"
    r"|(share|print|email|menu|home|search|log in|sign (in|up))\b.{0,40}"
    r"|(read (more|next)|related|subscribe|advertisement|newsletter|follow us|skip to|filed under|tags?:|photo:|image:|source:).*"
    r"|(posted|published|updated|last modified)\b.*|(©|copyright\b|all rights reserved).*"
    r"|(\w+day,? )?(\d{1,2}\.? [a-z]{3,9}\.?|[a-z]{3,9}\.? \d{1,2}),? \d{4}.{0,30}"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.{0,30}|[^|»·]{1,30}([|»·][^|»·]{1,30})+",
    re.IGNORECASE,
)
_CLOSED = re.compile(r"[.!?…:;][\"”’')\]]*$")


@dataclass(frozen=True)
class Style:
    """How one label looks: colour, underline and a short mark; `name` is its class on the page."""

    colour: str
    underline: str
    mark: str
    name: str


def styles(question: Question) -> dict[str, Style]:
    """A style for each label, by codebook order; marks are initials, made longer until they differ."""
    marks: dict[str, str] = {}
    for name in question.label_names:
        words = name.replace("_", " ").split()
        mark = "".join(word[0] for word in words).upper() if len(words) > 1 else name[:2].upper()
        marks[name] = mark if mark not in marks.values() else name[:4].upper()
    palette = COLOURS_PER_TARGET if question.per_target else COLOURS
    return {
        name: Style(palette[place % len(palette)], UNDERLINES[place // len(palette) % len(UNDERLINES)], marks[name], f"fw-{question.name}-{name}")
        for place, name in enumerate(question.label_names)
    }


def error(words: str) -> str:
    """A fault, in plain words, that a screen reader announces."""
    return f'<div class="fw-error" role="alert">{html.escape(words)}</div>'


def said(words: str) -> str:
    """A success, in plain words, that a screen reader announces."""
    return f'<div class="fw-said" role="status">{html.escape(words)}</div>'


def quoted(text: str) -> str:
    """One sentence, set apart."""
    return f'<blockquote class="fw-quote">{html.escape(text)}</blockquote>'


def prose(predictions: Sequence[Prediction], text: str, opens: bool = True) -> str:
    """The article with its paragraphs, headings and furniture; each sentence has the colours and marks of its labels and `opens` its scores."""
    parts, headed = [], False
    several = len(predictions) > 1
    said = dict(zip((item.sentence.position for item in predictions), voices(predictions, text), strict=True))
    for paragraph in _paragraphs(predictions, text):
        kinds = [kind(item.sentence.text, several and len(paragraph) == 1) for item in paragraph]
        tag, look = "p", "fw-furniture" if set(kinds) == {"furniture"} else "fw-text"
        if kinds == ["heading"]:
            tag, look, headed = ("h3", "fw-subhead", True) if headed else ("h2", "fw-headline", True)
        words = " ".join(
            _sentence(item, found == "furniture", said[item.sentence.position], opens) for item, found in zip(paragraph, kinds, strict=True)
        )
        parts.append(f'<{tag} class="{look}">{words}</{tag}>')
    return f'<article class="fw-prose">{"".join(parts)}</article>'


def kind(text: str, alone: bool) -> str:
    """Whether a sentence is "furniture" (by-line, date, navigation), a "heading" (stands alone, short, no closing mark), or "text"."""
    if _CLOSED.search(text):
        return "text"
    if _FURNITURE.fullmatch(text):
        return "furniture"
    return "heading" if alone and len(text) <= LONGEST_HEADING else "text"


def _paragraphs(predictions: Sequence[Prediction], text: str) -> list[list[Prediction]]:
    found: list[list[Prediction]] = []
    end = 0
    for item in predictions:
        if not found or (item.sentence.start >= 0 and "\n" in text[end : item.sentence.start]):
            found.append([])
        found[-1].append(item)
        end = max(end, item.sentence.end)
    return found


def _sentence(item: Prediction, furniture: bool, voice: str, opens: bool) -> str:
    held = [(answer, label) for answer in item.answers if not answer.target for label in answer.labels]
    held.sort(key=lambda pair: -pair[0].score(pair[1]))
    words = html.escape(item.sentence.text)
    for answer, label in reversed(held):
        look = styles(answer.question)[label]
        unsure = " fw-unsure" if label in answer.uncertain else ""
        words = f'<mark class="fw-l {look.name}{unsure}" style="--c:{look.colour};--u:{look.underline}">{words}</mark>'
    near = [(answer, label) for answer in item.answers if not answer.target for label in answer.uncertain if label not in answer.labels]
    marks = "".join(_mark(answer, label) for answer, label in held + near)
    targets = targets_of(item)
    signs = "".join(_sign(answer, targets) for answer in item.answers if answer.target)
    button = ""
    if opens:
        data = html.escape(json.dumps([_scores(answer) for answer in item.answers]), quote=True)
        button = f' role="button" tabindex="0" aria-expanded="false" data-n="{item.sentence.position + 1}" data-scores="{data}"'
    spoken = "" if voice == "own" else f'<abbr class="fw-voice" title="{VOICES[voice]}">“”{"" if voice == "quoted" else "…"}</abbr>'
    return f'<span class="fw-s{" fw-furniture" if furniture else ""}"{button}>{words}{spoken}{marks}{signs}</span>'


def _mark(answer: Answer, label: str) -> str:
    look = styles(answer.question)[label]
    unsure = (" fw-unsure", "?", " (uncertain)") if label in answer.uncertain else ("", "", "")
    name = html.escape(readable(label) + unsure[2])
    return f'<abbr class="fw-mark {look.name}{unsure[0]}" style="--c:{look.colour}" title="{name}">{html.escape(look.mark)}{unsure[1]}</abbr>'


def targets_of(item: Prediction) -> list[str]:
    """The targets that were asked about, in order."""
    return list(dict.fromkeys(answer.target for answer in item.answers if answer.target))


def _sign(answer: Answer, targets: list[str]) -> str:
    """The answers for one target, in words; with several targets, numbered as the summary numbers them."""
    number = f"<sup>{targets.index(answer.target) + 1}</sup>" if len(targets) > 1 else ""
    signs = []
    for label in answer.labels:
        look = styles(answer.question)[label]
        quiet = " fw-quiet" if _quiet(answer.question, label) else ""
        unsure = ("?", " (uncertain)") if answer.uncertain else ("", "")
        title = html.escape(f"{readable(label)}: {answer.target}{unsure[1]}", quote=True)
        words = f"{number}{html.escape(readable(label))}{unsure[0]}"
        signs.append(f'<abbr class="fw-sign {look.name}{quiet}" style="--c:{look.colour}" title="{title}">{words}</abbr>')
    return "".join(signs)


def _quiet(question: Question, label: str) -> bool:
    """A question that chooses one names its "nothing to say" last, by custom: that is shown in the prose only when its box is ticked."""
    return question.choose == "one" and label == question.label_names[-1]


def _scores(answer: Answer) -> list[Any]:
    """What the panel of a sentence draws: the question or target, and of each label its name, score, colour, held, uncertain."""
    looks = styles(answer.question)
    rows = [
        [readable(name), round(score, 3), looks[name].colour, name in answer.labels, name in answer.uncertain]
        for name, score in zip(answer.question.label_names, answer.scores, strict=True)
    ]
    return [answer.target or readable(answer.question.name), rows]


def summary(predictions: Sequence[Prediction], codebook: Codebook, text: str = "") -> str:
    """The legend, whose boxes show and hide labels by style alone, with counts of sentences and balance of stance when there are predictions.

    `text` is the article, by whose quotation marks quoted speech is counted apart.
    """
    total = len(predictions)
    said = voices(predictions, text)
    parts = [f"<style>{''.join(_hiding(question) for question in codebook.questions)}</style>"]
    if total:
        unsure = sum(any(answer.uncertain for answer in item.answers) for item in predictions)
        parts.append(
            f'<p class="fw-total"><b>{total}</b> sentence{"s" * (total > 1)}, <b>{unsure}</b> with an uncertain answer {_DOUBT}, '
            f'<b>{said.count("quoted")}</b> quoted <abbr class="fw-voice">“”</abbr>, <b>{said.count("part")}</b> in part</p>'
        )
    for question in codebook.questions:
        answers = [answer for item in predictions for answer in item.answers if answer.question.name == question.name]
        keys = "".join(_key(question, label.name, label.definition, [] if question.per_target else answers) for label in question.labels)
        parts.append(f'<fieldset class="fw-legend"><legend>{html.escape(question.text or readable(question.name))}</legend>{keys}')
        if question.per_target:
            targets = list(dict.fromkeys(answer.target for answer in answers))
            spoken = [
                voice for item, voice in zip(predictions, said, strict=True) for answer in item.answers if answer.question.name == question.name
            ]
            parts += [_balance(question, target, place, answers, spoken) for place, target in enumerate(targets, 1)]
        parts.append("</fieldset>")
    return f'<section class="fw-summary" aria-label="Summary and legend">{"".join(parts)}</section>'


def _hiding(question: Question) -> str:
    """Rules that hide a label while its box is not ticked: its marks go, and its colour and underline."""
    rules = []
    for look in styles(question).values():
        off = f"body:has(#{look.name}:not(:checked))"
        rules.append(f"{off} :is(.fw-mark,.fw-sign).{look.name}{{display:none}}{off} mark.{look.name}{{background:none;border:0;padding:0}}")
    return "".join(rules)


def _key(question: Question, label: str, definition: str, answers: list[Answer]) -> str:
    look = styles(question)[label]
    mark = "" if question.per_target else f'<span class="fw-mark" aria-hidden="true">{html.escape(look.mark)}</span>'
    bar = ""
    if answers:
        held = sum(label in answer.labels for answer in answers)
        unsure = sum(label in answer.uncertain for answer in answers)
        doubt = f", {unsure} uncertain" if unsure else ""
        fill = f'<span class="fw-track"><span class="fw-fill" style="width:{held / len(answers):.1%}"></span></span>'
        bar = f'<span class="fw-count"><b>{held}</b> of {len(answers)}, {held / len(answers):.0%}{doubt}</span>{fill}'
    # The definition stands beside the label, not in it: it describes the box and is no part of its name.
    return (
        f'<div class="fw-key{" fw-bar" if bar else ""}" style="--c:{look.colour};--u:{look.underline}">'
        f'<label><input type="checkbox" id="{look.name}"{"" if _quiet(question, label) else " checked"} aria-describedby="{look.name}-tip">{mark}'
        f'<span class="fw-name">{html.escape(readable(label))}</span></label>{bar}'
        f'<span class="fw-tip" role="tooltip" id="{look.name}-tip">{html.escape(definition)}</span></div>'
    )


def _balance(question: Question, target: str, place: int, answers: list[Answer], said: list[str]) -> str:
    """One bar for a target, cut by its labels, with the counts in words below: all, and quoted speech told from the outlet's own voice."""
    about = [(answer, voice) for answer, voice in zip(answers, said, strict=True) if answer.target == target]
    segments, words, spoken = [], [], []
    for label, look in styles(question).items():
        voiced = [voice for answer, voice in about if label in answer.labels]
        segments.append(f'<span class="fw-fill {look.name}" style="--c:{look.colour};width:{len(voiced) / len(about):.1%}"></span>')
        words.append(f"{len(voiced)} {html.escape(readable(label))} ({len(voiced) / len(about):.0%})")
        spoken.append(f"{voiced.count('quoted')} {html.escape(readable(label))}")
    unsure = sum(bool(answer.uncertain) for answer, _ in about)
    if unsure:
        words.append(f"{unsure} uncertain")
    quoted = f'<span class="fw-count fw-spoken">Of these quoted: {", ".join(spoken)}</span>' if any(voice == "quoted" for _, voice in about) else ""
    return (
        f'<div class="fw-bar fw-balance"><span class="fw-name"><sup>{place}</sup> {html.escape(target)}</span>'
        f'<span class="fw-track">{"".join(segments)}</span><span class="fw-count">{", ".join(words)}</span>{quoted}</div>'
    )


def drove(found: Sequence[Drove], codebook: Codebook, number: int, key: str = "") -> str:
    """A sentence once for each label it was given, its words shaded by how far the label's probability falls without them."""
    parts = []
    for item in found:
        look = styles(codebook.question(item.question))[item.label]
        most = max((abs(drop) for _, drop in item.pieces), default=0.0)
        words = " ".join(_weighed(word, drop, most) for word, drop in item.pieces)
        about = f" toward {html.escape(item.target)}" if item.target else ""
        title = f'<p class="fw-group-title">{html.escape(readable(item.label))}{about}, {item.score:.0%}</p>'
        parts.append(f'<div class="fw-drove" style="--c:{look.colour}">{title}<p>{words}</p></div>')
    note = "A word is shaded by how far the probability falls when it is left out (underlined: rises). A hint at what the model uses, no proof."
    return (
        f'<div data-n="{number}" data-key="{key}"><p class="fw-note">{note}</p>{"".join(parts) or "<p>This sentence was given no label.</p>"}</div>'
    )


def _weighed(word: str, drop: float, most: float) -> str:
    share = round(100 * abs(drop) / most) if most else 0
    if share < WEAKEST:
        return html.escape(word)
    kind, sign = ("fw-for", "−") if drop > 0 else ("fw-counter", "+")
    title = f"without it: {sign}{abs(drop) * 100:.0f} points"
    return f'<span class="{kind}" style="--w:{round(share * 0.6)}%" title="{title}">{html.escape(word)}</span>'


def grid(header: Sequence[str], rows: Sequence[Sequence[str | int | float]]) -> str:
    """A table that scrolls within itself, also by keyboard."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="fw-table" tabindex="0" role="region" aria-label="Table">{table}</div>'


def report(predictions: Sequence[Prediction], text: str, css: str, date: str) -> str:
    """The whole reading as one HTML page that needs nothing else: no script, no link. `date` is shown as it is. At least one prediction."""
    first = predictions[0]
    about = f"Model {html.escape(first.model)}; codebook {html.escape(first.codebook.name)} {first.codebook.fingerprint}; {html.escape(date)}."
    warning = "The answers are a model's guesses, not verdicts; single answers are often wrong."
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>Framewire report</title><style>{css}</style></head><body class="fw-report">'
        f'<p class="fw-about">Framewire report. {about} {warning}</p>'
        f'<div class="fw-columns">{summary(predictions, first.codebook, text)}{prose(predictions, text, opens=False)}</div>'
        f"{grid(*scores(predictions))}</body></html>"
    )
