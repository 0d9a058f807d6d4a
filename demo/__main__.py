"""`framewire serve | backup | restore`."""

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from annotations.codebook import OURS as OUR_CODEBOOK
from annotations.errors import InputError
from annotations.rows import OURS
from classifier.models import HOME, Models
from demo.access import LOOPBACK, Access, check_address

MOST_CONNECTIONS = 1_000
UPLOADED = "page"  # the folder of what the page takes and hands out, beside the models
Database = Annotated[str | None, typer.Option(help="Corrections database, a SQLAlchemy URL.")]
app = typer.Typer(no_args_is_help=True, add_completion=False, help="Serve the page and the REST API, back up and restore.")


@app.command()
def serve(
    model: Annotated[Path | None, typer.Option(help="Model folder; default: the promoted model, taken up anew when it changes.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 7860,
    database: Database = None,
    tokens: Annotated[Path | None, typer.Option(help="File of tokens, ROLE:TOKEN a line; needed on any address but this machine's own.")] = None,
    annotations: Annotated[Path, typer.Option(help="Rows from which a retrain on the page starts: a .jsonl file or a folder of them.")] = OURS,
    codebook: Annotated[Path, typer.Option(help="Codebook of these rows, a .toml file.")] = OUR_CODEBOOK,
) -> None:
    """Serve the page and the REST API in one process."""
    # First, so that a service without tokens never listens to others, whatever else is wrong.
    allowed = _access(tokens)
    check_address(host, allowed)
    # Imported here: gradio takes seconds, and '--help' need not wait.
    import uvicorn

    from demo.app import build
    from demo.metrics import log_to_stderr
    from demo.retrain import Base

    log_to_stderr()
    home = _home()
    _own_uploads(home)
    service = build(Models(home), _database(database, home), model, allowed, Base(annotations, codebook))
    typer.echo(f"Framewire: page at http://{host}:{port}/, API at http://{host}:{port}/docs. Stop with Ctrl+C.")
    uvicorn.run(
        service, host=host, port=port, log_level="warning", timeout_graceful_shutdown=10, server_header=False, limit_concurrency=MOST_CONNECTIONS
    )


@app.command("backup")
def back_up(
    out: Annotated[Path, typer.Argument(help="File to write, a ZIP.")],
    database: Database = None,
    corrections: Annotated[bool, typer.Option(help="Whether the corrections are in it.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write the corrections and all models to one file; the service may go on meanwhile."""
    from demo.backup import backup

    home = _home()
    made = backup(Models(home), _database(database, home) if corrections else None, out, force)
    typer.echo(f"{out}: {made.corrections or 0:,} corrections, {len(made.models)} models, promoted {made.promoted or 'none'}.")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What 'framewire backup' wrote.")],
    database: Database = None,
    corrections: Annotated[bool, typer.Option(help="Whether the corrections are brought back.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace corrections and models that are there; they stay beside.")] = False,
) -> None:
    """Bring back corrections and models from a backup, after checking every byte of it."""
    from demo.backup import restore as restored

    home = _home()
    found = restored(Models(home), _database(database, home) if corrections else None, file, force)
    typer.echo(f"From {found.time}: {found.corrections or 0:,} corrections, {len(found.models)} models, promoted {found.promoted or 'none'}.")


def _home() -> Path:
    return Path(os.environ.get("FRAMEWIRE_MODELS") or HOME)


def _database(url: str | None, home: Path) -> str:
    return url or f"sqlite:///{home.resolve()}/corrections.sqlite"


def _own_uploads(home: Path) -> None:
    """A folder for uploads and downloads: what lies there is removed in time, and Gradio's usual one is shared by every Gradio page."""
    if not os.environ.get("GRADIO_TEMP_DIR"):
        place = home.resolve() / UPLOADED
        with contextlib.suppress(OSError):  # a shelf that cannot be written to still serves, without files
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["GRADIO_TEMP_DIR"] = str(place)


def _access(tokens: Path | None) -> Access:
    """Who may do what, from a file or from FRAMEWIRE_TOKENS; a token is never an argument, since arguments show in the list of processes."""
    text = os.environ.get("FRAMEWIRE_TOKENS")
    if tokens is not None:
        try:
            text = tokens.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InputError(f"--tokens {tokens}: cannot be read.", "Is there such a file, and may this user read it?") from None
    return Access(hosts=LOOPBACK) if text is None else Access.parse(text)
