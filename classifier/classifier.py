"""The classifier: sentences in, predictions out."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from annotations.errors import InputError
from classifier.alphabets import WARNING, looks_alike
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

    def __init__(self, folder: ModelFolder | Path | str, threads: int | None = None, precision: str | None = None) -> None:
        self.folder = folder if isinstance(folder, ModelFolder) else ModelFolder.load(folder)
        self.codebook = self.folder.codebook
        self._network = Network(self.folder, threads, precision)

    def predict(self, sentences: Iterable[Sentence], targets: Sequence[str] = ()) -> Iterator[Prediction]:
        """Predictions in the order of `sentences`, with one answer for each target where a question asks for it.

        A sentence's own targets are asked besides `targets`. Holds at most two windows of WINDOW sentences. Raises InputError for bad targets.
        """
        common = checked_targets(targets)
        stream = iter(sentences)
        begun: Callable[[], Iterator[Prediction]] | None = None
        while window := list(itertools.islice(stream, WINDOW)):
            after = self._begin(window, common)
            if begun:  # while the network works on this window, what it found for the one before is handed out
                yield from begun()
            begun = after
        if begun:
            yield from begun()

    def _begin(self, window: list[Sentence], common: tuple[str, ...]) -> Callable[[], Iterator[Prediction]]:
        """Start the network on all questions of a window; what comes back waits for it and gives the predictions."""
        targets = [tuple(dict.fromkeys((*common, *sentence.targets))) for sentence in window]
        asked = [begun for member in self.folder.members for per_target in (False, True) if (begun := self._ask(member, per_target, window, targets))]

        def finish() -> Iterator[Prediction]:
            answers: list[dict[str, list[Answer]]] = [{} for _ in window]
            for begun in asked:
                begun(answers)
            order = [question.name for question in self.codebook.questions]
            for sentence, found in zip(window, answers, strict=True):
                flat = tuple(answer for name in order for answer in found.get(name, []))
                warning = WARNING if looks_alike(sentence.text) else None
                yield Prediction(sentence, flat, self.codebook, self.folder.name, warning=warning)

        return finish

    def _ask(
        self, member: Member, per_target: bool, window: list[Sentence], targets: list[tuple[str, ...]]
    ) -> Callable[[list[dict[str, list[Answer]]]], None] | None:
        """Begin on the questions of a member that are (or are not) asked per target; what comes back waits and fills in the answers."""
        questions = [self.codebook.question(name) for name in member.questions]
        cases: list[tuple[int, str]] = []
        inputs: list[Input] = []
        for place, sentence in enumerate(window):
            for target in targets[place] if per_target else ("",):
                cases.append((place, target))
                inputs.append(encode(sentence.text, sentence.previous, target if per_target else None, self.folder.context))
        if not inputs or not any(question.per_target is per_target for question in questions):
            return None
        wait = self._network.start(member, inputs)

        def fill(answers: list[dict[str, list[Answer]]]) -> None:
            logits = wait()
            begin = 0
            for question in questions:
                part = logits[:, begin : begin + len(question.labels)]
                begin += len(question.labels)
                if question.per_target is per_target:
                    calibration = self.folder.calibrations[question.name]
                    found = calibration.answers(question, calibration.scores(question, part), [target for _, target in cases])
                    for (place, _), answer in zip(cases, found, strict=True):
                        answers[place].setdefault(question.name, []).append(answer)

        return fill


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
