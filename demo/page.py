"""The Gradio page: paste an article, name targets, read it in colours."""

import html
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from annotations.errors import FramewireError
from classifier import outputs
from classifier.predictions import Prediction
from demo import view
from demo.serving import LONGEST_TEXT, Serving

CSS = Path(__file__).with_name("page.css")
TITLE = "Framewire"
INTRO = """# Framewire
How does a news text frame a dispute, and what stance does it take? Paste an article, name what the stance is toward (several targets: separate
them by a semicolon), and read it sentence by sentence. Answers are a model's guesses with their probabilities, not verdicts."""

# Invented articles, one for each frame and one where a dispute has no frame at all.
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


def build(serving: Serving) -> gr.Blocks:
    """The page over a serving model."""
    codebook = serving.classifier().codebook
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(INTRO)
        with gr.Row():
            with gr.Column(scale=3):
                text = gr.Textbox(label="Article", lines=10, max_lines=24, max_length=LONGEST_TEXT, placeholder="Paste a news article here")
            with gr.Column(scale=1, min_width=240):
                targets = gr.Textbox(label="Stance toward (targets; separated by ;)", value="NATO expansion", max_length=2_000)
                button = gr.Button("Read", variant="primary", elem_id="read")
                gr.Examples(EXAMPLES, [text, targets], label="Examples (invented)", cache_examples=False)
        problem = gr.HTML(visible=False)
        gr.HTML(view.legend(codebook))
        prose = gr.HTML(elem_id="prose")
        summary = gr.HTML(elem_id="summary")
        with gr.Accordion("Probabilities of every sentence", open=False):
            table = gr.Dataframe(wrap=True, interactive=False, show_search="filter", max_height=500)
        with gr.Row():
            as_csv = gr.DownloadButton("Download CSV", interactive=False)
            as_jsonl = gr.DownloadButton("Download JSONL", interactive=False)
        gr.Markdown(_about(serving))

        def read(article: str, wanted: str) -> tuple[Any, ...]:
            """Frames and stances of every sentence of an article."""
            asked = [part.strip() for part in str(wanted).split(";") if part.strip()]
            try:
                predictions = serving.predict([("pasted", str(article))], asked)
            except FramewireError as error:
                said = f'<div class="fw-error" role="alert">{html.escape(str(error))}</div>'
                empty = gr.DownloadButton(interactive=False)
                return gr.HTML(said, visible=True), "", "", gr.Dataframe(value=None), empty, empty
            header, rows = view.table(predictions)
            return (
                gr.HTML(visible=False),
                view.prose(predictions, str(article)),
                view.summary(predictions, codebook),
                gr.Dataframe(value=rows, headers=header),
                gr.DownloadButton(value=_download(predictions, ".csv"), interactive=True),
                gr.DownloadButton(value=_download(predictions, ".jsonl"), interactive=True),
            )

        results = [problem, prose, summary, table, as_csv, as_jsonl]
        button.click(read, [text, targets], results, api_name="read", concurrency_limit=2)
        targets.submit(read, [text, targets], results, api_visibility="private", concurrency_limit=2)
    return page


def _download(predictions: list[Prediction], ending: str) -> str:
    folder = Path(tempfile.mkdtemp(prefix="framewire-"))
    return str(outputs.save(predictions, folder / f"framewire{ending}"))


def _about(serving: Serving) -> str:
    folder = serving.classifier().folder
    report = folder.document("report")["questions"]
    scores = "; ".join(
        f"{name}: macro-F1 {item['macro_f1']:.2f} (95% interval {item['macro_f1_interval'][0]:.2f} to {item['macro_f1_interval'][1]:.2f}, "
        f"{item['rows']} sentences of {item['documents']} documents)"
        for name, item in report.items()
    )
    return (
        f"Model `{folder.name}`. On its test documents: {scores}. The project's rows were written and coded by language models; no human has "
        "checked them. Wrong single answers are common: do not use them for verdicts on people. REST: `/docs`."
    )
