"""A folder that `datasets.load_dataset("folder")` reads: JSONL for each split, and a README.md that names files and columns.

Every row has every column, null where there is nothing, and answers per target are lists of {target, label} or {target, labels}: a column
for each target would give every row thousands of nulls. Rows without a split go into `unassigned`. A row loses nothing.
Format: https://huggingface.co/docs/hub/datasets-manual-configuration
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from annotations.bridges import parts
from annotations.bridges.records import Record, collect, join, member, objects, save, save_lines
from annotations.codebook import ROW_FIELDS, Codebook, Question
from annotations.errors import RowsError
from annotations.rows import SPLITS, Annotation

ADVICE = "Give a folder with train.jsonl, validation.jsonl or test.jsonl, in the columns that `export --to datasets` writes."
WITHOUT = "unassigned"


def read(path: Path | str, codebook: Codebook) -> list[Annotation]:
    """The rows of all splits. Raises RowsError."""
    found: list[tuple[str, Record]] = []
    faults: list[str] = []
    files = [file for name in (*SPLITS, WITHOUT) if (file := Path(path) / f"{name}.jsonl").is_file()]
    if not files:
        raise RowsError(f"{path}: no such folder, or none of its files is a split.", ADVICE)
    for file in files:
        split = None if file.stem == WITHOUT else file.stem
        collect(file, partial(_rows, split, codebook), found, faults)
    return join(path, found, codebook, faults, ADVICE)


def write(path: Path | str, rows: Iterable[Annotation], codebook: Codebook) -> None:
    """Write the folder; of an older export, files of splits that are no more are removed. Raises RowsError."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RowsError(f"{path}: cannot be made a folder ({error.strerror}).", "Give the name of a new folder.") from None
    by_split: dict[str, list[Record]] = {name: [] for name in (*SPLITS, WITHOUT)}
    for row in rows:
        by_split[row.split or WITHOUT].append(_record(row, codebook))
    for name, listed in by_split.items():
        if listed:
            save_lines(folder / f"{name}.jsonl", listed)
        else:
            (folder / f"{name}.jsonl").unlink(missing_ok=True)
    save(folder / "README.md", _readme(codebook, [name for name, listed in by_split.items() if listed]))


def _record(row: Annotation, codebook: Codebook) -> Record:
    fields: Record = {name: getattr(row, name) for name in ROW_FIELDS}
    for question in codebook.questions:
        answer = row.answers.get(question.name)
        key = _key(question)
        if isinstance(answer, Mapping):
            fields[question.name] = [{"target": target, key: one} for target, one in answer.items()]
        else:
            fields[question.name] = answer
    return fields


def _rows(split: str | None, codebook: Codebook, record: Record) -> Iterator[Record]:
    row = {"split": split} | {name: value for name, value in record.items() if value is not None} | {"text": record.get("text")}
    for question in codebook.questions:
        if question.per_target and question.name in row:
            answers: dict[Any, Any] = {}
            for item in objects(member(record, question.name, list), question.name):
                if item.get("target") in answers or not isinstance(item.get("target"), str):
                    raise ValueError(f"'{question.name}' has a target twice, or none")
                answers[item["target"]] = item.get(_key(question))
            row[question.name] = answers
    yield parts.head(row, row.get("id")) | {name: row[name] for name in ("text", *_questions(codebook)) if name in row}


def _questions(codebook: Codebook) -> list[str]:
    return [question.name for question in codebook.questions]


def _key(question: Question) -> str:
    return "labels" if question.choose == "any" else "label"


def _readme(codebook: Codebook, splits: list[str]) -> str:
    """The card: its head is YAML, made by hand since every name in it is of letters, digits and _ alone."""
    head = ["---", "configs:", "- config_name: default", "  data_files:"]
    head += [f"  - split: {name}\n    path: {name}.jsonl" for name in splits]
    head += ["dataset_info:", "  features:"]
    head += [f"  - name: {name}\n    dtype: {'bool' if name == 'unsure' else 'string'}" for name in ROW_FIELDS]
    for question in codebook.questions:
        answer = "list: string" if question.choose == "any" else "dtype: string"
        head.append(f"  - name: {question.name}")
        if question.per_target:
            head.append(f"    list:\n    - name: target\n      dtype: string\n    - name: {_key(question)}\n      {answer}")
        else:
            head.append(f"    {answer}")
    body = ["---", "", f"# {' '.join(codebook.name.split())}", "", "Null in a question's column: it was not asked of that row.", ""]
    for question in codebook.questions:
        body += [f"## {question.name}", "", " ".join(question.text.split()), ""]
        body += [f"- **{label.name}**: {' '.join(label.definition.split())}" for label in question.labels] + [""]
    return "\n".join(head + body)
