"""Predictions: what the model says of one sentence. The only place where result rows and JSON are made."""

from dataclasses import dataclass
from typing import Any

from annotations.codebook import Codebook, Question
from classifier.sentences import Sentence

DIGITS = 6  # decimals of a score in any output; more would only print the noise of float32


@dataclass(frozen=True)
class Answer:
    """The answer to one question, for one target where the question asks for it.

    `scores` are calibrated probabilities in [0, 1], one for each label in codebook order; they sum to 1 where one label is chosen.
    `labels` are those chosen (exactly one where the question chooses one). `uncertain` are labels whose score lies in the
    abstain band around the threshold: the model does not know.
    """

    question: Question
    scores: tuple[float, ...]
    labels: tuple[str, ...]
    uncertain: tuple[str, ...] = ()
    target: str = ""

    def score(self, label: str) -> float:
        return self.scores[self.question.label_names.index(label)]

    @property
    def named_scores(self) -> dict[str, float]:
        return {name: round(score, DIGITS) for name, score in zip(self.question.label_names, self.scores, strict=True)}

    @property
    def plain(self) -> list[str] | str:
        """A list of labels where any may be chosen, the one label otherwise."""
        return self.labels[0] if self.question.choose == "one" else list(self.labels)


@dataclass(frozen=True)
class Prediction:
    """All answers for one sentence, with the model and codebook that gave them; `error` is None unless nothing could be said."""

    sentence: Sentence
    answers: tuple[Answer, ...]
    codebook: Codebook
    model: str
    error: str | None = None
    warning: str | None = None

    def answer(self, question: str, target: str = "") -> Answer:
        """The answer to a question (for a target). Raises KeyError when it was not asked."""
        for answer in self.answers:
            if answer.question.name == question and answer.target == target:
                return answer
        raise KeyError((question, target))

    def to_dict(self) -> dict[str, Any]:
        """The value of the key `prediction` in JSON output, as README documents it."""
        shape: dict[str, Any] = {
            "document": self.sentence.document,
            "position": self.sentence.position,
            "sentence": self.sentence.text,
        }
        for question in self.codebook.questions:
            shape |= self._question_shape(question)
        shape |= {"model": self.model, "codebook": self.codebook.fingerprint, "error": self.error}
        if self.warning:
            shape["warning"] = self.warning
        return shape

    def _question_shape(self, question: Question) -> dict[str, Any]:
        answers = [answer for answer in self.answers if answer.question.name == question.name]
        if question.per_target:
            return {
                question.name: [
                    {"target": answer.target, ("label" if question.choose == "one" else "labels"): answer.plain, "scores": answer.named_scores}
                    | ({"uncertain": True} if answer.uncertain else {})
                    for answer in answers
                ]
            }
        if not answers:
            return {question.name: [] if question.choose == "any" else None, f"{question.name}_scores": {}}
        shape: dict[str, Any] = {question.name: answers[0].plain, f"{question.name}_scores": answers[0].named_scores}
        if answers[0].uncertain:
            shape[f"{question.name}_uncertain"] = list(answers[0].uncertain)
        return shape


def flat(value: Any, name: str = "prediction") -> dict[str, Any]:
    """A prediction's dictionary as one level of columns: `prediction.frames`, `prediction.frames_scores.security_threat`,
    `prediction.stance.1.label` and so on; labels of one cell are joined by |.
    """
    if isinstance(value, dict):
        return {column: cell for key, item in value.items() for column, cell in flat(item, f"{name}.{key}").items()}
    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return {name: "|".join(value)}
        return {column: cell for number, item in enumerate(value, 1) for column, cell in flat(item, f"{name}.{number}").items()}
    return {name: value}


def columns(codebook: Codebook, targets: int) -> list[str]:
    """All flat columns that predictions of this codebook can have, in order, with up to `targets` targets a row.

    CSV and Parquet need them before the first row is known.
    """
    names = ["document", "position", "sentence"]
    for question in codebook.questions:
        if question.per_target:
            for number in range(1, targets + 1):
                stem = f"{question.name}.{number}"
                names += [f"{stem}.target", f"{stem}.{'label' if question.choose == 'one' else 'labels'}"]
                names += [f"{stem}.scores.{label}" for label in question.label_names] + [f"{stem}.uncertain"]
        else:
            names += [question.name, *(f"{question.name}_scores.{label}" for label in question.label_names), f"{question.name}_uncertain"]
    return [f"prediction.{name}" for name in [*names, "model", "codebook", "error", "warning"]]
