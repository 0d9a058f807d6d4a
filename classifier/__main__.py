"""`framewire score`."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from annotations.errors import InputError
from classifier.models import HOME, Models

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Score files with the promoted model.")

ENGINES = ("local", "ray")
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
    engine: Annotated[str, typer.Option(help="'local', or 'ray' for the cluster at RAY_ADDRESS (needs framewire[ray]).")] = "local",
    model: Annotated[Path | None, typer.Option(help="Model folder; default: the promoted model.")] = None,
) -> None:
    """Score articles or sentences: your columns come back untouched, with the model's answers beside them."""
    # Imported here: 'framewire --help' need not wait for ONNX Runtime.
    from classifier import batch, files
    from classifier.classifier import Classifier
    from classifier.records import Columns

    if unit not in batch.UNITS:
        raise InputError(f"--unit {unit} is unknown.", f"It is one of {', '.join(batch.UNITS)}.")
    if engine not in ENGINES:
        raise InputError(f"--engine {engine} is unknown.", f"It is one of {', '.join(ENGINES)}.")
    shelf = Models(Path(os.environ.get("FRAMEWIRE_MODELS") or HOME))
    classifier = Classifier(model or shelf.current())
    job = batch.Job(tuple(inputs), out, Columns(text_column, document_column, target_column), tuple(target or ()), unit)
    console = Console(stderr=True)
    shown = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*shown, console=console, disable=not console.is_terminal, speed_estimate_period=600) as bar:
        task = bar.add_task("Scoring ...", total=files.count(files.find(inputs)) if console.is_terminal else None)
        began = time.monotonic()

        def progress(rows: int, sentences: int) -> None:
            speed = rows / max(time.monotonic() - began, 1e-3)
            bar.update(task, completed=rows, description=f"{rows:,} rows, {sentences:,} sentences, {speed:,.0f} rows/s")

        if engine == "ray":
            from classifier import cluster

            done = cluster.run(classifier, job, progress)
        else:
            done = batch.run(classifier, job, progress)
    typer.echo(f"{done.records:,} rows or documents read, {done.sentences:,} sentences written to {out}.")
    if done.rejects:
        typer.echo(f"{done.rejected:,} could not be scored; {done.rejects} says which and why.", err=True)
        raise typer.Exit(SOME_REJECTED)
