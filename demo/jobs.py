"""Long work (a corpus to score, a retrain): each job a folder with an id and a process of its own, which outlive the page and the service."""

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from annotations.errors import FramewireError, InputError, StoreError
from demo.serving import BusyError

ROOT = Path(__file__).resolve().parent.parent
JOB, STATE, CANCEL, LOCK, TURN, ERRORS = "job.json", "state.json", "cancel", "lock", ".turn", "errors.txt"
ENTRANCE = ".entrance"  # the lock under which jobs are added
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MOST_OPEN = 10  # jobs that wait or run before the next is told to come again
MOST_TRIES = 3  # starts of a job whose process keeps dying
_ID = re.compile(r"[A-Za-z0-9_-]{16}")
OPEN = ("waiting", "running")


class NoJobError(FramewireError):
    """No job has this id."""

    status = 404


class NoRoomError(FramewireError):
    """The disk is full."""

    status = 507


@dataclass(frozen=True)
class State:
    """Where a job is: "waiting", "running", "done", "failed" or "cancelled"; `share` of the work in [0, 1]; `words` for a reader."""

    state: str = "waiting"
    share: float = 0.0
    words: str = "Waiting for its turn."
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.state in OPEN


class Jobs:
    """The jobs in a folder. One works at a time, however many services share the folder; the others wait at its lock."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._started: list[subprocess.Popen[bytes]] = []

    def submit(self, kind: str, settings: Mapping[str, Any], files: Mapping[str, Path], alone: bool = False) -> str:
        """Keep a job with copies of its files (by their name in the job's folder), start its process and return its id.

        Raises what `check` does, NoRoomError when the disk is full, StoreError when it cannot be written to.
        """
        self.check(kind, alone)
        job = secrets.token_urlsafe(12)
        beside = self.home / f".{job}"
        try:
            beside.mkdir(mode=0o700, parents=True)
            for name, path in files.items():
                shutil.copyfile(path, beside / name)
            write_json(beside / STATE, dataclasses.asdict(State()))
            with self._entrance():
                self.check(kind, alone)  # again: another service may have added one meanwhile
                number = 1 + max((self._number(other) for other in self.ids()), default=0)
                write_json(beside / JOB, {"kind": kind, "created": _now(), "number": number, "settings": dict(settings), "tries": 0})
                beside.rename(self.home / job)
                self._start(job)
        except OSError as error:
            shutil.rmtree(self.home / job, ignore_errors=True)
            if error.errno in FULL:
                raise NoRoomError("The job cannot be kept: the disk is full.", "Make room, then try again.") from None
            raise StoreError(f"The job cannot be kept ({error.strerror}).", "Check the folder of the models and its permissions.") from None
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return job

    def check(self, kind: str, alone: bool = False) -> None:
        """Raise BusyError when MOST_OPEN jobs are open, InputError when the job is to be `alone` and one of its kind is open."""
        if alone and any(self._open(job) for job in self.ids(kind)):
            raise InputError(f"A {kind} is under way.", "Wait for it, or cancel it.")
        if sum(self._open(job) for job in self.ids()) >= MOST_OPEN:
            raise BusyError("Too many jobs are waiting.", "Try again when one has ended.")

    @contextlib.contextmanager
    def _entrance(self) -> Iterator[None]:
        """One addition at a time, of all services; the kernel frees the lock of a process that dies."""
        with (self.home / ENTRANCE).open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _number(self, job: str) -> int:
        """A job's place in the order; not its time, since clocks are set back."""
        try:
            return int(self.describe(job).get("number", 0))
        except NoJobError:
            return 0

    def ids(self, kind: str = "") -> list[str]:
        """The ids of all jobs (of a kind), oldest first."""
        found = [path.name for path in self.home.glob("*") if _ID.fullmatch(path.name) and (path / JOB).is_file()]
        described = []
        for job in found:
            with contextlib.suppress(NoJobError):  # removed by somebody else in between
                described.append((job, self.describe(job)))
        described.sort(key=lambda pair: (pair[1].get("number", 0), str(pair[1]["created"])))
        return [job for job, about in described if not kind or about["kind"] == kind]

    def folder(self, job: str) -> Path:
        """The folder of a job. Raises NoJobError."""
        folder = self.home / job
        if not _ID.fullmatch(job) or not (folder / JOB).is_file():
            raise NoJobError("There is no job of this id.", "It may have been removed; ended jobs are kept for 90 days.")
        return folder

    def describe(self, job: str) -> dict[str, Any]:
        """Kind, time and settings, as they were submitted. Raises NoJobError."""
        try:
            found: dict[str, Any] = json.loads((self.folder(job) / JOB).read_text(encoding="utf-8"))
        except FileNotFoundError:  # removed in between
            raise NoJobError("There is no job of this id.", "It may have been removed; ended jobs are kept for 90 days.") from None
        return found

    def state(self, job: str) -> State:
        """How far a job is; one whose process died without a word has failed. Raises NoJobError."""
        folder = self.folder(job)
        try:
            found = read_state(folder)
            if found.open and not self._alive(job):
                found = read_state(folder)  # it may have ended between the two looks
                if found.open:
                    words = "Its process ended before its time (was memory short?). Nothing that was uploaded is lost: start it again."
                    return dataclasses.replace(found, state="failed", words=words)
        except FileNotFoundError:  # removed in between
            raise NoJobError("There is no job of this id.", "It may have been removed; ended jobs are kept for 90 days.") from None
        return found

    def cancel(self, job: str) -> State:
        """Ask an open job to stop; it does within a second or two. Raises NoJobError."""
        state = self.state(job)
        if state.open:
            (self.folder(job) / CANCEL).touch()
            return dataclasses.replace(state, words="Stopping ...")
        return state

    def delete(self, job: str) -> None:
        """Remove a job that is not open, with everything in its folder. Raises NoJobError, InputError."""
        if self.state(job).open:
            raise InputError("The job is still open.", "Cancel it first.")
        beside = self.home / f".{job}"  # in one step, so that nobody meets half a job
        with contextlib.suppress(FileNotFoundError):  # removed by another service in between
            self.folder(job).rename(beside)
        shutil.rmtree(beside, ignore_errors=True)

    def _open(self, job: str) -> bool:
        with contextlib.suppress(NoJobError):  # removed in between
            return self.state(job).open
        return False

    def resume(self) -> None:
        """Start again what a stop of the machine cut off; to be called when the service starts."""
        for job in self.ids():
            if read_state(self.folder(job)).open and not self._alive(job):
                about = self.describe(job)
                if about["tries"] < MOST_TRIES:
                    write_json(self.folder(job) / JOB, about | {"tries": about["tries"] + 1})
                    self._start(job)

    def _start(self, job: str) -> None:
        """Start a job's process, unless another service did."""
        self._started = [process for process in self._started if process.poll() is None]
        folder = self.folder(job)
        with (folder / LOCK).open("a") as lock, (folder / ERRORS).open("ab") as errors:
            if not _taken(lock):
                return
            # The process is handed the lock, so that no other service takes it for dead before it has begun. Our own interpreter and a path
            # of ours, no shell; a session of its own, so that Ctrl+C on the service does not reach it.
            command = [sys.executable, "-m", "demo.worker", str(folder), str(lock.fileno())]
            self._started.append(
                subprocess.Popen(  # noqa: S603
                    command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True, pass_fds=(lock.fileno(),)
                )
            )

    def _alive(self, job: str) -> bool:
        """Whether a process holds the job, here or in another service."""
        return held(self.folder(job) / LOCK)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def held(path: Path) -> bool:
    """Whether a process holds the lock of a file; the kernel frees that of a process that dies."""
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not take each other for the holder
        except BlockingIOError:
            return True
    return False


def _taken(lock: TextIO) -> bool:
    """Take a job's lock. Tried for two seconds, since whoever asks whether a process lives holds it for a moment."""
    for _ in range(20):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.1)
    return False


def read_state(folder: Path) -> State:
    """What a job's process last wrote."""
    return State(**json.loads((folder / STATE).read_text(encoding="utf-8")))


def write_json(path: Path, value: Any) -> None:
    """Write beside and rename, so that a reader never meets half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    beside.write_text(json.dumps(value, ensure_ascii=False, default=str), encoding="utf-8")
    beside.replace(path)
