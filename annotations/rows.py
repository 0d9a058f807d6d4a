"""Annotated rows: one sentence, who coded it, and the answers to the codebook's questions."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotations.codebook import ROW_FIELDS, Codebook, Question
from annotations.errors import InputError, RowsError

OURS = Path(__file__).with_name("rows")
SPLITS = ("train", "validation", "test")
SAMPLINGS = ("written", "random", "active", "correction")
LONGEST_TEXT = 5_000  # characters; longer "sentences" are unsplit documents
MOST_FAULTS = 20  # faults named in one error
MOST_CODERS = 10  # and coders

Answer = tuple[str, ...] | str
Answers = Mapping[str, Answer | Mapping[str, Answer]]


@dataclass(frozen=True)
class Annotation:
    """One coded sentence.

    `answers` maps a question's name to its labels (a tuple where any may be chosen, a string where one is), or, for a question
    per target, to a mapping from target to that. A question that is absent was not asked: it is missing, never negative.
    `split` is None until it is assigned; `source` tells apart where texts came from.
    """

    id: str
    document: str
    text: str
    answers: Answers
    annotator: str = ""
    split: str | None = None
    sampling: str = "random"
    source: str = ""
    unsure: bool = False
    note: str = field(default="", compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON has it, keys in a fixed order, empty optional fields left out."""
        row: dict[str, Any] = {"id": self.id, "document": self.document, "text": self.text}
        for name, answer in self.answers.items():
            row[name] = _plain(answer)
        row |= {"annotator": self.annotator, "split": self.split, "sampling": self.sampling, "source": self.source}
        row |= {"unsure": self.unsure, "note": self.note}
        return {key: value for key, value in row.items() if value not in ("", None) or key == "text"}

    @classmethod
    def from_dict(cls, row: Any, codebook: Codebook) -> "Annotation":
        """Check one row against the codebook. Raises ValueError, in words, on the first fault."""
        if not isinstance(row, dict):
            raise ValueError("not a JSON object")
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it holds half a character (a lone surrogate)") from None
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise ValueError("'text' is missing or empty")
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"'text' has {len(text):,} characters; a row is one sentence of at most {LONGEST_TEXT:,}")
        answers = {q.name: _answer(q, row[q.name]) for q in codebook.questions if row.get(q.name) is not None}
        if not answers:
            names = ", ".join(q.name for q in codebook.questions)
            raise ValueError(f"it answers none of the codebook's questions ({names}); was it coded with another codebook?")
        split = row.get("split")
        if split is not None and split not in SPLITS:
            raise ValueError(f"split '{split}' is none of {', '.join(SPLITS)}")
        sampling = row.get("sampling", "random")
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling '{sampling}' is none of {', '.join(SAMPLINGS)}")
        if not isinstance(row.get("unsure", False), bool):
            raise ValueError("'unsure' is not true or false")
        given = {name: row[name] for name in ROW_FIELDS if row.get(name) is not None}
        for name in set(given) - {"unsure"}:
            if not isinstance(given[name], str):
                given[name] = str(given[name])
        if not given.get("id"):
            raise ValueError("'id' is missing")
        return cls(**({"document": given["id"]} | given), answers=answers)


def _plain(answer: Answer | Mapping[str, Answer]) -> Any:
    if isinstance(answer, Mapping):
        return {target: _plain(value) for target, value in answer.items()}
    return list(answer) if isinstance(answer, tuple) else answer


def _answer(question: Question, value: Any) -> Answer | dict[str, Answer]:
    if not question.per_target:
        return question.check(value)
    if not isinstance(value, dict) or not value:
        raise ValueError(f"'{question.name}' takes an object from target to answer")
    for target in value:
        if not target.strip():
            raise ValueError(f"'{question.name}' has an empty target")
    return {target: question.check(answer) for target, answer in value.items()}


def files(path: Path | str) -> list[Path]:
    """The .jsonl files that `path` (a file or a folder) names, sorted. Raises RowsError when there are none."""
    path = Path(path)
    if path.is_dir():
        found = sorted(path.glob("*.jsonl"))
        if not found:
            raise RowsError(f"{path}: no .jsonl file in this folder.", "Give a file of rows or a folder of such files.")
        return found
    if not path.is_file():
        raise RowsError(f"{path}: no such file.", "Give a .jsonl file of annotated rows or a folder of such files.")
    return [path]


def read(path: Path | str | Sequence[Path], codebook: Codebook) -> list[Annotation]:
    """Read and check all rows of a .jsonl file or folder, or of several.

    Raises RowsError that names file and line of up to MOST_FAULTS faults; rows are all right or none is returned.
    """
    rows: list[Annotation] = []
    places: dict[str, str] = {}
    faults: list[str] = []
    paths = [path] if isinstance(path, Path | str) else path
    for file in dict.fromkeys(file for item in paths for file in files(item)):
        for number, raw in _lines(file):
            place = f"{file}:{number}"
            try:
                row = Annotation.from_dict(parse(raw), codebook)
            except ValueError as error:
                faults.append(f"{place}: {error}.")
                continue
            if row.id in places:
                faults.append(f"{place}: the id '{row.id}' stands already at {places[row.id]}.")
            places[row.id] = place
            rows.append(row)
    if faults:
        more = f"\n... and {len(faults) - MOST_FAULTS} more." if len(faults) > MOST_FAULTS else ""
        raise RowsError("\n".join(faults[:MOST_FAULTS]) + more, "Mend these lines and try again; nothing was changed.")
    if not rows:
        raise RowsError(f"{', '.join(map(str, paths))}: no rows.", "Give at least a few annotated sentences.")
    return rows


def without(rows: Sequence[Annotation], coders: Collection[str]) -> list[Annotation]:
    """The rows that none of `coders` gave. Raises InputError for a coder of whom there is none, since a misspelt name would leave all in."""
    names = {row.annotator for row in rows}
    for coder in sorted(set(coders) - names):
        known = ", ".join(sorted(name or "(nobody)" for name in names)[:MOST_CODERS])
        raise InputError(f"no rows by '{plain(coder)}'.", f"There are rows by {plain(known)}.")
    return [row for row in rows if row.annotator not in coders]


def plain(text: str) -> str:
    """Without characters that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def parse(raw: bytes) -> Any:
    """One line of JSONL. Raises ValueError in words, without the line's text."""
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("not valid JSON (is the line cut off?)") from None


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            if raw.strip():
                yield number, raw


def write(path: Path | str, rows: Iterable[Annotation]) -> None:
    """Write rows as JSONL, beside the target and renamed into place, so that no half file has its name."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.part")
    with beside.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row.to_dict(), ensure_ascii=False) + "\n")
    beside.replace(path)
