"""A codebook edited, and a clock set back, under a running service: it goes on with what it serves, and new work uses what is there now."""

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from annotations.codebook import OURS, Codebook
from annotations.errors import CodebookError, RowsError
from annotations.rows import Annotation
from annotations.store import Store
from classifier.models import Models
from demo import jobs as kept
from demo import retrain
from demo.app import build
from demo.jobs import TURN, Jobs
from demo.retrain import CODEBOOK, Base
from demo.serving import Serving
from training.train import Run

BODY = {"texts": ["The troops are a threat."], "targets": ["NATO plan"]}
FIFTH = '\n[[question.label]]\nname = "shrug"\ndefinition = "Nobody cares."\n'


@pytest.fixture
def base(rows_file: Path, tmp_path: Path) -> Base:
    return Base(rows_file, Path(shutil.copy(OURS, tmp_path / "codebook.toml")))


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Jobs]:
    """Jobs that do not get their turn, so that nothing is trained."""
    jobs = Jobs(tmp_path / "jobs")
    jobs.home.mkdir()
    with (jobs.home / TURN).open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield jobs
        for process in jobs._started:
            process.kill()
            process.wait()


def test_a_codebook_edited_under_a_running_service_counts_from_the_next_retrain(
    base: Base, waiting: Jobs, trained: tuple[Models, Run], tmp_path: Path
) -> None:
    store = Store(f"sqlite:///{tmp_path}/c.sqlite")
    store.add(Annotation("new", "d", "An offer of bread.", {"frames": ("diplomatic_offer",)}, annotator="anna", sampling="correction"), "m")
    whole = base.codebook.read_text(encoding="utf-8")
    with TestClient(build(trained[0], f"sqlite:///{tmp_path}/c.sqlite", base=base)) as client:
        before = client.post("/v1/score", json=BODY).json(), client.get("/v1/codebook").json()
        first = retrain.submit(waiting, Serving(trained[0]), store, base, 1)
        for text, fault in (
            (whole.replace('name = "frames"', 'name = "frames'), CodebookError),  # saved half-way
            (whole.replace("diplomatic_offer", "olive_branch"), RowsError),  # a label that rows and corrections have is renamed
        ):
            assert text != whole
            base.codebook.write_text(text, encoding="utf-8")
            with pytest.raises(fault):
                retrain.gather(store, base)
            assert (client.post("/v1/score", json=BODY).json(), client.get("/v1/codebook").json()) == before
        assert client.get("/readyz").status_code == 200
        answers = {"text": "Talks.", "annotator": "anna"}
        assert client.post("/v1/corrections", json=answers | {"answers": {"frames": ["olive_branch"]}}).status_code == 422
        assert client.post("/v1/corrections", json=answers | {"answers": {"frames": ["diplomatic_offer"]}}).status_code == 201
    assert (waiting.folder(first) / CODEBOOK).read_text(encoding="utf-8") == whole, "a retrain keeps the codebook with which it began"


def test_a_retrain_takes_the_label_that_was_added_meanwhile(base: Base, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/c.sqlite")
    whole = base.codebook.read_text(encoding="utf-8")
    head, mark, tail = whole.rpartition("[[question]]")
    base.codebook.write_text(head + FIFTH + "\n" + mark + tail, encoding="utf-8")
    assert "shrug" in Codebook.load(base.codebook).questions[0].label_names
    store.add(Annotation("new", "d", "So what.", {"frames": ("shrug",)}, annotator="anna", sampling="correction"), "m")
    assert [row.answers["frames"] for row in retrain.gather(store, base).rows if row.sampling == "correction"] == [("shrug",)]


def test_a_clock_that_is_set_back_leaves_the_latest_job_the_latest(waiting: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for year in (2030, 2001, 2026):
        monkeypatch.setattr(kept, "_now", lambda year=year: f"{year}-01-01T00:00:00.000000+00:00")
        made.append(waiting.submit("corpus", {}, {}))
    assert waiting.ids() == made
