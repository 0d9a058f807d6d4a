"""The process of one job: waits for its turn, does the work, and says how far it is."""

import contextlib
import dataclasses
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from annotations.errors import FramewireError
from demo.jobs import CANCEL, JOB, STATE, TURN, State, read_state, write_json

POLITE = 5  # nicer than the service, whose readers wait
LOOKS = 0.3  # seconds between two looks at a lock or a flag
_SHOWN = 0.5  # seconds between two words about progress


class CancelledError(Exception):
    """Somebody asked the job to stop."""


class Tell:
    """How a job says how far it is, and hears that it should stop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = 0.0

    def __call__(self, share: float, words: str, counts: Mapping[str, int] | None = None) -> None:
        """Write the state, at most twice a second. Raises CancelledError."""
        self.heed()
        now = time.monotonic()
        if now - self._last >= _SHOWN:
            self._last = now
            write_json(self._folder / STATE, dataclasses.asdict(State("running", min(share, 0.99), words, counts or {})))

    def heed(self) -> None:
        """Raise CancelledError when the job should stop."""
        if (self._folder / CANCEL).exists():
            raise CancelledError


def work(folder: Path) -> State:
    """Do the job in `folder` and return how it ended. Faults of the input and of the model end it in words."""
    from demo import corpus, retrain

    tell = Tell(folder)
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    try:
        with _turn(folder.parent / TURN, tell):
            tell(0.0, "Starting ...")
            return {"corpus": corpus.work, "retrain": retrain.work}[job["kind"]](folder, job["settings"], tell)
    except CancelledError:
        return dataclasses.replace(read_state(folder), state="cancelled", words="Cancelled.")
    except FramewireError as error:
        return dataclasses.replace(read_state(folder), state="failed", words=str(error))
    except MemoryError:
        return dataclasses.replace(read_state(folder), state="failed", words="The file unpacks to more than fits in memory.")


@contextlib.contextmanager
def _turn(path: Path, tell: Tell) -> Iterator[None]:
    """One job at a time. Looks again and again, since a wait in the kernel would hear no cancel."""
    with path.open("a") as stream:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            tell.heed()
            time.sleep(LOOKS)
        yield


def main(name: str, lock: int) -> int:
    """Work in the folder of this name. `lock` is the open file of the job's lock, which the service took for this process."""
    folder = Path(name).resolve()
    os.nice(POLITE)
    with os.fdopen(lock, "a"):
        os.set_inheritable(lock, False)  # what this process starts does not hold the job
        write_json(folder / STATE, dataclasses.asdict(work(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
