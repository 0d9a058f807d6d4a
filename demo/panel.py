"""The panel under the prose in which a coder corrects a sentence."""

import uuid
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotations.codebook import Codebook, Question
from annotations.errors import FramewireError, InputError
from annotations.store import Store
from classifier.classifier import MOST_TARGETS
from classifier.predictions import Prediction
from demo import tables, view
from demo.corrections import Correction, keep
from demo.serving import Serving

SHOWN = 100  # corrections in the history


@dataclass(frozen=True)
class Field:
    """One question of the form; `place` is the target's place, None where the question is not asked per target."""

    question: Question
    place: int | None
    component: Any


class Panel:
    """The form, pre-filled with the prediction of the sentence that is chosen."""

    def __init__(self, serving: Serving, store: Store, results: gr.State) -> None:
        self._serving, self._store, self._results = serving, store, results
        self._codebook = serving.classifier().codebook
        with gr.Column() as self.gate:  # closed to those whose token may only read
            with gr.Column(visible=False, elem_id="correct") as self.column:
                gr.Markdown("## Correct a sentence\nClick a sentence above, or give its number. The form starts with the model's answers.")
                with gr.Row(equal_height=True):
                    self._number = gr.Number(label="Sentence number", value=1, minimum=1, precision=0, elem_id="chosen", scale=1, min_width=140)
                    self._quote = gr.HTML(elem_id="quote", scale=5, min_width=300)
                self._fields = _fields(self._codebook)
                self._unsure = gr.Checkbox(label="Cannot tell: the answers above are a guess", elem_id="unsure")
                with gr.Row():
                    self._coder = gr.Textbox(label="Your name (kept with the correction)", max_length=100, elem_id="coder")
                    self._note = gr.Textbox(label="Note", max_length=2_000, elem_id="note")
                with gr.Row():
                    save = gr.Button("Save", variant="primary", elem_id="save")
                    undo = gr.Button("Undo my last", elem_id="undo")
                self._said = gr.HTML(elem_id="said")
            with gr.Accordion("Corrections so far", open=False, elem_id="history"):
                self.history = gr.HTML()
                # A plain link, so that it works as well from a script and always gives what is in the database now.
                gr.HTML('<a class="fw-button" href="v1/corrections" download="corrections.jsonl">Export corrections</a>')
        self._form = gr.State(None)  # which sentence the form was filled for, and the key of the correction that it will become
        # A name is no secret; the fixed key only lets it be read again after the service was started again.
        remembered = gr.BrowserState("", storage_key="framewire-coder", secret="framewire")  # noqa: S106
        self.filled = [self._quote, self._unsure, self._note, self._form, *(field.component for field in self._fields)]
        self.inputs = [results, self._number]
        self._number.change(self.fill, self.inputs, self.filled, api_visibility="private", show_progress="hidden")
        form = [results, self._number, self._coder, self._note, self._unsure, self._form, *(field.component for field in self._fields)]
        save.click(self.save, form, [self._said, self.history, self._form], api_visibility="private")
        undo.click(self.undo, [self._coder], [self._said, self.history], api_visibility="private")
        self._coder.change(lambda name: name, [self._coder], [remembered], api_visibility="private", show_progress="hidden")
        self._remembered = remembered

    def on_load(self, page: gr.Blocks) -> None:
        """What the page asks for when it opens: the coder's name."""
        page.load(lambda name: name, [self._remembered], [self._coder], api_visibility="private", show_progress="hidden")

    def fill(self, predictions: list[Prediction] | None, number: float | None) -> list[Any]:
        """The form for a sentence, with the model's answers in it and a new key."""
        chosen = _chosen(predictions, number)
        if chosen is None or chosen.codebook != self._codebook:
            changed = view.error("The codebook has changed; the form follows when the service is started again.") if chosen else ""
            return [changed, False, "", None, *(gr.skip() for _ in self._fields)]
        return [view.quoted(chosen.sentence.text), False, "", _form(chosen), *(_filled(field, chosen) for field in self._fields)]

    def save(
        self,
        predictions: list[Prediction] | None,
        number: float | None,
        coder: str,
        note: str,
        unsure: bool,
        form: tuple[str, int, str] | None,
        *values: Any,
    ) -> tuple[str, Any, Any]:
        """Keep the form's answers; on a fault the form stays as it is."""
        try:
            chosen = _chosen(predictions, number)
            if chosen is None:
                raise InputError("There is no sentence of this number.", "Click a sentence of the text.")
            if form is None or form[:2] != _form(chosen)[:2]:  # a click on Save overtook the filling of the form
                raise InputError("The form does not show this sentence yet.", "Try again in a moment.")
            answers = _answers(self._fields, values, view.targets_of(chosen))
            correction = Correction(chosen.sentence.text, answers, str(coder)[:100], chosen.sentence.document, str(note), bool(unsure), form[2])
            kept = keep(self._serving, self._store, correction)
            return view.said(f"Kept as correction {kept}."), self.table(), _form(chosen)
        except FramewireError as error:
            return view.error(str(error)), gr.skip(), gr.skip()

    def undo(self, coder: str) -> tuple[str, Any]:
        """Take back the coder's latest correction."""
        try:
            number = self._store.undo_last(" ".join(str(coder).split()))
            return view.said(f"Correction {number} is taken back; it stays in the history."), self.table()
        except FramewireError as error:
            return view.error(str(error)), gr.skip()

    def table(self) -> str:
        """The latest corrections, newest first. Raises StoreError."""
        return view.grid(*tables.history(self._store.history(SHOWN), self._codebook))


def _form(chosen: Prediction) -> tuple[str, int, str]:
    return chosen.sentence.document, chosen.sentence.position, uuid.uuid4().hex


def _fields(codebook: Codebook) -> list[Field]:
    """A field for each question, and MOST_TARGETS hidden ones for each question per target."""
    fields = []
    for question in codebook.questions:
        for place in range(MOST_TARGETS) if question.per_target else (None,):
            choices = [(tables.readable(name), name) for name in question.label_names]
            kind = gr.CheckboxGroup if question.choose == "any" else gr.Radio
            fields.append(Field(question, place, kind(choices, label=question.text or tables.readable(question.name), visible=place is None)))
    return fields


def _filled(field: Field, chosen: Prediction) -> Any:
    targets = view.targets_of(chosen)
    kind = gr.CheckboxGroup if field.question.choose == "any" else gr.Radio
    if field.place is None:
        return kind(value=chosen.answer(field.question.name).plain)
    if field.place >= len(targets):
        return kind(value=[] if field.question.choose == "any" else None, visible=False)
    target = targets[field.place]
    label = f"{field.question.text or tables.readable(field.question.name)} Target: {target}"
    return kind(value=chosen.answer(field.question.name, target).plain, visible=True, label=label)


def _answers(fields: list[Field], values: tuple[Any, ...], targets: list[str]) -> dict[str, Any]:
    """What the form says, as an annotated row has it; a question without an answer is left out, for it was not asked."""
    answers: dict[str, Any] = {}
    for field, value in zip(fields, values, strict=True):
        if value is None:
            continue
        if field.place is None:
            answers[field.question.name] = value
        elif field.place < len(targets):
            answers.setdefault(field.question.name, {})[targets[field.place]] = value
    return answers


def _chosen(predictions: list[Prediction] | None, number: float | None) -> Prediction | None:
    place = int(number or 0) - 1
    return predictions[place] if predictions and 0 <= place < len(predictions) else None
