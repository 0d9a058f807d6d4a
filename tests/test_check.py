"""Checking rows: what is counted, what is refused, and that ten thousand rows take seconds."""

import random
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from annotations import rows as annotated
from annotations.__main__ import app
from annotations.check import check, examine, near_duplicates, shingles
from annotations.codebook import Codebook
from annotations.errors import RowsError
from annotations.rows import Annotation, Answers

OURS = Codebook.load()
FRAMES = OURS.questions[0].label_names
LONG = "The envoy told the council on Monday that the grain agreement would be renewed before the end of the month."


def row(id: str, text: str, split: str = "train", document: str = "", frames: tuple[str, ...] = (), **fields: str) -> Annotation:
    answers: Answers = {"frames": frames}
    return Annotation(id, document or f"d-{id}", text, answers, split=split, **fields)  # type: ignore[arg-type]


def repeatable(seed: int) -> random.Random:
    return random.Random(seed)


def test_what_is_there_is_counted() -> None:
    rows = [
        row("1", "One two three four.", frames=FRAMES[:1], source="a", sampling="active"),
        row("2", "One two.", document="d-1", source="a"),
        row("3", "One two three six.", "test", frames=FRAMES[:2]),
        Annotation("4", "d-4", "One.", {"stance": {"grain": "favor", "NATO": "against"}}, split="validation"),
    ]
    found = check(rows, OURS)
    assert (found.rows, found.documents) == (4, 3)
    frames, stance = found.questions
    assert (frames.answers, frames.none, frames.targets) == (3, 1, 0)
    assert (stance.answers, stance.none, stance.targets) == (2, 0, 2)
    labels = {(count.question, count.label): count for count in found.labels}
    assert labels["frames", FRAMES[0]].positives == {"train": 1, "validation": 0, "test": 1}
    assert (labels["frames", FRAMES[0]].words_with, labels["frames", FRAMES[0]].words_without) == (4, 2)
    assert labels["frames", FRAMES[3]].words_with is None
    assert labels["stance", "favor"].positives["validation"] == 1
    assert found.samplings == {"random": 3, "active": 1} and found.sources == {"a": 2, "": 2}


def test_doubles_are_counted_whatever_their_case_and_punctuation() -> None:
    found = check([row("1", "Rain fell."), row("2", "rain, fell!"), row("3", "Rain fell on us.")], OURS)
    assert [(pair.first.id, pair.second.id) for pair in found.duplicates] == [("1", "2")]


def test_two_answers_to_one_text_in_a_document_are_refused_and_in_two_documents_counted() -> None:
    apart = [row("1", "Rain fell."), row("2", "Rain fell.", frames=FRAMES[:1])]
    assert len(check(apart, OURS).contradictions) == 1
    together = [*apart, row("3", "rain fell", document="d-2")]
    with pytest.raises(RowsError, match="'2' and '3'"):
        check(together, OURS)


def test_answers_about_different_targets_do_not_contradict_each_other() -> None:
    texts = [Annotation(str(n), "d", "Rain fell.", {"stance": {target: "favor" if n else "against"}}) for n, target in enumerate(["grain", "NATO"])]
    assert not examine(texts, OURS).contradictions


def test_texts_that_are_alike_in_two_splits_are_refused_and_named() -> None:
    rows = [row("1", LONG), row("2", f"KYIV (Reuters) - {LONG}", "test")]
    with pytest.raises(RowsError, match=r"'1' \(train\) and '2' \(test\)"):
        check(rows, OURS)


def test_texts_that_are_alike_in_one_split_short_or_not_that_alike_are_let_be() -> None:
    assert not list(near_duplicates([row("1", LONG), row("2", LONG + " Rain.")]))
    assert not list(near_duplicates([row("1", "Leave a Reply"), row("2", "Leave a Reply", "test")]))
    assert not list(near_duplicates([row("1", LONG), row("2", LONG.replace("Monday", "Tuesday"), "test")]))


def test_prefix_filtering_finds_what_comparing_all_pairs_finds() -> None:
    chance = repeatable(3)
    words = [f"word{number}" for number in range(40)]
    texts = [" ".join(chance.choices(words, k=chance.randint(6, 14))) for _ in range(40)]
    for text in list(texts):
        cut = text.split()
        texts += [" ".join(cut[1:]), " ".join([*cut, "tail"]), " ".join([*cut[:-1], "end", "tail"])]
    rows = [row(str(n), text, chance.choice(["train", "validation", "test"])) for n, text in enumerate(texts)]
    found = {(shingles(p.first.text), shingles(p.second.text)) for p in near_duplicates(rows)}
    expected = 0
    for n, one in enumerate(rows):
        for other in rows[:n]:
            a, b = shingles(one.text), shingles(other.text)
            if one.split != other.split and len(a & b) / len(a | b) >= 0.7:
                assert (a, b) in found or (b, a) in found
                expected += 1
    assert expected > 20
    assert all(len(a & b) / len(a | b) >= 0.7 for a, b in found)


def test_ten_thousand_rows_take_seconds_even_with_boilerplate() -> None:
    chance = repeatable(4)
    words = [f"word{number}" for number in range(3000)]
    rows = [row(str(n), " ".join(chance.choices(words, k=25)), chance.choice(["train", "test"])) for n in range(8000)]
    rows += [row(f"b{n}", "Sign up for our newsletter to get the latest news every day.", "train") for n in range(1000)]
    rows += [row(f"c{n}", f"By our correspondent in the capital city of the country, reporting number {n} {n} {n}.") for n in range(1000)]
    began = time.perf_counter()
    assert not list(near_duplicates(rows))
    assert time.perf_counter() - began < 10


def test_words_that_give_the_labels_away_are_found_out() -> None:
    marked = [("threat", FRAMES[:1]), ("promise", FRAMES[1:2]), ("weather", ())]
    given = [(f"{word} {n}", frames, "test" if n % 3 == 0 else "train") for n in range(30) for word, frames in marked]
    telling = [row(f"{n}", text, split, frames=frames) for n, (text, frames, split) in enumerate(given)]
    assert examine(telling, OURS).questions[0].leakage == 1
    chance = repeatable(5)
    mixed = [row(r.id, chance.choice(telling).text, r.split or "", frames=tuple(r.answers["frames"])) for r in telling]  # type: ignore[arg-type]
    leakage = examine(mixed, OURS).questions[0].leakage
    assert leakage is not None and leakage < 0.7
    assert examine([row("1", "Rain fell.")], OURS).questions[0].leakage is None


def test_leakage_of_one_choice_sees_text_and_target() -> None:
    rows = [
        Annotation(f"{target}{n}", f"{target}{n}", "Rain fell.", {"stance": {target: answer}}, split="test" if n % 3 == 0 else "train")
        for n in range(12)
        for target, answer in [("grain", "favor"), ("war", "against")]
    ]
    assert examine(rows, OURS).questions[1].leakage == 1


def test_the_command_prints_the_tables_before_it_refuses(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    annotated.write(file, [row("1", LONG, frames=FRAMES[:1]), row("2", "Rain fell.", "test", source="\x1b[2Jpaper")])
    out = CliRunner().invoke(app, ["check", str(file)])
    assert out.exit_code == 0, out.output
    assert "2 rows of 2 documents." in out.output and FRAMES[0] in out.output and "\x1b" not in out.output
    annotated.write(file, [row("1", LONG), row("2", LONG, "test")])
    out = CliRunner().invoke(app, ["check", str(file)])
    assert isinstance(out.exception, RowsError) and "2 rows of 2 documents." in out.output
