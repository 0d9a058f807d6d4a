"""The corrections database: nothing lost, nothing doubled, nothing overwritten, whoever writes beside."""

import subprocess
import sys
from pathlib import Path

import pytest

from annotations import rows
from annotations.codebook import Codebook
from annotations.errors import InputError, StoreError
from annotations.rows import Annotation
from annotations.store import Store

ROOT = Path(__file__).resolve().parent.parent
WRITER = """
import sys
from annotations.rows import Annotation
from annotations.store import Store
url, name = sys.argv[1:]
store = Store(url)
for number in range(100):
    row = Annotation("new", "d", f"Sentence {number} of {name}.", {"frames": ()}, annotator=name, sampling="correction")
    first = store.add(row, "m", key=f"{name}-{number}")
    assert store.add(row, "m", key=f"{name}-{number}") == first
"""


def correction(text: str = "Talks ended.", *labels: str, coder: str = "anna", **more: str) -> Annotation:
    return Annotation("new", "d", text, {"frames": labels}, annotator=coder, sampling="correction", **more)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/deep/c.sqlite")


def test_four_processes_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, f"coder{number}"], cwd=ROOT) for number in range(4)]
    assert [writer.wait(120) for writer in writers] == [0] * 4
    history = Store(url).history()
    assert len(history) == 400
    assert len({item["key"] for item in history}) == len({item["text"] for item in history}) == 400


def test_the_same_key_again_changes_nothing_and_for_another_correction_is_refused(store: Store) -> None:
    assert store.add(correction(), "m", "k") == store.add(correction(), "m", "k")
    with pytest.raises(InputError, match="another correction"):
        store.add(correction("Talks ended.", "diplomatic_offer"), "m", "k")
    assert len(store.history()) == 1


def test_an_undo_takes_back_the_coders_own_latest_once_and_keeps_it_in_the_history(store: Store) -> None:
    numbers = [store.add(correction(coder=coder), "m") for coder in ("anna", "ben", "anna")]
    assert store.undo_last("anna") == numbers[2]
    assert store.undo_last("anna") == numbers[0]
    for attempt in (lambda: store.undo_last("anna"), lambda: store.undo(numbers[0], "anna"), lambda: store.undo(numbers[1], "anna")):
        with pytest.raises(StoreError, match="take back"):
            attempt()
    assert [item["undone"] for item in store.history()] == [True, False, True]


def test_rows_are_the_latest_word_on_each_sentence_and_can_be_read_back(store: Store, codebook: Codebook, tmp_path: Path) -> None:
    store.add(correction("Talks ended."), "m")
    store.add(correction("Talks ended.", "diplomatic_offer", coder="ben", note="a call for talks"), "m")
    store.add(correction("Troops came."), "m")
    store.undo_last("anna")
    rows.write(tmp_path / "out.jsonl", store.rows(codebook))
    (read,) = rows.read(tmp_path / "out.jsonl", codebook)
    assert (read.text, read.answers["frames"], read.annotator, read.sampling) == ("Talks ended.", ("diplomatic_offer",), "ben", "correction")


def test_a_correction_that_another_codebook_made_is_left_out_of_the_rows_only(store: Store, codebook: Codebook) -> None:
    store.add(correction("Talks ended.", "a_label_of_old"), "m")
    assert list(store.rows(codebook)) == []
    assert len(store.history()) == 1


def test_a_database_survives_being_opened_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.sqlite"
    Store(url).add(correction(), "m-1")
    (kept,) = Store(url).history()
    assert (kept["coder"], kept["model"], kept["undone"]) == ("anna", "m-1", False)
    assert kept["time"].endswith("+00:00")


def test_the_latest_of_the_history_come_oldest_first(store: Store) -> None:
    for number in range(4):
        store.add(correction(f"Sentence {number}."), "m")
    assert [item["text"] for item in store.history(latest=2)] == ["Sentence 2.", "Sentence 3."]


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////proc/none/c.sqlite", "oracle+nothing://x/y"])
def test_a_database_that_cannot_be_opened_is_named_without_its_address(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be opened") as refused:
        Store(url)
    assert url not in str(refused.value)
