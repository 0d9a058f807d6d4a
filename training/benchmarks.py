"""Public sets learnt and judged by their published protocols, with the training code of `framewire train`, beside TF-IDF and SetFit."""

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase, TrainerCallback

from annotations.codebook import Codebook
from annotations.errors import InputError
from annotations.rows import Annotation
from classifier.folder import Member
from training import baselines
from training.examples import Example, build, goals
from training.fit import fit, load
from training.metrics import figures
from training.parts import Parts, data_digest
from training.public_sets import SETS, PublicSet
from training.settings import TrainingSettings
from training.table import Record, RunTable, key_of, markdown, spread
from training.train import Say

LEARNERS = ("framewire", "tf-idf", "setfit")
BATCH = 64  # inputs judged at once

Figures = dict[str, float]


def run(
    folder: Path,
    names: Sequence[str],
    learners: Sequence[str],
    settings: TrainingSettings,
    seeds: Sequence[int],
    table: RunTable,
    say: Say,
    rates: bool = True,
) -> list[Record]:
    """Run what the table does not hold yet, seed by seed, and add it; all records that were asked for.

    `folder` holds a folder for each set, `seeds` replaces the protocol's where it is not empty; without
    `rates` only the learning rate of `settings` is tried. Raises InputError for an unknown set or learner.
    """
    for kind, given, known in (("set", names, tuple(SETS)), ("learner", learners, LEARNERS)):
        for unknown in set(given) - set(known):
            raise InputError(f"no {kind} '{unknown}'.", f"There are {', '.join(known)}.")
    records = []
    for public in (SETS[name] if rates else dataclasses.replace(SETS[name], rates=()) for name in names):
        rows = public.read(folder)
        for seed in seeds or public.seeds:
            for fold, parts in public.runs(rows, seed):
                for learner in learners:
                    records.append(_recorded(public, fold, parts, learner, dataclasses.replace(settings, seed=seed), table, say))
    return records


def _recorded(public: PublicSet, fold: str, parts: Parts, learner: str, settings: TrainingSettings, table: RunTable, say: Say) -> Record:
    """The record of one run, from the table or run now."""
    # TF-IDF knows neither encoder nor epochs, so that it need not be repeated for others.
    told = {} if learner == "tf-idf" else dataclasses.asdict(settings)
    digests = [data_digest(parts[split]) for split in ("train", "validation", "test")]
    key = key_of("benchmark", public.name, learner, digests, told, public.rates if learner == "framewire" else ())
    if key not in table.records:
        say(f"{public.name}, seed {settings.seed}{', ' + fold if fold else ''}: {learner}, {len(parts['train']):,} rows ...")
        begun = time.monotonic()
        found = _run(public, public.book(), parts, learner, settings)
        described = {"set": public.name, "learner": learner, "seed": settings.seed, "fold": fold, "settings": told}
        table.add({"key": key, "kind": "benchmark"} | described | found | {"seconds": round(time.monotonic() - begun, 1)})
    return table.records[key]


def _run(public: PublicSet, book: Codebook, parts: Parts, learner: str, settings: TrainingSettings) -> dict[str, Any]:
    member = Member(".", (book.questions[0].name,))
    if learner == "framewire":
        return _fine_tuned(public, book, member, parts, settings)
    examples = {split: build(parts[split], book, member, context=False) for split in ("train", "test")}
    texts = {split: [f"{item.input.first} {item.target}".strip() for item in found] for split, found in examples.items()}
    goal = {split: goals(found, member, book, member.questions[0])[1] for split, found in examples.items()}
    if learner == "tf-idf":
        chosen = baselines.tf_idf(texts["train"], goal["train"], texts["test"], "one")
    else:
        chosen = baselines.setfit(texts["train"], goal["train"], texts["test"], "one", settings.encoder, settings.seed)
    return {"figures": _figures(book, goal["test"], chosen, parts["test"])}


def _fine_tuned(public: PublicSet, book: Codebook, member: Member, parts: Parts, settings: TrainingSettings) -> dict[str, Any]:
    """The figures of one run: of the rate and epoch that are best on validation rows, or the mean or last of the epochs."""
    examples = {split: build(parts[split], book, member, settings.context) for split in ("train", "validation", "test")}
    tried: list[dict[str, Any]] = []
    for rate in public.rates or (settings.learning_rate,):
        plan = dataclasses.replace(settings, learning_rate=rate)
        judges = {split: examples[split] for split in ("validation", "test") if examples[split]}
        watch = _Epochs(load(book, member, plan)[1], judges, plan.max_tokens)
        with tempfile.TemporaryDirectory(prefix="framewire-benchmark-") as scratch:
            fit(examples["train"], book, member, plan, Path(scratch), [watch])
        for number, logits in enumerate(watch.found, 1):
            found = {split: _judged(book, member, examples[split], values, parts[split]) for split, values in logits.items()}
            tried.append({"learning_rate": rate, "epoch": number} | found)
    if public.pick == "mean":
        names = tried[0]["test"].keys()
        return {"figures": {name: float(np.mean([item["test"][name] for item in tried])) for name in names}, "epochs": tried}
    best = max(tried, key=lambda item: item["validation"]["macro_f1"]) if public.pick == "best" else tried[-1]
    return {"figures": best["test"], "picked": {key: best[key] for key in ("learning_rate", "epoch")}, "epochs": tried}


def _judged(book: Codebook, member: Member, examples: Sequence[Example], logits: NDArray[np.float64], rows: Sequence[Annotation]) -> Figures:
    _, goal = goals(examples, member, book, member.questions[0])
    chosen = np.zeros(goal.shape, dtype=np.bool_)
    chosen[np.arange(len(goal)), logits.argmax(axis=1)] = True  # the published protocols tune no thresholds
    return _figures(book, goal, chosen, rows)


def _figures(book: Codebook, goal: NDArray[np.float64], chosen: NDArray[np.bool_], rows: Sequence[Annotation]) -> Figures:
    """Macro-F1 and accuracy, and macro-F1 of each source where the test rows have several."""
    found = figures(book.questions[0], goal, chosen)
    result = {"macro_f1": found["macro_f1"], "accuracy": found["micro_f1"]}  # of one label a row, micro-F1 is accuracy
    sources = dict.fromkeys(row.source for row in rows)
    for source in sources if len(sources) > 1 else ():
        part = np.array([row.source == source for row in rows])
        result[f"macro_f1, {source}"] = figures(book.questions[0], goal[part], chosen[part])["macro_f1"]
    return result


class _Epochs(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Keeps the logits of the network after each epoch."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, judges: dict[str, list[Example]], max_tokens: int) -> None:
        self.tokenizer, self.judges, self.max_tokens = tokenizer, judges, max_tokens
        self.found: list[dict[str, NDArray[np.float64]]] = []

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        model.eval()
        self.found.append({split: self._logits(model, examples) for split, examples in self.judges.items()})
        model.train()

    def _logits(self, model: Any, examples: list[Example]) -> NDArray[np.float64]:
        order = sorted(range(len(examples)), key=lambda index: len(examples[index].input.first))
        parts = []
        with torch.no_grad():
            for begin in range(0, len(order), BATCH):
                some = [examples[index].input for index in order[begin : begin + BATCH]]
                pair = ([item.first for item in some], [item.second for item in some]) if some[0].second else ([item.first for item in some],)
                tokens = self.tokenizer(*pair, truncation=True, max_length=self.max_tokens, padding=True, return_tensors="pt")
                parts.append(model(**tokens).logits.double().numpy())
        logits = np.concatenate(parts)
        result = np.empty_like(logits)
        result[order] = logits
        return result


def summary(records: Sequence[Record]) -> str:
    """A Markdown table: a line for each set, learner, settings and figure; mean over folds, then mean and deviation over seeds."""
    groups: dict[tuple[str, str, str], dict[int, list[Figures]]] = {}
    for record in records:
        settings = record["settings"]
        words = f"{Path(settings['encoder']).name}, {settings['epochs']:g} epochs" if settings else "-"
        groups.setdefault((record["set"], record["learner"], words), {}).setdefault(record["seed"], []).append(record["figures"])
    lines = []
    for (name, learner, words), seeds in groups.items():
        shown = [figure for figure in next(iter(seeds.values()))[0] if figure.startswith(SETS[name].metric)]
        for figure in shown:
            means = [float(np.mean([found[figure] for found in folds])) for folds in seeds.values()]
            lines.append([name, learner, words, figure.replace("_f1", "-F1"), spread(means), len(means), SETS[name].published])
    return markdown(["set", "learner", "encoder", "figure", "mean ± deviation", "seeds", "published"], lines)
