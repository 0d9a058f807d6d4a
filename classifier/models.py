"""The shelf of models: which there are, which one is promoted, and the log of what changed."""

import contextlib
import datetime
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations.errors import ModelFolderError
from classifier.folder import MANIFEST, ModelFolder

HOME = Path(__file__).resolve().parent.parent / "models"
POINTER, LOG, LOCK = "current", "log.jsonl", ".lock"


class PromotionError(ModelFolderError):
    """Somebody else promotes now, or did since the caller looked; nothing was changed."""


@dataclass(frozen=True)
class Models:
    """The folder that holds model folders, the pointer `current` and the log."""

    home: Path = HOME

    def names(self) -> list[str]:
        """Names of the model folders here, oldest first."""
        if not self.home.is_dir():
            return []
        found = [path for path in self.home.iterdir() if (path / MANIFEST).is_file() and not path.name.startswith(".")]
        return [path.name for path in sorted(found, key=lambda path: ((path / MANIFEST).stat().st_mtime_ns, path.name))]

    def path(self, name: str) -> Path:
        """The folder of a model by its name here or by its path. Raises ModelFolderError."""
        for path in (self.home / name, Path(name)):
            if name and (path / MANIFEST).is_file():
                return path
        known = ", ".join(self.names()) or "none"
        raise ModelFolderError(f"No model '{name}'.", f"Models here: {known}.")

    def current(self) -> Path:
        """The promoted model's folder. Raises ModelFolderError when nothing is promoted yet."""
        try:
            name = (self.home / POINTER).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise ModelFolderError(
                f"No model is promoted in {self.home}.", "Run 'make setup' for the released one, or 'framewire train --promote'."
            ) from None
        return self.path(name)

    def has_current(self) -> bool:
        """Whether anything was ever promoted, whole or damaged."""
        return (self.home / POINTER).exists()

    def current_name(self) -> str | None:
        """The name in the pointer, or None."""
        try:
            return self.current().name
        except ModelFolderError:
            return None

    def promote(self, path: Path, reason: str, instead_of: str | None = None, **details: Any) -> None:
        """Point `current` at a model, after checking it whole, in one atomic step, and log it.

        `instead_of` is the `current_name` by which the caller judged. Raises PromotionError when another is promoted by now, or right now,
        ModelFolderError when the model is not whole.
        """
        folder = ModelFolder.load(path)
        path = path.resolve()
        name = path.name if path.parent == self.home.resolve() else str(path)
        with self._locked():
            before = self.current_name()
            if instead_of is not None and before != instead_of:
                raise PromotionError("Another model was promoted meanwhile.", "Look at it first, then try again.")
            self._write(name)
            self.record("promote", model=folder.name, path=name, before=before, reason=reason, **details)

    def rollback(self, instead_of: str | None = None) -> Path:
        """Go back to the model that was promoted before the current one. Raises as `promote`, and ModelFolderError when there is none."""
        with self._locked():
            if instead_of is not None and self.current_name() != instead_of:
                raise PromotionError("Another model was promoted meanwhile.", "Look at it first, then try again.")
            trail: list[str] = []
            for entry in self.entries():
                if entry["event"] == "promote":
                    trail.append(entry["path"])
                elif entry["event"] == "rollback" and trail:
                    trail.pop()
            if len(trail) < 2:
                raise ModelFolderError("There is no earlier promoted model to go back to.", "See 'framewire models list'.")
            path = self.path(trail[-2])
            ModelFolder.load(path)
            self._write(trail[-2])
            self.record("rollback", path=trail[-2], before=trail[-1])
        return path

    def entries(self) -> list[dict[str, Any]]:
        """The log, oldest first."""
        try:
            lines = (self.home / LOG).read_text(encoding="utf-8").split("\n")
        except OSError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # a line torn by a crash
                found.append(json.loads(line))
        return found

    def record(self, event: str, **details: Any) -> None:
        """Append one line to the log and wait until it is on disk."""
        self.home.mkdir(parents=True, exist_ok=True)
        entry = {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "event": event} | details
        with (self.home / LOG).open("a", encoding="utf-8") as stream:
            torn = stream.tell() and not (self.home / LOG).read_bytes().endswith(b"\n")
            stream.write(("\n" if torn else "") + json.dumps(entry, ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _write(self, name: str) -> None:
        beside = self.home / f".{POINTER}.part"
        with beside.open("w", encoding="utf-8") as stream:
            stream.write(name + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(self.home / POINTER)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One promotion at a time; the kernel frees the lock of a process that dies."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / LOCK).open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PromotionError("Another promotion is under way.", "Try again in a moment.") from None
            yield
