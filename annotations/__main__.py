"""`framewire annotations`: check rows."""

from pathlib import Path
from typing import Annotated

import typer

from annotations import rows as annotated
from annotations import splits
from annotations.codebook import OURS, Codebook

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Check, compare and exchange annotated rows.")


@app.callback()
def _group() -> None:
    """Check, compare and exchange annotated rows."""


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A .jsonl file of rows or a folder of them.")] = annotated.OURS,
    codebook: Annotated[Path, typer.Option(help="Codebook, a .toml file.")] = OURS,
) -> None:
    """Check rows against the codebook and count what is there."""
    rows = splits.assign(annotated.read(path, Codebook.load(codebook)))
    typer.echo(f"{len(rows):,} rows of {len({row.document for row in rows}):,} documents.")
