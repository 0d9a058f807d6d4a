"""The command `framewire`: the folders' commands under one name, and the one place where their errors become exit codes."""

import os
import sys

# Before anything imports these libraries: nothing is looked up or reported over the network.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import typer

import annotations.__main__ as annotations_cli
import classifier.__main__ as classifier_cli
import demo.__main__ as demo_cli
import training.__main__ as training_cli
from annotations.errors import FramewireError

REFUSED = 2  # exit code: nothing was done, and the message says what to mend

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Frames and stance in news, sentence by sentence.")
for folder in (demo_cli, classifier_cli, training_cli):
    app.registered_commands += folder.app.registered_commands
app.add_typer(training_cli.shelf, name="models")
app.add_typer(annotations_cli.app, name="annotations")


def main() -> None:
    """Run the command line; a FramewireError becomes its words on standard error and exit code 2."""
    try:
        app()
    except FramewireError as error:
        typer.echo(f"framewire: {error}", err=True)
        sys.exit(REFUSED)
    except OSError as error:  # a disk, a permission, a name: the place is known, a traceback would not help
        typer.echo(f"framewire: {error.filename or 'a file'}: {error.strerror}.", err=True)
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
