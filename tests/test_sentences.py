"""Splitting survives news prose and hostile text, and its offsets lead back to the original."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.sentences import LONGEST_SENTENCE, split


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("The U.S. and Mr. Orlov met on Dec. 3. Nothing was signed.", ["The U.S. and Mr. Orlov met on Dec. 3.", "Nothing was signed."]),
        ("“It is over.” He left at 9 a.m. on Monday.", ["“It is over.”", "He left at 9 a.m. on Monday."]),
        ("“No!” he said. “Never.”", ["“No!” he said.", "“Never.”"]),
        ("Talks collapse in Vienna\n\nVIENNA, March 3 - The envoys left.", ["Talks collapse in Vienna", "VIENNA, March 3 - The envoys left."]),
        ("It could destabilize Europe.Ukraine is a red line.", ["It could destabilize Europe.", "Ukraine is a red line."]),
        ("The ministry said\nit would answer.", ["The ministry said it would answer."]),
        ("Home\nNews\nSport\nLeave a Reply", ["Home", "News", "Sport", "Leave a Reply"]),
        ("Gen. Adams and Lt. Col. Brown spoke. He was firm.", ["Gen. Adams and Lt. Col. Brown spoke.", "He was firm."]),
        ("", []),
        (" \n . … \n", []),
    ],
)
def test_news_prose_is_cut_where_a_reader_would(text: str, sentences: list[str]) -> None:
    assert [sentence.text for sentence in split(text)] == sentences


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from('aA.!? \n"”’1éЖ\u200b\u2028-'), max_size=300))
def test_offsets_are_in_order_and_lead_back_to_every_word(text: str) -> None:
    end = 0
    kept = ""
    for number, sentence in enumerate(split(text, "d")):
        assert sentence.position == number
        assert sentence.start >= end
        assert " ".join(text[sentence.start : sentence.end].split()) == sentence.text
        end = sentence.end
        kept += sentence.text
    assert [c for c in kept if c.isalnum()] == [c for c in text if c.isalnum()]


@pytest.mark.parametrize("pattern", ["a", ".", "!?", "1. ", "U.S. ", '"', "A.b", "Mr. ", "\n", "(", "… "])
def test_hostile_text_is_split_in_linear_time(pattern: str) -> None:
    split("Warm. Up.")
    text = pattern * (50_000 // len(pattern))
    start = time.perf_counter()
    sentences = split(text)
    assert time.perf_counter() - start < 5
    assert all(len(sentence.text) <= LONGEST_SENTENCE for sentence in sentences)


def test_the_sentence_before_is_known() -> None:
    first, second = split("One came. Two went.")
    assert (first.previous, second.previous) == ("", "One came.")
