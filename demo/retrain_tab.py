"""The page's tab for a retrain: what waits, progress, the comparison, promote and roll back."""

import html
from typing import Any

import gradio as gr

from annotations.errors import FramewireError
from annotations.store import Store
from demo import corpus_tab, retrain, tables, view
from demo.jobs import Jobs
from demo.retrain import SHOWN, Base
from demo.serving import Serving

INTRO = """Corrections teach the next model. A retrain starts from the coded rows and all corrections that stand, repeats the settings of the
model that serves, and judges both on the same test documents, which no correction can touch. Readers see no change until somebody promotes it."""
MOST_EPOCHS = 20


class RetrainTab:
    """The tab's components and what they do. Jobs are the team's: everybody sees the latest."""

    def __init__(self, serving: Serving, store: Store, jobs: Jobs, base: Base) -> None:
        self._serving, self._store, self._jobs, self._base = serving, store, jobs, base
        gr.Markdown(INTRO)
        self._waits = gr.HTML(elem_id="waiting")
        with gr.Row():
            epochs = gr.Number(label="Passes over the rows", value=self._epochs(), minimum=0.1, maximum=MOST_EPOCHS, elem_id="epochs", min_width=140)
            start = gr.Button("Retrain", variant="primary", elem_id="retrain-start")
            cancel = gr.Button("Cancel", elem_id="retrain-cancel")
        status = gr.HTML(elem_id="retrain-status")
        with gr.Row():
            who = gr.Textbox(label="Promoted by (kept in the log)", max_length=100, elem_id="promoter", min_width=140)
            anyway = gr.Checkbox(label="Promote even if it is worse", elem_id="anyway")
            promote = gr.Button("Promote the new model", elem_id="promote")
            rollback = gr.Button("Roll back to the one before", elem_id="rollback")
        said = gr.HTML(elem_id="promoted")
        trail = gr.HTML(elem_id="trail")
        self.timer = gr.Timer(1, active=False)
        self.shown = [self._waits, status, self.timer, trail]
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        start.click(self._start_retrain, [epochs], [status, self.timer], **private)
        cancel.click(self._cancel_retrain, None, [status], **private)
        self.timer.tick(self.look_retrain, None, self.shown, **private)
        promote.click(self._promote, [anyway, who], [said], **private).then(self.look_retrain, None, self.shown, **private)
        rollback.click(self._rollback, None, [said], **private).then(self.look_retrain, None, self.shown, **private)

    def _epochs(self) -> float:
        return float(self._serving.classifier().folder.document("settings").get("epochs", 3.0))

    def _start_retrain(self, epochs: float | None) -> tuple[Any, Any]:
        try:
            passes = min(max(float(epochs or 1), 0.1), MOST_EPOCHS)
            job = retrain.submit(self._jobs, self._serving, self._store, self._base, passes)
            return corpus_tab.bar(self._jobs.state(job)), gr.Timer(active=True)
        except FramewireError as error:
            return view.error(str(error)), gr.skip()

    def look_retrain(self) -> list[Any]:
        """What waits, the latest retrain, and the log of promotions."""
        try:
            job = self._latest()
            state = self._jobs.state(job) if job else None
            waits = _waiting(retrain.waiting(self._jobs, self._serving, self._store), self._store, self._serving)
            shown = self._shown(job) if job else ""
        except FramewireError as error:
            return [view.error(str(error)), gr.skip(), gr.Timer(active=False), gr.skip()]
        return [waits, shown, gr.Timer(active=bool(state and state.open)), _trail(self._serving)]

    def _latest(self) -> str | None:
        found = self._jobs.ids("retrain")
        return found[-1] if found else None

    def _shown(self, job: str) -> str:
        folder, state = self._jobs.folder(job), self._jobs.state(job)
        settings = self._jobs.describe(job)["settings"]
        left = "; ".join(f"{number} left out: {html.escape(reason)}" for reason, number in settings["left"].items())
        learnt = f'<p class="fw-note">Corrections learnt from: {len(settings["used"])}{". " + left if left else ""}.</p>'
        log = html.escape("\n".join(retrain.lines(folder)[-SHOWN:]))
        parts = [corpus_tab.bar(state, "Retrain"), learnt]
        made = retrain.result(self._jobs, job)
        if made is not None:
            against = (
                "".join(f"<li>{html.escape(line)}</li>" for line in made["against"]) or "<li>No question in common with the promoted model.</li>"
            )
            verdict = "It is worse, or cannot be compared." if made["worse"] else "It is not worse than the model that served when it was made."
            parts += [f"<h3>{html.escape(made['model'])}</h3><p><b>{verdict}</b></p><ul>{against}</ul>"]
            parts += [view.grid(*tables.report(made["report"]))]
        parts.append(
            f'<details{" open" if state.open else ""}><summary>What the training says</summary><pre class="fw-log" tabindex="0">{log}</pre></details>'
        )
        return f'<div class="fw-results">{"".join(parts)}</div>'

    def _cancel_retrain(self) -> str:
        try:
            job = self._latest()
            return corpus_tab.bar(self._jobs.cancel(job), "Retrain") if job else ""
        except FramewireError as error:
            return view.error(str(error))

    def _promote(self, anyway: bool, who: str) -> str:
        try:
            name = " ".join(str(who).split())[:100]
            if not name:
                return view.error("The name of who promotes is missing. Say who you are.")
            return view.said(f"{retrain.promote(self._jobs, self._serving, self._latest() or '', bool(anyway), name)} serves now.")
        except FramewireError as error:
            return view.error(str(error))

    def _rollback(self) -> str:
        try:
            return view.said(f"Back to {retrain.rollback(self._serving)}.")
        except FramewireError as error:
            return view.error(str(error))


def _waiting(numbers: list[int], store: Store, serving: Serving) -> str:
    folder = serving.classifier().folder
    noun = "correction waits" if len(numbers) == 1 else "corrections wait"
    head = f"<p><b>{len(numbers)}</b> {noun} that the serving model, <code>{html.escape(folder.name)}</code>, has not learnt from.</p>"
    wanted = set(numbers[-SHOWN:])
    rows = [item for item in store.history() if item["number"] in wanted]
    listed = f"<details><summary>The latest {len(rows)}</summary>{view.grid(*tables.history(rows, folder.codebook))}</details>" if rows else ""
    return f'<div class="fw-results">{head}{listed}</div>'


def _trail(serving: Serving) -> str:
    """The latest promotions and rollbacks, newest first."""
    rows = [
        [item["time"], item["event"], str(item.get("model") or item.get("path", "")), str(item.get("before") or ""), str(item.get("reason", ""))]
        for item in reversed(serving.models.entries())
        if item["event"] in ("promote", "rollback")
    ][:SHOWN]
    return f"<h3>Promotions</h3>{view.grid(['when', 'what', 'model', 'before', 'why'], rows)}" if rows else ""
