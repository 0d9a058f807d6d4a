"""The page's tab for one article: paste it or drop a file, name targets, read it in colours, correct it."""

import datetime
import hashlib
import secrets
import uuid
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from annotations.errors import FramewireError, InputError
from annotations.store import Store
from classifier import outputs
from classifier.predictions import Prediction
from demo import documents, occlusion, tables, view, views
from demo.limits import DOWNLOADED
from demo.panel import Panel
from demo.serving import LONGEST_TEXT, Serving

CSS = Path(__file__).with_name("page.css")
KEPT_SECONDS = 3_600  # an abandoned page's results and downloads

NAME_VIEW = """(view) => { const url = new URL(location.href); url.searchParams.delete("view");
  if (view) { url.searchParams.set("view", view); url.searchParams.delete("job"); } history.replaceState(null, "", url); }"""

# Invented articles, one for each frame and one where a dispute has no frame at all.
EXAMPLE_LABELS = ["Launchers at the border", "A truce that did not hold", "Tariffs and a rail link (no frame)"]
EXAMPLES = [
    [
        "Border villages count the launchers\n\nVALKA, March 3 - Residents on both sides of the river said on Tuesday that they no longer "
        'slept well. "From that hill they can reach three of our cities in nine minutes," the chair of the defence committee, Ilze '
        "Bermane, told reporters. The ministry on the other side called the deployment routine. Should more batteries follow, a general "
        'staff spokesman added, "our answer is prepared and will not be a diplomatic one". The prime minister\'s office said that '
        "her envoy could be in any neutral capital within a day to go through the draft treaty. Leave a Reply",
        "the missile deployment; the draft treaty",
    ],
    [
        "Each side arrived with a list. Eleven hours after the truce was signed, shells fell on the market road again, the observers' "
        "mission wrote, and the convoy that the accord had promised for Friday was still parked at the bridge. The delegations will meet "
        'on Monday in Valletta. "We signed in good faith and were made fools of," a field commander said.',
        "the truce",
    ],
    [
        "The finance ministers of the two countries met on Thursday for ninety minutes. They discussed grain tariffs, a rail link and "
        "the dates of the harvest fair. The ministry said in a statement that the next meeting was set for June.",
        "grain tariffs",
    ],
]


class ReaderTab:
    """The tab's components and what they do."""

    def __init__(self, serving: Serving, store: Store, page: gr.Blocks) -> None:
        self._serving, self._store = serving, store
        with gr.Row(elem_id="ask"):
            with gr.Column(scale=3, min_width=320):
                text = gr.Textbox(label="Article", lines=9, max_lines=18, max_length=LONGEST_TEXT, placeholder="Paste a news article here")
            with gr.Column(scale=2, min_width=300):
                targets = gr.Textbox(label="Stance toward (separate several by ;)", value="NATO expansion", max_length=2_000)
                button = gr.Button("Read", variant="primary", elem_id="read")
                file = gr.File(label="Or drop a file: .txt .html .docx .pdf", file_types=list(documents.ENDINGS), height=150, elem_id="file")
        gr.Examples(EXAMPLES, [text, targets], label="Examples (invented)", example_labels=EXAMPLE_LABELS, cache_examples=False)
        problem = gr.HTML(visible=False)
        with gr.Row(elem_id="result"):
            with gr.Column(scale=3, min_width=310):
                summary = gr.HTML(view.summary([], serving.classifier().codebook), elem_id="summary")
            with gr.Column(scale=6, min_width=320):
                prose = gr.HTML(elem_id="prose")
        # The script of the page presses the first and draws the second in the panel of the sentence that is open.
        explain, words = gr.Button("Words", visible="hidden", elem_id="explain"), gr.HTML(visible="hidden", elem_id="words")
        self._downloads, link = _downloads()
        linked = gr.HTML(elem_id="linked")
        with gr.Accordion("Probabilities of every sentence", open=False):
            table = gr.Dataframe(wrap=True, interactive=False, show_search="filter", max_height=500)
        results = gr.State(None, time_to_live=KEPT_SECONDS)
        asked = gr.State("", time_to_live=KEPT_SECONDS)  # the text that the results are of; the box may hold another by now
        self.panel = Panel(serving, store, results)
        self.view = gr.Textbox(visible="hidden", label="View")
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        shown = [problem, prose, summary, table, results, asked, self.panel.column, link, *self._downloads]
        for event, visible in ((button.click, "public"), (targets.submit, "private")):
            read = event(self.read, [text, targets], shown, api_name="read", api_visibility=visible, concurrency_limit=2)
            read.then(self.panel.fill, self.panel.inputs, self.panel.filled, **private)
            read.then(lambda: ("", ""), None, [linked, self.view], **private).then(None, [self.view], None, js=NAME_VIEW, **private)
        explain.click(self._drove, self.panel.inputs, [words], concurrency_limit=2, **private)
        kept = link.click(self._keep, [results, asked, targets], [linked, self.view], **private)
        kept.then(None, [self.view], None, js=NAME_VIEW, **private)
        file.upload(_file, [file], [text, problem], api_visibility="private", concurrency_limit=2)
        self.panel.on_load(page)
        self._reopened = [text, targets, *shown]

    def reopen(self, event: Any) -> None:
        """After `event`, show the view whose id it put into `view`."""
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        event.then(self._reopen, [self.view], self._reopened, **private).then(self.panel.fill, self.panel.inputs, self.panel.filled, **private)

    def read(self, article: str, wanted: str) -> tuple[Any, ...]:
        """Frames and stances of every sentence of an article."""
        try:
            return self._shown(_read(self._serving, str(article), str(wanted)), str(article))
        except FramewireError as error:
            return self._fault(error)

    def _shown(self, predictions: list[Prediction], article: str) -> tuple[Any, ...]:
        header, rows = tables.scores(predictions)
        return (
            gr.HTML(visible=False),
            view.prose(predictions, article),
            view.summary(predictions, predictions[0].codebook, article),
            gr.Dataframe(value=rows, headers=header),
            predictions,
            article,
            gr.Column(visible=True),
            gr.Button(interactive=True),
            *(gr.DownloadButton(value=path, interactive=True) for path in _saved(predictions, article)),
        )

    def _fault(self, error: FramewireError) -> tuple[Any, ...]:
        off = [gr.Button(interactive=False), *(gr.DownloadButton(interactive=False) for _ in self._downloads)]
        blank = view.summary([], self._serving.classifier().codebook)
        return gr.HTML(view.error(str(error)), visible=True), "", blank, gr.Dataframe(value=None), None, "", gr.Column(visible=False), *off

    def _keep(self, predictions: list[Prediction] | None, article: str, targets: str) -> tuple[str, Any]:
        try:
            if not predictions:
                raise InputError("Nothing was read yet.", "Read an article first.")
            asked = "; ".join(view.targets_of(predictions[0])) or str(targets)
            kept = self._store.keep_view(views.packed(article, asked, predictions))
        except FramewireError as error:
            return view.error(str(error)), gr.skip()
        return view.said("The address of this page now leads back to this view; the text is kept in the service's database for a year."), kept

    def _reopen(self, kept: str) -> tuple[Any, ...]:
        if not kept:
            return tuple(gr.skip() for _ in self._reopened)
        try:
            article, targets, predictions = views.unpacked(self._store.view(str(kept)[:32]))
        except FramewireError as error:
            return gr.skip(), gr.skip(), *self._fault(error)
        return article, targets, *self._shown(predictions, article)

    def _drove(self, predictions: list[Prediction] | None, number: float | None) -> str:
        """The words of one sentence, marked by what they did; asked of the model that serves now."""
        place = int(number or 0) - 1
        if not predictions or not 0 <= place < len(predictions):
            return ""
        chosen = predictions[place]
        targets = view.targets_of(chosen)
        try:
            found = occlusion.drove(lambda sentences: self._serving.predict_sentences(sentences, targets), chosen.sentence)
        except FramewireError as error:
            return view.error(str(error))
        # The key makes each answer another text than the one before, or the page would not draw it anew.
        return view.drove(found, self._serving.classifier().codebook, place + 1, uuid.uuid4().hex)


def _downloads() -> tuple[list[gr.DownloadButton], gr.Button]:
    with gr.Row(elem_id="downloads"):
        found = [gr.DownloadButton(f"Download {name}", interactive=False, min_width=140) for name in ("report", "CSV", "JSONL")]
        return found, gr.Button("Link to this view", interactive=False, min_width=140, elem_id="link")


def _read(serving: Serving, article: str, wanted: str) -> list[Prediction]:
    asked = [part.strip() for part in wanted.split(";") if part.strip()]
    # Each text is a document of its own, so that corrections of two articles never share one, and so never two splits.
    name = f"pasted-{hashlib.sha256(article.encode('utf-8', errors='replace')).hexdigest()[:12]}"
    return serving.predict([(name, article)], asked)


def _file(path: str | None) -> tuple[Any, Any]:
    """The text of a dropped file, for the article's box."""
    try:
        text = documents.read(Path(path or ""))
        if len(text) > LONGEST_TEXT:
            raise InputError(f"The file holds {len(text):,} characters; the page reads {LONGEST_TEXT:,}.", "Drop a shorter one, or paste a part.")
    except FramewireError as error:
        return gr.skip(), gr.HTML(view.error(str(error)), visible=True)
    return text, gr.HTML(visible=False)


def _saved(predictions: list[Prediction], article: str) -> list[str]:
    """The files behind the download buttons, in their order; their folder cannot be guessed, and is purged in time."""
    folder = Path(get_upload_folder()) / DOWNLOADED / secrets.token_urlsafe(16)
    folder.mkdir(mode=0o700, parents=True)
    report = folder / "framewire.html"
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    report.write_text(view.report(predictions, article, CSS.read_text(encoding="utf-8"), date), encoding="utf-8")
    return [str(report), *(str(outputs.save(predictions, folder / f"framewire{ending}")) for ending in (".csv", ".jsonl"))]
