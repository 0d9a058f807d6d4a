"""A reading that a link reopens: text, targets and answers as they were, packed for the database."""

import json
from collections.abc import Sequence
from typing import Any

from annotations.codebook import Codebook
from annotations.errors import InputError
from classifier.predictions import Answer, Prediction
from classifier.sentences import Sentence


def packed(text: str, targets: str, predictions: Sequence[Prediction]) -> str:
    """One JSON text; `targets` as they stand in the page's field. At least one prediction."""
    first = predictions[0]
    sentences = [
        [
            item.sentence.text,
            item.sentence.start,
            item.sentence.end,
            [[a.question.name, a.target, [round(score, 6) for score in a.scores], a.labels, a.uncertain] for a in item.answers],
        ]
        for item in predictions
    ]
    shape = {"text": text, "targets": targets, "document": first.sentence.document, "model": first.model, "codebook": first.codebook.to_dict()}
    return json.dumps(shape | {"sentences": sentences}, ensure_ascii=False)


def unpacked(content: str) -> tuple[str, str, list[Prediction]]:
    """Text, targets and predictions. Raises InputError for what a later version of this module cannot read."""
    try:
        shape: dict[str, Any] = json.loads(content)
        codebook = Codebook.from_dict(shape["codebook"])
        predictions, previous = [], ""
        for position, (words, start, end, answers) in enumerate(shape["sentences"]):
            sentence = Sentence(words, shape["document"], position, previous, start, end)
            found = tuple(
                Answer(codebook.question(name), tuple(scores), tuple(labels), tuple(uncertain), target)
                for name, target, scores, labels, uncertain in answers
            )
            predictions.append(Prediction(sentence, found, codebook, shape["model"]))
            previous = words
        return shape["text"], shape["targets"], predictions
    except (ValueError, KeyError, TypeError):
        raise InputError("The view that the address names cannot be read.", "Paste the article again.") from None
