"""Plain rows for the page's tables: the probabilities of every sentence, and what coders corrected."""

import json
from collections.abc import Sequence
from typing import Any

from annotations.codebook import Codebook
from classifier.predictions import Prediction


def readable(name: str) -> str:
    """A label's name in words."""
    return name.replace("_", " ")


def scores(predictions: Sequence[Prediction]) -> tuple[list[str], list[list[str | int | float]]]:
    """Header and rows: a row for each sentence, its labels in words and every probability to two decimals."""
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


def history(items: Sequence[dict[str, Any]], codebook: Codebook) -> tuple[list[str], list[list[str | int]]]:
    """Header and rows of the corrections, newest first, answers in words."""
    names = {question.name for question in codebook.questions}
    rows: list[list[str | int]] = []
    for item in reversed(items):
        answers = {name: value for name, value in json.loads(item["answers"]).items() if name in names}
        words = "; ".join(f"{name}: {_words(value)}" for name, value in answers.items())
        state = "taken back" if item["undone"] else "cannot tell" if item["unsure"] else ""
        rows.append([item["number"], item["time"], item["coder"], item["text"], words, item["note"], item["model"], state])
    return ["#", "when", "coder", "sentence", "answers", "note", "model", ""], rows


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_words(answer)} ({target})" for target, answer in value.items())
    return readable(value) if isinstance(value, str) else ", ".join(readable(name) for name in value) or "none"


def report(found: dict[str, Any]) -> tuple[list[str], list[list[str | int | float]]]:
    """Header and rows of a model's report: each label's figures on the test documents."""
    rows: list[list[str | int | float]] = []
    for name, item in found["questions"].items():
        for label, figures in item["labels"].items():
            numbers = [f"{figures[key]:.2f}" for key in ("precision", "recall", "f1")]
            rows.append([name, readable(label), *numbers, figures["support"]])
    return ["question", "label", "precision", "recall", "F1", "sentences"], rows
