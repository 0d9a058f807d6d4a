"""`framewire annotations`: check rows, compare coders, exchange rows with other tools."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from annotations import rows as annotated
from annotations import splits
from annotations.bridges import (
    argilla,
    argilla_flat,
    datasets_folder,
    doccano,
    ids_only,
    label_studio,
    label_studio_min,
    parts,
    prodigy,
    spreadsheet,
)
from annotations.codebook import OURS, Codebook
from annotations.errors import InputError
from annotations.rows import Annotation, Answer

Read = Callable[[Path, Codebook], list[Annotation]]
Write = Callable[[Path, Iterable[Annotation], Codebook], None]
TOOLS: dict[str, tuple[Read, Write]] = {
    "label-studio": (label_studio.read, label_studio.write),
    "label-studio-min": (label_studio_min.read, label_studio_min.write),
    "doccano": (doccano.read, doccano.write),
    "prodigy": (prodigy.read, prodigy.write),
    "argilla": (argilla.read, argilla.write),
    "argilla-flat": (argilla_flat.read, argilla_flat.write),
    "csv": (spreadsheet.read, spreadsheet.write),
    "datasets": (datasets_folder.read, datasets_folder.write),
}
SHOWN = 10  # ids named in a message
IDS_ONLY = "ids-only"  # has no texts, so that it is written like the others and joined, not imported

CodebookFile = Annotated[Path, typer.Option("--codebook", help="Codebook, a .toml file.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Rows = Annotated[Path, typer.Argument(help="A .jsonl file of rows or a folder of them.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Check, compare and exchange annotated rows.")


@app.callback()
def _group() -> None:
    """Check, compare and exchange annotated rows."""


@app.command()
def check(path: Rows = annotated.OURS, codebook: CodebookFile = OURS) -> None:
    """Check rows against the codebook and each other, and count what is there."""
    from annotations.check import examine

    found = examine(splits.assign(annotated.read(path, Codebook.load(codebook))), Codebook.load(codebook))
    typer.echo(f"{found.rows:,} rows of {found.documents:,} documents.\n")
    questions = [[q.question, q.answers, q.none, _share(q.none, q.answers), q.targets, _number(q.leakage)] for q in found.questions]
    _table(["question", "answers", "none of them", "share", "targets", "macro-F1 of words alone"], questions)
    labels = [[c.question, c.label, *c.positives.values(), _number(c.words_with, 1), _number(c.words_without, 1)] for c in found.labels]
    _table(["question", "label", *annotated.SPLITS, "words with", "without"], labels)
    _table(["sampling", "rows"], found.samplings.items())
    _table(["source", "rows"], [(name or "(none)", count) for name, count in found.sources.items()])
    apart = sum(not pair.in_one_document for pair in found.contradictions)
    typer.echo(f"{len(found.duplicates):,} rows repeat a text; {apart:,} of another document are answered differently.")
    found.refuse()


@app.command()
def agreement(
    files: Annotated[list[Path], typer.Argument(help="A file of rows for each coder.")],
    codebook: CodebookFile = OURS,
) -> None:
    """Compare two or more coders of the same rows: alpha, percentage, disagreements."""
    from annotations.agreement import compare

    book = Codebook.load(codebook)
    if len({file.resolve() for file in files}) < len(files):
        raise InputError("one file is given twice.", "Give each coder's own file.")
    stems = [file.stem for file in files]
    names = [str(file) if stems.count(file.stem) > 1 else file.stem for file in files]
    found = compare({name: annotated.read(file, book) for name, file in zip(names, files, strict=True)}, book)
    left = ", ".join(f"{count:,} by {coder} alone" for coder, count in found.alone.items())
    typer.echo(f"{found.rows:,} rows by two coders or more; left out: {left}.\n")
    measures = [
        [m.question, m.label or "(whole answer)", m.distance, m.units, f"{m.agreed:.1%}", f"{m.alpha:.3f}", _interval(m.interval)]
        for m in found.measures
    ]
    _table(["question", "label", "distance", "units", "agreed", "alpha", "95 % interval"], measures)
    typer.echo(f"{len(found.disagreements):,} disagreements.")
    shown = [
        [d.id, f"{d.question}:{d.target}" if d.target else d.question, *(_said(d.answers.get(name)) for name in names), d.text]
        for d in found.disagreements
    ]
    if shown:
        _table(["id", "question", *names, "text"], shown)


@app.command()
def coders(path: Rows, codebook: CodebookFile = OURS) -> None:
    """Compare each coder with all others, and name who contradicts them and which words call a label in one coder's rows alone."""
    from annotations.contradictions import against_the_rest
    from annotations.triggers import calls

    book = Codebook.load(codebook)
    rows = annotated.read(path, book)
    found = against_the_rest(rows, book)
    lines = [[f.coder, f.rows, f.shared, f"{f.differs:.1%}", f"{f.others:.1%}", "contradicts the rest" if f.contradicts else ""] for f in found]
    _table(["coder", "rows", "shared answers", "differs", "others differ", ""], lines)
    if len(found) > 1 and (called := calls(rows, book)):
        typer.echo("Words that one coder alone uses, always with one label (chance, a topic, or a trigger; read the rows):\n")
        _table(["coder", "word", "question", "label", "rows"], [[c.coder, c.word, c.question, c.label, c.rows] for c in called[:SHOWN]])
    named = [f.coder for f in found if f.contradicts]
    if named:
        typer.echo(f"To leave them out: framewire annotations without {path} {' '.join(repr(annotated.plain(name)) for name in named)} -o OUT")


@app.command()
def without(
    path: Rows,
    names: Annotated[list[str], typer.Argument(metavar="CODER...", help="Coders whose rows are left out.")],
    out: Out,
    codebook: CodebookFile = OURS,
    force: Force = False,
) -> None:
    """Write rows without those of some coders."""
    rows = annotated.read(path, Codebook.load(codebook))
    kept = annotated.without(rows, names)
    _write_rows([(out, kept)], force)
    typer.echo(f"{len(rows) - len(kept):,} rows are left out.")


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="What the tool exported.")],
    tool: Annotated[str, typer.Option("--from", help=f"One of {', '.join(TOOLS)}.")],
    out: Out,
    codebook: CodebookFile = OURS,
    force: Force = False,
) -> None:
    """Turn another tool's export into rows; several coders of the same texts give a file each (OUT.1.jsonl, OUT.2.jsonl)."""
    if tool == IDS_ONLY:
        raise InputError("an ids-only file has no texts.", "Use `framewire annotations join FILE TEXTS -o OUT`.")
    if tool not in TOOLS:
        raise InputError(f"no tool '{tool}'.", f"--from takes one of {', '.join(TOOLS)}.")
    coders = parts.by_coder(TOOLS[tool][0](path, Codebook.load(codebook)))
    names = [out] if len(coders) == 1 else [out.with_name(f"{out.stem}.{n}{out.suffix}") for n in range(1, len(coders) + 1)]
    _write_rows(list(zip(names, coders, strict=True)), force)


@app.command()
def export(
    path: Rows,
    tool: Annotated[str, typer.Option("--to", help=f"One of {', '.join([*TOOLS, IDS_ONLY])}.")],
    out: Out,
    model: Annotated[list[str] | None, typer.Option("--model-coder", help="ids-only: an annotator that is a model; may be repeated.")] = None,
    codebook: CodebookFile = OURS,
    force: Force = False,
) -> None:
    """Write rows for another tool."""
    if tool not in TOOLS and tool != IDS_ONLY:
        raise InputError(f"no tool '{tool}'.", f"--to takes one of {', '.join([*TOOLS, IDS_ONLY])}.")
    book = Codebook.load(codebook)
    rows = annotated.read(path, book)
    _may_write(out, force)
    if tool == IDS_ONLY:
        ids_only.write(out, rows, book, model or ())
    else:
        TOOLS[tool][1](out, rows, book)
    typer.echo(f"{out}: {len(rows):,} rows.")


@app.command()
def join(
    path: Annotated[Path, typer.Argument(help="What `export --to ids-only` wrote, or a folder of such files (annotations/protected).")],
    texts: Annotated[Path, typer.Argument(help="The texts: .jsonl with 'text' in each line, .txt with one to a line, .csv, .tsv, or a folder.")],
    out: Out,
    codebook: CodebookFile = OURS,
    force: Force = False,
) -> None:
    """Put texts back to labels that were passed on without them."""
    joined = ids_only.read(path, Codebook.load(codebook), texts)
    _write_rows([(out, joined.rows)], force)
    if joined.missing:
        more = " ..." if len(joined.missing) > SHOWN else "."
        listed = annotated.plain(", ".join(joined.missing[:SHOWN]))
        typer.echo(f"{len(joined.missing):,} rows are left out, since their text is not there: {listed}{more}")


@app.command()
def mix(
    protected: Annotated[Path, typer.Argument(help="Protected rows with their texts, as `join` wrote them.")],
    out: Out,
    written: Annotated[Path, typer.Option(help="Rows to mix them with.")] = annotated.OURS,
    keep: Annotated[float, typer.Option(min=0, max=1, help="Share kept of the most frequent answer per target.")] = 1.0,
    keep_empty: Annotated[float, typer.Option(min=0, max=1, help="Share kept of the answers without a label.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of that draw.")] = 1,
    codebook: CodebookFile = OURS,
    force: Force = False,
) -> None:
    """Make the rows of a release: written and protected ones, thresholds from protected validation rows."""
    from annotations.mixture import mix as mixed

    book = Codebook.load(codebook)
    rows = mixed(annotated.read(written, book), annotated.read(protected, book), book, keep, keep_empty, seed)
    _write_rows([(out, rows)], force)
    typer.echo(", ".join(f"{split} {count:,}" for split, count in Counter(row.split or "" for row in rows).items()) + " rows.")


def _write_rows(files: Sequence[tuple[Path, Sequence[Annotation]]], force: bool) -> None:
    for out, _ in files:
        _may_write(out, force)
    for out, rows in files:
        try:
            annotated.write(out, rows)
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror}).", "Is there such a folder, and room in it?") from None
        coders = annotated.plain(", ".join(dict.fromkeys(row.annotator or "(nobody)" for row in rows)))
        answered = ", ".join(f"{name} {count:,}" for name, count in Counter(name for row in rows for name in row.answers).items())
        typer.echo(f"{out}: {len(rows):,} rows of {len({row.document for row in rows}):,} documents by {coders}; answered: {answered}.")


def _may_write(out: Path, force: bool) -> None:
    if out.exists() and not force:
        raise InputError(f"{out}: exists already.", "Give another name, or --force to replace it.")


def _table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their cells, numbers to the right, and the last, which may be a text, as long as it is."""
    cells = [list(header), *([annotated.plain(str(cell)) for cell in line] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    typer.echo()


def _share(count: int, of: int) -> str:
    return f"{count / of:.1%}" if of else "-"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(value: tuple[float, float] | None) -> str:
    return "one document" if value is None else f"{value[0]:.3f} to {value[1]:.3f}"


def _said(answer: Answer | None) -> str:
    return "" if answer is None else "|".join(parts.labels(answer)) or "-"
