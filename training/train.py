"""A training run from top to bottom: rows -> splits -> fit -> calibrate -> report -> model folder -> comparison."""

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from annotations import rows as annotated
from annotations import splits
from annotations.codebook import Codebook, Question
from annotations.errors import TrainingError
from annotations.rows import Annotation, Answer
from classifier.calibration import Calibration
from classifier.folder import Member, ModelFolder, write_json, write_manifest, written_beside
from classifier.models import Models
from classifier.network import Network
from training import baselines
from training.calibrate import calibrate
from training.card import card
from training.compare import MARGIN, Difference, compare
from training.evaluate import Judged, judge, summarize
from training.examples import build, goals
from training.fit import Task, fit_all
from training.metrics import figures, macro_f1
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


def train(
    path: Path | str,
    codebook: Codebook,
    settings: TrainingSettings,
    models: Models,
    out: Path | None = None,
    promote: bool = False,
    say: Say = lambda line: None,
) -> Run:
    """Fit a model on the rows at `path` and write its folder to `out` (default: a dated name among `models`).

    The promoted model stays untouched unless `promote` is set and the candidate is not worse. Raises RowsError and TrainingError.
    """
    rows = splits.assign(annotated.read(path, codebook))
    parts = checked_parts(rows, codebook)
    digest = data_digest(rows)
    key = hashlib.sha256(json.dumps([digest, codebook.fingerprint, dataclasses.asdict(settings)]).encode()).hexdigest()
    name = f"{datetime.date.today().isoformat()}-{key[:6]}"
    if out is None:
        out = _free(models.home / name)
    elif out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise TrainingError(f"{out}: is there already.", "Choose another --out, or remove it.")
    elif out.exists():
        out.rmdir()
    name = out.name
    say(f"{len(rows):,} rows: {len(parts['train']):,} to learn from, {len(parts['validation']):,} for thresholds, {len(parts['test']):,} to judge.")
    scratch = models.home / ".training" / key[:16]
    with written_beside(out) as beside:
        folder = _fitted(beside, name, parts["train"], codebook, settings, scratch, say)
        network = Network(folder)
        validation, test = judge(folder, parts["validation"], network), judge(folder, parts["test"], network)
        folder = dataclasses.replace(
            folder, calibrations={item: calibrate(judged.question, judged.logits, judged.goal) for item, judged in validation.items()}
        )
        report = {
            "model": name,
            "questions": summarize(test, folder.calibrations),
            "baselines": _baselines(folder, test, parts["train"], settings),
            "counts": _counts(parts),
        }
        write_json(beside / "report.json", report)
        write_json(beside / "settings.json", dataclasses.asdict(settings) | {"versions": _versions(), "data_sha256": digest})
        write_json(beside / "splits.json", {split: [row.id for row in part] for split, part in parts.items()})
        (beside / "README.md").write_text(card(folder, report, settings), encoding="utf-8")
        write_manifest(beside, folder)
    shutil.rmtree(scratch, ignore_errors=True)
    folder = ModelFolder.load(out)
    models.record("train", model=folder.name, path=str(out), rows=len(rows), data=digest[:12], seed=settings.seed, scores=_scores(report))
    differences, promoted = consider(folder, parts["test"], models, promote)
    return Run(folder, report, differences, promoted)


def consider(folder: ModelFolder, test: Sequence[Annotation], models: Models, promote: bool) -> tuple[list[Difference], bool]:
    """Compare with the promoted model and, if asked, promote the candidate where it is not worse on any question."""
    if not models.has_current():
        if promote:
            models.promote(folder.path, "first model")
        return [], promote
    promoted = ModelFolder.load(models.current())
    differences = compare(folder, promoted, test)
    if not promote or not differences or any(item.worse for item in differences):
        return differences, False
    models.promote(folder.path, f"not worse than {promoted.name} beyond {MARGIN} macro-F1", differences=[dataclasses.asdict(d) for d in differences])
    return differences, True


def checked_parts(rows: Sequence[Annotation], codebook: Codebook) -> dict[str, list[Annotation]]:
    """Rows by split. Raises TrainingError where they cannot teach: a split without rows, a leak, a label without positives."""
    parts = {split: [row for row in rows if row.split == split] for split in annotated.SPLITS}
    for split, part in parts.items():
        if not part:
            raise TrainingError(f"No rows in the split '{split}'.", "Add documents, or name splits in the rows; at least one document each.")
    leaks = splits.overlaps(rows)
    if leaks:
        row, held = leaks[0]
        raise TrainingError(
            f"{len(leaks)} texts stand in test and outside it, first '{row.id}' ({row.split}) and '{held.id}' (test).",
            "Remove one of each pair, or give both documents the same split.",
        )
    _contradictions(rows, codebook)
    for question in codebook.questions:
        taught = {label for row in parts["train"] for answer in _answers(row, question).values() for label in _labels(answer)}
        for label in question.label_names:
            if label not in taught:
                raise TrainingError(
                    f"The label '{label}' of '{question.name}' has no positive row to learn from.",
                    "Label some sentences with it, or take it out of the codebook.",
                )
    return parts


def _contradictions(rows: Sequence[Annotation], codebook: Codebook) -> None:
    """Refuse two rows of one document with the same text and other answers; in another document the words may mean another thing."""
    seen: dict[tuple[str, str, str, str], tuple[Answer, str]] = {}
    for row in rows:
        for question in codebook.questions:
            for target, answer in _answers(row, question).items():
                before, other = seen.setdefault((row.text, row.document, question.name, target), (answer, row.id))
                if before != answer:
                    raise TrainingError(
                        f"Rows '{other}' and '{row.id}' have the same text and contradict each other on '{question.name}'.",
                        "Adjudicate them and keep one.",
                    )


def _answers(row: Annotation, question: Question) -> Mapping[str, Answer]:
    """A row's answers to a question by target, "" for a question without."""
    answer = row.answers.get(question.name)
    if answer is None:
        return {}
    return answer if isinstance(answer, Mapping) else {"": answer}


def _labels(answer: Answer) -> tuple[str, ...]:
    return (answer,) if isinstance(answer, str) else answer


def _fitted(
    beside: Path, name: str, rows: Sequence[Annotation], codebook: Codebook, settings: TrainingSettings, scratch: Path, say: Say
) -> ModelFolder:
    """Fit every member and export it into `beside`; the model folder still without calibration."""
    members = members_of(codebook, settings)
    tasks = []
    for member in members:
        examples = build(rows, codebook, member, settings.context, settings.unsure_weight)
        say(f"Learning {' and '.join(member.questions)} from {len(examples):,} examples ...")
        tasks.append(Task(examples, codebook, member, settings, scratch / "-".join(member.questions), beside / member.folder))
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


def _baselines(folder: ModelFolder, test: dict[str, Judged], rows: Sequence[Annotation], settings: TrainingSettings) -> dict[str, Any]:
    """Majority and TF-IDF on the same rows; for a question per target also TF-IDF that does not see the target."""
    found: dict[str, Any] = {}
    for member in folder.members:
        for name, (examples, goal) in _training_goals(rows, folder, member).items():
            judged = test[name]
            question = judged.question
            if not len(goal) or not len(judged.goal):
                continue
            kinds = {"tf-idf": True, "target-blind": False} if question.per_target else {"tf-idf": True}
            choices = {"majority": baselines.majority(goal, len(judged.goal), question.choose)}
            for kind, sees in kinds.items():
                texts, asked = ([_words(e, sees) for e in some] for some in (examples, judged.examples))
                choices[kind] = baselines.tf_idf(texts, goal, asked, question.choose)
            found[name] = {kind: figures(question, judged.goal, chosen) for kind, chosen in choices.items()}
            if question.per_target:
                found[name] |= _by_target(folder, judged, {e.target for e in examples})
    return found


def _by_target(folder: ModelFolder, judged: Judged, known: set[str]) -> dict[str, Any]:
    """The model's macro-F1 on targets that training rows asked about, and on those that it never saw."""
    chosen = judged.chosen(folder.calibrations[judged.question.name])
    seen = np.array([example.target in known for example in judged.examples])
    parts = {"seen targets": seen, "unseen targets": ~seen}
    truth = judged.goal > 0.5
    return {name: {"rows": int(part.sum()), "macro_f1": macro_f1(truth[part], chosen[part])} for name, part in parts.items() if part.any()}


def _training_goals(rows: Sequence[Annotation], folder: ModelFolder, member: Member) -> dict[str, Any]:
    examples = build(rows, folder.codebook, member, context=False)
    found = {}
    for name in member.questions:
        asked, goal = goals(examples, member, folder.codebook, name)
        found[name] = ([examples[index] for index in asked], goal)
    return found


def _words(example: Any, sees_target: bool) -> str:
    return f"{example.input.first} {example.target}" if sees_target else example.input.first


def _counts(parts: dict[str, list[Annotation]]) -> dict[str, Any]:
    return {split: {"rows": len(part), "documents": len({row.document for row in part})} for split, part in parts.items()}


def _scores(report: dict[str, Any]) -> dict[str, float]:
    return {name: round(item["macro_f1"], 4) for name, item in report["questions"].items()}


def data_digest(rows: Sequence[Annotation]) -> str:
    """SHA-256 of the rows as they were learnt from, splits included."""
    lines = sorted(json.dumps(row.to_dict(), sort_keys=True, ensure_ascii=False) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in PACKAGES}


def _free(out: Path) -> Path:
    """`out`, or with a number where a run of the same inputs has its name already."""
    if not out.exists():
        return out
    return next(path for number in range(2, 10_000) if not (path := out.with_name(f"{out.name}-{number}")).exists())
