"""`framewire serve`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from annotations.codebook import OURS as OUR_CODEBOOK
from annotations.rows import OURS
from classifier.models import HOME, Models

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Serve the page and the REST API.")


@app.command()
def serve(
    model: Annotated[Path | None, typer.Option(help="Model folder; default: the promoted model, taken up anew when it changes.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 7860,
    database: Annotated[str | None, typer.Option(help="Corrections database, a SQLAlchemy URL.")] = None,
    annotations: Annotated[Path, typer.Option(help="Rows from which a retrain on the page starts: a .jsonl file or a folder of them.")] = OURS,
    codebook: Annotated[Path, typer.Option(help="Codebook of these rows, a .toml file.")] = OUR_CODEBOOK,
) -> None:
    """Serve the page and the REST API in one process."""
    # Imported here: gradio takes seconds, and '--help' need not wait.
    import uvicorn

    from demo.app import build
    from demo.metrics import log_to_stderr
    from demo.retrain import Base

    log_to_stderr()
    home = Path(os.environ.get("FRAMEWIRE_MODELS") or HOME)
    service = build(Models(home), database or f"sqlite:///{home.resolve()}/corrections.sqlite", model, Base(annotations, codebook))
    typer.echo(f"Framewire: page at http://{host}:{port}/, API at http://{host}:{port}/docs. Stop with Ctrl+C.")
    uvicorn.run(service, host=host, port=port, log_level="warning", timeout_graceful_shutdown=10, server_header=False)
