"""Learning curves and trials of settings: rows of some sources, a number of them, settings and a seed in; figures in a table out."""

import dataclasses
import itertools
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations import splits
from annotations.codebook import Codebook
from annotations.errors import TrainingError
from annotations.rows import Annotation
from classifier.calibration import Calibration
from classifier.folder import ModelFolder
from training.evaluate import Judged, judge
from training.metrics import figures
from training.parts import Parts, data_digest
from training.settings import TrainingSettings
from training.table import Record, RunTable, key_of, markdown, spread
from training.train import Say, learn

ALL = "all"


@dataclass(frozen=True)
class Trial:
    """One run: `sources` ("article", "article+pair", or "all"), how many rows to learn from (0: every one), settings with their seed."""

    sources: str
    rows: int
    settings: TrainingSettings


def grid(sources: Sequence[str], sizes: Sequence[int], settings: Sequence[TrainingSettings], seeds: Sequence[int]) -> list[Trial]:
    """Every combination, seeds outermost, so that a first curve is there after a first share of the time."""
    found = itertools.product(seeds, settings, sources, sizes)
    return [Trial(source, size, dataclasses.replace(setting, seed=seed)) for seed, setting, source, size in found]


def settings_of(base: TrainingSettings, words: str) -> TrainingSettings:
    """`base` with changes such as "epochs=3,learning_rate=1e-4". Raises TrainingError for an unknown name or a value of the wrong kind."""
    fields = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
    changes: dict[str, Any] = {}
    for item in filter(None, words.replace(" ", "").split(",")):
        name, _, value = item.partition("=")
        if name not in fields or not value:
            raise TrainingError(f"'{item}' is no setting.", f"Write NAME=VALUE with a name out of {', '.join(fields)}.")
        try:
            kind = type(fields[name])
            changes[name] = {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
        except (ValueError, KeyError):
            raise TrainingError(f"'{item}': {value} cannot be used.", f"{name} is {fields[name]!r} unless told.") from None
    return dataclasses.replace(base, **changes)


def chosen(rows: Sequence[Annotation], trial: Trial) -> list[Annotation]:
    """The rows of the trial's sources, in whole documents drawn with its seed until there are `trial.rows`; the last is cut.

    For one seed the smaller draw is a part of the larger. Raises TrainingError where there are too few.
    """
    wanted = trial.sources.split("+")
    found = [row for row in rows if trial.sources == ALL or row.source in wanted]
    if not found or len(found) < trial.rows:
        known = ", ".join(dict.fromkeys(row.source or "(none)" for row in rows))
        raise TrainingError(f"{len(found):,} rows to learn from have the source {trial.sources}, {trial.rows:,} are asked for.", f"Sources: {known}.")
    documents = sorted({row.document for row in found})
    random.Random(trial.settings.seed).shuffle(documents)  # noqa: S311  # a sample, not a secret
    place = {document: number for number, document in enumerate(documents)}
    drawn = sorted(found, key=lambda row: place[row.document])[: trial.rows or None]
    kept = {id(row) for row in drawn}
    return [row for row in found if id(row) in kept]


def run(trials: Sequence[Trial], parts: Parts, judges: dict[str, list[Annotation]], codebook: Codebook, table: RunTable, say: Say) -> list[Record]:
    """Run what the table does not hold yet and add it; the records of all `trials`, in their order.

    `judges` names the rows to judge on. A trial that is killed is run again from its beginning (a trial is minutes).
    """
    for name, held in judges.items():
        leaks = splits.overlaps([*parts["train"], *(dataclasses.replace(row, split="test") for row in held)])
        if leaks:
            raise TrainingError(f"{len(leaks)} texts to learn from stand among the rows of '{name}', as '{leaks[0][0].id}'.", "Remove them from one.")
    records = []
    digests = {name: data_digest(rows) for name, rows in (*judges.items(), ("validation", parts["validation"]))}
    for number, trial in enumerate(trials, 1):
        rows = chosen(parts["train"], trial)
        key = key_of("trial", data_digest(rows), digests, codebook.fingerprint, dataclasses.asdict(trial.settings))
        if key not in table.records:
            say(f"Trial {number} of {len(trials)}: {len(rows):,} rows of {trial.sources}, seed {trial.settings.seed} ...")
            begun = time.monotonic()
            scores = _scores({**parts, "train": rows}, judges, codebook, trial.settings)
            seconds = round(time.monotonic() - begun, 1)
            described = {"sources": trial.sources, "rows": len(rows), "every": not trial.rows, "settings": dataclasses.asdict(trial.settings)}
            table.add({"key": key, "kind": "trial"} | described | {"seconds": seconds, "scores": scores})
        records.append(table.records[key])
    return records


def _scores(parts: Parts, judges: dict[str, list[Annotation]], codebook: Codebook, settings: TrainingSettings) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="framewire-trial-") as place:
        folder = learn(Path(place) / "model", "trial", parts, codebook, settings, Path(place) / "scratch")
        return {
            name: {item: _figures(folder, judged) for item, judged in judge(folder, rows).items() if len(judged.goal)}
            for name, rows in judges.items()
        }


def _figures(folder: ModelFolder, judged: Judged) -> dict[str, Any]:
    """Macro-F1 with the thresholds that validation set and with plain ones (0.5, or the largest), and mean average precision."""
    calibration = folder.calibrations[judged.question.name]
    found = figures(judged.question, judged.goal, judged.chosen(calibration), judged.scores(calibration))
    plain = figures(judged.question, judged.goal, judged.chosen(Calibration.plain(judged.question)))
    return {"macro_f1": found["macro_f1"], "macro_f1_plain": plain["macro_f1"], "mean_average_precision": found["mean_average_precision"]}


def summary(records: Sequence[Record]) -> str:
    """A Markdown table: a line for each sources, rows, settings, judge and question, with mean and deviation over seeds."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    differing = _differing([record["settings"] for record in records])
    for record in records:
        words = ", ".join(f"{name} {record['settings'][name]}" for name in differing) or "-"
        for judged, questions in record["scores"].items():
            for question, found in questions.items():
                size = "every one" if record["every"] else f"{record['rows']:,}"
                groups.setdefault((judged, question, record["sources"], size, words), []).append(found | {"learnt": record["rows"]})
    lines = []
    for (judged, question, sources, size, words), found in groups.items():
        learnt = round(sum(item["learnt"] for item in found) / len(found))
        columns = [spread([item[name] for item in found]) for name in ("macro_f1", "macro_f1_plain")]
        precisions = [item["mean_average_precision"] for item in found if item["mean_average_precision"] is not None]
        columns.append(spread(precisions) if precisions else "-")
        lines.append([judged, question, sources, f"{learnt:,}" + (" (all)" if size == "every one" else ""), words, len(found), *columns])
    return markdown(["judged on", "question", "sources", "rows", "settings", "seeds", "macro-F1", "with plain thresholds", "mAP"], lines)


def _differing(settings: Sequence[dict[str, Any]]) -> list[str]:
    """The names of settings, seed apart, in which runs differ."""
    names = dict.fromkeys(name for one in settings for name in one)
    return [name for name in names if name != "seed" and len({str(one.get(name)) for one in settings}) > 1]
