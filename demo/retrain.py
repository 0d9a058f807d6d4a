"""A retrain from the page: rows and corrections gathered, `framewire train` started as a process of its own, its verdict shown."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations import rows as annotated
from annotations import splits
from annotations.codebook import OURS as OUR_CODEBOOK
from annotations.codebook import Codebook
from annotations.errors import InputError, TrainingError
from annotations.rows import Annotation
from annotations.store import Store
from classifier.folder import ModelFolder
from demo.jobs import ROOT, Jobs, State, write_json
from demo.serving import Serving

ROWS, CODEBOOK, LOG, RESULT = "rows.jsonl", "codebook.toml", "log.txt", "result.json"
OPTIONS = ("encoder", "epochs", "learning_rate", "encoders", "frozen_layers")  # of the promoted model, which the retrain repeats
LOOKS = 0.5  # seconds between two looks at the log
SHOWN = 12  # lines of the log
_PERCENT = re.compile(r"(\d+)%\|")
_LEARNING, _AGAINST, _FOLDER = "Learning ", "Against the promoted model, ", "Model folder: "


@dataclass(frozen=True)
class Base:
    """The rows and codebook that a retrain starts from, besides the corrections."""

    annotations: Path = annotated.OURS
    codebook: Path = OUR_CODEBOOK


@dataclass(frozen=True)
class Gathered:
    """All rows of a retrain; the numbers of the corrections among them; why others were left out."""

    rows: list[Annotation]
    used: list[int]
    left: Counter[str]


def gather(store: Store, base: Base) -> Gathered:
    """Rows and corrections in one list. Raises RowsError, CodebookError, StoreError.

    Corrections only ever teach: their split is "train", so that no coder can bend the documents that judge. Those of a held-out
    document or text, and those whose coder could not tell, are left out.
    """
    codebook = Codebook.load(base.codebook)
    rows = splits.assign(annotated.read(base.annotations, codebook))
    split_of = {row.document: row.split for row in rows}
    taught = [dataclasses.replace(row, split="train") for row in store.rows(codebook)]
    leaks = {row.id for row, _ in splits.overlaps([*rows, *taught])}
    kept, left = [], Counter[str]()
    for row in taught:
        if row.unsure:
            left["the coder could not tell"] += 1
        elif row.id in leaks or split_of.get(row.document, "train") != "train":
            left["the text belongs to those that judge models"] += 1
        else:
            kept.append(row)
    replaced = {(row.document, row.text) for row in kept}  # the coder's word is the later one
    rows = [row for row in rows if (row.document, row.text) not in replaced]
    return Gathered(rows + kept, [int(row.id.rsplit("-", 1)[1]) for row in kept], left)


def submit(jobs: Jobs, serving: Serving, store: Store, base: Base, epochs: float) -> str:
    """Start a retrain from the promoted model's weights, with its settings and this many passes; returns the job's id.

    Raises InputError when there is nothing new to learn or a retrain is open already, and what `gather` raises.
    """
    jobs.check("retrain", alone=True)
    gathered = gather(store, base)
    if not gathered.used:
        reasons = "; ".join(f"{number} left out since {reason}" for reason, number in gathered.left.items())
        raise InputError(f"No correction can be learnt from{': ' + reasons if reasons else ''}.", "Correct some sentences first.")
    folder = serving.classifier().folder
    known = folder.document("settings")
    # By name where the shelf has it: what a model's settings say must not hold a path of this machine.
    start = folder.path.name if folder.path.parent.resolve() == serving.models.home.resolve() else str(folder.path.resolve())
    options = {name: known[name] for name in OPTIONS if name in known} | {"epochs": epochs, "start": start}
    settings = {"options": options, "used": gathered.used, "left": dict(gathered.left), "models": str(serving.models.home.resolve())}
    with tempfile.TemporaryDirectory(prefix="framewire-") as place:
        annotated.write(Path(place) / ROWS, gathered.rows)
        return jobs.submit("retrain", settings, {ROWS: Path(place) / ROWS, CODEBOOK: base.codebook}, alone=True)


def work(folder: Path, settings: Mapping[str, Any], tell: Any) -> State:
    """Run `framewire train` on the job's rows, without promoting. Raises TrainingError in the command's own words."""
    command = [sys.executable, "-m", "framewire", "train", "--annotations", str(folder / ROWS), "--codebook", str(folder / CODEBOOK)]
    for name, value in settings["options"].items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    env = os.environ | {"FRAMEWIRE_MODELS": settings["models"], "PYTHONUNBUFFERED": "1", "COLUMNS": "100"}
    questions = len(Codebook.load(folder / CODEBOOK).questions) if settings["options"].get("encoders") == "per_question" else 1
    with (folder / LOG).open("ab") as log:
        # Our own interpreter and paths and numbers of ours, no shell.
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
    try:
        while process.poll() is None:
            tell(*_progress(lines(folder), questions))
            time.sleep(LOOKS)
    finally:
        _stop(process)
    said = lines(folder)
    made = next((line.removeprefix(_FOLDER) for line in reversed(said) if line.startswith(_FOLDER)), None)
    if process.returncode != 0 or made is None:
        fault = next((line.removeprefix("framewire: ") for line in said if line.startswith("framewire: ")), "The training ended before its time.")
        raise TrainingError(fault)
    against = [line for line in said if line.startswith(_AGAINST)]
    name = ModelFolder.load(made).name
    worse = not against or any(not line.endswith(": not worse.") for line in against)
    write_json(
        folder / RESULT, {"model": name, "path": made, "against": against, "worse": worse, "report": ModelFolder.load(made).document("report")}
    )
    return State("done", 1.0, f"Made model {name}.", {"corrections": len(settings["used"])})


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def lines(folder: Path) -> list[str]:
    """What the training has said so far; of a bar that is drawn over itself, its last state."""
    try:
        text = (folder / LOG).read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return []
    found = (line.rsplit("\r", 1)[-1].strip() for line in text.replace("\r\n", "\n").split("\n"))
    return [line for line in found if line]


def _progress(said: list[str], questions: int) -> tuple[float, str]:
    """Share of the work and words: each question is learnt in turn; reading, calibrating and judging are counted as a twentieth each."""
    started = sum(line.startswith(_LEARNING) for line in said)
    if not started:
        return 0.0, "Reading the rows ..."
    last = next(line for line in reversed(said) if line.startswith(_LEARNING))
    percents = [int(match.group(1)) for match in map(_PERCENT.search, said[said.index(last) :]) if match]
    part = percents[-1] / 100 if percents else 0.0
    words = last if part < 1 else "Calibrating and judging ..." if started >= questions else last
    return 0.05 + 0.9 * (started - 1 + part) / max(started, questions), words


def result(jobs: Jobs, job: str) -> dict[str, Any] | None:
    """What a retrain made: `model, path, against, worse, report`; None until it is done. Raises NoJobError."""
    try:
        found: dict[str, Any] = json.loads((jobs.folder(job) / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def waiting(jobs: Jobs, serving: Serving, store: Store) -> list[int]:
    """Numbers of the standing corrections that the serving model has not learnt from."""
    serves = serving.classifier().folder.name
    learnt: set[int] = set()
    for job in jobs.ids("retrain"):
        made = result(jobs, job)
        if made is not None and made["model"] == serves:
            learnt = set(jobs.describe(job)["settings"]["used"])
    return [item["number"] for item in store.history() if not item["undone"] and item["number"] not in learnt]


def promote(jobs: Jobs, serving: Serving, job: str, anyway: bool, who: str) -> str:
    """Make a retrain's model the one that serves and return its name.

    Raises InputError where it serves already, or is worse and `anyway` is not set; PromotionError where somebody else was first.
    """
    made = result(jobs, job)
    if made is None:
        raise InputError("This retrain has made no model yet.", "Wait until it is done.")
    if made["worse"] and not anyway:
        raise InputError("The new model is worse than the promoted one, or cannot be compared.", "Tick the box to promote it all the same.")
    before = serving.models.current_name()
    if before == Path(made["path"]).name:
        raise InputError(f"{made['model']} serves already.")
    serving.models.promote(Path(made["path"]), f"from the page by {who}", before, worse=made["worse"])
    return str(made["model"])


def rollback(serving: Serving) -> str:
    """Go back to the model that was promoted before and return its name. Raises ModelFolderError when there is none."""
    return serving.models.rollback(serving.models.current_name()).name
