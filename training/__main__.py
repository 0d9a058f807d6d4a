"""`framewire train | evaluate | models`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from annotations import rows as annotated
from annotations import splits
from annotations.codebook import OURS as OUR_CODEBOOK
from annotations.codebook import Codebook
from annotations.errors import InputError
from classifier.folder import ModelFolder
from classifier.models import HOME, Models

Rows = Annotated[list[Path] | None, typer.Option("--annotations", help="Rows: a .jsonl file or a folder of them; may be repeated. Default: ours.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Retrain on new labels, judge a model, choose which one serves.")
shelf = typer.Typer(no_args_is_help=True, help="List, show, promote and roll back models.")
app.add_typer(shelf, name="models")


def models() -> Models:
    """The shelf: FRAMEWIRE_MODELS, or `models/` in the project."""
    return Models(Path(os.environ.get("FRAMEWIRE_MODELS") or HOME))


def numbers(words: str) -> list[int]:
    """The whole numbers of an option like '1,2,3'. Raises InputError."""
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise InputError(f"'{words}' is not a list of whole numbers.", "Write them like 1,2,3.") from None


@app.command()
def train(
    annotations: Rows = None,
    codebook: Annotated[Path, typer.Option(help="Codebook, a .toml file.")] = OUR_CODEBOOK,
    encoder: Annotated[str, typer.Option(help="Packaged name, folder or Hub id.")] = "all-MiniLM-L6-v2",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Model folder to write.")] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Promote it if it is not worse than the promoted model.")] = False,
    epochs: Annotated[float, typer.Option(help="Passes over the rows.")] = 3.0,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 8e-5,
    encoders: Annotated[str, typer.Option(help="'per_question' or 'shared'.")] = "per_question",
    frozen_layers: Annotated[int, typer.Option(help="Lowest layers of the encoder that stay as they are; half of them nearly halves the time.")] = 0,
    start: Annotated[str, typer.Option(help="Name or folder of a model whose weights are the beginning.")] = "",
    teacher: Annotated[str, typer.Option(help="Name or folder of a model to learn from as well: its probabilities beside the labels.")] = "",
    without: Annotated[list[str] | None, typer.Option(help="A coder whose rows are left out; may be repeated.")] = None,
    setfit: Annotated[bool, typer.Option("--setfit", help="Add SetFit to the baselines (an optional extra; minutes to an hour more).")] = False,
) -> None:
    """Train a model on annotated rows and report on the test documents."""
    # Imported here: scikit-learn takes seconds (torch ten, and comes later still), and 'framewire models' must not need it.
    from training.card import table
    from training.settings import TrainingSettings
    from training.train import train as run

    settings = TrainingSettings(
        encoder=encoder,
        seed=seed,
        epochs=epochs,
        learning_rate=learning_rate,
        encoders=encoders,
        frozen_layers=frozen_layers,
        start=start,
        teacher=teacher,
    )
    made = run(annotations or [annotated.OURS], Codebook.load(codebook), settings, models(), out, promote, typer.echo, setfit, without or ())
    typer.echo(table(made.report))
    for item in made.differences:
        verdict = "worse" if item.worse else "not worse"
        typer.echo(
            f"Against the promoted model, {item.question}: {item.candidate:.3f} to {item.promoted:.3f}, "
            f"difference {item.low:+.3f} to {item.high:+.3f}: {verdict}."
        )
    if made.promoted:
        typer.echo(f"Promoted {made.folder.name}.")
    elif promote:
        typer.echo(f"Not promoted: {made.refusal}. 'framewire models promote {made.folder.path}' overrides this.")
    typer.echo(f"Model folder: {made.folder.path}")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="Model folder.")],
    annotations: Annotated[Path, typer.Option(help="Rows to judge on; those of split 'test' where rows name it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Judge a model folder on annotated rows."""
    from training.card import table
    from training.evaluate import evaluate as judged

    folder = ModelFolder.load(model)
    rows = annotated.read(annotations, folder.codebook)
    test = [row for row in splits.assign(rows) if row.split == "test"] if any(row.split == "test" for row in rows) else rows
    report = {"questions": judged(folder, test)}
    if as_json:
        typer.echo(json.dumps(report, indent=1))
        return
    typer.echo(f"{len(test):,} rows of {len({row.document for row in test}):,} documents.\n")
    typer.echo(table(report))


@app.command()
def trials(
    table: Annotated[Path, typer.Option(help="Table of finished trials (.jsonl), which is added to.")] = Path("trials.jsonl"),
    annotations: Rows = None,
    codebook: Annotated[Path, typer.Option(help="Codebook, a .toml file.")] = OUR_CODEBOOK,
    question: Annotated[list[str] | None, typer.Option(help="Only this question; may be repeated.")] = None,
    dev: Annotated[list[Path] | None, typer.Option(help="Rows to judge on besides the test documents; may be repeated.")] = None,
    validation: Annotated[Path | None, typer.Option(help="Rows that set thresholds in place of the validation documents.")] = None,
    sources: Annotated[str, typer.Option(help="Sources to learn from, 'a,b,a+b'; 'all' is every row.")] = "all",
    sizes: Annotated[str, typer.Option(help="How many rows, '500,1000'; 0 is every one.")] = "0",
    seeds: Annotated[str, typer.Option(help="Seeds, '1,2,3'.")] = "1,2,3",
    setting: Annotated[list[str] | None, typer.Option(help="Settings, 'epochs=3,learning_rate=1e-4'; repeated: each is tried.")] = None,
) -> None:
    """Learning curves and trials of settings, added to a table and resumed from it (docs/trials.md)."""
    from training import trials as runner
    from training.parts import asked, checked_parts, only
    from training.settings import TrainingSettings
    from training.table import RunTable

    whole = Codebook.load(codebook)
    book, done = only(whole, question or []), RunTable(table)
    plans = [runner.settings_of(TrainingSettings(), words) for words in setting or [""]]
    parts = checked_parts(splits.assign(asked(annotated.read(annotations or [annotated.OURS], whole), book)), book)
    if validation:
        parts["validation"] = asked(annotated.read(validation, whole), book)
    judges = {"test": parts["test"]} | {path.stem: asked(annotated.read(path, whole), book) for path in dev or []}
    grid = runner.grid(sources.split(","), numbers(sizes), plans, numbers(seeds))
    typer.echo(runner.summary(runner.run(grid, parts, judges, book, done, typer.echo)))


@app.command()
def benchmarks(
    folder: Annotated[Path, typer.Argument(help="Folder with a folder for each public set (docs/benchmarks.md).")],
    name: Annotated[list[str] | None, typer.Option("--set", help="Only this set; may be repeated.")] = None,
    table: Annotated[Path, typer.Option(help="Table of finished runs (.jsonl), which is added to.")] = Path("benchmarks.jsonl"),
    encoder: Annotated[str, typer.Option(help="Packaged name, folder or Hub id.")] = "all-MiniLM-L6-v2",
    learners: Annotated[str, typer.Option(help="Out of framewire, tf-idf, setfit.")] = "framewire,tf-idf",
    seeds: Annotated[str, typer.Option(help="Seeds, '1,2,3'; empty: those of the protocol.")] = "",
    epochs: Annotated[float, typer.Option(help="Passes over the rows.")] = 5.0,
    rates: Annotated[bool, typer.Option(help="Try the protocol's learning rates; without, that of the settings alone.")] = True,
    setting: Annotated[str, typer.Option(help="Further settings, 'learning_rate=5e-5,max_tokens=128'.")] = "max_tokens=256",
) -> None:
    """Learn and judge public sets by their published protocols; added to a table and resumed from it."""
    from training import benchmarks as runner
    from training.public_sets import SETS
    from training.settings import TrainingSettings
    from training.table import RunTable
    from training.trials import settings_of

    plan = settings_of(TrainingSettings(encoder=encoder, epochs=epochs), setting)
    chosen = numbers(seeds) if seeds else []
    typer.echo(runner.summary(runner.run(folder, name or list(SETS), learners.split(","), plan, chosen, RunTable(table), typer.echo, rates)))


@shelf.command("list")
def list_models() -> None:
    """The models on the shelf, the promoted one marked."""
    names, current = models().names(), models().current_name()
    if not names:
        typer.echo("No models yet; 'framewire train' makes one.")
    for name in names:
        typer.echo(f"{'*' if name == current else ' '} {name}")


@shelf.command()
def show(
    name: Annotated[str | None, typer.Argument(help="A name of 'models list'; default: the promoted one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print path and name as JSON.")] = False,
) -> None:
    """Where a model is, and its card."""
    path = models().path(name) if name else models().current()
    if as_json:
        typer.echo(json.dumps({"path": str(path.resolve()), "name": ModelFolder.load(path).name}))
        return
    typer.echo(f"{path}\n\n{(path / 'README.md').read_text(encoding='utf-8') if (path / 'README.md').is_file() else ''}")


@shelf.command()
def promote(name: Annotated[str, typer.Argument(help="A name of 'models list', or a folder.")]) -> None:
    """Make a model the one that serves, whatever the comparison says."""
    models().promote(models().path(name), "by hand")
    typer.echo(f"Promoted {name}.")


@shelf.command()
def rollback() -> None:
    """Go back to the model that was promoted before."""
    typer.echo(f"Back to {models().rollback().name}.")


@shelf.command()
def install(name: Annotated[str, typer.Argument(help="accurate or fast.")] = "accurate") -> None:
    """Put a released model on the shelf: its difference joined to its encoder. The first that is installed is promoted."""
    from training.release import RELEASED
    from training.release import install as installed

    typer.echo(f"Installed {installed(models(), RELEASED / Path(name).name).path}.")


@shelf.command()
def release(
    name: Annotated[str, typer.Argument(help="A name of 'models list'.")],
    place: Annotated[str, typer.Option("--as", help="accurate or fast.")] = "accurate",
) -> None:
    """For maintainers: make a model one of those that the repository ships."""
    from training.release import RELEASED
    from training.release import release as released

    typer.echo(f"Wrote {released(ModelFolder.load(models().path(name)), RELEASED / Path(place).name)}.")
