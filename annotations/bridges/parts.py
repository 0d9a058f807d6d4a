"""Rows in parts: most tools show one target at a time, some one question; what belongs to one row is joined again here."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotations.codebook import Codebook
from annotations.rows import Annotation, Answer

# Hyphens, because no question of a codebook can have one in its name: these stand beside answers in some tools.
ID = "row-id"
ASKED = "row-asked"
CARRIED = ("document", "annotator", "split", "sampling", "source", "unsure", "note")


@dataclass(frozen=True)
class Part:
    """What a tool shows at once: the answers about one target, or about none; the first part has those that need no target."""

    target: str | None
    answers: Mapping[str, Answer]


def split(row: Annotation, codebook: Codebook) -> Iterator[Part]:
    """A part for each target of the row, or one part without target."""
    about: dict[str | None, dict[str, Answer]] = {}
    plain: dict[str, Answer] = {}
    for question in codebook.questions:
        answer = row.answers.get(question.name)
        if isinstance(answer, Mapping):
            for about_what, one in answer.items():
                about.setdefault(about_what, {})[question.name] = one
        elif answer is not None:
            plain[question.name] = answer
    for number, (target, answers) in enumerate((about or {None: {}}).items()):
        yield Part(target, answers if number else plain | answers)


def labels(answer: Answer) -> list[str]:
    """The labels of an answer as a list, whether one or any may be chosen."""
    return [answer] if isinstance(answer, str) else list(answer)


def metadata(row: Annotation) -> dict[str, Any]:
    """Everything of a row but its text and answers, empty fields left out, under the names that `head` reads."""
    fields = {name: getattr(row, name) for name in CARRIED}
    return {ID: row.id} | {name: value for name, value in fields.items() if value not in ("", None, False)}


def head(fields: Mapping[str, Any], other_id: Any = None) -> dict[str, Any]:
    """The beginning of a row out of `metadata`; `other_id` is the tool's own id, for records that did not come from us."""
    row = {name: fields[name] for name in CARRIED if fields.get(name) is not None}
    if isinstance(row.get("unsure"), str):  # some tools hold words only
        row["unsure"] = {"true": True, "false": False, "": False}.get(row["unsure"].lower(), row["unsure"])
    given = fields.get(ID) if fields.get(ID) is not None else other_id
    return {"id": None if given is None else str(given)} | row


def asked(fields: Mapping[str, Any], target: str | None, codebook: Codebook) -> set[str]:
    """The names of the questions that were put; a record that does not say so was asked all those that any label may answer.

    Only these can have "none of them" as an answer; a question of one label that has no answer was skipped. Raises ValueError.
    """
    said = fields.get(ASKED)
    if said is None:
        return {question.name for question in codebook.questions if question.choose == "any" and (target or not question.per_target)}
    if not isinstance(said, str):
        raise ValueError(f"'{ASKED}' is not text")
    return set(said.split())


def assemble(
    start: Mapping[str, Any], text: Any, target: Any, picked: Mapping[str, Sequence[Any]], put: Collection[str], codebook: Codebook
) -> dict[str, Any]:
    """A part of a row in the shape of our JSON: `start` is its head, `picked` the labels for each question, `put` what was asked.

    Raises ValueError for a question that the codebook does not have, and for one per target without a target.
    """
    if target is not None and not isinstance(target, str):
        raise ValueError("'target' is not text")
    row = dict(start) | {"text": text}
    known = {question.name: question for question in codebook.questions}
    for name in [*picked, *put]:
        if name not in known:
            raise ValueError(f"the codebook has no question '{name}'; it asks {', '.join(known)}")
    for name, question in known.items():
        chosen = list(picked.get(name, ()))
        if not chosen and (name not in put or question.choose == "one"):
            continue
        answer = chosen[0] if question.choose == "one" and len(chosen) == 1 else chosen
        if question.per_target and not target:
            raise ValueError(f"'{name}' is asked about a target, and the record names none")
        row[name] = {target: answer} if question.per_target else answer
    return row


def merge(found: Iterable[tuple[str, Mapping[str, Any]]], codebook: Codebook, faults: list[str]) -> list[Annotation]:
    """Join the parts of each row and check the rows; a row is what one coder said under one id.

    `found` gives (place, part); what is wrong is added to `faults` with its place. Two coders of one id give two rows.
    """
    whole: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for place, part in found:
        if not part.get("id"):
            faults.append(f"{place}: 'id' is missing.")
            continue
        first, row = whole.setdefault((str(part["id"]), str(part.get("annotator") or "")), (place, {}))
        try:
            _add(row, part)
        except ValueError as error:
            faults.append(f"{place}: {error} at {first}; both are of the row '{part['id']}'.")
    rows: list[Annotation] = []
    for place, row in whole.values():
        try:
            checked = Annotation.from_dict(row, codebook)
            json.dumps(checked.to_dict(), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            faults.append(f"{place}: it holds half a character (a lone surrogate).")
        except ValueError as error:
            faults.append(f"{place}: {error}.")
        else:
            rows.append(checked)
    return rows


def _add(row: dict[str, Any], part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        if name not in row:
            row[name] = dict(value) if isinstance(value, dict) else value
        elif isinstance(value, dict) and isinstance(row[name], dict):
            _add(row[name], value)
        elif row[name] != value:
            raise ValueError(f"'{name}' is not what it is")


def by_coder(rows: Sequence[Annotation]) -> list[list[Annotation]]:
    """The rows as they are where each id stands once; else a list for each coder, since a file holds an id once."""
    if len({row.id for row in rows}) == len(rows):
        return [list(rows)]
    coders: dict[str, list[Annotation]] = {}
    for row in rows:
        coders.setdefault(row.annotator, []).append(row)
    return list(coders.values())
