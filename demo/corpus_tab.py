"""The page's tab for a corpus: upload, columns, progress, plots, comparison."""

import html
import math
from pathlib import Path
from typing import Any

import gradio as gr

from annotations.codebook import Codebook
from annotations.errors import FramewireError, InputError
from demo import charts, corpus, shares, view
from demo.corpus import TABLES, Wanted
from demo.jobs import Jobs, State
from demo.serving import Serving

INTRO = """Score many articles and see how outlets and weeks differ. Upload a table (CSV, JSONL or Parquet, one article or sentence in a row) or a
zip of .txt or .html files, where the folder of a file counts as its group. The address of the page then leads back to the job, also after the
service was started again. Whoever has the address sees the results, which are kept for 90 days."""
NONE = "(none)"
# Names of columns that are guessed for each use; the reader can choose others.
_GUESSES = {
    "text": ("text", "body", "content", "article", "sentence"),
    "group": ("outlet", "source", "group", "publisher", "newspaper", "folder"),
    "date": ("date", "published", "time", "day", "created"),
    "document": ("document", "article_id", "url"),
}
REMEMBER = """(job) => { const url = new URL(location.href); if (job) { url.searchParams.set("job", job); url.searchParams.delete("view");
  history.replaceState(null, "", url); } return job; }"""


class CorpusTab:
    """The tab's components and what they do; `job` holds the id that the address names."""

    def __init__(self, serving: Serving, jobs: Jobs) -> None:
        self._serving, self._jobs = serving, jobs
        gr.Markdown(INTRO)
        with gr.Row():
            file = gr.File(
                label=f"Drop a file: {' '.join(corpus.ENDINGS)}", file_types=list(corpus.ENDINGS), height=170, elem_id="corpus-file", scale=2
            )
            with gr.Column(scale=3, min_width=300):
                targets = gr.Textbox(
                    label="Targets of stance (separate several by ;)", value="NATO expansion", max_length=2_000, elem_id="corpus-targets"
                )
                unit = gr.Radio([("an article", "document"), ("a sentence", "sentence")], value="document", label="A row is")
        with gr.Row(elem_id="columns"):
            names = ("Text", "Group (an outlet)", "Date", "Document", "Target")
            columns = [gr.Dropdown([NONE], value=NONE, label=f"Column: {name}", min_width=150, interactive=True) for name in names]
        with gr.Row():
            start = gr.Button("Score the corpus", variant="primary", elem_id="corpus-start")
            cancel = gr.Button("Cancel", elem_id="corpus-cancel", interactive=False)
        self.job = gr.Textbox(visible="hidden", elem_id="corpus-job", label="Job")
        status = gr.HTML(elem_id="corpus-status")
        self.timer = gr.Timer(1, active=False)
        results = gr.HTML(elem_id="corpus-results")
        with gr.Column(visible=False) as compare:
            gr.Markdown("### Compare two groups")
            with gr.Row():
                sides = [gr.Dropdown([], label=label, min_width=150) for label in ("First group", "Second group")]
            comparison = gr.HTML(elem_id="comparison")
        self.shown = [status, self.timer, cancel, results, compare, *sides]
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        file.upload(self._columns, [file], [*columns, status], **private)
        begun = start.click(self._start_corpus, [file, targets, unit, *columns], [self.job, status, self.timer, results], **private)
        begun.then(None, [self.job], [self.job], js=REMEMBER, **private)
        cancel.click(self._cancel_corpus, [self.job], [status], **private)
        self.timer.tick(self.look_corpus, [self.job], self.shown, **private)
        for side in sides:
            side.change(self._compare, [self.job, *sides], [comparison], **private)

    def _columns(self, path: str | None) -> list[Any]:
        """Fill the choices of columns from the file, each with the likeliest one chosen."""
        try:
            found = corpus.columns_of(Path(path or ""), Path(path or "").name)
        except FramewireError as error:
            return [*(gr.skip() for _ in range(5)), view.error(str(error))]
        guesses = [next((column for guess in _GUESSES.get(use, ()) for column in found if column.casefold() == guess), NONE) for use in
                   ("text", "group", "date", "document", "target")]  # fmt: skip
        return [*(gr.Dropdown([NONE, *found], value=guess) for guess in guesses), ""]

    def _start_corpus(self, path: str | None, targets: str, unit: str, *columns: str | None) -> tuple[Any, ...]:
        try:
            if not path:
                raise InputError("No file was dropped yet.", "Drop one above.")
            text, group, date, document, target = (None if column in (None, NONE) else column for column in columns)
            if text is None:
                raise InputError("The column of the text is not chosen.", "Choose one above.")
            asked = tuple(part.strip() for part in str(targets).split(";") if part.strip())
            wanted = Wanted(text, document, group, date, target, str(unit), asked)
            job = corpus.submit(self._jobs, self._serving, Path(path), Path(path).name, wanted)
        except FramewireError as error:
            return gr.skip(), view.error(str(error)), gr.skip(), gr.skip()
        return job, bar(self._jobs.state(job)), gr.Timer(active=True), ""

    def look_corpus(self, job: str) -> list[Any]:
        """What is known of a job now; the timer stops when it has ended."""
        if not job:
            return [gr.skip() for _ in self.shown]
        try:
            state = self._jobs.state(job)
            about = self._jobs.describe(job)["settings"]
            ended = self._ended(job, about) if state.state == "done" else [gr.skip()] * 4
        except FramewireError as error:
            return [view.error(str(error)), gr.Timer(active=False), gr.Button(interactive=False), "", gr.Column(visible=False), gr.skip(), gr.skip()]
        return [bar(state, str(about.get("name", ""))), gr.Timer(active=state.open), gr.Button(interactive=state.open), *ended]

    def _ended(self, job: str, about: dict[str, Any]) -> list[Any]:
        folder = self._jobs.folder(job)
        codebook = corpus.codebook_of(folder)
        tables = {name: shares.load(folder / f"{name}.csv") for name in TABLES if name != "documents"}
        names = [name for name in dict.fromkeys(tables["groups"]["group"]) if name != shares.WHOLE]
        sizes = tables["groups"].groupby("group")["documents"].max()
        names.sort(key=lambda name: -sizes[name])
        shown = results(job, tables, [shares.WHOLE, *names], codebook, about | {"by": self._by(Path(about["model"]))})
        several = len(names) > 1
        sides = [gr.Dropdown(names, value=names[place] if several else None) for place in (0, 1)]
        return [shown, gr.Column(visible=several), *sides]

    def _by(self, scored: Path) -> str:
        """Which model a job was scored by, and whether another serves now, since it was promoted or the first was rolled back."""
        serves = self._serving.classifier().folder.path.resolve()
        if not scored.is_dir():
            return f"Scored by the model {scored.name}, which is no longer here."
        return f"Scored by the model {scored.name}." + (f" The service answers with {serves.name} now." if serves != scored else "")

    def _compare(self, job: str, first: str | None, second: str | None) -> str:
        try:
            if not job or first is None or second is None:
                return ""
            if first == second:
                raise InputError("Both groups are the same.", "Choose two.")
            codebook = corpus.codebook_of(self._jobs.folder(job))
            counts = shares.load(self._jobs.folder(job) / "documents.csv")
            table = shares.compared(counts, first, second, codebook)
        except FramewireError as error:
            return view.error(str(error))
        return charts.comparison(table, codebook, first, second) + charts.inline(table, "comparison")

    def _cancel_corpus(self, job: str) -> str:
        try:
            return bar(self._jobs.cancel(job)) if job else ""
        except FramewireError as error:
            return view.error(str(error))


def bar(state: State, name: str = "") -> str:
    """A job's progress; a screen reader hears the words when they change."""
    if state.state == "failed":
        return view.error(state.words)
    title = html.escape(f"{name}: {state.state}" if name else state.state)
    share = f"{state.share:.0%}"
    meter = (
        f'<div class="fw-track" role="progressbar" aria-valuenow="{math.floor(state.share * 100)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-label="Progress"><span class="fw-fill" style="width:{share}"></span></div>'
    )
    words = f'<p role="status">{html.escape(state.words)}</p>'
    return f'<div class="fw-job fw-{state.state}"><b>{title}</b> <span class="fw-count">{share}</span>{meter}{words}</div>'


def results(job: str, tables: dict[str, Any], order: list[str], codebook: Codebook, about: dict[str, Any]) -> str:
    """Plots, each with its CSV, and the strongest sentences."""
    link = f'<a class="fw-button" href="v1/jobs/{job}/{{}}" download>{{}}</a>'
    downloads = "".join(link.format(*pair) for pair in (("result?format=csv", "All sentences, CSV"), ("result", "All sentences, JSONL")))
    more = f" The plot shows the {charts.MOST_ROWS} with most documents; its CSV has all {len(order):,}." if len(order) > charts.MOST_ROWS else ""
    parts = [
        f'<p class="fw-note">{html.escape(about["by"])}</p>',
        f'<div class="fw-buttons">{downloads}</div>',
        f"<h3>Shares of sentences{' by ' + html.escape(about['group']) if about['group'] else ''}</h3>",
        '<p class="fw-note">Dots are shares of sentences, bars 95% intervals from drawing whole documents anew; few documents give wide bars. '
        f"The model errs on single sentences, and an interval does not count that.{more}</p>",
        charts.dots(tables["groups"], codebook, order),
        f'<div class="fw-buttons">{link.format("tables/groups.csv", "CSV of this plot")}</div>',
        "<h3>Weeks</h3>",
        charts.weeks(tables["weeks"], codebook),
        f'<div class="fw-buttons">{link.format("tables/weeks.csv", "CSV of this plot")}</div>',
        "<h3>Strongest sentences</h3>",
        charts.strongest(tables["strongest"], codebook),
        f'<div class="fw-buttons">{link.format("tables/strongest.csv", "CSV of this table")}</div>',
    ]
    return f'<div class="fw-results">{"".join(parts)}</div>'
