"""Letters of another alphabet that look like Latin ones: readers see a word that the model does not."""

import re
import unicodedata

from classifier.network import normal

WARNING = "a word has letters of another alphabet that look like Latin ones; the model may have misread it"
# Greek, Cyrillic, Armenian, Cherokee and Coptic, without the signs of units (5 μm, 3 kΩ), which are no disguise.
_OTHER = re.compile("[\u0370-\u03a8\u03aa-\u03bb\u03bd-\u052f\u0531-\u0587\u13a0-\u13f5\uab70-\uabbf\u2c80-\u2cff]")
# Those of them that stand for a Latin letter by themselves (Unicode TR39, confusables), so that a whole word can be written in them.
_TWINS = frozenset("аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅԌԚԜονρικυχαΑΒΕΖΗΙΚΜΝΟΡΤΥΧϳօսոհցԼՏՍՕ")
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")


def looks_alike(text: str) -> bool:
    """Whether a word of `text` mixes Latin letters with others, or is made of their twins in a text that is otherwise Latin."""
    if text.isascii() or not _OTHER.search(unicodedata.normalize("NFKC", text)):
        return False
    folded = normal(text)
    words = [(word, len(_OTHER.findall(word))) for word in _WORD.findall(folded)]
    if any(other and _LATIN.search(word) for word, other in words):
        return True
    return bool(_LATIN.search(folded)) and any(len(word) > 1 and _TWINS.issuperset(word) for word, _ in words)
