"""Scoring whole files: in shards that survive a crash, with the user's columns kept and what cannot be scored listed."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from annotations.errors import InputError
from classifier import files, language, outputs
from classifier.classifier import Classifier, checked_targets
from classifier.files import Columns, Record
from classifier.folder import MANIFEST, sha256
from classifier.predictions import Prediction
from classifier.sentences import LONGEST_SENTENCE, Sentence, split

SHARD_RECORDS = 1_000
SHARD_CHARACTERS = 2_000_000  # whichever comes first; what a crash loses and what memory holds
UNITS = ("document", "sentence")
STAMP = "job"


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


def run(classifier: Classifier, job: Job, progress: Callable[[int, int], None] = lambda records, sentences: None) -> Done:
    """Score all inputs into `job.out`.

    Shards are written beside the output as they are done; the same call after a crash goes on behind the last whole shard and ends in the
    same bytes. The output gets its name only when it is whole. Raises InputError when nothing can be read or written.
    """
    checked_targets(job.targets)
    outputs.check(job.out)
    names = _inputs(job)
    try:
        parts = _parts(classifier, job, names)
        done = Done(0, 0, 0, None)
        records = files.read_all(names, job.columns)
        for number, shard in enumerate(_shards(_placed(records, job.unit))):
            counts = _done_before(parts, number, len(shard)) or _score(classifier, job, shard, parts, number)
            done = Done(done.records + counts[0], done.sentences + counts[1], done.rejected + counts[2], None)
            progress(done.records, done.sentences)
        if not done.records:
            raise InputError("Nothing to score: the input holds no rows.", "Check the file.")
        targets = len(set(job.targets)) + (1 if job.columns.target else 0)
        rejects = outputs.assemble(parts, job.out, classifier.codebook, targets, names)
        (parts / STAMP).unlink()  # first, so that half-removed shards are never taken for whole ones
        shutil.rmtree(parts)
    except OSError as error:
        room = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "Make room and start the same command again; it goes on where it stopped." if room else "Check the folder and its permissions."
        raise InputError(f"{job.out}: cannot be written ({error.strerror}).", remedy) from None
    return dataclasses.replace(done, rejects=rejects)


def _inputs(job: Job) -> list[str]:
    """The files to read, without what an earlier run wrote into an input folder. Raises InputError where reading and writing would meet."""
    made = {job.out.resolve(), outputs.rejects_of(job.out).resolve()}
    for name in job.inputs:
        if name != files.STDIN and Path(name).resolve() in made:
            raise InputError(f"{name}: is written by this run.", "Write to another file.")
    names = [name for name in files.find(job.inputs) if name == files.STDIN or Path(name).resolve() not in made]
    if not names:
        raise InputError("Nothing to score: the folder holds only what an earlier run wrote.")
    return names


def _parts(classifier: Classifier, job: Job, names: list[str]) -> Path:
    """The folder of this job's shards, emptied when it belongs to another job, model or input."""
    described = [repr(job), sha256(classifier.folder.path / MANIFEST)]
    for name in names:
        if name == files.STDIN:
            described.append(os.urandom(8).hex())  # what came through a pipe cannot be told from what comes now
        else:
            status = Path(name).stat()
            described.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    key = hashlib.sha256("\n".join(described).encode()).hexdigest()
    parts = job.out.parent / f".{job.out.name}.parts"
    stamp = parts / STAMP
    if not stamp.is_file() or stamp.read_text() != key:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        stamp.write_text(key)
    return parts


def _placed(records: Iterable[Record], unit: str) -> Iterator[Placed]:
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


def _shards(records: Iterable[Placed]) -> Iterator[list[Placed]]:
    shard: list[Placed] = []
    characters = 0
    for placed in records:
        shard.append(placed)
        characters += len(placed.record.text or "")
        if len(shard) >= SHARD_RECORDS or characters >= SHARD_CHARACTERS:
            yield shard
            shard, characters = [], 0
    if shard:
        yield shard


def _done_before(parts: Path, number: int, records: int) -> tuple[int, int, int] | None:
    """The counts of a shard that an earlier run finished; the file of counts is written last, so that it vouches for the others."""
    try:
        read, sentences, rejected = json.loads((parts / f"{number:06}.counts").read_text())
    except (OSError, ValueError):
        return None
    if not all((parts / f"{number:06}.{ending}").is_file() for ending in ("jsonl", "rejects")):
        return None
    return (read, sentences, rejected) if read == records else None


def _score(classifier: Classifier, job: Job, shard: list[Placed], parts: Path, number: int) -> tuple[int, int, int]:
    lines: list[tuple[Record, Sentence, str | None]] = []
    rejects = []
    for placed in shard:
        record = placed.record
        try:
            lines += [(record, sentence, None) for sentence in _sentences(placed, job)]
        except InputError as error:
            rejects.append({"place": record.place, "reason": str(error), "row": record.row})
            if job.unit == "sentence":
                lines.append((record, Sentence(record.text or "", record.document, placed.position), str(error)))
    predictions = classifier.predict((sentence for _, sentence, fault in lines if fault is None), job.targets)
    unscored = Prediction(Sentence(""), (), classifier.codebook, classifier.folder.name)
    written = (
        outputs.line(record.row, next(predictions) if fault is None else dataclasses.replace(unscored, sentence=sentence, error=fault))
        for record, sentence, fault in lines
    )
    outputs.write_lines(parts / f"{number:06}.jsonl", written)
    outputs.write_lines(parts / f"{number:06}.rejects", map(outputs.encoded, rejects))
    outputs.write_lines(parts / f"{number:06}.counts", [outputs.encoded((len(shard), len(lines), len(rejects)))])
    return len(shard), len(lines), len(rejects)


def _sentences(placed: Placed, job: Job) -> list[Sentence]:
    """What is scored of one record. Raises InputError with its fault."""
    record = placed.record
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
        return [Sentence(text, record.document, placed.position, placed.previous, targets=targets)]
    language.require_english(record.text, record.place)
    found = split(record.text, record.document)
    return [dataclasses.replace(sentence, targets=targets) for sentence in found] if targets else found
