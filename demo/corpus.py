"""A corpus that a reader uploads: checked and kept as a job, scored by the job's process, counted into tables."""

import csv
import dataclasses
import io
import json
import os
import resource
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow
import pyarrow.parquet

from annotations.codebook import Codebook
from annotations.errors import CodebookError, InputError, ModelFolderError, StoreError
from classifier import batch, files, outputs
from classifier.classifier import Classifier, checked_targets
from classifier.predictions import Prediction
from classifier.records import Columns
from classifier.sentences import Sentence
from demo import shares
from demo.jobs import FULL, Jobs, NoRoomError, State, write_json
from demo.serving import Serving

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".zip")
LARGEST = 50_000_000  # bytes of an upload
LARGEST_UNPACKED = 200_000_000  # bytes of a zip's texts together
MOST_TEXTS = 20_000  # in a zip
MEMORY = 8 << 30  # bytes of address space: a Parquet file of kilobytes can ask for terabytes
SCORED, TABLE, ROWS, CODEBOOK = "result.jsonl", "result.csv", "rows.jsonl", "codebook.json"
TABLES = ("groups", "weeks", "strongest", "documents")
PORTION = 256  # sentences between two words about progress
THREADS = 1  # the service needs the others
ZIP_COLUMNS = ["file", "folder", "text"]


@dataclass(frozen=True)
class Wanted:
    """What to do with an upload: the columns for text, document, group (an outlet), date and target, the unit, and the targets."""

    text: str = "text"
    document: str | None = None
    group: str | None = None
    date: str | None = None
    target: str | None = None
    unit: str = "document"
    targets: tuple[str, ...] = ()


def columns_of(path: Path, name: str) -> list[str]:
    """The columns of an upload that its users called `name`. Raises InputError where it cannot be used."""
    ending = _ending(name)
    if not path.exists():  # the page was left open for longer than uploads are kept
        raise InputError("The file is no longer here.", "Drop it again.")
    if path.stat().st_size > LARGEST:
        raise InputError(
            f"The file has {path.stat().st_size:,} bytes; at most {LARGEST:,} can be uploaded.", "Use 'framewire score' for larger ones."
        )
    try:
        if ending == ".zip":
            with zipfile.ZipFile(path) as packed:
                if not _members(packed):
                    raise InputError("The zip holds no .txt or .html file.", "Put one article in each file.")
            return ZIP_COLUMNS
        if ending == ".parquet":
            return list(pyarrow.parquet.read_schema(path).names)
        with path.open("rb") as stream:
            if ending in (".jsonl", ".ndjson"):
                return _keys(stream)
            header = next(csv.reader(io.StringIO(files.decoded(stream.readline())), delimiter="\t" if ending == ".tsv" else ","), [])
            return [column for column in header if column]
    except (zipfile.BadZipFile, pyarrow.ArrowException, OSError, ValueError, csv.Error, RecursionError):
        raise InputError(f"The file is damaged, or no {ending} file.", "Write it again.") from None


def _ending(name: str) -> str:
    ending = Path(name).suffix.lower()
    if ending not in ENDINGS:
        raise InputError("A file of this kind cannot be read.", f"Endings that can be: {', '.join(ENDINGS)}.")
    return ending


def _keys(stream: Iterable[bytes]) -> list[str]:
    """The keys of the first hundred rows, in order."""
    found: dict[str, None] = {}
    for line in islice(stream, 100):
        row = json.loads(line.decode("utf-8-sig")) if line.strip() else {}
        if not isinstance(row, dict):
            raise ValueError("not a JSON object")
        found |= dict.fromkeys(row)
    return list(found)


def _members(packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The texts of a zip. Raises InputError for one that says itself that it is too large; what lies is found when it is unpacked."""
    found = [item for item in packed.infolist() if Path(item.filename).suffix.lower() in files.DOCUMENT_ENDINGS and not item.is_dir()]
    found = [item for item in found if not any(part.startswith((".", "__MACOSX")) and part != ".." for part in Path(item.filename).parts)]
    if len(found) > MOST_TEXTS or sum(item.file_size for item in packed.infolist()) > LARGEST_UNPACKED:
        raise InputError(f"The zip holds more than {MOST_TEXTS:,} texts or {LARGEST_UNPACKED:,} bytes.", "Cut it into smaller ones.")
    return found


def submit(jobs: Jobs, serving: Serving, path: Path, name: str, wanted: Wanted) -> str:
    """Check an upload and keep it as a job for the model that serves now; returns the job's id.

    Raises InputError for a file, column or target that cannot be used, BusyError when too many jobs wait.
    """
    columns = columns_of(path, name)
    targets = checked_targets(wanted.targets)
    if wanted.unit not in batch.UNITS:
        raise InputError("The unit is unknown.", f"It is one of {', '.join(batch.UNITS)}.")
    for column in (wanted.text, wanted.document, wanted.group, wanted.date, wanted.target):
        if column is not None and column not in columns:
            raise InputError(f"The file has no column '{column[:100]}'.", f"It has {', '.join(columns)[:500]}.")
    kept = f"upload{_ending(name)}"
    settings = dataclasses.asdict(dataclasses.replace(wanted, targets=targets))
    settings |= {"file": kept, "name": Path(name).name[:200], "model": str(serving.classifier().folder.path.resolve())}
    return jobs.submit("corpus", settings, {kept: path})


def receive(jobs: Jobs, serving: Serving, stream: BinaryIO, name: str, wanted: Wanted) -> str:
    """As `submit`, from a stream; what comes beyond LARGEST is not read."""
    try:
        jobs.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".upload-", dir=jobs.home) as place:  # purged with the jobs where a kill leaves it behind
            path = Path(place) / "upload"
            with path.open("wb") as out:
                while piece := stream.read(1 << 20):
                    out.write(piece)
                    if out.tell() > LARGEST:
                        raise InputError(f"The file has more than {LARGEST:,} bytes.", "Use 'framewire score' for larger ones.")
            return submit(jobs, serving, path, name, wanted)
    except OSError as error:
        if error.errno in FULL:
            raise NoRoomError("The file cannot be kept: the disk is full.", "Make room, then try again.") from None
        raise StoreError(f"The file cannot be kept ({error.strerror}).", "Check the folder of the models and its permissions.") from None


class _Told(Classifier):
    """A classifier that says after each portion how many characters it has read."""

    def __init__(self, folder: str, tell: Any) -> None:
        super().__init__(folder, THREADS)
        self._tell = tell

    def predict(self, sentences: Iterable[Sentence], targets: Sequence[str] = ()) -> Iterator[Prediction]:
        stream = iter(sentences)
        while portion := list(islice(stream, PORTION)):
            yield from super().predict(portion, targets)
            self._tell(sum(len(sentence.text) for sentence in portion), len(portion))


def work(folder: Path, settings: Mapping[str, Any], tell: Any) -> State:
    """Score the job's upload and count it into tables; a restarted job goes on behind its last whole shard. Raises FramewireError."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.chdir(folder)  # so that the rows' places name the upload and no folder of this machine
    name = settings["file"]
    if name.endswith(".zip"):
        if not Path(ROWS).exists():  # written anew it would not be the file that the whole shards are of
            _unzip(Path(name), Path(ROWS))
        name = ROWS
    columns = Columns(settings["text"], "file" if name == ROWS else settings["document"], settings["target"])
    tell(0.0, "Counting ...")
    ends = [0]
    for record in files.read(name, columns):
        ends.append(ends[-1] + len(record.text or "") + 1)
    read = {"characters": 0, "sentences": 0, "rows": 0}

    def show() -> None:
        words = f"{read['sentences']:,} sentences read of {len(ends) - 1:,} rows."
        tell(0.95 * read["characters"] / max(1, ends[-1]), words, {"sentences": read["sentences"], "rows": len(ends) - 1})

    def portion(characters: int, sentences: int) -> None:
        read["characters"] += characters
        read["sentences"] += sentences
        show()

    def shard(records: int, sentences: int) -> None:
        read["characters"], read["sentences"] = ends[min(records, len(ends) - 1)], sentences
        show()

    try:
        classifier = _Told(settings["model"], portion)
    except ModelFolderError:  # its own words name a place on this machine
        words = f"The model {Path(settings['model']).name}, which served when the file was sent, is no longer here, or is damaged."
        raise InputError(words, "Send the file again: the model that serves now will score it.") from None
    job = batch.Job((name,), Path(SCORED), columns, tuple(settings["targets"]), settings["unit"])
    done = batch.run(classifier, job, shard)
    tell(0.96, "Counting shares ...")
    group = "folder" if name == ROWS else settings["group"]
    tables, undated = shares.tables(Path(SCORED), classifier.codebook, group, settings["date"])
    shares.save(tables, Path())
    write_json(Path(CODEBOOK), classifier.codebook.to_dict())  # so that the plots need no model, which may go
    outputs_csv(Path(SCORED), Path(TABLE), classifier, len(settings["targets"]) + bool(settings["target"]))
    words = f"{done.sentences:,} sentences of {done.records:,} rows."
    if done.rejected:
        words += f" {done.rejected:,} rows could not be scored."
    if undated:
        words += f" {undated:,} documents have no date that can be read."
    return State("done", 1.0, words, {"sentences": done.sentences, "rows": done.records, "rejected": done.rejected, "undated": undated})


def codebook_of(folder: Path) -> Codebook:
    """The codebook by which a job that is done was scored. Raises InputError."""
    try:
        return Codebook.from_dict(json.loads((folder / CODEBOOK).read_text(encoding="utf-8")))
    except (OSError, ValueError, CodebookError):
        raise InputError("The job's results cannot be read.", "Send the file again.") from None


def outputs_csv(scored: Path, out: Path, classifier: Classifier, targets: int) -> None:
    """The scored lines as the flat columns that `framewire score` writes to .csv."""
    parts = Path(".csv.parts")
    parts.mkdir(exist_ok=True)
    (parts / "000000.jsonl").unlink(missing_ok=True)
    (parts / "000000.jsonl").hardlink_to(scored)
    outputs.assemble(parts, out, classifier.codebook, targets, [])
    (parts / "000000.jsonl").unlink()
    parts.rmdir()


def _unzip(path: Path, out: Path) -> None:
    """The texts of a zip as rows of `file, folder, text`; nothing is written by a name from inside it. Raises InputError for a bomb."""
    room = LARGEST_UNPACKED
    with zipfile.ZipFile(path) as packed, out.with_suffix(".part").open("w", encoding="utf-8") as stream:
        for item in _members(packed):
            try:
                with packed.open(item) as text:
                    raw = text.read(min(room, files.LARGEST_HTML) + 1)
                room -= len(raw)
                if room < 0:
                    raise InputError(f"The zip unpacks to more than {LARGEST_UNPACKED:,} bytes.", "Cut it into smaller ones.")
                if len(raw) > files.LARGEST_HTML:
                    raise ValueError("too large")
                html = Path(item.filename).suffix.lower() in (".html", ".htm")
                words: str | None = files.page_text(raw) if html else files.decoded(raw)
            except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, EOFError, OSError, zlib.error):
                words = None  # damaged, locked, too large or no text: listed among the rows that could not be scored
            row = {"file": item.filename, "folder": str(Path(item.filename).parent).strip("."), "text": words}
            stream.write(json.dumps(row, ensure_ascii=True) + "\n")
    out.with_suffix(".part").replace(out)
