"""A table of finished runs, one JSON object a line: what was run is not run again, and means over seeds are taken from it."""

import hashlib
import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annotations.errors import TrainingError

Record = dict[str, Any]


def key_of(*parts: Any) -> str:
    """A name for a run that changes with everything that `parts` (JSON values) say of it; 16 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


class RunTable:
    """The finished runs in a .jsonl file, by their `key`."""

    def __init__(self, path: Path) -> None:
        """Open or begin a table. Raises TrainingError when the file is something else; a last line that was cut off is dropped."""
        self.path = path
        self.records: dict[str, Record] = {}
        lines = path.read_bytes().split(b"\n") if path.is_file() else []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line) if line.strip() else None
                if record is not None:
                    self.records[record["key"]] = record
            except (ValueError, KeyError, TypeError):
                if number < len(lines):
                    raise TrainingError(f"{path}:{number}: not a line of a table of runs.", "Give another --table, or remove that line.") from None
        self._torn = bool(lines) and lines[-1] != b""

    def add(self, record: Record) -> None:
        """Append a finished run; it is on disk when this returns. Raises TrainingError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self._torn:
                self.path.write_text("".join(json.dumps(done, ensure_ascii=False) + "\n" for done in self.records.values()), encoding="utf-8")
                self._torn = False
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be written ({error.strerror}).", "Give another --table.") from None
        self.records[record["key"]] = record


def spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation, `0.612 ± 0.014`; one value alone, without a deviation, since there is none."""
    mean = statistics.fmean(values)
    return f"{mean:.3f} ± {statistics.stdev(values):.3f}" if len(values) > 1 else f"{mean:.3f}"


def markdown(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    return "\n".join([f"| {' | '.join(header)} |", "|---" * len(header) + "|", *(f"| {' | '.join(map(str, line))} |" for line in lines)])
