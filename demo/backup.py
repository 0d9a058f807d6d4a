"""Corrections and models in one file, and back: a ZIP whose first entry lists the SHA-256 of all others."""

import datetime
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sa

from annotations.errors import InputError, ModelFolderError, StoreError
from classifier.folder import ModelFolder
from classifier.models import LOG, Models

FORMAT = 1
MANIFEST, CORRECTIONS, MODELS = "backup.json", "corrections.sqlite", "models"
PIECE = 1 << 20
BUSY_SECONDS = 60  # that writing waits for the service's own writers


@dataclass(frozen=True)
class Backup:
    """What a backup file holds: corrections (None: it was made without), names of models, which of them was promoted, and when."""

    time: str
    corrections: int | None
    models: tuple[str, ...]
    promoted: str | None


def backup(models: Models, database: str | None, out: Path, force: bool = False) -> Backup:
    """Write the corrections (as one consistent moment, while others write) and all models that are whole to `out`, in one step.

    `database` is None to leave the corrections out. Raises InputError when `out` is there, or the database is not SQLite, and StoreError
    when it cannot be read.
    """
    if out.exists() and not force:
        raise InputError(f"{out}: is there already.", "Choose another name, or --force to replace it.")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent}: no such folder.", "Make it first.")
    out_part = out.with_name(f".{out.name}.part")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=out.parent) as scratch:
        files: dict[str, Path] = {}
        count = None
        if database is not None:
            source = _sqlite(database)
            if source.exists():
                files[CORRECTIONS] = Path(scratch) / CORRECTIONS
                count = _copied(source, files[CORRECTIONS])
        promoted = None
        folders = {name: models.home / name for name in models.names()}
        if models.has_current():
            current = models.current()
            promoted = current.name
            folders.setdefault(promoted, current)
        for name, folder in folders.items():
            try:
                ModelFolder.load(folder)
            except ModelFolderError:
                if name == promoted:
                    raise
                continue  # half a model is no loss; the promoted one would be
            files |= {f"{MODELS}/{name}/{file.relative_to(folder).as_posix()}": file for file in sorted(folder.rglob("*")) if file.is_file()}
        if (models.home / LOG).is_file():
            files[f"{MODELS}/{LOG}"] = models.home / LOG
        kept = tuple(sorted({PurePosixPath(name).parts[1] for name in files if name.startswith(f"{MODELS}/") and name != f"{MODELS}/{LOG}"}))
        if not files:
            raise InputError("There is nothing to back up.", "Check FRAMEWIRE_MODELS and --database.")
        made = Backup(datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), count, kept, promoted)
        try:
            _write(out_part, made, files)
            out_part.replace(out)
        except OSError as error:
            out_part.unlink(missing_ok=True)
            raise InputError(f"{out}: cannot be written ({error.strerror}).", "Make room, or write elsewhere.") from None
        _synced(out.parent)
    return made


def restore(models: Models, database: str | None, file: Path, force: bool = False) -> Backup:
    """Bring back what a backup file holds, after checking all of it; nothing is touched before.

    Models come beside those that are there, the promoted one is promoted again, and the corrections replace the database's in one
    transaction, so that a running service goes on with them. Raises InputError for a file that is no whole backup and, without `force`,
    where corrections or other models of the same names would be replaced; what is replaced stays beside, as `*.before-restore`.
    """
    models.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=models.home) as place:
        scratch = Path(place)
        found = _unpacked(file, scratch)
        target = _sqlite(database) if database is not None and found.corrections is not None else None
        if target is not None and _count(target) and not force:
            raise InputError("The corrections database is not empty.", "Back it up first; --force replaces it, and keeps what was there beside.")
        for name in found.models:
            if not _same(scratch / MODELS / name, models.home / name) and (models.home / name).exists() and not force:
                raise InputError(f"{models.home / name}: another model of this name is there.", "Rename it; --force replaces it and keeps it beside.")
        for name in found.models:
            _placed(scratch / MODELS / name, models.home / name)
        if not (models.home / LOG).exists() and (scratch / MODELS / LOG).is_file():
            (scratch / MODELS / LOG).rename(models.home / LOG)
        if target is not None:
            _replaced(scratch / CORRECTIONS, target)
    if found.promoted is not None:
        models.promote(models.home / found.promoted, "restored from a backup")
    return found


def _sqlite(database: str) -> Path:
    try:
        url = sa.make_url(database)
    except sa.exc.ArgumentError:
        raise StoreError("The address of the corrections database cannot be read.", "Check --database.") from None
    if url.get_backend_name() != "sqlite" or not url.database:
        raise InputError("Only a SQLite database is backed up here.", "Use pg_dump for PostgreSQL, and --no-corrections here.")
    return Path(url.database)


def _copied(source: Path, to: Path) -> int:
    """A consistent copy of a database that others may be writing to (SQLite's online backup), and how many corrections it has."""
    try:
        with closing(sqlite3.connect(source, timeout=BUSY_SECONDS)) as there, closing(sqlite3.connect(to)) as here:
            there.backup(here)
            if here.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise StoreError("The corrections database is damaged.", "Restore an earlier backup.")
            here.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise StoreError(f"The corrections database cannot be copied ({type(error).__name__}).", "Try again in a moment.") from None
    return _count(to)


def _count(file: Path) -> int:
    if not file.exists():
        return 0
    try:
        with closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as connection:
            return int(connection.execute("SELECT count(*) FROM corrections").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # no such table yet
    except sqlite3.Error as error:
        raise StoreError(f"The corrections database cannot be read ({type(error).__name__}).", "Move it away.") from None


def _write(out: Path, made: Backup, files: dict[str, Path]) -> None:
    listed: dict[str, dict[str, Any]] = {}
    with out.open("wb") as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as packed:  # weights do not get smaller
            for name, file in files.items():
                digest = hashlib.sha256()
                with file.open("rb") as source, packed.open(zipfile.ZipInfo(name), "w", force_zip64=True) as sink:
                    while piece := source.read(PIECE):
                        digest.update(piece)
                        sink.write(piece)
                listed[name] = {"sha256": digest.hexdigest(), "bytes": packed.getinfo(name).file_size}
            about = {"format": FORMAT, "time": made.time, "corrections": made.corrections, "promoted": made.promoted, "files": listed}
            packed.writestr(zipfile.ZipInfo(MANIFEST), json.dumps(about, ensure_ascii=False, indent=1))
        stream.flush()
        os.fsync(stream.fileno())


def _unpacked(file: Path, scratch: Path) -> Backup:
    """Unpack what the manifest lists, and nothing else, into `scratch`, and check it: every byte, every model, the database."""
    try:
        with _opened(file) as packed:
            about = json.loads(packed.read(MANIFEST)) if packed.getinfo(MANIFEST).file_size < 50 * PIECE else {}
            listed: dict[str, dict[str, Any]] = about["files"]
            if about["format"] != FORMAT or sorted(packed.namelist()) != sorted([*listed, MANIFEST]):
                raise ValueError
            for name, item in listed.items():
                path = PurePosixPath(name)
                plain = not path.is_absolute() and "\\" not in name and not {"", ".", ".."} & set(name.split("/")) and name.isprintable()
                if not plain or not (name == CORRECTIONS or path.parts[0] == MODELS):
                    raise ValueError
                _extracted(packed, name, item, scratch / name)
            models = tuple(sorted(path.name for path in (scratch / MODELS).iterdir() if path.is_dir())) if (scratch / MODELS).is_dir() else ()
            found = Backup(str(about["time"]), about["corrections"], models, about["promoted"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, NotImplementedError, zipfile.BadZipFile, EOFError):
        raise InputError(f"{file}: not a whole backup of Framewire.", "Take another copy.") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be unpacked ({error.strerror}).", "Is there such a file, and room for what it holds?") from None
    for name in found.models:
        ModelFolder.load(scratch / MODELS / name)
    if found.promoted is not None and found.promoted not in found.models:
        raise InputError(f"{file}: the promoted model is not in it.", "Take another copy.")
    if found.corrections is not None and (not (scratch / CORRECTIONS).is_file() or _count(scratch / CORRECTIONS) != found.corrections):
        raise InputError(f"{file}: its corrections are not whole.", "Take another copy.")
    return found


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(file) as packed:
        yield packed


def _extracted(packed: zipfile.ZipFile, name: str, item: dict[str, Any], to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with packed.open(name) as source, to.open("xb") as sink:
        left = int(item["bytes"])
        while piece := source.read(PIECE):
            left -= len(piece)
            if left < 0:
                raise ValueError
            digest.update(piece)
            sink.write(piece)
        sink.flush()
        os.fsync(sink.fileno())
    if left or digest.hexdigest() != item["sha256"]:
        raise ValueError


def _same(one: Path, other: Path) -> bool:
    manifests = [folder / "manifest.json" for folder in (one, other)]
    return all(file.is_file() for file in manifests) and manifests[0].read_bytes() == manifests[1].read_bytes()


def _placed(made: Path, to: Path) -> None:
    if to.exists() and _same(made, to):
        try:
            ModelFolder.load(to)
            return
        except ModelFolderError:
            pass  # damaged meanwhile
    if to.exists():
        beside = to.with_name(f".{to.name}.before-restore")
        shutil.rmtree(beside, ignore_errors=True)
        to.rename(beside)
    made.chmod(0o755)
    made.rename(to)
    _synced(to.parent)


def _replaced(source: Path, target: Path) -> None:
    """The database's content for another's, in one transaction that waits for the service's writers."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if _count(target):
        _copied(target, _fresh(target.with_name(f"{target.name}.before-restore")))
    try:
        with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target, timeout=BUSY_SECONDS)) as here:
            there.backup(here)
            here.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise StoreError(f"The corrections could not be written back ({type(error).__name__}).", "Stop the service and try again.") from None


def _fresh(file: Path) -> Path:
    file.unlink(missing_ok=True)
    return file


def _synced(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
