"""What is thrown away by itself, and what never is."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from gradio.utils import get_upload_folder
from test_store import correction

from annotations import store as stores
from annotations.errors import StoreError
from annotations.store import Store
from classifier.classifier import Classifier
from classifier.models import Models
from classifier.sentences import split
from demo import purge, reader_tab
from demo.app import JOBS, build
from demo.jobs import JOB, LOCK, STATE, TURN, Jobs, write_json
from demo.limits import DOWNLOADED, _size
from demo.purge import Kept, Limit, over
from demo.retrain import RESULT
from training.train import Run

LONG_AGO = time.time() - 400 * purge.DAY


def aged(path: Path, moment: float = LONG_AGO) -> Path:
    os.utime(path, (moment, moment))
    return path


def job(jobs: Jobs, name: str, state: str = "done", moment: float = LONG_AGO, size: int = 0) -> str:
    """An ended job as its process leaves it."""
    folder = jobs.home / name.ljust(16, "x")
    folder.mkdir(parents=True)
    write_json(folder / JOB, {"kind": "corpus", "created": str(moment), "settings": {}, "tries": 0})
    write_json(folder / STATE, {"state": state, "share": 1.0, "words": "", "counts": {}})
    (folder / "result.jsonl").write_bytes(b"0" * size)
    aged(folder / STATE, moment)
    return folder.name


def test_what_is_old_or_beyond_count_or_bytes_goes_and_the_newest_stay() -> None:
    found = [Kept("old", 10, 1), Kept("big", 95, 80), Kept("new", 99, 30), Kept("middle", 96, 1)]
    assert over(found, Limit(50, 10, 1_000), 100) == ["old"]
    assert over(found, Limit(1_000, 2, 1_000), 100) == ["big", "old"]
    assert over(found, Limit(1_000, 10, 40), 100) == ["big", "old"]
    assert over([], Limit(1, 1, 1), 100) == []


def test_downloads_lie_among_the_uploads_and_both_go_when_old(classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    predictions = list(classifier.predict(split("Rain fell.")))
    old, new = ([Path(path) for path in reader_tab._saved(predictions, "Rain fell.")] for _ in range(2))
    assert {path.parent.parent for path in (*old, *new)} == {tmp_path / DOWNLOADED}
    for name in ("kept", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("Rain fell.")
    assert _size(tmp_path) < 50_000 < sum(path.stat().st_size for path in new) + 50_000, "downloads do not take the room of uploads"
    aged(old[0].parent)
    aged(tmp_path / "gone")
    assert purge.purge_files(tmp_path) == 2
    assert not old[0].parent.exists() and not (tmp_path / "gone").exists()
    assert all(path.exists() for path in new) and (tmp_path / "kept" / "a.txt").exists()
    monkeypatch.setattr(purge, "DOWNLOADS", Limit(purge.HOUR, 2_000, 10))
    assert purge.purge_files(tmp_path) == 1 and not new[0].exists()


def test_ended_jobs_go_and_open_ones_and_retrains_whose_model_is_there_stay(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    old, cancelled, new = job(jobs, "old"), job(jobs, "cancelled", "cancelled"), job(jobs, "new", moment=time.time())
    learnt, forgotten, open_ = job(jobs, "learnt"), job(jobs, "forgotten"), job(jobs, "open", "running")
    (tmp_path / "model").mkdir()
    write_json(jobs.folder(learnt) / RESULT, {"model": "m", "path": str(tmp_path / "model")})
    write_json(jobs.folder(forgotten) / RESULT, {"model": "n", "path": str(tmp_path / "elsewhere")})
    half, turn = jobs.home / f".{'h' * 16}", jobs.home / TURN
    half.mkdir()
    turn.touch()
    aged(half)
    aged(turn)
    with (jobs.folder(open_) / LOCK).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as its worker does
        assert purge.purge_jobs(jobs) == 4
    assert set(jobs.ids()) == {new, learnt, open_}
    assert not half.exists() and turn.exists()
    assert not {old, cancelled, forgotten} & {path.name.strip(".") for path in jobs.home.iterdir()}


@pytest.mark.parametrize("limit", [Limit(purge.DAY, 2, 1 << 30), Limit(purge.DAY, 100, 2_500)])
def test_of_too_many_jobs_the_newest_stay(limit: Limit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, now = Jobs(tmp_path / "jobs"), time.time()
    names = [job(jobs, f"job{number}", moment=now - number, size=1_000) for number in range(4)]
    monkeypatch.setattr(purge, "JOBS", limit)
    monkeypatch.setattr(purge, "_kept", lambda path, dated: Kept(path.name, dated.stat().st_mtime, (path / "result.jsonl").stat().st_size))
    assert purge.purge_jobs(jobs) == 2
    assert jobs.ids() == names[1::-1]


def test_old_views_go_and_corrections_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"sqlite:///{tmp_path}/c.sqlite")
    with monkeypatch.context() as past:
        past.setattr(stores, "_now", lambda: "2001-01-01T00:00:00+00:00")
        old = [store.keep_view(f"old {number}") for number in range(7)]
        store.add(correction(), "m")
    new = store.keep_view("new")
    monkeypatch.setattr(stores, "MOST_NAMED", 3)
    assert purge.purge_views(store) == len(old) == 7
    assert len(store.views()) == 1
    assert store.view(new) == "new" and len(store.history()) == 1
    with pytest.raises(StoreError, match="no view"):
        store.view(old[0])
    monkeypatch.setattr(purge, "VIEWS", Limit(purge.DAY, 100, 5))
    newest = store.keep_view("12345")
    assert purge.purge_views(store) == 1 and [view for view, _, _ in store.views()] in ([new], [newest])


def until(true: Callable[[], bool]) -> bool:
    for _ in range(600):
        if true():
            return True
        time.sleep(0.05)
    return False


def test_a_service_purges_at_its_start_and_while_it_runs_and_a_database_that_is_away_stops_nothing_else(
    trained: tuple[Models, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "EVERY_SECONDS", 0.1)
    uploads, jobs = Path(get_upload_folder()), Jobs(trained[0].home.resolve() / JOBS)
    early = job(jobs, "early")
    with TestClient(build(trained[0], f"sqlite:///{tmp_path}/c.sqlite")) as client:
        assert until(lambda: early not in jobs.ids())
        (tmp_path / "c.sqlite").rename(tmp_path / "away.sqlite")
        late, young = job(jobs, "late"), job(jobs, "young", moment=time.time())
        upload = uploads / "left-behind"
        upload.mkdir(parents=True)
        aged(upload)
        assert until(lambda: late not in jobs.ids() and not upload.exists())
        assert young in jobs.ids()
        assert client.get(f"/v1/jobs/{late}").status_code == 404 and client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
    later = job(jobs, "later")
    time.sleep(0.5)
    assert later in jobs.ids(), "a service that has ended purges no more"
    jobs.delete(later)
    jobs.delete(young)
