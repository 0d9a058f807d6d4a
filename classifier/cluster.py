"""Scoring over Ray Data: the shards of a batch run, read by tasks and scored by a pool of actors that each load the model once."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotations.errors import InputError
from classifier import batch, files, outputs
from classifier.batch import Counts, Done, Job, Placed, Progress
from classifier.classifier import Classifier, checked_targets

BLOCK = 1  # bytes; a block of Ray Data then holds one shard, so that the shards of one file go to different actors
ADDRESS = "RAY_ADDRESS"  # Ray's own name for the cluster to join


def run(classifier: Classifier, job: Job, progress: Progress = lambda records, sentences: None, actors: int | None = None) -> Done:
    """Score as `batch.run` does, with the same rows in the output, on the cluster at RAY_ADDRESS or, without one, on this machine.

    Each input file is read by one task, through fsspec where it is an address; each of `actors` (default: one for each processor of the
    cluster) scores with one thread. What an actor had under way when it died is scored again by another. Shards meet in the folder of the
    output, which all machines must see, as they must the model. Raises InputError when Ray is missing or cannot run.
    """
    ray = started()
    checked_targets(job.targets)
    outputs.check(job.out)
    names = batch.inputs(job)
    if files.STDIN in names:
        raise InputError("Standard input cannot be shared among machines.", "Write it to a file, or use --engine local.")
    job = dataclasses.replace(job, out=job.out.resolve())
    with batch.working(classifier, job, names, "ray") as parts:
        counts = _counts(ray, str(classifier.folder.path.resolve()), job, names, parts, actors)
        return batch.finished(classifier, job, names, parts, counts, progress)


def started(processors: int | None = None) -> Any:
    """The module ray, joined to the cluster at RAY_ADDRESS or to one of its own on this machine. Raises InputError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported over the network
    if not os.environ.get(ADDRESS):
        # Ray turns 127.0.0.1 into the machine's outer address and listens everywhere; only this setting, meant for other systems, stops it.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("Ray is not installed.", "Run 'pip install framewire[ray]', or use --engine local.") from None
    if not ray.is_initialized():
        try:
            if os.environ.get(ADDRESS):
                ray.init(log_to_driver=False)
            else:
                ray.init(num_cpus=processors, include_dashboard=False, log_to_driver=False)
        except Exception as error:  # Ray raises plain Exception when its processes are slow to come up
            raise InputError(f"Ray cannot start ({str(error).splitlines()[0]}).", f"Check {ADDRESS}, or use --engine local.") from None
    return ray


def _counts(ray: Any, model: str, job: Job, names: list[str], parts: Path, actors: int | None) -> Iterator[Counts]:
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = BLOCK
    context.enable_progress_bars = False
    size = actors or max(1, int(ray.cluster_resources().get("CPU", 1)))
    listed = [{"number": number, "name": name, "alone": len(names) == 1} for number, name in enumerate(names)]
    read = ray.data.from_items(listed, override_num_blocks=len(listed)).flat_map(_read, fn_kwargs={"job": job}, num_cpus=0.1)
    scored = read.map_batches(
        _Scorer,
        fn_constructor_kwargs={"model": model, "job": job, "parts": str(parts)},
        batch_size=1,
        num_cpus=0.9 if size > 1 else 0.5,  # room for the tasks that read
        compute=ray.data.ActorPoolStrategy(size=size),
    )
    try:
        for row in scored.iter_rows():
            if row["fault"]:
                raise InputError(row["fault"])
            yield int(row["read"]), int(row["written"]), int(row["rejected"])
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1][:300]
        raise InputError(f"Ray gave up: {reason}", "Start the same command again; it goes on where it stopped.") from None


def _read(item: dict[str, Any], job: Job) -> Iterator[dict[str, Any]]:
    """The shards of one file as {name, records, fault}; names sort in the order of the input."""
    try:
        records = files.read_all([item["name"]], job.columns, alone=item["alone"])
        for number, shard in enumerate(batch.cut(batch.placed(records, job.unit))):
            yield {"shard": f"{item['number']:06}-{number:06}", "records": _Records(shard), "fault": ""}
    except InputError as error:
        yield {"shard": f"{item['number']:06}", "records": _Records([]), "fault": str(error)}


@dataclasses.dataclass(frozen=True)
class _Records:
    """A shard as one value of a Ray row; a bare list would become a column of its own."""

    items: list[Placed]


class _Scorer:
    """An actor: one model, one thread."""

    def __init__(self, model: str, job: Job, parts: str) -> None:
        self.classifier = Classifier(model, threads=1)
        self.job, self.parts = job, Path(parts)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, list[Any]] = {"read": [], "written": [], "rejected": [], "fault": []}
        for name, records, fault in zip(rows["shard"], rows["records"], rows["fault"], strict=True):
            shards = [] if fault else [(str(name), records.items)]
            counts = next(batch.score(self.classifier, self.job, shards, self.parts), (0, 0, 0))
            for key, value in zip(found, (*counts, str(fault)), strict=True):
                found[key].append(value)
        return found
