"""A full disk at every place that writes: the caller is told, with 507 or 503 where there is one to tell; no half file stays; room mends it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from annotations import rows as annotated
from annotations.rows import Annotation
from classifier.folder import write_json, written_beside
from classifier.models import Models
from demo.app import build
from tests.conftest import fill
from training.train import Run

CORRECTION = {"text": "Talks ended.", "answers": {"frames": []}, "annotator": "anna", "note": "x" * 2_000}
TABLE = b"text,outlet\n" + b"The troops are a threat,A\n" * 4_000  # as much as the multipart parser keeps in no memory, and more
Put = Callable[[TestClient, Models], int]


def correction(client: TestClient, _: Models) -> int:
    """The last of twenty: the first may fit into the room that the database has to itself."""
    return [client.post("/v1/corrections", json=CORRECTION).status_code for _ in range(20)][-1]


def job(client: TestClient, _: Models) -> int:
    return client.post("/v1/jobs", files={"file": ("a.csv", TABLE)}).status_code


def promotion(client: TestClient, models: Models) -> int:
    before = models.current_name()
    return client.put("/v1/model", json={"model": "two" if before == "one" else "one", "instead_of": before}).status_code


# Whoever asks, and what is answered without and with room.
ASKED: dict[str, tuple[Put, int, int]] = {"a correction": (correction, 503, 201), "a job": (job, 507, 202), "a promotion": (promotion, 507, 200)}


def rows(place: Path, _: Any) -> None:
    annotated.write(place / "rows.jsonl", [Annotation(str(n), "d", "Rain fell. " * 20, {"frames": ()}) for n in range(100)])


def model(place: Path, _: Any) -> None:
    with written_beside(place / "made") as beside:
        write_json(beside / "report.json", ["x" * 100] * 200)


def log(place: Path, _: Any) -> None:
    Models(place).record("refused", reason="x" * 10_000)


def unpacked(place: Path, models: Models) -> None:
    shutil.copytree(models.current(), place / "copy")


WRITTEN: dict[str, Callable[[Path, Any], None]] = {"rows": rows, "a model": model, "the log": log, "a copy of a model": unpacked}


@pytest.fixture
def models(small_disk: Path, trained: tuple[Models, Run]) -> Models:
    models = Models(small_disk / "shelf")
    for name in ("one", "two"):
        shutil.copytree(trained[1].folder.path, models.home / name)
    models.promote(models.home / "one", "test")
    return models


@pytest.fixture
def client(models: Models, small_disk: Path) -> Iterator[TestClient]:
    with TestClient(build(models, f"sqlite:///{small_disk}/c.sqlite"), raise_server_exceptions=False) as client:
        yield client
        for name in [item.name for item in (models.home / "jobs").glob("*") if not item.name.startswith(".")]:
            while client.get(f"/v1/jobs/{name}").json().get("state") in ("waiting", "running"):
                client.delete(f"/v1/jobs/{name}")


@pytest.mark.parametrize("name", ASKED)
def test_a_caller_is_told_that_the_disk_is_full_and_served_when_there_is_room(
    name: str, client: TestClient, models: Models, small_disk: Path
) -> None:
    ask, full, well = ASKED[name]
    filler = fill(small_disk)
    before = sorted(small_disk.rglob("*"))
    assert ask(client, models) == full
    assert client.post("/v1/score", json={"texts": ["Rain fell."]}).status_code == 200
    assert models.current_name() == "one"
    left = {path.name for path in set(small_disk.rglob("*")) - set(before) if path.is_file()}
    assert not {found for found in left if not found.startswith((".entrance", ".lock", "c.sqlite", ".current.part"))}, "half a file is left behind"
    filler.unlink()
    assert ask(client, models) == well


def test_an_upload_that_does_not_fit_where_files_are_unpacked_is_told_so(
    client: TestClient, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = fill(small_disk)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    large = {"file": ("a.csv", TABLE * 40)}  # more than the parser keeps in memory
    answer = client.post("/v1/jobs", files=large)
    assert answer.status_code == 507 and "full" in answer.json()["error"] and str(small_disk) not in answer.text
    filler.unlink()
    assert client.post("/v1/jobs", files=large).status_code == 202


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_without_room_fails_aloud_and_leaves_nothing_under_its_name(name: str, models: Models, small_disk: Path) -> None:
    filler = fill(small_disk)
    with pytest.raises((OSError, shutil.Error), match="space"):
        WRITTEN[name](small_disk, models)
    for made in ("rows.jsonl", "made"):
        assert not (small_disk / made).exists()
    filler.unlink()
    shutil.rmtree(small_disk / "copy", ignore_errors=True)
    WRITTEN[name](small_disk, models)
    assert all(entry["event"] == "refused" for entry in Models(small_disk).entries())
