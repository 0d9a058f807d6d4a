"""`framewire serve`."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def serve() -> None:
    """Serve the page and the API."""
