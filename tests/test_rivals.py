"""Two services on one folder of models and jobs: of many who promote or retrain at once one wins; nobody dead is waited for."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from annotations import rows as annotated
from annotations import splits
from annotations.codebook import Codebook
from annotations.errors import FramewireError
from annotations.rows import Annotation
from annotations.store import Store
from classifier.folder import ModelFolder
from classifier.models import LOCK, Models
from demo import retrain
from demo.app import build
from demo.jobs import TURN, Jobs
from demo.retrain import Base
from demo.serving import Serving
from tests.test_load import Service
from training.parts import checked_parts
from training.train import Run, consider

RIVALS = 100
FREED = 30  # seconds within which what a dead process held is free


@pytest.fixture
def shelf(trained: tuple[Models, Run], tmp_path: Path) -> Models:
    models = Models(tmp_path / "shelf")
    for name in ("one", "two", "three"):
        shutil.copytree(trained[1].folder.path, models.home / name)
    models.promote(models.home / "one", "test")
    return models


def at_once(calls: list[Callable[[], str]]) -> Counter[str]:
    """What each of the calls gave, begun together, each in a thread."""
    gate, seen = threading.Barrier(len(calls)), []

    def run(call: Callable[[], str]) -> None:
        gate.wait()
        seen.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(seen)


def promoted(client: httpx.Client, model: str) -> str:
    answer = client.put("/v1/model", json={"model": model, "instead_of": "one"})
    return f"{answer.status_code}" if answer.status_code == 200 else f"{answer.status_code} {answer.json()['error'].split('.')[0]}"


def race(clients: list[httpx.Client], shelf: Models) -> None:
    before = len(shelf.entries())
    seen = at_once([lambda n=n: promoted(clients[n % len(clients)], ("two", "three")[n // 2 % 2]) for n in range(RIVALS)])  # type: ignore[misc]
    print(f"\n{RIVALS} promotions at once: {dict(seen)}")
    assert seen.pop("200") == 1 and sum(seen.values()) == RIVALS - 1
    assert set(seen) <= {"409 Another model was promoted meanwhile", "409 Another promotion is under way"}
    assert len(shelf.entries()) == before + 1 and shelf.entries()[-1]["path"] == shelf.current_name()


def test_of_a_hundred_promotions_at_once_at_two_services_one_wins(shelf: Models, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.sqlite"
    with TestClient(build(shelf, url)) as one, TestClient(build(shelf, url)) as two:
        race([one, two], shelf)
        assert promoted(one, "../one") == "422 There is no model of this name"


@pytest.mark.slow
def test_of_a_hundred_promotions_at_once_at_two_processes_one_wins_each_time(shelf: Models, tmp_path: Path) -> None:
    services = [Service(shelf, tmp_path) for _ in range(2)]
    try:
        clients = [httpx.Client(base_url=service.address, timeout=120, limits=httpx.Limits(max_connections=RIVALS)) for service in services]
        for _ in range(20):
            race(clients, shelf)
            shelf.promote(shelf.home / "one", "again")
    finally:
        for service in services:
            service.process.kill()
            service.process.wait()


def test_a_lock_of_a_dead_process_is_free_at_once(shelf: Models, tmp_path: Path) -> None:
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", code, shelf.home / LOCK], stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with TestClient(build(shelf, f"sqlite:///{tmp_path}/c.sqlite")) as client:
        assert promoted(client, "two") == "409 Another promotion is under way"
        begun = time.monotonic()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        while (said := promoted(client, "two")) != "200":
            assert said.startswith("409") and time.monotonic() - begun < FREED
    assert shelf.current_name() == "two"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(f"sqlite:///{tmp_path}/c.sqlite")
    made.add(Annotation("new", "d", "An offer of bread.", {"frames": ("diplomatic_offer",)}, annotator="anna", sampling="correction"), "m")
    return made


@pytest.fixture
def two_homes(tmp_path: Path) -> Iterator[list[Jobs]]:
    """The jobs of two services in one folder, none of which gets its turn."""
    jobs = [Jobs(tmp_path / "jobs") for _ in range(2)]
    jobs[0].home.mkdir()
    with (jobs[0].home / TURN).open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield jobs
        for process in jobs[0]._started + jobs[1]._started:
            process.kill()
            process.wait()


def test_of_a_hundred_retrains_at_once_at_two_services_one_starts(shelf: Models, store: Store, rows_file: Path, two_homes: list[Jobs]) -> None:
    serving = Serving(shelf)

    def started(jobs: Jobs) -> str:
        try:
            return f"started {len(retrain.submit(jobs, serving, store, Base(rows_file), 1))}"
        except FramewireError as error:
            return error.problem

    seen = at_once([lambda n=n: started(two_homes[n % 2]) for n in range(RIVALS)])  # type: ignore[misc]
    print(f"\n{RIVALS} retrains at once: {dict(seen)}")
    assert seen == {"started 16": 1, "A retrain is under way.": RIVALS - 1}
    assert not list(two_homes[0].home.glob(".*/")), "what a loser had begun is left behind"
    (process,) = two_homes[0]._started + two_homes[1]._started
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert started(two_homes[1]).startswith("started"), "a retrain whose process died is waited for"


class Hasty(Models):
    """A shelf on which somebody else promotes just before the caller does."""

    def promote(self, path: Path, reason: str, instead_of: str | None = None, **details: object) -> None:
        super().promote(self.home / "two", "meanwhile")
        super().promote(path, reason, instead_of, **details)


def test_a_candidate_that_was_compared_with_another_model_is_not_promoted(rows_file: Path, shelf: Models, codebook: Codebook) -> None:
    test = checked_parts(splits.assign(annotated.read(rows_file, codebook)), codebook)["test"]
    _, promoted, refusal = consider(ModelFolder.load(shelf.home / "three"), test, Hasty(shelf.home), promote=True)
    assert (promoted, refusal) == (False, "another model was promoted meanwhile")
    assert shelf.current_name() == "two"
