"""The page's tab for one article: paste it or drop a file, name targets, read it in colours, correct it."""

import datetime
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from annotations.errors import FramewireError, InputError
from annotations.store import Store
from classifier import outputs
from classifier.predictions import Prediction
from demo import documents, tables, view
from demo.panel import Panel
from demo.serving import LONGEST_TEXT, Serving

CSS = Path(__file__).with_name("page.css")
KEPT_SECONDS = 3_600  # an abandoned page's results and downloads

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
        codebook = serving.classifier().codebook
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
                summary = gr.HTML(view.summary([], codebook), elem_id="summary")
            with gr.Column(scale=6, min_width=320):
                prose = gr.HTML(elem_id="prose")
        downloads = _downloads()
        with gr.Accordion("Probabilities of every sentence", open=False):
            table = gr.Dataframe(wrap=True, interactive=False, show_search="filter", max_height=500)
        results = gr.State(None, time_to_live=KEPT_SECONDS)
        panel = Panel(serving, store, results)

        def read(article: str, wanted: str) -> tuple[Any, ...]:
            """Frames and stances of every sentence of an article."""
            try:
                predictions = _read(serving, str(article), str(wanted))
            except FramewireError as error:
                empty = [gr.DownloadButton(interactive=False)] * len(downloads)
                blank = view.summary([], codebook)
                return gr.HTML(view.error(str(error)), visible=True), "", blank, gr.Dataframe(value=None), None, gr.Column(visible=False), *empty
            header, rows = tables.scores(predictions)
            return (
                gr.HTML(visible=False),
                view.prose(predictions, str(article)),
                view.summary(predictions, predictions[0].codebook),
                gr.Dataframe(value=rows, headers=header),
                predictions,
                gr.Column(visible=True),
                *(gr.DownloadButton(value=path, interactive=True) for path in _saved(predictions, str(article))),
            )

        shown = [problem, prose, summary, table, results, panel.column, *downloads]
        for event, visible in ((button.click, "public"), (targets.submit, "private")):
            asked = event(read, [text, targets], shown, api_name="read", api_visibility=visible, concurrency_limit=2)
            asked.then(panel.fill, panel.inputs, panel.filled, api_visibility="private", show_progress="hidden")
        file.upload(_file, [file], [text, problem], api_visibility="private", concurrency_limit=2)
        panel.on_load(page)


def _downloads() -> list[gr.DownloadButton]:
    with gr.Row(elem_id="downloads"):
        return [gr.DownloadButton(f"Download {name}", interactive=False, min_width=140) for name in ("report", "CSV", "JSONL")]


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
    """The files behind the download buttons, in their order."""
    folder = Path(tempfile.mkdtemp(prefix="framewire-"))
    report = folder / "framewire.html"
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    report.write_text(view.report(predictions, article, CSS.read_text(encoding="utf-8"), date), encoding="utf-8")
    return [str(report), *(str(outputs.save(predictions, folder / f"framewire{ending}")) for ending in (".csv", ".jsonl"))]
