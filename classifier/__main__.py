"""`framewire score`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from annotations.errors import InputError
from classifier.models import HOME, Models

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Score files with the promoted model.")

SOME_REJECTED = 3  # exit code: the good rows are scored, some could not be


@app.command()
def score(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files (.jsonl .csv .parquet .txt .html), folders, or -.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Output: .jsonl, .csv or .parquet.")],
    target: Annotated[list[str] | None, typer.Option(help="What the stance is toward; may be repeated.")] = None,
    target_column: Annotated[str | None, typer.Option(help="Column that names each row's target.")] = None,
    text_column: Annotated[str, typer.Option(help="Column that holds the text.")] = "text",
    unit: Annotated[str, typer.Option(help="'document': rows are split into sentences; 'sentence': each row is one.")] = "document",
    document_column: Annotated[str | None, typer.Option(help="Column that names the document of a row.")] = None,
    engine: Annotated[str, typer.Option(help="'local'.")] = "local",
    model: Annotated[Path | None, typer.Option(help="Model folder; default: the promoted model.")] = None,
) -> None:
    """Score articles or sentences: your columns come back untouched, with the model's answers beside them."""
    # Imported here: 'framewire --help' need not wait for ONNX Runtime.
    from classifier import batch
    from classifier.classifier import Classifier
    from classifier.files import Columns

    if unit not in batch.UNITS:
        raise InputError(f"--unit {unit} is unknown.", f"It is one of {', '.join(batch.UNITS)}.")
    if engine != "local":
        raise InputError(f"--engine {engine} is unknown.", "It is 'local'.")
    shelf = Models(Path(os.environ.get("FRAMEWIRE_MODELS") or HOME))
    classifier = Classifier(model or shelf.current())
    job = batch.Job(tuple(inputs), out, Columns(text_column, document_column, target_column), tuple(target or ()), unit)
    console = Console(stderr=True)
    with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("Scoring ...", total=None)
        done = batch.run(classifier, job, lambda rows, found: bar.update(task, description=f"{rows:,} rows, {found:,} sentences"))
    typer.echo(f"{done.records:,} rows or documents read, {done.sentences:,} sentences written to {out}.")
    if done.rejects:
        typer.echo(f"{done.rejected:,} could not be scored; {done.rejects} says which and why.", err=True)
        raise typer.Exit(SOME_REJECTED)
