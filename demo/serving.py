"""The model that serves: opened once, swapped when another is promoted, asked by one caller at a time."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from annotations.errors import FramewireError, InputError, ModelFolderError
from classifier.classifier import Classifier
from classifier.language import require_english
from classifier.models import POINTER, Models
from classifier.predictions import Prediction
from classifier.sentences import Sentence, split

LONGEST_TEXT = 100_000  # characters of one text at any door
MOST_TEXTS = 64
MOST_ASKED = 20_000  # sentences times targets in one request
LONGEST_SECONDS = 60  # that one request may score, and as long again that it may wait for its turn
AT_ONCE = 256  # sentences between two looks at the clock
MOST_WAITING = 32  # callers that may wait for the processor before the next is told to come again


class BusyError(FramewireError):
    """More callers than the machine can serve; to be answered with 429 and Retry-After."""


class Serving:
    """The classifier of a fixed model folder, or of whatever is promoted on a shelf.

    Every answer comes from one model: a swap waits for nobody and changes no answer under way.
    """

    def __init__(self, models: Models, fixed: Path | None = None) -> None:
        self.models = models
        self._fixed = fixed
        self._stamp: tuple[int, int] | None = None
        self._running = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._classifier = Classifier(fixed or models.current())
        self._stamp = self._pointer()

    def classifier(self) -> Classifier:
        """The classifier now; takes up a newly promoted model, and keeps the old one when the new one cannot be opened."""
        stamp = self._pointer()
        if self._fixed is None and stamp != self._stamp:
            self._stamp = stamp
            try:
                self._classifier = Classifier(self.models.current())
            except ModelFolderError as error:
                with contextlib.suppress(OSError):  # a shelf that cannot be written to still serves
                    self.models.record("refused", reason=str(error))
        return self._classifier

    def predict(self, texts: Sequence[tuple[str, str]], targets: Sequence[str]) -> list[Prediction]:
        """Split and score (document, text) pairs. Raises InputError for texts that cannot be scored, BusyError under overload."""
        if len(texts) > MOST_TEXTS:
            raise InputError(f"{len(texts)} texts are too many.", f"Send at most {MOST_TEXTS} at a time.")
        sentences: list[Sentence] = []
        for document, text in texts:
            sentences += cut(document, text)
        return self.predict_sentences(sentences, targets)

    def predict_sentences(self, sentences: Sequence[Sentence], targets: Sequence[str]) -> list[Prediction]:
        """Score sentences that are cut already. Raises InputError, and BusyError when there is no turn or no time for them."""
        if len(sentences) * max(1, len(targets)) > MOST_ASKED:
            raise InputError(
                f"{len(sentences):,} sentences for {max(1, len(targets))} targets are too many at once.",
                f"Sentences times targets may be {MOST_ASKED:,}; score the file with 'framewire score'.",
            )
        with self._turn():
            classifier, deadline = self.classifier(), time.monotonic() + LONGEST_SECONDS
            found: list[Prediction] = []
            for begin in range(0, len(sentences), AT_ONCE):
                if time.monotonic() > deadline:
                    raise BusyError(f"This takes more than {LONGEST_SECONDS} seconds.", "Send less at a time, or use 'framewire score'.")
                found += classifier.predict(sentences[begin : begin + AT_ONCE], targets)
            return found

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._waiting.acquire(blocking=False):
            raise BusyError("The service is busy.", "Try again in a few seconds.")
        try:
            if not self._running.acquire(timeout=LONGEST_SECONDS):
                raise BusyError("The service is busy.", "Try again in a few seconds.")
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._waiting.release()

    def _pointer(self) -> tuple[int, int] | None:
        try:
            status = (self.models.home / POINTER).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino


def cut(document: str, text: str) -> list[Sentence]:
    """The sentences of a text from outside. Raises InputError for one that cannot be scored."""
    if len(text) > LONGEST_TEXT:
        raise InputError(
            f"A text of {len(text):,} characters is too long.", f"Send at most {LONGEST_TEXT:,}, or score the file with 'framewire score'."
        )
    if "\0" in text:
        raise InputError("The text holds binary data.", "Paste the article's words.")
    require_english(text, "The text")
    sentences = split(text.encode("utf-8", errors="replace").decode("utf-8"), document)
    if not sentences:
        raise InputError("The text is empty.", "Paste a news article or a sentence.")
    return sentences
