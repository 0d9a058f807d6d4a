"""Figures mean what their names say."""

import numpy as np
import pytest

from annotations.codebook import Codebook, Label, Question
from classifier.calibration import Calibration
from training.calibrate import calibrate
from training.metrics import calibration_error, figures, interval, intervals, macro_f1, reliability

ONE = Question("tone", "", "any", False, (Label("loud", "d"),))


def test_a_label_that_is_never_predicted_has_f1_zero() -> None:
    goal = np.array([[1.0]] * 3 + [[0.0]] * 17)
    nothing = np.zeros((20, 1), dtype=bool)
    assert macro_f1(goal > 0.5, nothing) == 0
    report = figures(ONE, goal, nothing, np.zeros((20, 1)))
    assert report["macro_f1"] == report["micro_f1"] == report["labels"]["loud"]["f1"] == 0
    assert report["labels"]["loud"]["few"]


def test_macro_f1_is_the_mean_of_f1_by_hand() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=bool)
    chosen = np.array([[1, 0], [0, 0], [0, 1], [0, 1]], dtype=bool)
    assert macro_f1(truth, chosen) == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_a_perfectly_calibrated_score_has_no_error_and_a_boastful_one_has() -> None:
    truth = np.array([[True]] * 80 + [[False]] * 20)
    assert calibration_error(ONE, truth, np.full((100, 1), 0.8)) == pytest.approx(0)
    assert calibration_error(ONE, truth, np.full((100, 1), 0.99)) == pytest.approx(0.19)


def test_the_interval_draws_documents_and_not_rows() -> None:
    values = np.array([0.0] * 50 + [1.0] * 50)
    low, high = interval(["a"] * 50 + ["b"] * 50, lambda rows: float(values[rows].mean()))
    assert (low, high) == (0.0, 1.0)
    low, high = interval([str(n) for n in range(100)], lambda rows: float(values[rows].mean()))
    assert 0.35 < low < 0.5 < high < 0.65


def test_calibration_mends_an_overconfident_network_and_keeps_its_order() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 1, (2000, 1))
    goal = (random.uniform(size=(2000, 1)) < 1 / (1 + np.exp(-logits))).astype(float)
    made = calibrate(ONE, logits * 6, goal)
    before = calibration_error(ONE, goal > 0.5, Calibration.plain(ONE).scores(ONE, (logits * 6).astype(np.float32)))
    after = calibration_error(ONE, goal > 0.5, made.scores(ONE, (logits * 6).astype(np.float32)))
    assert after < 0.05 < before
    assert made.slope[0] > 0


def test_with_too_few_rows_calibration_stays_plain(codebook: Codebook) -> None:
    stance = codebook.question("stance")
    assert calibrate(stance, np.zeros((3, 3)), np.eye(3)) == Calibration.plain(stance)
    assert calibrate(stance, np.zeros((0, 3)), np.zeros((0, 3))) == Calibration.plain(stance)


def test_exactly_one_label_is_chosen_where_one_must_be(codebook: Codebook) -> None:
    stance = codebook.question("stance")
    calibration = Calibration((1.0,) * 3, (0.0,) * 3, (0.5, 0.4, 0.6), 0.1)
    scores = calibration.scores(stance, np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32))
    assert np.allclose(scores.sum(axis=1), 1)
    assert (calibration.decide(stance, scores).sum(axis=1) == 1).all()


def test_intervals_of_counts_are_those_of_rows_that_are_drawn_by_document() -> None:
    random = np.random.default_rng(3)
    truth, chosen = random.uniform(size=(300, 1)) < 0.4, random.uniform(size=(300, 1)) < 0.5
    documents = [str(number // 6) for number in range(300)]
    fast = intervals(ONE, truth, chosen, documents)
    slow = interval(documents, lambda rows: macro_f1(truth[rows], chosen[rows]))
    assert fast["macro_f1"] == pytest.approx(slow, abs=0.02)
    assert fast["labels"]["loud"] == fast["macro_f1"], "of one label, macro-F1 is its F1"


def test_reliability_counts_every_decision_once() -> None:
    truth = np.array([[True]] * 3 + [[False]])
    bins = reliability(ONE, truth, np.array([[0.95], [0.91], [0.12], [0.0]]))
    assert [(item["count"], item["right"]) for item in bins] == [(1, 0.0), (1, 1.0), (2, 1.0)]
