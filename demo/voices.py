"""Quoted speech told from the outlet's own voice, by quotation marks in the article as it was pasted."""

import re
from collections.abc import Sequence

from classifier.predictions import Prediction

QUOTED = 0.5  # share of a sentence's letters between quotation marks from which it counts as quoted
_LINE = re.compile(r"[^\n\r]+")
_OPENS, _CLOSES, _BOTH = "“„«", "”»", '"'


def voices(predictions: Sequence[Prediction], text: str) -> list[str]:
    """For each sentence "quoted", "part" (some of it is quoted) or "own". Sentences without a place in `text` are looked at alone."""
    inside = _inside(text)
    found = []
    for item in predictions:
        sentence = item.sentence
        words, marks = (text[sentence.start : sentence.end], inside[sentence.start : sentence.end]) if sentence.start >= 0 else (sentence.text, None)
        marks = _inside(words) if marks is None else marks
        letters = [within for character, within in zip(words, marks, strict=True) if character.isalnum()]
        share = sum(letters) / len(letters) if letters else 0.0
        found.append("quoted" if share >= QUOTED else "part" if share > 0 else "own")
    return found


def _inside(text: str) -> list[bool]:
    """For each character whether it stands between quotation marks. A quotation that a line leaves open ends with the line, as in print,
    where the next paragraph opens it again."""
    found = [False] * len(text)
    for line in _LINE.finditer(text):
        within = False
        for place in range(line.start(), line.end()):
            character = text[place]
            if character in _OPENS or (character == _BOTH and not within):
                within = True
            elif character in _CLOSES or character == _BOTH:
                within = False
            else:
                found[place] = within
    return found
