"""The corrections database on a real PostgreSQL: shared by services, written by many at once, gone and back again."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from test_store import ROOT, WRITER, correction

from annotations.codebook import Codebook
from annotations.errors import InputError, StoreError
from annotations.store import Store
from classifier.models import Models
from demo.app import build
from training.train import Run

PLACES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *map(Path, os.environ.get("PATH", "").split(":"))]
PROGRAMS = next((place for place in PLACES if (place / "initdb").is_file() and (place / "pg_ctl").is_file()), None)
pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL is installed (apt-get install postgresql), so the store is not tried on one")
BODY = {"text": "Talks ended.", "answers": {"frames": []}, "annotator": "anna"}


class Cluster:
    """A private PostgreSQL in a temporary folder, reached by a Unix socket alone."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # PostgreSQL refuses to run as root; root lends it a plain user.
        self._user = next((name for name in ("postgres", "nobody") if _is_user(name)), None) if os.getuid() == 0 else None
        if self._user:
            shutil.chown(home, self._user)
        self._run("initdb", "--pgdata", home / "data", "--auth", "trust", "--username", "framewire", "--encoding", "UTF8", "--locale", "C")
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.home}' -c max_connections=60"
        self._run("pg_ctl", "--pgdata", self.home / "data", "--log", self.home / "log", "--wait", "--timeout", "120", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Mode "immediate" is as a crash: nothing is written any more."""
        self._run("pg_ctl", "--pgdata", self.home / "data", "--wait", "--timeout", "120", "--mode", mode, "stop")

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
        engine.dispose()
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://framewire@/{name}?host={self.home}"

    def _run(self, program: str, *arguments: Any) -> None:
        assert PROGRAMS is not None
        # No pipes: the server would inherit them, and reading them would last as long as it runs.
        with (self.home / "said").open("a") as said:
            subprocess.run([PROGRAMS / program, *arguments], cwd=self.home, user=self._user, stdout=said, stderr=said, check=True)


def _is_user(name: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    home = Path(tempfile.mkdtemp(prefix="fw-pg-"))  # pytest's own folders are closed to the plain user, and too long for a socket's name
    try:
        made = Cluster(home)
        yield made
        with contextlib.suppress(subprocess.CalledProcessError):  # a test that failed may have left it stopped
            made.stop("immediate")
    finally:
        shutil.rmtree(home)


@pytest.fixture
def url(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    return cluster.database(request.node.name[:60])


def test_eight_processes_on_an_empty_database_lose_nothing_and_double_nothing(url: str) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, f"coder{number}"], cwd=ROOT) for number in range(8)]
    assert [writer.wait(240) for writer in writers] == [0] * 8
    history = Store(url).history()
    assert len(history) == 800
    assert len({item["key"] for item in history}) == len({item["text"] for item in history}) == 800
    for number in range(8):
        mine = [item["text"] for item in history if item["coder"] == f"coder{number}"]
        assert mine == [f"Sentence {place} of coder{number}." for place in range(100)], "in the order in which they were written"


def test_services_that_start_at_once_on_an_empty_database_all_start(cluster: Cluster) -> None:
    for attempt in range(5):
        fresh, together = cluster.database(f"fresh{attempt}"), threading.Barrier(8)

        def start(fresh: str = fresh, together: threading.Barrier = together) -> None:
            together.wait()
            Store(fresh).ping()

        with ThreadPoolExecutor(8) as pool:
            for started in [pool.submit(start) for _ in range(8)]:
                started.result()


def test_history_undo_keys_and_views_are_as_on_sqlite(url: str, codebook: Codebook) -> None:
    store, other = Store(url), Store(url)
    numbers = [store.add(correction("Talks ended.", *labels, coder=coder), "m") for coder, labels in (("anna", ()), ("ben", ("diplomatic_offer",)))]
    numbers.append(other.add(correction("Größe „Ж“ 🌾", coder="anna"), "m", "k"))
    assert store.add(correction("Größe „Ж“ 🌾", coder="anna"), "m", "k") == numbers[-1]
    with pytest.raises(InputError, match="another correction"):
        store.add(correction("Talks went on."), "m", "k")
    assert store.undo_last("anna") == numbers[-1] and other.undo_last("anna") == numbers[0]
    for attempt in (lambda: store.undo_last("anna"), lambda: other.undo(numbers[0], "anna"), lambda: store.undo(numbers[1], "anna")):
        with pytest.raises(StoreError, match="take back"):
            attempt()
    assert [(item["number"], item["undone"], item["text"]) for item in other.history()] == [
        (numbers[0], True, "Talks ended."),
        (numbers[1], False, "Talks ended."),
        (numbers[2], True, "Größe „Ж“ 🌾"),
    ]
    assert [row.answers["frames"] for row in other.rows(codebook)] == [("diplomatic_offer",)]
    assert store.view(other.keep_view("a reading")) == "a reading"


def test_one_correction_is_taken_back_once_by_eight_at_once(url: str) -> None:
    store = Store(url)
    number, together = store.add(correction(), "m"), threading.Barrier(8)

    def undo() -> bool:
        together.wait()
        with contextlib.suppress(StoreError):
            store.undo(number, "anna")
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(found.result() for found in [pool.submit(undo) for _ in range(8)]) == 1


def test_a_null_character_is_refused_in_words_and_not_as_a_fault_of_the_database(url: str) -> None:
    for place in ({"text": "Talks\0 ended."}, {"note": "\0"}, {"coder": "an\0na"}):
        with pytest.raises(InputError, match="null character"):
            Store(url).add(correction(**place), "m")
    assert not Store(url).history()


def test_the_server_goes_away_and_comes_back_under_running_services(
    cluster: Cluster, url: str, trained: tuple[Models, Run], codebook: Codebook
) -> None:
    clients = [TestClient(build(trained[0], url), raise_server_exceptions=False) for _ in range(2)]
    assert [client.post("/v1/corrections", json=BODY | {"key": "one"}).json() for client in clients] == [{"correction": 1}] * 2
    for mode in ("fast", "immediate"):
        cluster.stop(mode)
        for client in clients:
            refused = client.post("/v1/corrections", json=BODY)
            assert refused.status_code == 503 and "could not be stored" in refused.json()["error"] and "moment" in refused.json()["error"]
            assert str(cluster.home) not in refused.text and "Talks" not in refused.text
            assert client.get("/v1/corrections").status_code == client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == client.post("/v1/score", json={"texts": ["Rain fell."]}).status_code == 200
        cluster.start()
        for client in clients:
            assert client.get("/readyz").status_code == 200
            assert client.post("/v1/corrections", json=BODY | {"annotator": mode}).status_code == 201
    cluster.stop()
    cluster.start()  # between two requests: nobody has met the fault yet
    assert [client.post("/v1/corrections", json=BODY | {"annotator": "ben"}).status_code for client in clients] == [201] * 2
    assert clients[0].get("/v1/corrections").text == clients[1].get("/v1/corrections").text
    assert [item["coder"] for item in Store(url).history()] == ["anna", "fast", "fast", "immediate", "immediate", "ben", "ben"]


def test_what_was_acknowledged_before_a_crash_of_the_server_is_there_after_it(cluster: Cluster, url: str) -> None:
    acknowledged: list[int] = []
    enough = threading.Event()

    def write(name: str, store: Store) -> None:
        with contextlib.suppress(StoreError):
            for number in range(100_000):
                acknowledged.append(store.add(correction(f"Sentence {number}.", coder=name), "m"))
                if len(acknowledged) > 100:
                    enough.set()

    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(write, f"coder{number}", Store(url))
        assert enough.wait(120)
        cluster.stop("immediate")
    cluster.start()
    held = {item["number"] for item in Store(url).history()}
    assert set(acknowledged) <= held and len(acknowledged) > 100


def test_of_two_hundred_edits_of_one_sentence_all_are_kept_and_the_last_number_counts(
    url: str, trained: tuple[Models, Run], codebook: Codebook
) -> None:
    clients = [TestClient(build(trained[0], url), raise_server_exceptions=False) for _ in range(2)]
    labels = codebook.question("frames").label_names

    def edit(user: int) -> list[int]:
        said = []
        for turn in range(10):
            body = BODY | {"annotator": f"user{user:02}", "answers": {"frames": [labels[(user + turn) % len(labels)]]}, "document": "d"}
            answer = clients[user % 2].post("/v1/corrections", json=body)
            assert answer.status_code == 201, answer.text
            said.append(answer.json()["correction"])
        return said

    with ThreadPoolExecutor(20) as pool:
        numbers = [number for said in pool.map(edit, range(20)) for number in said]
    store = Store(url)
    history = store.history()
    assert len(set(numbers)) == len(history) == 200 and sorted(numbers) == [item["number"] for item in history]
    for item in history[:-4:-1]:  # the last word counts, and when it is taken back the one before
        (row,) = store.rows(codebook)
        assert (row.id, row.annotator) == (f"correction-{item['number']}", item["coder"])
        assert clients[0].get("/v1/corrections").text == clients[1].get("/v1/corrections").text
        store.undo(item["number"], item["coder"])
