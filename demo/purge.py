"""What the service throws away by itself, at its start and while it runs: downloads, uploads, ended jobs, views. Never a correction or a model."""

import asyncio
import contextlib
import json
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from annotations.errors import FramewireError
from annotations.store import Store
from demo.jobs import STATE, Jobs, NoJobError
from demo.limits import DOWNLOADED
from demo.retrain import RESULT

log = logging.getLogger("framewire")
EVERY_SECONDS = 600
HOUR, DAY = 3_600, 86_400


@dataclass(frozen=True)
class Limit:
    """How long something is kept (seconds), how many of it at most, and how many bytes together; the newest are kept."""

    seconds: float
    count: int
    size: int


@dataclass(frozen=True)
class Kept:
    """Something that lies there: its name, when it was last changed (seconds since 1970), and its bytes."""

    name: str
    time: float
    size: int


# Gradio removes files that it knows of after an hour (page.py); these take what it leaves: folders, and all that an earlier service left.
DOWNLOADS = Limit(2 * HOUR, 2_000, 200 << 20)
UPLOADS = Limit(2 * HOUR, 10_000, 1 << 30)  # long before that, limits.MOST_KEPT refuses new ones: what was just uploaded is in use
JOBS = Limit(90 * DAY, 1_000, 20 << 30)  # since the job has ended
HALF = Limit(DAY, 1_000, 20 << 30)  # what a stop in mid-write left beside the jobs; younger ones are being written
VIEWS = Limit(365 * DAY, 10_000, 2 << 30)


def over(found: Iterable[Kept], limit: Limit, now: float) -> list[str]:
    """Names of what is beyond a limit: too old, or not among the newest that fit count and bytes."""
    gone, count, size = [], 0, 0
    for item in sorted(found, key=lambda item: (-item.time, item.name)):
        count, size = count + 1, size + item.size
        if now - item.time > limit.seconds or count > limit.count or size > limit.size:
            gone.append(item.name)
    return gone


def purge_files(uploads: Path) -> int:
    """Remove uploads and downloads beyond their limits from the page's folder; returns how many."""
    gone = [uploads / name for name in over(_lying(uploads, lambda path: path.name != DOWNLOADED), UPLOADS, time.time())]
    gone += [uploads / DOWNLOADED / name for name in over(_lying(uploads / DOWNLOADED), DOWNLOADS, time.time())]
    return _removed(gone)


def purge_jobs(jobs: Jobs) -> int:
    """Remove ended jobs beyond their limit, and what was left half written; returns how many.

    A retrain stays as long as its model does: it says which corrections that model has learnt.
    """
    ended = []
    for job in jobs.ids():
        with contextlib.suppress(NoJobError):
            if not jobs.state(job).open and not _is_model_there(jobs.folder(job)):
                ended.append(_kept(jobs.folder(job), jobs.folder(job) / STATE))
    gone = over(ended, JOBS, time.time())
    for job in gone:
        with contextlib.suppress(FramewireError):  # removed by another service in between
            jobs.delete(job)
    half = over(_lying(jobs.home, lambda path: path.name.startswith(".") and path.is_dir()), HALF, time.time())
    return len(gone) + _removed([jobs.home / name for name in half])


def purge_views(store: Store) -> int:
    """Remove views beyond their limit; returns how many. Raises StoreError."""
    gone = over((Kept(name, moment, size) for name, moment, size in store.views()), VIEWS, time.time())
    store.drop_views(gone)
    return len(gone)


@contextlib.asynccontextmanager
async def purging(uploads: Path, jobs: Jobs, store: Store) -> AsyncIterator[None]:
    """Purge now and every EVERY_SECONDS, beside the requests, for as long as the service runs."""

    async def again() -> None:
        while True:
            await asyncio.to_thread(purge, uploads, jobs, store)
            await asyncio.sleep(EVERY_SECONDS)

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def purge(uploads: Path, jobs: Jobs, store: Store) -> None:
    """Everything once. What cannot be removed now is tried again the next time, and logged."""
    parts: dict[str, Callable[[], int]] = {
        "files": lambda: purge_files(uploads),
        "jobs": lambda: purge_jobs(jobs),
        "views": lambda: purge_views(store),
    }
    for name, part in parts.items():
        try:
            removed = part()
            if removed:
                log.info("purged", extra={"fields": {"kind": name, "removed": removed}})
        except (OSError, ValueError, FramewireError) as error:
            log.warning("not purged", extra={"fields": {"kind": name, "error": type(error).__name__}})


def _is_model_there(folder: Path) -> bool:
    try:
        return Path(json.loads((folder / RESULT).read_text(encoding="utf-8"))["path"]).is_dir()
    except FileNotFoundError:
        return False


def _lying(home: Path, wanted: Callable[[Path], bool] = lambda _: True) -> Iterator[Kept]:
    """What lies in a folder; nothing where there is no such folder."""
    for path in home.iterdir() if home.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            if wanted(path):
                yield _kept(path, path)


def _kept(path: Path, dated: Path) -> Kept:
    """A file or folder with the bytes of all that is in it, as old as `dated`. Raises FileNotFoundError."""
    size = 0
    for file in [path, *path.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):
            size += file.lstat().st_size
    return Kept(path.name, dated.lstat().st_mtime, size)


def _removed(paths: list[Path]) -> int:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)  # half removed by another service: the next time
        else:
            path.unlink(missing_ok=True)
    return len(paths)
