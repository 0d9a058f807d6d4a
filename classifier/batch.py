"""Scoring whole files: in shards that survive a crash, with the user's columns kept and what cannot be scored listed."""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotations.errors import InputError
from classifier import files, language, outputs
from classifier.classifier import Classifier, checked_targets
from classifier.folder import MANIFEST, sha256
from classifier.predictions import Prediction
from classifier.records import Columns, Record
from classifier.sentences import LONGEST_SENTENCE, Sentence, split

SHARD_RECORDS = 4_000
SHARD_CHARACTERS = 500_000  # whichever comes first; what a crash loses and what memory holds
UNITS = ("document", "sentence")
STAMP = "job"
Counts = tuple[int, int, int]  # records read, lines written, records rejected
Progress = Callable[[int, int], None]  # called with records and sentences so far


@dataclass(frozen=True)
class Job:
    """What to score and where to put it. With `unit` "sentence" each row is one sentence and gives exactly one line."""

    inputs: tuple[str, ...]
    out: Path
    columns: Columns = field(default_factory=Columns)
    targets: tuple[str, ...] = ()
    unit: str = "document"


@dataclass(frozen=True)
class Done:
    """Counts of a finished job: records read, sentences written, and records that could not be scored (listed in `rejects`)."""

    records: int
    sentences: int
    rejected: int
    rejects: Path | None


@dataclass(frozen=True)
class Placed:
    """A record with its position in its document and the text before it there."""

    record: Record
    position: int
    previous: str


def run(classifier: Classifier, job: Job, progress: Progress = lambda records, sentences: None) -> Done:
    """Score all inputs into `job.out`.

    Shards are written beside the output as they are done; the same call after a crash goes on behind the last whole shard and ends in the
    same bytes. The output gets its name only when it is whole. Raises InputError when nothing can be read or written.
    """
    checked_targets(job.targets)
    outputs.check(job.out)
    names = inputs(job)
    with working(classifier, job, names) as parts:
        records = files.read_all(names, job.columns)
        shards = ((f"{number:06}", shard) for number, shard in enumerate(cut(placed(records, job.unit))))
        return finished(classifier, job, names, parts, score(classifier, job, shards, parts), progress)


@contextlib.contextmanager
def working(classifier: Classifier, job: Job, names: list[str], engine: str = "local") -> Iterator[Path]:
    """The folder of the job's shards, for this process alone. Raises InputError when another works on it or the disk does not take more."""
    lock = job.out.parent / f".{job.out.name}.lock"
    try:
        with _locked(lock):
            try:
                yield _parts(classifier, job, names, engine)
            finally:
                lock.unlink(missing_ok=True)
    except OSError as error:
        room = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "Make room and start the same command again; it goes on where it stopped." if room else "Check the folder and its permissions."
        raise InputError(f"{job.out}: cannot be written ({error.strerror or error}).", remedy) from None


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """One run for one output; the kernel frees the lock of a process that dies."""
    while True:
        with lock.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError("Another run is writing this output.", "Wait for it, or write to another file.") from None
            if lock.exists() and lock.stat().st_ino == os.fstat(stream.fileno()).st_ino:  # not removed by the run that had it
                yield
                return


def finished(classifier: Classifier, job: Job, names: list[str], parts: Path, counts: Iterable[Counts], progress: Progress) -> Done:
    """Wait for all shards, then join them into the output. Raises InputError when there were no rows."""
    done = Done(0, 0, 0, None)
    for read, written, rejected in counts:
        done = Done(done.records + read, done.sentences + written, done.rejected + rejected, None)
        progress(done.records, done.sentences)
    if not done.records:
        raise InputError("Nothing to score: the input holds no rows.", "Check the file.")
    targets = len(set(job.targets)) + (1 if job.columns.target else 0)
    rejects = outputs.assemble(parts, job.out, classifier.codebook, targets, names)
    (parts / STAMP).unlink()  # first, so that half-removed shards are never taken for whole ones
    shutil.rmtree(parts)
    return dataclasses.replace(done, rejects=rejects)


def inputs(job: Job) -> list[str]:
    """The files to read, without what an earlier run wrote into an input folder. Raises InputError where reading and writing would meet."""
    made = {job.out.resolve(), outputs.rejects_of(job.out).resolve()}
    for name in job.inputs:
        if name != files.STDIN and Path(name).resolve() in made:
            raise InputError(f"{name}: is written by this run.", "Write to another file.")
    names = [name for name in files.find(job.inputs) if name == files.STDIN or Path(name).resolve() not in made]
    if not names:
        raise InputError("Nothing to score: the folder holds only what an earlier run wrote.")
    return names


def _parts(classifier: Classifier, job: Job, names: list[str], engine: str) -> Path:
    """The folder of this job's shards, emptied when it belongs to another job, model or input."""
    described = [repr(job), engine, sha256(classifier.folder.path / MANIFEST)]
    for name in names:
        if name == files.STDIN:
            described.append(os.urandom(8).hex())  # what came through a pipe cannot be told from what comes now
        else:
            described.append(files.version(name))
    key = hashlib.sha256("\n".join(described).encode()).hexdigest()
    parts = job.out.parent / f".{job.out.name}.parts"
    stamp = parts / STAMP
    if not stamp.is_file() or stamp.read_text() != key:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        stamp.write_text(key)
    return parts


def placed(records: Iterable[Record], unit: str) -> Iterator[Placed]:
    """Each record with its position among the rows of its document and the text before it there; 0 and "" where a record is a document."""
    before: tuple[str, str] | None = None
    position, previous = 0, ""
    for record in records:
        here = (record.place.rsplit(":", 1)[0], record.document)
        if unit == "document" or here != before:
            before, position, previous = here, 0, ""
        yield Placed(record, position, previous)
        position += 1
        previous = record.text or previous


def cut(records: Iterable[Placed]) -> Iterator[list[Placed]]:
    """Shards of at most SHARD_RECORDS records, or of SHARD_CHARACTERS."""
    shard: list[Placed] = []
    characters = 0
    for item in records:
        shard.append(item)
        characters += len(item.record.text or "")
        if len(shard) >= SHARD_RECORDS or characters >= SHARD_CHARACTERS:
            yield shard
            shard, characters = [], 0
    if shard:
        yield shard


@dataclass
class _Shard:
    """A shard on its way: the lines that it will have, and the predictions that are there so far."""

    name: str
    counts: Counts
    whole: bool  # written by an earlier run
    lines: list[tuple[Record, Sentence, str | None]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    wanted: int = 0


def score(classifier: Classifier, job: Job, shards: Iterable[tuple[str, list[Placed]]], parts: Path) -> Iterator[Counts]:
    """Score shards of (name, records) into `parts`, in one stream, so that the network never waits between them; yields each one's counts
    (records, lines, rejects) once it is on disk.
    """
    waiting: deque[_Shard] = deque()

    def sentences() -> Iterator[Sentence]:
        for name, records in shards:
            before = _done_before(parts, name, len(records))
            shard = _Shard(name, before, True) if before else _prepared(job, name, records)
            waiting.append(shard)
            yield from [sentence for _, sentence, fault in shard.lines if fault is None]

    for prediction in classifier.predict(sentences(), job.targets):
        while len(waiting[0].predictions) == waiting[0].wanted:
            yield _written(classifier, job, waiting.popleft(), parts)
        waiting[0].predictions.append(prediction)
    while waiting:
        yield _written(classifier, job, waiting.popleft(), parts)


def _done_before(parts: Path, name: str, records: int) -> Counts | None:
    """The counts of a shard that an earlier run finished; the file of counts is written last, so that it vouches for the others."""
    try:
        read, sentences, rejected = json.loads((parts / f"{name}.counts").read_text())
    except (OSError, ValueError):
        return None
    if not all((parts / f"{name}.{ending}").is_file() for ending in ("jsonl", "rejects")):
        return None
    return (read, sentences, rejected) if read == records else None


def _prepared(job: Job, name: str, records: list[Placed]) -> _Shard:
    shard = _Shard(name, (0, 0, 0), False)
    for item in records:
        record = item.record
        try:
            shard.lines += [(record, sentence, None) for sentence in _sentences(item, job)]
        except InputError as error:
            shard.rejects.append({"place": record.place, "reason": str(error), "row": record.row})
            if job.unit == "sentence":
                shard.lines.append((record, Sentence(record.text or "", record.document, item.position), str(error)))
    shard.wanted = sum(fault is None for _, _, fault in shard.lines)
    shard.counts = len(records), len(shard.lines), len(shard.rejects)
    return shard


def _written(classifier: Classifier, job: Job, shard: _Shard, parts: Path) -> Counts:
    if shard.whole:
        return shard.counts
    predictions = iter(shard.predictions)
    unscored = Prediction(Sentence(""), (), classifier.codebook, classifier.folder.name)
    strict = job.out.suffix.lower() == ".jsonl"
    written = (
        outputs.line(record.row, next(predictions) if fault is None else dataclasses.replace(unscored, sentence=sentence, error=fault), strict)
        for record, sentence, fault in shard.lines
    )
    outputs.write_lines(parts / f"{shard.name}.jsonl", written)
    outputs.write_lines(parts / f"{shard.name}.rejects", map(outputs.encoded, shard.rejects))
    outputs.write_lines(parts / f"{shard.name}.counts", [outputs.encoded(shard.counts)])
    return shard.counts


def _sentences(item: Placed, job: Job) -> list[Sentence]:
    """What is scored of one record. Raises InputError with its fault."""
    record = item.record
    if record.fault is not None or record.text is None:
        raise InputError(f"{record.place}: {record.fault}.")
    target = str(record.row.get(job.columns.target) or "").strip() if job.columns.target else ""
    try:
        targets = checked_targets((target,) if target else ())
    except InputError as error:
        raise InputError(f"{record.place}: {error.problem}", error.remedy) from None
    if job.unit == "sentence":
        text = " ".join(record.text.split())
        if len(text) > LONGEST_SENTENCE:
            raise InputError(f"{record.place}: a sentence of {len(text):,} characters.", "Score it with --unit document.")
        return [Sentence(text, record.document, item.position, item.previous, targets=targets)]
    language.require_english(record.text, record.place)
    found = split(record.text, record.document)
    return [dataclasses.replace(sentence, targets=targets) for sentence in found] if targets else found
