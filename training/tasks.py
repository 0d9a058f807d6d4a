"""Fitting all checkpoints of a model: each a task, side by side in processes where there are processors for it."""

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from annotations.codebook import Codebook
from annotations.errors import TrainingError
from classifier.folder import Member
from training.examples import Example
from training.export import export
from training.fit import fit
from training.settings import TrainingSettings


@dataclass(frozen=True)
class Task:
    """One checkpoint to be fitted from `examples` in `scratch`, beginning with the one at `start` if any, and exported to `out`."""

    examples: Sequence[Example]
    codebook: Codebook
    member: Member
    settings: TrainingSettings
    scratch: Path
    out: Path
    start: Path | None = None


def fit_all(tasks: Sequence[Task]) -> None:
    """Fit and export all checkpoints: side by side, one thread in each process, where there are threads for it, else one after the other.

    Small batches lose more to waiting threads than they gain: two processes of one thread outrun one process of two. A run of one
    thread gives the same weights as a process beside others. Raises TrainingError.
    """
    threads = torch.get_num_threads()
    if len(tasks) == 1 or threads < len(tasks) or torch.cuda.is_available():
        for task in tasks:
            _run(task, threads)
        return
    # Spawned, not forked: torch's threads do not live through a fork.
    processes = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(len(tasks), mp_context=processes, initializer=_ends_with_parent) as pool:
        running = [pool.submit(_run, task, threads // len(tasks)) for task in tasks]
        try:
            for future in concurrent.futures.as_completed(running):
                future.result()
        except BaseException as error:
            for process in list(pool._processes.values()):  # the others would go on for minutes; their checkpoints are kept
                process.terminate()
            if isinstance(error, concurrent.futures.process.BrokenProcessPool):
                raise TrainingError(
                    "A training process died; the system may have run out of memory.", "Start the same command again; it goes on."
                ) from None
            raise


def _run(task: Task, threads: int) -> None:
    torch.set_num_threads(threads)
    model, tokenizer = fit(task.examples, task.codebook, task.member, task.settings, task.scratch, start=task.start)
    export(model, tokenizer, task.out)


def _ends_with_parent() -> None:
    """A fit whose parent was killed ends too, instead of writing checkpoints that a resumed run is reading."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
