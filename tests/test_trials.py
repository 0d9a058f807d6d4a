"""Trials draw the rows that they say, are not run twice, and end in a table."""

import dataclasses
from pathlib import Path

import pytest

from annotations import rows as annotated
from annotations import splits
from annotations.codebook import Codebook
from annotations.errors import TrainingError
from tests.conftest import coded_rows, tiny_settings, write_jsonl
from training import trials
from training.parts import Parts, asked, checked_parts, only
from training.table import RunTable, spread
from training.trials import Trial


@pytest.fixture
def parts(tmp_path: Path, codebook: Codebook) -> Parts:
    rows = [{**row, "source": "article" if int(str(row["document"])[1:]) % 4 == 2 else "pair"} for row in coded_rows()]
    return checked_parts(splits.assign(annotated.read(write_jsonl(tmp_path / "rows.jsonl", rows), codebook)), codebook)


def test_smaller_draws_are_parts_of_larger_ones_and_sources_are_kept_apart(parts: Parts, encoder: Path) -> None:
    settings = tiny_settings(encoder, seed=3)
    small, large = (trials.chosen(parts["train"], Trial("article+pair", size, settings)) for size in (20, 40))
    assert len(small) == 20
    assert {row.id for row in small} < {row.id for row in large}
    assert {row.source for row in trials.chosen(parts["train"], Trial("article", 0, settings))} == {"article"}
    with pytest.raises(TrainingError, match="have the source wire"):
        trials.chosen(parts["train"], Trial("wire", 0, settings))


def test_finished_trials_are_not_run_again_and_a_torn_line_is_mended(parts: Parts, encoder: Path, codebook: Codebook, tmp_path: Path) -> None:
    book = only(codebook, ["frames"])
    found = {split: asked(rows, book) for split, rows in parts.items()}
    grid = trials.grid(["article", "all"], [20], [tiny_settings(encoder, epochs=10)], [1])
    said: list[str] = []
    table = tmp_path / "trials.jsonl"
    first = trials.run(grid, found, {"test": found["test"]}, book, RunTable(table), said.append)
    assert len(said) == 2
    table.write_text(table.read_text().splitlines()[0] + '\n{"key": "cut o')
    assert trials.run(grid, found, {"test": found["test"]}, book, RunTable(table), said.append)[1]["scores"] == first[1]["scores"]
    assert len(said) == 3, "the whole line was kept, the torn one run again"
    assert len(RunTable(table).records) == 2
    assert "| test | frames | article | 20 | - | 1 |" in trials.summary(first)
    assert first[1]["scores"]["test"]["frames"]["mean_average_precision"] > 0.5


def test_a_development_text_that_is_learnt_from_is_refused(parts: Parts, encoder: Path, codebook: Codebook, tmp_path: Path) -> None:
    leak = [dataclasses.replace(parts["train"][0], id="x", document="x")]
    with pytest.raises(TrainingError, match="stand among the rows of 'dev'"):
        trials.run([Trial("all", 0, tiny_settings(encoder))], parts, {"dev": leak}, codebook, RunTable(tmp_path / "t.jsonl"), print)
    assert not (tmp_path / "t.jsonl").exists()


@pytest.mark.parametrize("words", ["epoch=3", "epochs=many", "context=perhaps", "epochs"])
def test_a_setting_that_is_none_is_refused(words: str, encoder: Path) -> None:
    with pytest.raises(TrainingError):
        trials.settings_of(tiny_settings(encoder), words)


def test_settings_are_changed_by_name_and_kind(encoder: Path) -> None:
    changed = trials.settings_of(tiny_settings(encoder), "epochs=4, context=true, batch_size=32")
    assert (changed.epochs, changed.context, changed.batch_size) == (4.0, True, 32)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "Rain."}\n{"key": "a"}\n')
    with pytest.raises(TrainingError, match=r"t\.jsonl:1"):
        RunTable(tmp_path / "t.jsonl")


def test_mean_and_deviation_by_hand() -> None:
    assert spread([0.5, 0.7]) == "0.600 ± 0.141"
    assert spread([0.5]) == "0.500"
