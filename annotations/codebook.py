"""The codebook: which questions are asked of a sentence and which labels may answer them."""

import dataclasses
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations.errors import CodebookError

OURS = Path(__file__).with_name("codebook.toml")

ROW_FIELDS = ("id", "document", "text", "annotator", "split", "sampling", "source", "unsure", "note")
PREDICTION_FIELDS = ("document", "position", "sentence", "model", "codebook", "error", "warning", "target", "label", "scores")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LABEL_KEYS = ("name", "definition", "include", "exclude", "example")
_QUESTION_KEYS = ("name", "text", "choose", "per_target", "label")


@dataclass(frozen=True)
class Label:
    """One answer that coders may give, with the words that define it."""

    name: str
    definition: str
    include: str = ""
    exclude: str = ""
    example: str = ""


@dataclass(frozen=True)
class Question:
    """One question asked of each sentence.

    `choose` is "any" (zero, one or several labels) or "one" (exactly one); with `per_target` it is asked once for each target.
    """

    name: str
    text: str
    choose: str
    per_target: bool
    labels: tuple[Label, ...]

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    def check(self, answer: Any) -> tuple[str, ...] | str:
        """Return `answer` in its canonical form: labels in codebook order, or one label.

        Raises ValueError, in words, on anything that this question does not allow.
        """
        names = self.label_names
        if self.choose == "one":
            if not isinstance(answer, str):
                raise ValueError(f"'{self.name}' takes one label, not {type(answer).__name__}; it may be one of {', '.join(names)}")
            if answer not in names:
                raise ValueError(f"'{self.name}' has no label '{answer}'; it may be one of {', '.join(names)}")
            return answer
        if not isinstance(answer, list | tuple) or not all(isinstance(item, str) for item in answer):
            raise ValueError(f"'{self.name}' takes a list of labels out of {', '.join(names)}")
        for item in answer:
            if item not in names:
                raise ValueError(f"'{self.name}' has no label '{item}'; any of {', '.join(names)}")
        return tuple(name for name in names if name in answer)


@dataclass(frozen=True)
class Codebook:
    """The questions of a study, in order."""

    name: str
    questions: tuple[Question, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of everything that the codebook says, independent of spacing and comments."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def question(self, name: str) -> Question:
        for question in self.questions:
            if question.name == name:
                return question
        raise CodebookError(f"The codebook '{self.name}' has no question '{name}'.", f"It has {', '.join(q.name for q in self.questions)}.")

    def to_dict(self) -> dict[str, Any]:
        """The shape of the TOML file, with every key present."""
        questions = []
        for question in self.questions:
            shape = dataclasses.asdict(question)
            shape["label"] = list(shape.pop("labels"))
            questions.append(shape)
        return {"name": self.name, "question": questions}

    @classmethod
    def from_dict(cls, data: Any, place: str = "codebook") -> "Codebook":
        """Build from the shape of the TOML file; `place` names the file in errors.

        Raises CodebookError with the first fault and how to mend it.
        """
        if not isinstance(data, dict) or not isinstance(data.get("question"), list) or not data["question"]:
            raise CodebookError(f"{place}: no [[question]] found.", "Begin a question with [[question]] and give it name, text and choose.")
        questions = tuple(_question(item, f"{place}, question {number}") for number, item in enumerate(data["question"], 1))
        _no_doubles([question.name for question in questions], f"{place}: question")
        return cls(name=str(data.get("name") or "unnamed"), questions=questions)

    @classmethod
    def load(cls, path: Path | str = OURS) -> "Codebook":
        """Read a codebook from a TOML file (shape: docs/codebook in README). Raises CodebookError."""
        path = Path(path)
        try:
            data = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
        except FileNotFoundError:
            raise CodebookError(f"{path}: no such codebook file.", "Give the path of a .toml file.") from None
        except OSError as error:
            raise CodebookError(f"{path}: cannot be read ({error.strerror}).") from None
        except UnicodeDecodeError:
            raise CodebookError(f"{path}: not UTF-8 text.", "Save the file as UTF-8.") from None
        except tomllib.TOMLDecodeError as error:
            raise CodebookError(f"{path}: not valid TOML: {error}.") from None
        return cls.from_dict(data, str(path))


def _question(item: Any, place: str) -> Question:
    if not isinstance(item, dict):
        raise CodebookError(f"{place}: not a table.", "Write [[question]].")
    _known_keys(item, _QUESTION_KEYS, place)
    name = _name(item.get("name"), place)
    if name in ROW_FIELDS or name in PREDICTION_FIELDS or name.endswith(("_scores", "_uncertain")):
        raise CodebookError(f"{place}: the name '{name}' is taken by a column of rows or predictions.", "Choose another name.")
    choose = item.get("choose", "any")
    if choose not in ("any", "one"):
        raise CodebookError(f"{place} ('{name}'): choose = {choose!r}.", 'It must be "any" or "one".')
    per_target = item.get("per_target", False)
    if not isinstance(per_target, bool):
        raise CodebookError(f"{place} ('{name}'): per_target = {per_target!r}.", "It must be true or false.")
    labels_shape = item.get("label")
    if not isinstance(labels_shape, list) or len(labels_shape) < (2 if choose == "one" else 1):
        raise CodebookError(f"{place} ('{name}'): too few labels.", "Add [[question.label]]: at least one, or two where one is chosen.")
    labels = tuple(_label(shape, f"{place} ('{name}'), label {number}") for number, shape in enumerate(labels_shape, 1))
    _no_doubles([label.name for label in labels], f"{place} ('{name}'): label")
    return Question(name=name, text=str(item.get("text", "")), choose=choose, per_target=per_target, labels=labels)


def _label(item: Any, place: str) -> Label:
    if not isinstance(item, dict):
        raise CodebookError(f"{place}: not a table.", "Write [[question.label]].")
    _known_keys(item, _LABEL_KEYS, place)
    for key, value in item.items():
        if not isinstance(value, str):
            raise CodebookError(f"{place}: {key} is not text.", "Put it in quotation marks.")
    name = _name(item.get("name"), place)
    if not item.get("definition", "").strip():
        raise CodebookError(f"{place} ('{name}'): no definition.", "Say in a sentence when the label holds.")
    return Label(**item)


def _name(value: Any, place: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise CodebookError(f"{place}: the name {value!r} cannot be used.", "Use lower-case letters, digits and _, starting with a letter.")
    return value


def _known_keys(item: dict[str, Any], known: tuple[str, ...], place: str) -> None:
    for key in item:
        if key not in known:
            raise CodebookError(f"{place}: unknown key '{key}'.", f"Known keys are {', '.join(known)}.")


def _no_doubles(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise CodebookError(f"{what} '{name}' stands twice.", "Give each its own name.")
