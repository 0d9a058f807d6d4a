"""Ray gives the same rows as one machine, also when a worker dies."""

import importlib.util
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from annotations.errors import InputError
from classifier import batch, cluster
from classifier.batch import Job
from classifier.classifier import Classifier
from tests.conftest import write_jsonl

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed (pip install framewire[ray])")


@pytest.fixture(scope="module", autouse=True)
def two_workers() -> Iterator[None]:
    ray = cluster.started(processors=2)
    yield
    ray.shutdown()


def workers() -> list[psutil.Process]:
    """The processes of this test's Ray that hold a model."""
    return [child for child in psutil.Process().children(recursive=True) if "_Scorer" in " ".join(child.cmdline()[:1])]


def test_ray_writes_the_same_bytes_though_a_worker_is_killed(classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for number in range(12):
        rows = [{"n": n, "text": f"The envoy {n} made an offer {number}. Rain fell on river {n}. The army {n} warned us."} for n in range(40)]
        write_jsonl(tmp_path / "in" / f"{number:02}.jsonl", [*rows, {"n": -1, "text": ""}])
    inputs = (f"file://{tmp_path}/in",)
    here = batch.run(classifier, Job(inputs, tmp_path / "here.jsonl", targets=("grain",)))
    killed: list[int] = []
    done: list[int] = []

    def kill() -> None:
        parts = tmp_path / ".there.jsonl.parts"
        while not list(parts.glob("*.counts")):
            time.sleep(0.05)
        for worker in workers()[:1]:
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)
        done.append(len(list(parts.glob("*.counts"))))

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    there = cluster.run(classifier, Job(inputs, tmp_path / "there.jsonl", targets=("grain",)), actors=2)
    killer.join(10)
    assert killed and done[0] < 12, "no worker was killed while there was work, so that nothing was proved"
    assert (there.records, there.sentences, there.rejected) == (here.records, here.sentences, here.rejected) == (12 * 41, 12 * 120, 12)
    assert (tmp_path / "there.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()
    assert there.rejects is not None and here.rejects is not None
    assert there.rejects.read_bytes() == here.rejects.read_bytes()


def test_a_file_that_cannot_be_read_is_refused_as_on_one_machine(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title\nx\n")
    with pytest.raises(InputError, match="no column 'text'"):
        cluster.run(classifier, Job((str(tmp_path / "a.csv"),), tmp_path / "out.parquet"))
    with pytest.raises(InputError, match="Standard input"):
        cluster.run(classifier, Job(("-",), tmp_path / "out.jsonl"))


def test_a_ray_of_its_own_listens_on_the_loopback_address_alone() -> None:
    listening = [
        (child.name(), found.laddr.ip)
        for child in psutil.Process().children(recursive=True)
        for found in child.net_connections("inet")
        if found.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert [item for item in listening if item[1].removeprefix("::ffff:") not in ("127.0.0.1", "::1")] == []
