"""The Gradio page: one article, a corpus, a retrain, each in a tab."""

from pathlib import Path
from typing import Any

import gradio as gr

from annotations.errors import StoreError
from annotations.store import Store
from demo import view
from demo.access import ROLE
from demo.corpus_tab import CorpusTab
from demo.jobs import Jobs
from demo.purge import EVERY_SECONDS
from demo.reader_tab import CSS, KEPT_SECONDS, ReaderTab
from demo.retrain import Base
from demo.retrain_tab import RetrainTab
from demo.roles import Role
from demo.serving import Serving

__all__ = ["CSS", "SCRIPT", "THEME", "build"]
SCRIPT = Path(__file__).with_name("page.js")
TITLE = "Framewire"
INTRO = """# Framewire
How does a news text frame a dispute, and what stance does it take? Paste an article, name what the stance is toward, and read it sentence by
sentence. Answers are a model's guesses with their probabilities, not verdicts."""
_BLUE = {"button_primary_background_fill": "#005fa3", "button_primary_background_fill_hover": "#004a80", "button_primary_text_color": "white"}
THEME = gr.themes.Base(
    primary_hue="sky", neutral_hue="slate", radius_size="sm", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(**_BLUE, **{f"{name}_dark": value for name, value in _BLUE.items()})
# What the address names: a job or a view.
NAMED = """() => { const named = new URLSearchParams(location.search); return [named.get("job") || "", named.get("view") || ""]; }"""


def build(serving: Serving, store: Store, jobs: Jobs, base: Base) -> gr.Blocks:
    """The page over a serving model, the corrections database, the jobs, and the rows that a retrain starts from."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(EVERY_SECONDS, KEPT_SECONDS), fill_width=False) as page:
        gr.Markdown(INTRO)
        limited = gr.HTML(elem_id="limited", visible=False)
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Read", id="read"):
                reader = ReaderTab(serving, store, page)
            with gr.Tab("Corpus", id="corpus"):
                corpus = CorpusTab(serving, jobs)
            with gr.Tab("Retrain", id="retrain") as learning:
                retrain = RetrainTab(serving, store, jobs, base)
        gr.Markdown(_about(serving))

        def _allowed(request: gr.Request) -> list[Any]:
            """What the reader's token does not allow is hidden, and said."""
            role = getattr(request.state, ROLE, Role.READ)
            try:
                history = reader.panel.table() if role >= Role.CORRECT else ""
            except StoreError as error:
                history = view.error(str(error))
            said = gr.HTML(_limited(role), visible=role < Role.RETRAIN)
            return [said, gr.Column(visible=role >= Role.CORRECT), history, gr.Tab(visible=role >= Role.RETRAIN)]

        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        page.load(_allowed, None, [limited, reader.panel.gate, reader.panel.history, learning], **private)
        opened = page.load(_opened, [corpus.job, reader.view], [corpus.job, reader.view, tabs], js=NAMED, **private)
        opened.then(corpus.look_corpus, [corpus.job], corpus.shown, **private)
        reader.reopen(opened)
        learning.select(retrain.look_retrain, None, retrain.shown, **private)
    return page


def _opened(job: str, view: str) -> tuple[str, str, Any]:
    """The tab that the address asks for; without a job the tabs are left alone, since the reader may have chosen one by now."""
    return job, view, gr.Tabs(selected="corpus") if job else gr.skip()


def _limited(role: Role) -> str:
    words = "Your token may read and correct." if role >= Role.CORRECT else "Your token may read. Correcting takes one of the role 'correct'."
    return f'<p class="fw-note">{words} Retraining takes one of the role \'retrain\'. <a href="login">Log in with another token</a></p>'


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
