"""CSV for spreadsheets: a row to a line, several labels in a cell as `a|b`, a column `question:target` for each target.

An empty cell was not asked; `-` is "none of them". Columns are the fields of a row and the codebook's questions, in any order. In free text
a leading = + - @, tab or line break, which spreadsheets would run as a formula, is written behind an apostrophe and read without
it; so a row comes back to the letter, save for text that some other program began with '= or the like.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from annotations.bridges import parts
from annotations.bridges.records import Record, content_of, join, save
from annotations.codebook import ROW_FIELDS, Codebook
from annotations.errors import RowsError
from annotations.rows import Annotation, Answer

ADVICE = "Save the sheet as comma-separated CSV in UTF-8, with columns id, text, QUESTION and QUESTION:TARGET."
NONE = "-"
BETWEEN = "|"
# Also behind a space, quote or byte order mark, and in full width, since spreadsheets look through these.
_FORMULA = re.compile(r"'*[\s\"\ufeff]*[=+\-@\t\r\n＝＋－＠]")


def read(path: Path | str, codebook: Codebook) -> list[Annotation]:
    """The rows of a sheet. Raises RowsError."""
    faults: list[str] = []
    try:
        content = content_of(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RowsError(f"{path}: not UTF-8 text.", ADVICE) from None
    lines = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        header = next(lines, [])
        _check(header, path, codebook)
        found = list(_rows(lines, header, path, codebook, faults))
    except csv.Error as error:
        raise RowsError(f"{path}:{lines.line_num}: not valid CSV ({error}).", ADVICE) from None
    return join(path, found, codebook, faults, ADVICE)


def write(path: Path | str, rows: Iterable[Annotation], codebook: Codebook) -> None:
    """Write a sheet with a header line. Raises RowsError when the file cannot be written."""
    lines = [_cells(row) for row in rows]
    questions = {question.name: None for question in codebook.questions}
    answered = dict.fromkeys(name for line in lines for name in line if name not in ROW_FIELDS)
    columns = sorted(answered, key=lambda name: list(questions).index(name.partition(":")[0]))
    first, last = ROW_FIELDS[:3], ROW_FIELDS[3:]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, [*first, *columns, *last], restval="")
    writer.writeheader()
    writer.writerows(lines)
    save(path, out.getvalue())


def _cells(row: Annotation) -> dict[str, str]:
    fields = parts.metadata(row) | {"id": row.id, "text": row.text}
    line = {name: guarded(str(fields[name])) for name in ROW_FIELDS if name in fields}
    if row.unsure:
        line["unsure"] = "true"
    for name, answer in row.answers.items():
        if isinstance(answer, Mapping):
            line |= {f"{name}:{target}": _joined(one) for target, one in answer.items()}
        else:
            line[name] = _joined(answer)
    return line


def _joined(answer: Answer) -> str:
    return BETWEEN.join(parts.labels(answer)) or NONE


def guarded(text: str) -> str:
    """`text` so that a spreadsheet shows it and runs nothing."""
    return f"'{text}" if _FORMULA.match(text) else text


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def _check(header: list[str], path: Path | str, codebook: Codebook) -> None:
    questions = {question.name: question for question in codebook.questions}
    for name in header:
        if header.count(name) > 1:
            raise RowsError(f"{path}:1: the column '{name}' stands twice.", ADVICE)
        question = questions.get(name.partition(":")[0])
        if name not in ROW_FIELDS and (question is None or question.per_target != (":" in name)):
            known = [f"{q.name}:TARGET" if q.per_target else q.name for q in codebook.questions]
            raise RowsError(f"{path}:1: unknown column '{name}'.", f"Remove it, or call it one of {', '.join([*ROW_FIELDS, *known])}.")
    if "id" not in header or "text" not in header:
        raise RowsError(f"{path}:1: no columns 'id' and 'text'.", ADVICE)


def _rows(lines: Any, header: list[str], path: Path | str, codebook: Codebook, faults: list[str]) -> Iterator[tuple[str, Record]]:
    choose = {question.name: question.choose for question in codebook.questions}
    for cells in lines:
        if not cells:
            continue
        place = f"{path}:{lines.line_num}"
        if len(cells) != len(header):
            faults.append(f"{place}: {len(cells)} cells where the header has {len(header)}.")
            continue
        filled = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
        row = parts.head({name: _unguarded(cell) for name, cell in filled.items() if name in ROW_FIELDS and name != "text"})
        row |= {"id": _unguarded(filled.get("id", "")), "text": _unguarded(filled.get("text", ""))}
        for column, cell in filled.items():
            name, colon, target = column.partition(":")
            if name in choose:
                labels = [] if cell.strip() == NONE else [label.strip() for label in cell.split(BETWEEN)]
                answer = labels if choose[name] == "any" else cell.strip()
                row[name] = row.get(name, {}) | {target: answer} if colon else answer
        yield place, row
