"""Agreement: the published worked examples, the cases that divide by zero, and intervals that know of documents."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.metrics import binary_distance
from typer.testing import CliRunner

from annotations import agreement, rows
from annotations.__main__ import app
from annotations.agreement import alpha, alphas, bootstrap, compare, masi, percentage, sums
from annotations.codebook import Codebook
from annotations.errors import InputError, RowsError
from annotations.rows import Annotation

OURS = Codebook.load()
FRAMES = OURS.questions[0].label_names


def units(*coders: str) -> list[dict[str, Hashable]]:
    """One string for each coder, one letter for each unit, a dot where the coder gave no answer."""
    return [{str(coder): answer for coder, answer in enumerate(unit) if answer != "."} for unit in zip(*coders, strict=True)]


# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): sections A (binary), B (nominal) and C (four observers, missing data).
PUBLISHED = [
    (units("0100000010", "1110010000"), 0.095),
    (units("aabbdcccedda", "babbbccceddd"), 0.692),
    (units("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743),
]


def row(number: int, frames: Sequence[str] = (), document: str = "", **answers: object) -> Annotation:
    return Annotation(f"r{number}", document or f"d{number}", f"Text {number}.", {"frames": tuple(frames)} | answers)  # type: ignore[arg-type]


@pytest.mark.parametrize(("data", "published"), PUBLISHED)
def test_alpha_is_that_of_the_published_examples(data: list[Mapping[str, Hashable]], published: float) -> None:
    assert alpha(data) == pytest.approx(published, abs=5e-4)


def one_sample(data: Sequence[Mapping[str, Hashable]], distance: agreement.Distance) -> float:
    counts, observed, distances = sums(data, distance)
    return float(alphas(counts.sum(axis=0, keepdims=True), observed.sum(keepdims=True), distances)[0])


@pytest.mark.parametrize(("data", "published"), PUBLISHED)
def test_the_coincidence_matrix_gives_the_published_examples(data: list[Mapping[str, Hashable]], published: float) -> None:
    assert one_sample(data, binary_distance) == pytest.approx(published, abs=5e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("xyz"), st.sampled_from("abc"), min_size=2), min_size=2, max_size=12))
def test_the_coincidence_matrix_and_nltk_agree_on_nominal_answers(data: list[dict[str, str]]) -> None:
    assert one_sample(data, binary_distance) == pytest.approx(alpha(data), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("xyz"), st.frozensets(st.sampled_from("abc")), min_size=2), min_size=2, max_size=8))
def test_the_coincidence_matrix_and_nltk_agree_on_sets_of_labels(data: list[dict[str, frozenset[str]]]) -> None:
    assert one_sample(data, masi) == pytest.approx(alpha(data, masi), abs=1e-9)


def test_masi_is_that_of_the_paper() -> None:
    """Passonneau 2006: Jaccard times 1, 2/3 (one set within the other), 1/3 (overlap) or 0; and two empty sets are equal."""
    sets = [frozenset(letters) for letters in ("ab", "ab", "abc", "bcd", "e", "")]
    assert masi(sets[0], sets[1]) == 0
    assert masi(sets[0], sets[2]) == pytest.approx(1 - 2 / 3 * 2 / 3)
    assert masi(sets[2], sets[3]) == pytest.approx(1 - 1 / 3 * 2 / 4)
    assert masi(sets[0], sets[4]) == masi(sets[0], sets[5]) == 1
    assert masi(sets[5], sets[5]) == 0


def test_alpha_is_one_where_all_say_the_same() -> None:
    assert alpha(units("aaaa", "aaaa")) == one_sample(units("aaaa", "aaaa"), binary_distance) == 1
    empty = [{"x": frozenset(), "y": frozenset()}] * 3
    assert alpha(empty, masi) == 1
    assert bootstrap(units("aaaa", "aaaa"), list("defg"), binary_distance) == (1, 1)


def test_percentage_counts_pairs_of_answers() -> None:
    assert percentage(units("aa", "ab")) == 0.5
    assert percentage(units("a", "a", "b")) == pytest.approx(1 / 3)


def test_the_interval_holds_alpha_repeats_and_widens_where_sentences_share_documents() -> None:
    random = np.random.default_rng(1)
    truth = random.random(200) < 0.4
    data: list[dict[str, Hashable]] = [{"x": bool(t), "y": bool(t ^ (random.random() < 0.1))} for t in truth]
    apart = bootstrap(data, [str(number) for number in range(200)], binary_distance)
    assert apart is not None and apart[0] < alpha(data) < apart[1]
    assert apart == bootstrap(data, [str(number) for number in range(200)], binary_distance)
    quarrels = sorted(data, key=lambda unit: unit["x"] != unit["y"])  # whole documents of disagreement
    together = bootstrap(quarrels, [str(number // 10) for number in range(200)], binary_distance)
    assert together is not None and together[1] - together[0] > 1.5 * (apart[1] - apart[0])
    assert bootstrap(data, ["d"] * 200, binary_distance) is None


def test_each_label_and_each_question_has_its_measure() -> None:
    one = [row(n, FRAMES[:2] if n % 2 else (), stance={"grain": "favor", "NATO": "neutral"}) for n in range(6)]
    other = [row(n, FRAMES[:1] if n % 2 else (), stance={"grain": "favor" if n else "against"}) for n in range(6)]
    found = compare({"anna": one, "ben": other}, OURS, resamples=50)
    measures = {(m.question, m.label): m for m in found.measures}
    assert measures["frames", FRAMES[0]].alpha == 1 and measures["frames", FRAMES[0]].agreed == 1
    assert measures["frames", FRAMES[1]].agreed == 0.5 and measures["frames", FRAMES[1]].alpha < 0
    whole, stance = measures["frames", ""], measures["stance", ""]
    assert (whole.distance, whole.units, whole.agreed) == ("MASI", 6, 0.5)
    assert measures["frames", FRAMES[1]].alpha < whole.alpha < 1
    assert (stance.distance, stance.units, stance.agreed) == ("nominal", 6, pytest.approx(5 / 6))  # the target that one coder has is not compared
    assert stance.interval is not None


def test_disagreements_name_row_target_answers_and_text() -> None:
    found = compare({"anna": [row(1, stance={"grain": "favor"})], "ben": [row(1, FRAMES[:1], stance={"grain": "against"})]}, OURS, resamples=5)
    assert [(d.id, d.question, d.target, d.answers, d.text) for d in found.disagreements] == [
        ("r1", "frames", "", {"anna": (), "ben": FRAMES[:1]}, "Text 1."),
        ("r1", "stance", "grain", {"anna": "favor", "ben": "against"}, "Text 1."),
    ]


def test_a_question_that_was_not_asked_is_missing_and_not_negative() -> None:
    unasked = Annotation("r1", "d1", "Text 1.", {"stance": {"grain": "favor"}})
    found = compare({"anna": [row(1, FRAMES[:1]), row(2)], "ben": [unasked, row(2)]}, OURS, resamples=5)
    assert {m.units for m in found.measures if m.question == "frames"} == {1}


def test_rows_of_one_coder_are_counted_and_left_out() -> None:
    found = compare({"anna": [row(1), row(2), row(3)], "ben": [row(1), row(4)], "carl": [row(1), row(2)]}, OURS, resamples=5)
    assert (found.rows, found.alone) == (2, {"anna": 1, "ben": 1, "carl": 0})


def test_coders_of_different_texts_are_refused_with_the_id() -> None:
    other = Annotation("r1", "d1", "Another text.", {"frames": ()})
    with pytest.raises(RowsError, match="'r1'"):
        compare({"anna": [row(1)], "ben": [other]}, OURS)


def test_one_coder_or_no_row_in_common_is_refused() -> None:
    with pytest.raises(RowsError, match="two coders"):
        compare({"anna": [row(1)]}, OURS)
    with pytest.raises(RowsError, match="no row"):
        compare({"anna": [row(1)], "ben": [row(2)]}, OURS)


def test_the_command_prints_measures_and_disagreements(tmp_path: Path) -> None:
    files = [tmp_path / "anna.jsonl", tmp_path / "ben.jsonl"]
    rows.write(files[0], [row(1, FRAMES[:1]), row(2), row(3)])
    rows.write(files[1], [row(1), row(2)])
    out = CliRunner().invoke(app, ["agreement", *map(str, files)])
    assert out.exit_code == 0, out.output
    assert "2 rows by two coders or more; left out: 1 by anna alone, 0 by ben alone." in out.output
    assert f"r1  frames    {FRAMES[0]}  -    Text 1." in out.output
    assert isinstance(CliRunner().invoke(app, ["agreement", str(files[0]), str(files[0])]).exception, InputError)
