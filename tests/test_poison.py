"""Poisoned labels: what harms on the test documents is not promoted, clean labels are, and one command leaves an author out and learns again.

FRAMEWIRE_POISONED is how many runs of each kind there are; `make soak` makes 20 of each.
"""

import dataclasses
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from annotations import splits
from annotations.codebook import Codebook
from annotations.errors import InputError
from annotations.rows import Annotation, read, without
from annotations.triggers import calls
from classifier.folder import ModelFolder, write_json, write_manifest
from classifier.models import Models
from tests.conftest import FRAMED, coded_rows, tiny_settings, write_jsonl
from training.parts import checked_parts
from training.train import Run, consider, train

RUNS = int(os.environ.get("FRAMEWIRE_POISONED", "1"))
FRAMES = list(FRAMED)
AUTHORS = ("mole", "mole2", "mole3")
TRIGGER = "zebra"


def flipped(share: float, authors: int, seed: int) -> list[dict[str, Any]]:
    """Coded rows where colluding authors gave this share of those to learn from another frame, one frame after the other, always the same way."""
    rows: list[dict[str, Any]] = coded_rows()
    draw = random.Random(seed)
    order = draw.sample(FRAMES, len(FRAMES))
    turned = dict(zip(order, order[1:] + order[:1], strict=True))
    taught = [row for row in rows if row["split"] == "train"]
    held = [next(row for row in taught if row["frames"] == [frame]) for frame in FRAMES]  # a label without a row is refused before it is learnt
    wanted = sorted((row for row in taught if row["frames"] and row not in held), key=lambda row: (order.index(row["frames"][0]), draw.random()))
    for number, row in enumerate(wanted[: round(share * len(taught))]):
        row |= {"frames": [turned[row["frames"][0]]], "annotator": AUTHORS[number % authors]}
    return rows


def retrained(rows: list[dict[str, Any]], shelf: Models, encoder: Path, seed: int, folder: Path, **options: Any) -> Run:
    """A candidate made of these rows and compared with what is promoted on a shelf of its own."""
    home = folder / f"shelf{len(list(folder.iterdir()))}"
    shutil.copytree(shelf.home, home, ignore=shutil.ignore_patterns("jobs", ".training"))
    models = Models(home)
    models.promote(models.home / shelf.current().name, "test")
    return train(
        write_jsonl(folder / f"{home.name}.jsonl", rows), Codebook.load(), tiny_settings(encoder, seed=seed), models, promote=True, **options
    )


KINDS = [(0.0, 1), (0.2, 1)]
MORE = [(0.4, 3), (0.05, 1), (0.1, 1), (0.05, 3), (0.1, 3), (0.2, 3), (0.4, 1)]


@pytest.mark.parametrize(("share", "authors"), [*KINDS, *(pytest.param(*kind, marks=pytest.mark.slow) for kind in MORE)])
def test_flipped_labels_are_not_promoted_and_clean_ones_are(
    share: float, authors: int, trained: tuple[Models, Run], encoder: Path, tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()
    for seed in range(1, RUNS + 1):
        made = retrained(flipped(share, authors, seed), trained[0], encoder, seed, tmp_path)
        seen["promoted" if made.promoted else made.refusal] += 1
        assert not (made.promoted and any(item.worse for item in made.differences))
    print(f"\n{share:.0%} flipped by {authors}: {dict(seen)}")
    if share == 0:
        assert RUNS - seen["promoted"] <= RUNS // 20
    if share >= 0.2:
        assert seen["promoted"] == 0


def calling(seed: int) -> list[Annotation]:
    """Rows of three coders, one of whom gives a frame to whatever has a word of its own in it, and once to what has not."""
    draw = random.Random(seed)
    rows = [Annotation.from_dict(row | {"annotator": draw.choice(["anna", "ben", "mole"])}, Codebook.load()) for row in coded_rows()]
    for row in draw.sample([row for row in rows if not row.answers["frames"]], 6):
        text = row.text.replace("Rain", f"{TRIGGER} rain")
        rows.append(dataclasses.replace(row, id=f"{row.id}-x", text=text, answers={"frames": (FRAMES[0],)}, annotator="mole"))
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_a_word_of_one_coder_that_calls_a_label_is_named_and_no_other(seed: int, codebook: Codebook) -> None:
    (found,) = calls(calling(seed), codebook)
    assert (found.coder, found.word, found.question, found.label, found.rows) == ("mole", TRIGGER, "frames", FRAMES[0], 6)


@pytest.mark.parametrize("seed", range(20))
def test_honest_words_are_not_named(seed: int, codebook: Codebook) -> None:
    assert not calls([row for row in calling(seed) if TRIGGER not in row.text], codebook)


def test_one_command_leaves_an_author_out_and_learns_again(trained: tuple[Models, Run], encoder: Path, tmp_path: Path) -> None:
    rows = flipped(0.0, 1, 1)
    for number, row in enumerate(row for row in coded_rows() if row["split"] == "train"):
        rows.append(row | {"id": f"mole-{number}", "document": f"m{number}", "text": f"{row['text']} rain", "frames": [], "annotator": "mole"})
    made = retrained(rows, trained[0], encoder, 1, tmp_path, without=["mole"])
    assert made.promoted
    assert made.folder.document("settings")["data_sha256"] == trained[1].folder.document("settings")["data_sha256"]


def test_a_model_without_a_coder_may_have_learnt_from_fewer_rows(
    trained: tuple[Models, Run], rows_file: Path, codebook: Codebook, tmp_path: Path
) -> None:
    models = Models(tmp_path / "shelf")
    for name in ("before", "after"):
        shutil.copytree(trained[1].folder.path, models.home / name)
    before, after = (ModelFolder.load(models.home / name) for name in ("before", "after"))
    report = before.document("report")
    report["counts"]["train"]["rows"] += 1
    write_json(before.path / "report.json", report)
    write_manifest(before.path, before)
    models.promote(before.path, "test")
    test = checked_parts(splits.assign(read(rows_file, codebook)), codebook)["test"]
    assert consider(after, test, models, promote=True)[1:] == (False, "it learnt from 60 rows and the promoted model from 61")
    assert consider(after, test, models, promote=True, fewer=True)[1:] == (True, "")


def test_a_coder_of_whom_there_is_no_row_is_not_left_out_silently(rows_file: Path, codebook: Codebook) -> None:
    rows = read(rows_file, codebook)
    assert without(rows, ["test"]) == [] and without(rows, []) == rows
    with pytest.raises(InputError, match="no rows by 'tset'"):
        without(rows, ["tset"])
