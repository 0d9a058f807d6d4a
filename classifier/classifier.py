"""The classifier: sentences in, predictions out."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from annotations.errors import InputError
from classifier.folder import Member, ModelFolder
from classifier.network import Input, Network, encode
from classifier.predictions import Answer, Prediction
from classifier.sentences import Sentence

WINDOW = 4_096  # sentences sorted and deduplicated at once; memory does not grow beyond it
LONGEST_TARGET = 200  # characters
MOST_TARGETS = 20


class Classifier:
    """A model folder, opened and ready.

    Predictions for one sentence and target are the same whatever they are asked together with.
    """

    def __init__(self, folder: ModelFolder | Path | str, threads: int | None = None) -> None:
        self.folder = folder if isinstance(folder, ModelFolder) else ModelFolder.load(folder)
        self.codebook = self.folder.codebook
        self._network = Network(self.folder, threads)

    def predict(self, sentences: Iterable[Sentence], targets: Sequence[str] = ()) -> Iterator[Prediction]:
        """Predictions in the order of `sentences`, with one answer for each target where a question asks for it.

        A sentence's own targets are asked besides `targets`. Holds at most WINDOW sentences. Raises InputError for bad targets.
        """
        common = checked_targets(targets)
        stream = iter(sentences)
        while window := list(itertools.islice(stream, WINDOW)):
            yield from self._window(window, common)

    def _window(self, window: list[Sentence], common: tuple[str, ...]) -> Iterator[Prediction]:
        targets = [tuple(dict.fromkeys((*common, *sentence.targets))) for sentence in window]
        answers: list[dict[str, list[Answer]]] = [{} for _ in window]
        for member in self.folder.members:
            for per_target in (False, True):
                self._ask(member, per_target, window, targets, answers)
        order = [question.name for question in self.codebook.questions]
        for sentence, found in zip(window, answers, strict=True):
            flat = tuple(answer for name in order for answer in found.get(name, []))
            yield Prediction(sentence, flat, self.codebook, self.folder.name)

    def _ask(
        self,
        member: Member,
        per_target: bool,
        window: list[Sentence],
        targets: list[tuple[str, ...]],
        answers: list[dict[str, list[Answer]]],
    ) -> None:
        """Put to the window all questions of a member that are (or are not) asked per target; `answers` takes them up."""
        questions = [self.codebook.question(name) for name in member.questions]
        asked = [question for question in questions if question.per_target is per_target]
        if not asked:
            return
        cases: list[tuple[int, str]] = []
        inputs: list[Input] = []
        for place, sentence in enumerate(window):
            for target in targets[place] if per_target else ("",):
                cases.append((place, target))
                inputs.append(encode(sentence.text, sentence.previous, target if per_target else None, self.folder.context))
        if not inputs:
            return
        logits = self._network.logits(member, inputs)
        begin = 0
        for question in questions:
            size = len(question.labels)
            if question in asked:
                calibration = self.folder.calibrations[question.name]
                scores = calibration.scores(question, logits[:, begin : begin + size])
                for (place, target), row in zip(cases, scores, strict=True):
                    answers[place].setdefault(question.name, []).append(calibration.answer(question, row, target))
            begin += size


def checked_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """Targets without doubles and outer blanks. Raises InputError when one is empty or too long, or there are too many."""
    found = tuple(dict.fromkeys(" ".join(target.split()) for target in targets))
    if len(found) > MOST_TARGETS:
        raise InputError(f"{len(found)} targets are too many.", f"Ask for at most {MOST_TARGETS} at a time.")
    for target in found:
        if not target:
            raise InputError("A target is empty.", "Name what the stance is toward, for example NATO expansion.")
        if len(target) > LONGEST_TARGET:
            raise InputError(f"A target has {len(target):,} characters.", f"Use at most {LONGEST_TARGET}.")
    return found
