"""A training run from top to bottom: rows -> splits -> fit -> calibrate -> report -> model folder -> comparison."""

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations import rows as annotated
from annotations import splits
from annotations.codebook import Codebook
from annotations.errors import TrainingError
from annotations.rows import Annotation
from classifier.calibration import Calibration
from classifier.folder import Member, ModelFolder, write_json, write_manifest, written_beside
from classifier.models import Models, PromotionError
from training import baselines, coders
from training.calibrate import calibrate
from training.card import card
from training.compare import MARGIN, Difference, compare
from training.distill import distill
from training.encoders import locate
from training.evaluate import by_target, judge, summarize
from training.examples import build
from training.parts import Parts, checked_parts, counts, data_digest, targets
from training.plot import FILE as PLOT
from training.plot import reliability_plot
from training.settings import TrainingSettings

PACKAGES = ("torch", "transformers", "datasets", "onnxruntime", "scikit-learn", "numpy")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What a training run made: the folder, its report, and how it compares with the promoted model (empty if there is none)."""

    folder: ModelFolder
    report: dict[str, Any]
    differences: list[Difference]
    promoted: bool
    refusal: str = ""  # why it was not promoted although that was asked


@dataclass(frozen=True)
class Parents:
    """Models that a run learns from: where its weights begin, and the teacher of its soft labels; None where there is none."""

    start: ModelFolder | None = None
    teacher: ModelFolder | None = None

    @classmethod
    def of(cls, settings: TrainingSettings, codebook: Codebook, models: Models) -> "Parents":
        """The models that `settings` name. Raises ModelFolderError, and TrainingError for a start that does not fit."""
        start, teacher = (ModelFolder.load(models.path(name)) if name else None for name in (settings.start, settings.teacher))
        if start:
            encoder = start.document("settings").get("encoder")
            if encoder != settings.encoder:
                raise TrainingError(f"{start.name} was made from the encoder {encoder}, not {settings.encoder}.", f"Add --encoder {encoder}.")
            if start.members != members_of(codebook, settings):
                raise TrainingError(f"{start.name} has other checkpoints than this run would make.", "Use its questions and --encoders.")
        return cls(start, teacher)


NOBODY = Parents()


def train(
    path: Path | str | Sequence[Path],
    codebook: Codebook,
    settings: TrainingSettings,
    models: Models,
    out: Path | None = None,
    promote: bool = False,
    say: Say = lambda line: None,
    setfit: bool = False,
    without: Collection[str] = (),
) -> Run:
    """Fit a model on the rows at `path` (or several) and write its folder to `out` (default: a dated name among `models`).

    The promoted model stays untouched unless `promote` is set and the candidate is not worse. `setfit` adds that baseline to the report.
    Rows by the coders in `without` are left out, and then it does not matter that there are fewer than before.
    Raises RowsError, InputError and TrainingError, all before torch is imported where rows or encoder are at fault.
    """
    rows = splits.assign(annotated.without(annotated.read(path, codebook), without))
    parts = checked_parts(rows, codebook)
    locate(settings.encoder)
    parents = Parents.of(settings, codebook, models)
    if setfit and not baselines.has_setfit():
        raise TrainingError("SetFit is not installed.", "Install the extra: pip install 'framewire[setfit]', or leave --setfit out.")
    digest = data_digest(rows)
    key = hashlib.sha256(json.dumps([digest, codebook.fingerprint, dataclasses.asdict(settings)]).encode()).hexdigest()
    out = _place(out, models.home / f"{datetime.date.today().isoformat()}-{key[:6]}")
    name = out.name
    say(f"{len(rows):,} rows: {len(parts['train']):,} to learn from, {len(parts['validation']):,} for thresholds, {len(parts['test']):,} to judge.")
    scratch = models.home / ".training" / key[:16]
    with written_beside(out) as beside:
        folder = learn(beside, name, parts, codebook, settings, scratch, say, parents)
        say(f"Judging on {len(parts['test']):,} test rows, and fitting the baselines ...")
        report = document(beside, folder, parts, settings, digest, [Path(path)] if isinstance(path, str | Path) else path, setfit)
    shutil.rmtree(scratch, ignore_errors=True)
    folder = ModelFolder.load(out)
    models.record("train", model=folder.name, path=str(out), rows=len(rows), data=digest[:12], seed=settings.seed, scores=_scores(report))
    differences, promoted, refusal = consider(folder, parts["test"], models, promote, fewer=bool(without))
    return Run(folder, report, differences, promoted, refusal)


def document(
    place: Path, folder: ModelFolder, parts: Parts, settings: TrainingSettings, digest: str, paths: Sequence[Path], setfit: bool = False
) -> dict[str, Any]:
    """Judge a fitted and calibrated model on the test rows; write report, settings, split ids, plot, card and manifest to `place`.

    Returns the report. `paths` are where the rows came from, since their coders' files lie beside them.
    """
    codebook = folder.codebook
    test = judge(folder, parts["test"])
    known = targets(parts["train"], codebook)
    report: dict[str, Any] = {
        "model": folder.name,
        "questions": summarize(test, folder.calibrations),
        "baselines": baselines.compared(folder, test, parts["train"], settings, setfit),
        "coders": coders.ceiling(parts["test"], coders.beside(paths, codebook), codebook),
        "counts": counts(parts),
    }
    for question, item in report["questions"].items():
        if codebook.question(question).per_target:
            item["targets"] = by_target(test[question], folder.calibrations[question], known[question])
    write_json(place / "report.json", report)
    write_json(place / "settings.json", dataclasses.asdict(settings) | {"versions": _versions(), "data_sha256": digest})
    write_json(place / "splits.json", {split: [row.id for row in part] for split, part in parts.items()})
    (place / PLOT).write_text(reliability_plot(report["questions"]), encoding="utf-8")
    (place / "README.md").write_text(card(folder, report, settings), encoding="utf-8")
    write_manifest(place, folder)
    return report


def learn(
    place: Path,
    name: str,
    parts: Parts,
    codebook: Codebook,
    settings: TrainingSettings,
    scratch: Path,
    say: Say = lambda line: None,
    parents: Parents = NOBODY,
) -> ModelFolder:
    """Fit on `parts["train"]` and calibrate on `parts["validation"]`.

    The model folder is in `place`, still without manifest and documents.

    `framewire train`, trials and benchmarks all learn here.
    """
    folder = _fitted(place, name, parts["train"], codebook, settings, scratch, say, parents)
    calibrations = folder.calibrations | {
        question: calibrate(judged.question, judged.logits, judged.goal) for question, judged in judge(folder, parts["validation"]).items()
    }
    return dataclasses.replace(folder, calibrations=calibrations)


def consider(
    folder: ModelFolder, test: Sequence[Annotation], models: Models, promote: bool, fewer: bool = False
) -> tuple[list[Difference], bool, str]:
    """Compare with the promoted model and, if asked, promote the candidate where it is not worse on any question.

    Unless `fewer` is set, it must not have learnt from fewer rows either.

    The last of what is returned says why the candidate was not promoted, "" where it was or nobody asked.
    """
    if not models.has_current():
        if promote:
            models.promote(folder.path, "first model")
        return [], promote, ""
    before = models.current()
    promoted = ModelFolder.load(before)
    differences = compare(folder, promoted, test)
    refusal = _refusal(folder, promoted, differences, fewer)
    if not promote or refusal:
        return differences, False, refusal if promote else ""
    reason, shown = f"not worse than {promoted.name} beyond {MARGIN} macro-F1", [dataclasses.asdict(item) for item in differences]
    try:
        models.promote(folder.path, reason, before.name, differences=shown)
    except PromotionError as error:  # it was compared with a model that serves no longer
        return differences, False, error.problem.rstrip(".").lower()
    return differences, True, ""


def _refusal(candidate: ModelFolder, promoted: ModelFolder, differences: list[Difference], fewer: bool) -> str:
    """Why a candidate must not take the promoted model's place, "" if it may."""
    if not differences:
        return "no question in common with the promoted model to compare by"
    if any(item.worse for item in differences):
        return "worse than the promoted model"
    if fewer or candidate.codebook.fingerprint != promoted.codebook.fingerprint:
        return ""  # another codebook starts anew, with the rows that it has
    ours, theirs = (folder.document("report").get("counts", {}).get("train", {}).get("rows", 0) for folder in (candidate, promoted))
    # Judged on the candidate's own test documents alone: a small set has few and easy ones.
    return f"it learnt from {ours:,} rows and the promoted model from {theirs:,}" if ours < theirs else ""


def _fitted(
    beside: Path,
    name: str,
    rows: Sequence[Annotation],
    codebook: Codebook,
    settings: TrainingSettings,
    scratch: Path,
    say: Say,
    parents: Parents,
) -> ModelFolder:
    """Fit every member and export it into `beside`; the model folder still without calibration."""
    from training.tasks import Task, fit_all  # here, not above: torch takes ten seconds to import, and bad rows are refused before

    members = members_of(codebook, settings)
    tasks = []
    for member in members:
        examples = build(rows, codebook, member, settings.context, settings.unsure_weight, bool(parents.teacher))
        if parents.teacher:
            say(f"Asking {parents.teacher.name} about {len(examples):,} examples of {' and '.join(member.questions)} ...")
            examples = distill(examples, codebook, member, parents.teacher)
        say(f"Learning {' and '.join(member.questions)} from {len(examples):,} examples ...")
        start = parents.start.path / member.folder if parents.start else None
        tasks.append(Task(examples, codebook, member, settings, scratch / "-".join(member.questions), beside / member.folder, start))
    with _alone(scratch):
        fit_all(tasks)
    plain = {question.name: Calibration.plain(question) for question in codebook.questions}
    return ModelFolder(beside, name, codebook, plain, members, settings.context, settings.max_tokens)


@contextlib.contextmanager
def _alone(scratch: Path) -> Iterator[None]:
    """One run at a time over the checkpoints of equal inputs; the kernel frees the lock of a process that dies."""
    scratch.mkdir(parents=True, exist_ok=True)
    with (scratch / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError("A run with the same rows and settings is under way.", "Wait for it, or stop it.") from None
        yield


def members_of(codebook: Codebook, settings: TrainingSettings) -> tuple[Member, ...]:
    """The checkpoints that a run makes: one for all questions, or one for each."""
    names = tuple(question.name for question in codebook.questions)
    if settings.encoders == "shared" or len(names) == 1:
        return (Member(".", names),)
    return tuple(Member(name, (name,)) for name in names)


def _scores(report: dict[str, Any]) -> dict[str, float]:
    return {name: round(item["macro_f1"], 4) for name, item in report["questions"].items()}


def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in PACKAGES}


def _place(out: Path | None, usual: Path) -> Path:
    """Where the model folder goes: `out`, which must be free, or `usual`, with a number where a run of the same inputs has it already."""
    if out is None:
        numbered = (usual.with_name(f"{usual.name}-{number}") for number in range(2, 10_000))
        return usual if not usual.exists() else next(path for path in numbered if not path.exists())
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise TrainingError(f"{out}: is there already.", "Choose another --out, or remove it.")
    if out.exists():
        out.rmdir()
    return out
