"""A retrain's rows: corrections teach, and never touch what judges."""

import shutil
from pathlib import Path

import pytest

from annotations.codebook import Codebook
from annotations.errors import InputError
from annotations.rows import Annotation
from annotations.store import Store
from classifier.models import Models
from demo import retrain
from demo.jobs import JOB, STATE, Jobs, write_json
from demo.retrain import Base
from demo.serving import Serving
from tests.conftest import coded_rows
from training.train import Run


def correction(text: str, document: str = "new", **more: object) -> Annotation:
    return Annotation("new", document, text, {"frames": ("diplomatic_offer",)}, annotator="anna", sampling="correction", **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/c.sqlite")


def test_corrections_only_teach_and_replace_the_row_they_correct(store: Store, rows_file: Path) -> None:
    rows = coded_rows()
    tests, trains = ([row for row in rows if row["split"] == split] for split in ("test", "train"))
    kept = [store.add(correction("An offer of bread."), "m"), store.add(correction(str(trains[0]["text"]), str(trains[0]["document"])), "m")]
    store.add(correction(f"{str(tests[0]['text']).upper()}!"), "m")  # the words of a test document under another name
    store.add(correction("An offer of rain.", str(tests[0]["document"])), "m")
    store.add(correction("An offer of grain.", unsure=True), "m")
    found = retrain.gather(store, Base(rows_file))
    assert sorted(found.used) == kept
    assert sum(found.left.values()) == 3
    assert [(row.id, row.text) for row in found.rows if row.split == "test"] == [(row["id"], row["text"]) for row in tests]
    assert len(found.rows) == len(rows) + 1
    assert {row.sampling for row in found.rows if row.id.startswith("correction-")} == {"correction"}


def test_a_retrain_without_corrections_and_a_promotion_without_a_model_are_refused(
    store: Store, trained: tuple[Models, Run], rows_file: Path, tmp_path: Path, codebook: Codebook
) -> None:
    serving, jobs = Serving(trained[0]), Jobs(tmp_path / "jobs")
    store.add(correction("An offer of grain.", unsure=True), "m")
    with pytest.raises(InputError, match=r"1 left out since the coder could not tell"):
        retrain.submit(jobs, serving, store, Base(rows_file), 1)
    assert retrain.waiting(jobs, serving, store) == [1]


def test_progress_is_read_from_what_the_training_says(tmp_path: Path) -> None:
    (tmp_path / retrain.LOG).write_bytes(b"9 rows.\nLearning frames from 9 examples ...\n\r 10%|#  | 1/9\r 50%|##  | 5/9")
    assert retrain._progress(retrain.lines(tmp_path), 2) == (pytest.approx(0.05 + 0.9 * 0.25), "Learning frames from 9 examples ...")
    (tmp_path / retrain.LOG).write_bytes(
        b"Learning frames from 9 examples ...\n\r100%|##| 9/9\nLearning stance from 9 examples ...\n\r100%|##| 9/9\n"
    )
    assert retrain._progress(retrain.lines(tmp_path), 2) == (pytest.approx(0.95), "Calibrating and judging ...")


def test_a_worse_model_is_promoted_only_on_purpose_and_rolled_back(
    store: Store, trained: tuple[Models, Run], rows_file: Path, tmp_path: Path
) -> None:
    models = Models(tmp_path / "models")
    first = trained[1].folder.name
    for name in (first, "second"):
        shutil.copytree(trained[1].folder.path, models.home / name)
    manifest = models.home / "second" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(first, "second"))
    models.promote(models.path(first), "test")
    serving, jobs = Serving(models), Jobs(tmp_path / "jobs")
    number = store.add(correction("An offer of grain."), "m")
    folder = jobs.home / ("a" * 16)
    folder.mkdir(parents=True)
    write_json(folder / JOB, {"kind": "retrain", "created": "2026", "settings": {"used": [number], "left": {}}, "tries": 0})
    write_json(folder / STATE, {"state": "done", "share": 1.0, "words": "", "counts": {}})
    with pytest.raises(InputError, match="no model yet"):
        retrain.promote(jobs, serving, "a" * 16, True, "anna")
    made = {"model": "second", "path": str(models.home / "second"), "against": [], "worse": True, "report": {}}
    write_json(folder / retrain.RESULT, made)
    with pytest.raises(InputError, match="worse"):
        retrain.promote(jobs, serving, "a" * 16, False, "anna")
    assert serving.classifier().folder.name == first
    assert retrain.waiting(jobs, serving, store) == [number]
    assert retrain.promote(jobs, serving, "a" * 16, True, "anna") == "second"
    assert serving.classifier().folder.name == "second"
    assert "by anna" in models.entries()[-1]["reason"]
    assert retrain.waiting(jobs, serving, store) == []
    assert retrain.rollback(serving) == first
    assert serving.classifier().folder.name == first
