"""A backup brings back every correction and every model, whoever writes meanwhile; a file that is not whole changes nothing."""

import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from annotations.errors import InputError
from annotations.rows import Annotation
from annotations.store import Store
from classifier.folder import ModelFolder
from classifier.models import Models
from demo import backup as backups
from demo.backup import backup, restore
from training.train import Run

ROOT = Path(__file__).resolve().parent.parent
WRITER = """
import sys
from annotations.rows import Annotation
from annotations.store import Store
store = Store(sys.argv[1])
for number in range(100_000):
    store.add(Annotation("new", "d", f"Sentence {number}.", {"frames": ()}, annotator=sys.argv[2], sampling="correction"), "m")
    print(number, flush=True)
"""


def correction(text: str) -> Annotation:
    return Annotation("new", "d", text, {"frames": ()}, annotator="anna", sampling="correction")


@pytest.fixture
def shelf(trained: tuple[Models, Run], tmp_path: Path) -> tuple[Models, str]:
    """A shelf with two models, the second promoted, and three corrections of which one is taken back."""
    models = Models(tmp_path / "shelf")
    for name in ("one", "two"):
        shutil.copytree(trained[1].folder.path, models.home / name)
    models.promote(models.home / "one", "test")
    models.promote(models.home / "two", "test")
    url = f"sqlite:///{models.home}/corrections.sqlite"
    store = Store(url)
    for text in ("One.", "Two.", "Three."):
        store.add(correction(text), "m")
    store.undo_last("anna")
    return models, url


def test_everything_comes_back(shelf: tuple[Models, str], tmp_path: Path) -> None:
    made = backup(*shelf, tmp_path / "b.zip")
    assert (made.corrections, made.models, made.promoted) == (3, ("one", "two"), "two")
    other, url = Models(tmp_path / "other"), f"sqlite:///{tmp_path}/other/c.sqlite"
    assert restore(other, url, tmp_path / "b.zip") == made
    assert Store(url).history() == Store(shelf[1]).history()
    assert other.current_name() == "two" and ModelFolder.load(other.current()).codebook == ModelFolder.load(shelf[0].current()).codebook
    assert [entry["event"] for entry in other.entries()] == ["promote", "promote", "promote"]
    assert other.rollback().name in ("one", "two")
    assert not list(other.home.glob(".restore-*")) and not list(tmp_path.glob(".backup-*"))


def test_nothing_is_replaced_unless_told_and_then_stays_beside(shelf: tuple[Models, str], tmp_path: Path) -> None:
    backup(*shelf, tmp_path / "b.zip")
    with pytest.raises(InputError, match="there already"):
        backup(*shelf, tmp_path / "b.zip")
    backup(*shelf, tmp_path / "b.zip", force=True)
    Store(shelf[1]).add(correction("Later."), "m")
    with pytest.raises(InputError, match="not empty"):
        restore(*shelf, tmp_path / "b.zip")
    assert len(Store(shelf[1]).history()) == 4
    running = Store(shelf[1])
    restore(*shelf, tmp_path / "b.zip", force=True)
    assert len(running.history()) == 3, "a service that runs goes on with what was restored"
    running.add(correction("After."), "m")
    assert len(Store(shelf[1]).history()) == 4
    assert len(Store(f"sqlite:///{shelf[0].home}/corrections.sqlite.before-restore").history()) == 4


def test_another_model_of_the_same_name_is_kept_unless_told(shelf: tuple[Models, str], tmp_path: Path) -> None:
    backup(shelf[0], None, tmp_path / "b.zip")
    manifest = shelf[0].home / "one" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"name": "another"}))
    with pytest.raises(InputError, match="another model"):
        restore(shelf[0], None, tmp_path / "b.zip")
    assert ModelFolder.load(shelf[0].home / "one").name == "another"
    restore(shelf[0], None, tmp_path / "b.zip", force=True)
    assert ModelFolder.load(shelf[0].home / "one").name != "another"
    assert ModelFolder.load(shelf[0].home / ".one.before-restore").name == "another"


def test_a_damaged_model_comes_back_whole(shelf: tuple[Models, str], tmp_path: Path) -> None:
    backup(shelf[0], None, tmp_path / "b.zip")
    (shelf[0].home / "two" / "frames" / "model.onnx").write_bytes(b"")
    restore(shelf[0], None, tmp_path / "b.zip", force=True)
    ModelFolder.load(shelf[0].current())


def test_a_backup_under_writes_has_every_correction_that_was_acknowledged_before(shelf: tuple[Models, str], tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, shelf[1], f"w{n}"], cwd=ROOT, stdout=subprocess.PIPE, text=True) for n in range(2)]
    try:
        for round_ in range(3):
            acknowledged = {f"w{n}": int(writer.stdout.readline()) for n, writer in enumerate(writers) if writer.stdout}
            made = backup(*shelf, tmp_path / f"{round_}.zip")
            place = Models(tmp_path / f"there{round_}")
            url = f"sqlite:///{place.home}/c.sqlite"
            restore(place, url, tmp_path / f"{round_}.zip")
            held = {(item["coder"], item["text"]) for item in Store(url).history()}
            assert len(held) == made.corrections
            for coder, last in acknowledged.items():
                assert {(coder, f"Sentence {number}.") for number in range(last + 1)} <= held
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


def rewritten(source: Path, to: Path, change: object) -> Path:
    with zipfile.ZipFile(source) as packed, zipfile.ZipFile(to, "w") as out:
        contents = {name: packed.read(name) for name in packed.namelist()}
        change(contents)  # type: ignore[operator]
        for name, content in contents.items():
            out.writestr(name, content)
    return to


def listed(contents: dict[str, bytes], **changes: object) -> None:
    contents[backups.MANIFEST] = json.dumps(json.loads(contents[backups.MANIFEST]) | changes).encode()


def traversal(contents: dict[str, bytes]) -> None:
    about = json.loads(contents[backups.MANIFEST])
    name = next(name for name in about["files"] if name.endswith("README.md"))
    about["files"]["models/../../escaped.txt"] = about["files"].pop(name)
    contents["models/../../escaped.txt"] = contents.pop(name)
    contents[backups.MANIFEST] = json.dumps(about).encode()


HARM = {
    "a changed model": lambda c: c.update({"models/one/frames/model.onnx": b"x" + c["models/one/frames/model.onnx"][1:]}),
    "a changed database": lambda c: c.update({backups.CORRECTIONS: c[backups.CORRECTIONS][:-1] + b"x"}),
    "a file that is not listed": lambda c: c.update({"models/one/evil.py": b"print(1)"}),
    "a listed file that is missing": lambda c: c.pop("models/one/frames/model.onnx"),
    "a path that leads out": traversal,
    "another format": lambda c: listed(c, format=9),
    "no manifest": lambda c: c.pop(backups.MANIFEST),
    "a manifest of nonsense": lambda c: c.update({backups.MANIFEST: b"[" * 10_000}),
    "fewer corrections than it says": lambda c: listed(c, corrections=5),
    "a promoted model that is not in it": lambda c: listed(c, promoted="../../etc"),
}


@pytest.mark.parametrize("name", HARM)
def test_a_backup_that_is_not_whole_changes_nothing(name: str, shelf: tuple[Models, str], tmp_path: Path) -> None:
    backup(*shelf, tmp_path / "b.zip")
    bad = rewritten(tmp_path / "b.zip", tmp_path / "bad.zip", HARM[name])
    other = Models(tmp_path / "other")
    with pytest.raises(InputError, match=r"bad\.zip"):
        restore(other, f"sqlite:///{tmp_path}/other/c.sqlite", bad)
    assert not list(other.home.iterdir()) and not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 5_000, None])
def test_a_file_that_is_no_backup_is_refused(content: bytes | None, shelf: tuple[Models, str], tmp_path: Path) -> None:
    whole = backup(*shelf, tmp_path / "b.zip") and (tmp_path / "b.zip").read_bytes()
    (tmp_path / "c.zip").write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(InputError, match=r"c\.zip"):
        restore(Models(tmp_path / "other"), None, tmp_path / "c.zip")
    with pytest.raises(InputError, match="cannot be unpacked"):
        restore(Models(tmp_path / "other"), None, tmp_path / "missing.zip")


def test_a_database_elsewhere_is_left_to_its_own_tools(shelf: tuple[Models, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pg_dump"):
        backup(shelf[0], "postgresql://someone@nowhere/x", tmp_path / "b.zip")
    assert backup(shelf[0], None, tmp_path / "b.zip").corrections is None


def test_one_command_each(shelf: tuple[Models, str], tmp_path: Path) -> None:
    import os

    def run(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "framewire", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, env=os.environ | {"FRAMEWIRE_MODELS": str(home)}, capture_output=True, text=True, check=False)

    done = run(shelf[0].home, "backup", tmp_path / "b.zip")
    assert done.returncode == 0 and "3 corrections, 2 models, promoted two" in done.stdout, done.stderr
    done = run(tmp_path / "new", "restore", tmp_path / "b.zip")
    assert done.returncode == 0, done.stderr
    assert sqlite3.connect(tmp_path / "new" / "corrections.sqlite").execute("SELECT count(*) FROM corrections").fetchone() == (3,)
    refused = run(tmp_path / "new", "restore", tmp_path / "b.zip")
    assert refused.returncode == 2 and "not empty" in refused.stderr and "Traceback" not in refused.stderr
