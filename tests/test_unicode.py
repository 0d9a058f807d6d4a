"""One text in many spellings: the same labels whatever the characters are made of, places in the original, and a word on look-alikes."""

import unicodedata
from collections.abc import Callable

import pytest

from annotations.errors import ModelFolderError
from classifier.classifier import Classifier
from classifier.models import Models
from classifier.sentences import split
from tests.conftest import FRAMED, STANCES

TEXTS = [
    " ".join(text.format("grain 3") + "." for text in FRAMED.values()) + "\nRain on the river market and bread 4.",
    "The envoy made an offer of talks on the treaty in the café 7. The army will reply with troops the minister warned!",
    '"The treaty was broken like every promise," the envoy said. Is the army a threat? The minister’s first offer was flat…',
]
TARGET = "NATO plan"


def between(mark: str) -> Callable[[str], str]:
    """`mark` within every word of more than three letters."""
    return lambda text: " ".join(word[:2] + mark + word[2:] if len(word) > 3 else word for word in text.split(" "))


def instead(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def shifted(first: str, upper: int, lower: int) -> Callable[[str], str]:
    """Letters moved to a block of styled ones, such as bold or full-width."""
    assert unicodedata.normalize("NFKC", chr(upper)) == first
    return lambda text: "".join(
        chr(upper + ord(letter) - 65) if "A" <= letter <= "Z" else chr(lower + ord(letter) - 97) if "a" <= letter <= "z" else letter
        for letter in text
    )


VARIANTS: dict[str, Callable[[str], str]] = {
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "NFKD": lambda text: unicodedata.normalize("NFKD", text),
    **{
        f"U+{ord(mark):04X} in words": between(mark)
        for mark in "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u202a\u202c\u2066\u2069\u061c\U000e0041\ufe0f\u034f\u2063"
    },
    **{f"U+{ord(mark):04X} at blanks": instead(" ", f"{mark} ") for mark in "\u200b\ufeff\u200e"},
    "U+200B for blanks behind a stop": instead(". ", ".\u200b"),
    **{f"U+{ord(blank):04X} for blanks": instead(" ", blank) for blank in "\u00a0\u2003\u2009\u202f\u3000\u205f"},
    "doubled blanks": instead(" ", "  "),
    "a mark of the byte order before": lambda text: "\ufeff" + text,
    "full-width letters": shifted("A", 0xFF21, 0xFF41),
    "all full-width": lambda text: "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text),
    "mathematical bold": shifted("A", 0x1D400, 0x1D41A),
    "mathematical monospace": shifted("A", 0x1D670, 0x1D68A),
    "ligatures": lambda text: text.replace("ffe", "\ufb00e").replace("fi", "\ufb01").replace("fl", "\ufb02"),
    "one sign for an ellipsis": instead("...", "…"),
    "Windows lines": instead("\n", "\r\n"),
}
CASES = [(name, number) for name in VARIANTS for number in range(len(TEXTS))]
DISGUISES = [
    ("The \u0430rmy is a threat.", True),  # one Cyrillic letter
    ("The army is a thre\u0430t.", True),
    ("\u0422he envoy spoke.", True),
    ("The env\u03bfy spoke.", True),  # Greek
    ("The tr\u0585ops are here.", True),  # Armenian
    ("The \u13a2nvoy spoke.", True),  # Cherokee
    ("The \u0430\u200brmy is a threat.", True),  # and hidden by a character that is not seen
    ("The \u0441\u043e\u0440 spoke.", True),  # a whole word in twins
    ("The \U0001d6c2rmy spoke.", True),  # a mathematical alpha
    ("The paper \u041f\u0440\u0430\u0432\u0434\u0430 wrote of talks.", False),  # a Russian name is none
    ("A wire of 5 \u03bcm and 3 k\u03a9 broke.", False),
    ("Caf\u00e9 Z\u00fcrich, na\u00efve, \u0141\u00f3d\u017a.", False),
    ("\u041f\u0435\u0440\u0435\u0433\u043e\u0432\u043e\u0440\u044b.", False),  # Russian throughout
    ("Talks \u2014 \u201cat last\u201d \u2014 began\u2026", False),
]


def labels_of(classifier: Classifier, text: str, target: str) -> list[list[tuple[str, ...]]]:
    return [[answer.labels for answer in item.answers] for item in classifier.predict(split(text), [target])]


def same_labels(classifier: Classifier) -> float:
    """The share of answers, over all cases, that are those to the plain text."""
    plain = [labels_of(classifier, text, TARGET) for text in TEXTS]
    assert len({answer for item in plain for sentence in item for answer in sentence}) > len(set(STANCES.values())), "answers that differ at all"
    same = total = 0
    for name, number in CASES:
        found = labels_of(classifier, VARIANTS[name](TEXTS[number]), VARIANTS[name](TARGET))
        pairs = [(a, b) for one, other in zip(plain[number], found, strict=False) for a, b in zip(one, other, strict=True)]
        here = sum(a == b for a, b in pairs) if len(found) == len(plain[number]) else 0
        wanted = sum(map(len, plain[number]))
        if here < wanted:
            print(f"{name}, text {number}: {here} of {wanted}, {len(found)} sentences of {len(plain[number])}")
        same, total = same + here, total + wanted
    print(f"{len(CASES)} cases: {same} of {total} answers are the same")
    return same / total


def test_every_spelling_gets_the_same_labels(classifier: Classifier) -> None:
    assert len(CASES) >= 60
    assert same_labels(classifier) >= 0.99


@pytest.mark.slow
def test_every_spelling_gets_the_same_labels_from_the_promoted_model() -> None:
    try:
        promoted = Classifier(Models().current())
    except ModelFolderError:
        pytest.skip("no model is promoted here")
    assert same_labels(promoted) >= 0.99


@pytest.mark.parametrize(("name", "number"), CASES)
def test_places_are_those_of_the_text_as_it_came(name: str, number: int) -> None:
    text = VARIANTS[name](TEXTS[number])
    found = split(text)
    assert found and found[0].start == 0 and found[-1].end == len(text)
    for sentence in found:
        assert " ".join(text[sentence.start : sentence.end].split()) == sentence.text


@pytest.mark.parametrize(("text", "disguised"), DISGUISES)
def test_letters_that_only_look_latin_are_told(text: str, disguised: bool, classifier: Classifier) -> None:
    (found,) = (item.to_dict() for item in classifier.predict(split(text)))
    assert ("look like Latin" in found.get("warning", "")) is disguised
