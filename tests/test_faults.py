"""Kill -9, a full disk, a read-only shelf, altered files, a database that goes away: what was acknowledged stays, what serves goes on.

FRAMEWIRE_MOMENTS is how many random moments are tried; `make soak` tries 200 of each.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from annotations.errors import InputError, ModelFolderError, StoreError
from annotations.rows import Annotation
from annotations.store import Store
from classifier import batch
from classifier.classifier import Classifier
from classifier.folder import ModelFolder
from classifier.models import Models
from demo.app import build
from demo.backup import backup
from tests.conftest import fill, tiny_settings
from training.train import Run

ROOT = Path(__file__).resolve().parent.parent
MOMENTS = int(os.environ.get("FRAMEWIRE_MOMENTS", "4"))
# A process that has imported everything once and then does each job in a fork: a kill costs milliseconds, not an import.
NURSERY = """
import json, os, signal, sys
from pathlib import Path
from annotations.codebook import Codebook
from annotations.rows import Annotation
from annotations.store import Store
from classifier import batch
from classifier.classifier import Classifier
from classifier.models import Models

def correct(url, name):
    store = Store(url)
    number = 0
    while True:
        store.add(Annotation("new", "d", f"{name} {number}", {"frames": ()}, annotator=name, sampling="correction"), "m", key=f"{name}-{number}")
        os.write(1, (json.dumps({"kept": f"{name}-{number}"}) + "\\n").encode())
        number += 1

def promote(home):
    models = Models(Path(home))
    while True:
        for name in ("one", "two"):
            models.promote(models.home / name, "test")

def score(folder, source, out):
    batch.SHARD_RECORDS = 20
    batch.run(Classifier(folder, threads=1), batch.Job((source,), Path(out)))

def train(rows, home, settings, out):
    import torch
    torch.set_num_threads(1)
    from training.settings import TrainingSettings
    from training.train import train as run
    run(rows, Codebook.load(), TrainingSettings(**settings), Models(Path(home)), Path(out), promote=True)

jobs = {"correct": correct, "promote": promote, "score": score, "train": train}
for line in sys.stdin:
    name, *arguments = json.loads(line)
    if name == "train":
        import training.train
    child = os.fork()
    if child == 0:
        try:
            jobs[name](*arguments)
            os._exit(0)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
    os.write(1, (json.dumps({"child": child}) + "\\n").encode())
    _, status = os.waitpid(child, 0)
    os.write(1, (json.dumps({"ended": os.waitstatus_to_exitcode(status)}) + "\\n").encode())
"""


class Nursery:
    """Runs jobs in forks and kills them."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", NURSERY], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, *job: Any, kill_after: float | None = None, once_kept: bool = False) -> tuple[int, list[str], float]:
        """Exit code (negative: the signal), what the job said it had kept, and its seconds; `once_kept` counts from the first that it kept."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([str(item) if isinstance(item, Path) else item for item in job]) + "\n")
        self.process.stdin.flush()
        child = json.loads(self.process.stdout.readline())["child"]
        begun = time.monotonic()
        kept: list[str] = []
        if once_kept:
            kept.append(json.loads(self.process.stdout.readline())["kept"])
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        for line in self.process.stdout:
            said = json.loads(line)
            if "ended" in said:
                return said["ended"], kept, time.monotonic() - begun
            kept.append(said["kept"])
        raise AssertionError("the nursery died")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture
def shelf(trained: tuple[Models, Run], tmp_path: Path) -> Models:
    models = Models(tmp_path / "shelf")
    for name in ("one", "two"):
        shutil.copytree(trained[1].folder.path, models.home / name)
    models.promote(models.home / "one", "test")
    return models


def moments(longest: float, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [draw.uniform(0, longest) for _ in range(MOMENTS)]


def test_a_killed_writer_loses_no_correction_that_was_acknowledged(nursery: Nursery, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.sqlite"
    acknowledged: list[str] = []
    for number, moment in enumerate(moments(0.5)):
        code, kept, _ = nursery.run("correct", url, f"coder{number}", kill_after=moment, once_kept=True)
        assert code == -signal.SIGKILL
        acknowledged += kept
    held = [item["key"] for item in Store(url).history()]
    assert acknowledged and set(acknowledged) <= set(held) and len(held) == len(set(held))
    assert sqlite3.connect(tmp_path / "c.sqlite").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_killed_promotion_leaves_a_whole_model_promoted(nursery: Nursery, shelf: Models) -> None:
    for moment in moments(0.3, seed=1):
        assert nursery.run("promote", shelf.home, kill_after=0.02 + moment)[0] == -signal.SIGKILL
        assert ModelFolder.load(shelf.current()).path.name in ("one", "two")
    shelf.promote(shelf.home / "two", "afterwards")  # the lock of a dead process is free at once
    assert shelf.current_name() == "two"
    assert all(entry["event"] == "promote" for entry in shelf.entries()) and len(shelf.entries()) > MOMENTS


def test_a_killed_scoring_goes_on_to_the_same_bytes(nursery: Nursery, shelf: Models, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"text": f"The envoy made offer {n}. Rain fell on market {n}."}) + "\n" for n in range(300)))
    code, _, seconds = nursery.run("score", shelf.home / "one", source, tmp_path / "whole.jsonl")
    assert code == 0
    whole = (tmp_path / "whole.jsonl").read_bytes()
    killed = 0
    for number, moment in enumerate(moments(seconds, seed=2)):
        out = tmp_path / f"{number}.jsonl"
        killed += nursery.run("score", shelf.home / "one", source, out, kill_after=moment)[0] == -signal.SIGKILL
        assert not out.exists() or out.read_bytes() == whole, "an output has its name only when it is whole"
        assert nursery.run("score", shelf.home / "one", source, out)[0] == 0
        assert out.read_bytes() == whole
        assert not list(tmp_path.glob(f".{number}.jsonl.parts"))
    assert killed


def test_a_killed_training_leaves_the_promoted_model_and_runs_again(
    nursery: Nursery, encoder: Path, rows_file: Path, shelf: Models, tmp_path: Path
) -> None:
    import dataclasses

    settings = dataclasses.asdict(tiny_settings(encoder, epochs=2))
    code, _, seconds = nursery.run("train", rows_file, shelf.home, settings, tmp_path / "whole")
    assert code == 0
    killed = 0
    for number, moment in enumerate(moments(seconds, seed=3)):
        out = tmp_path / f"made{number}"
        killed += nursery.run("train", rows_file, shelf.home, settings, out, kill_after=moment)[0] == -signal.SIGKILL
        ModelFolder.load(shelf.current())
        if out.exists():
            ModelFolder.load(out)  # a folder has its name only when it is whole
    assert killed
    assert nursery.run("train", rows_file, shelf.home, settings, tmp_path / "last")[0] == 0
    for name in ("frames/model.onnx", "stance/model.onnx"):
        assert (tmp_path / "last" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_every_altered_byte_of_a_model_is_refused(shelf: Models) -> None:
    draw = random.Random(4)
    files = [file for file in sorted((shelf.home / "one").rglob("*")) if file.is_file() and file.name != "manifest.json"]
    for _ in range(200):
        file = draw.choice(files)
        content = bytearray(file.read_bytes())
        place = draw.randrange(len(content))
        content[place] ^= 1 << draw.randrange(8)
        before = file.read_bytes()
        file.write_bytes(content)
        with pytest.raises(ModelFolderError, match="damaged"):
            ModelFolder.load(shelf.home / "one")
        file.write_bytes(before)
    ModelFolder.load(shelf.home / "one")


def test_a_model_harmed_under_a_running_service_changes_no_answer(shelf: Models, tmp_path: Path) -> None:
    body = {"texts": ["The troops are a threat."], "targets": ["NATO plan"]}
    with TestClient(build(shelf, f"sqlite:///{tmp_path}/c.sqlite")) as client:
        before = client.post("/v1/score", json=body).json()
        codebook = shelf.home / "one" / "codebook.json"
        codebook.write_text(codebook.read_text().replace("security_threat", "something_else"))
        (shelf.home / "two" / "frames" / "model.onnx").write_bytes(b"")
        (shelf.home / "current").write_text("two\n")  # as by hand: promote would refuse it
        assert client.post("/v1/score", json=body).json() == before
        assert client.get("/readyz").status_code == 200
        (shelf.home / "current").unlink()
        assert client.post("/v1/score", json=body).json() == before
    assert [entry["event"] for entry in shelf.entries()][1:2] == ["refused"]
    with pytest.raises(ModelFolderError):
        build(shelf, f"sqlite:///{tmp_path}/c.sqlite")


CORRECTION = {"text": "Talks ended.", "answers": {"frames": []}, "annotator": "anna"}


def test_a_database_goes_away_and_comes_back(shelf: Models, tmp_path: Path) -> None:
    place = tmp_path / "db"
    with TestClient(build(shelf, f"sqlite:///{place}/c.sqlite"), raise_server_exceptions=False) as client:
        assert client.post("/v1/corrections", json=CORRECTION).status_code == 201
        place.rename(tmp_path / "away")
        refused = client.post("/v1/corrections", json=CORRECTION)
        assert refused.status_code == 503 and str(tmp_path) not in refused.text
        assert client.get("/readyz").status_code == 503 and client.get("/healthz").status_code == 200
        assert client.post("/v1/score", json={"texts": ["Rain fell."]}).status_code == 200
        (tmp_path / "away").rename(place)
        assert client.post("/v1/corrections", json=CORRECTION).json() == {"correction": 2}
        assert client.get("/readyz").status_code == 200
    assert len(Store(f"sqlite:///{place}/c.sqlite").history()) == 2


def test_a_database_that_is_replaced_is_written_to_and_not_its_ghost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.sqlite"
    store = Store(url)
    row = Annotation("new", "d", "Talks.", {"frames": ()}, annotator="anna", sampling="correction")
    store.add(row, "m")
    Store(f"sqlite:///{tmp_path}/other.sqlite")
    (tmp_path / "other.sqlite").replace(tmp_path / "c.sqlite")
    store.add(row, "m")
    assert len(Store(url).history()) == 1


def test_a_damaged_database_is_named_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(StoreError):
        Store(f"sqlite:///{tmp_path}/c.sqlite")
    assert (tmp_path / "c.sqlite").read_bytes() == b"no database" * 500


def test_a_clock_that_is_set_back_changes_no_order(tmp_path: Path, codebook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from annotations import store as stores

    store = Store(f"sqlite:///{tmp_path}/c.sqlite")
    for moment, labels in (("2030-01-01T00:00:00+00:00", ()), ("2001-01-01T00:00:00+00:00", ("diplomatic_offer",))):
        monkeypatch.setattr(stores, "_now", lambda moment=moment: moment)
        store.add(Annotation("new", "d", "Talks.", {"frames": labels}, annotator="anna", sampling="correction"), "m")
    assert [item["number"] for item in store.history()] == [1, 2]
    assert [row.answers["frames"] for row in store.rows(codebook)] == [("diplomatic_offer",)]
    assert store.undo_last("anna") == 2


def test_two_services_share_a_database_and_a_shelf(shelf: Models, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.sqlite"
    (shelf.home / "two" / "manifest.json").write_text((shelf.home / "two" / "manifest.json").read_text().replace('"name": "', '"name": "second-'))
    with TestClient(build(shelf, url)) as one, TestClient(build(shelf, url)) as two:
        numbers = [
            client.post("/v1/corrections", json=CORRECTION | {"key": f"k{n}"}).json()["correction"] for n in range(10) for client in (one, two)
        ]
        assert sorted(set(numbers)) == list(range(1, 11)), "a key sent to both is kept once"
        assert one.get("/v1/corrections").text == two.get("/v1/corrections").text
        shelf.promote(shelf.home / "two", "test")
        for client in (one, two):
            assert client.get("/v1/model").json()["name"].startswith("second-")


def test_of_promotions_at_once_each_wins_or_is_told(shelf: Models) -> None:
    code = (
        "import sys; from pathlib import Path; from classifier.models import Models; from annotations.errors import ModelFolderError\n"
        "models = Models(Path(sys.argv[1])); won = told = 0\n"
        "for _ in range(25):\n"
        "    try: models.promote(models.home / sys.argv[2], 'race'); won += 1\n"
        "    except ModelFolderError as error: told += 'under way' in str(error)\n"
        "print(won, told)"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", code, shelf.home, name], cwd=ROOT, stdout=subprocess.PIPE, text=True) for name in ("one", "two") * 2
    ]
    counts = [tuple(map(int, racer.communicate(timeout=120)[0].split())) for racer in racers]
    assert all(won + told == 25 for won, told in counts)
    assert len(shelf.entries()) == 1 + sum(won for won, _ in counts)
    assert shelf.current_name() == shelf.entries()[-1]["path"]


def test_a_full_disk_is_told_and_left_behind_without_a_restart(small_disk: Path, trained: tuple[Models, Run], tmp_path: Path) -> None:
    models = Models(small_disk / "shelf")
    shutil.copytree(trained[1].folder.path, models.home / "one")
    models.promote(models.home / "one", "test")
    url = f"sqlite:///{small_disk}/c.sqlite"
    (tmp_path / "in.txt").write_text("The envoy made an offer. " * 200)
    job = batch.Job((str(tmp_path / "in.txt"),), small_disk / "out.jsonl")
    classifier = Classifier(models.current(), threads=1)
    with TestClient(build(models, url), raise_server_exceptions=False) as client:
        assert client.post("/v1/corrections", json=CORRECTION).status_code == 201
        filler = fill(small_disk)
        statuses = [client.post("/v1/corrections", json=CORRECTION | {"note": "x" * 2_000}).status_code for _ in range(20)]
        assert set(statuses) <= {201, 503} and 503 in statuses
        assert client.post("/v1/score", json={"texts": ["Rain fell."]}).status_code == 200
        with pytest.raises(InputError, match="cannot be written"):
            batch.run(classifier, job)
        with pytest.raises((InputError, StoreError)):
            backup(models, url, small_disk / "b.zip")
        with pytest.raises(OSError, match="space"):
            models.promote(models.home / "one", "full")
        assert not (small_disk / "out.jsonl").exists() and not (small_disk / "b.zip").exists()
        assert models.current_name() == "one"
        filler.unlink()
        assert client.post("/v1/corrections", json=CORRECTION).status_code == 201
    batch.run(classifier, job)
    batch.run(classifier, batch.Job(job.inputs, tmp_path / "elsewhere.jsonl"))
    assert (small_disk / "out.jsonl").read_bytes() == (tmp_path / "elsewhere.jsonl").read_bytes()
    assert len(Store(url).history()) == 2 + statuses.count(201)
    assert backup(models, url, small_disk / "b.zip").promoted == "one"


def test_a_shelf_that_cannot_be_written_to_serves(shelf: Models, tmp_path: Path) -> None:
    if subprocess.run(["mount", "--bind", shelf.home, shelf.home], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here, so no read-only shelf")
    try:
        (shelf.home / "two" / "frames" / "model.onnx").write_bytes(b"")
        with TestClient(build(shelf, f"sqlite:///{tmp_path}/c.sqlite"), raise_server_exceptions=False) as client:
            (shelf.home / "current").write_text("two\n")
            subprocess.run(["mount", "-o", "remount,ro,bind", shelf.home], check=True)
            assert client.post("/v1/score", json={"texts": ["Rain fell."]}).status_code == 200
            assert client.post("/v1/corrections", json=CORRECTION).status_code == 201
            with pytest.raises(OSError, match="Read-only"):
                shelf.promote(shelf.home / "one", "test")
    finally:
        subprocess.run(["umount", "-l", shelf.home], check=False)
