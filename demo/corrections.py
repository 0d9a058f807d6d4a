"""A coder's correction on its way to the database: the one path of page and API."""

from dataclasses import dataclass
from typing import Any

from annotations.errors import InputError
from annotations.rows import Annotation
from annotations.store import Store
from demo.serving import Serving


@dataclass(frozen=True)
class Correction:
    """What a coder says of one sentence; `answers` by question, as in an annotated row; the same `key` twice is kept once."""

    text: str
    answers: dict[str, Any]
    annotator: str
    document: str = ""
    note: str = ""
    unsure: bool = False
    key: str | None = None


def keep(serving: Serving, store: Store, correction: Correction) -> int:
    """Check a correction against the serving model's codebook and store it with that model's name; returns its number.

    Raises InputError for what does not fit, CodebookError for an unknown question, StoreError when it cannot be written.
    """
    classifier = serving.classifier()
    for name in correction.answers:
        classifier.codebook.question(name)
    if not correction.annotator.strip():
        raise InputError("The coder's name is missing.", "Say who corrects.")
    row: dict[str, Any] = {
        "id": "new",
        "document": correction.document or "pasted",
        "text": correction.text,
        "annotator": " ".join(correction.annotator.split()),
        "note": correction.note,
        "unsure": correction.unsure,
        "sampling": "correction",
    }
    try:
        annotation = Annotation.from_dict(row | correction.answers, classifier.codebook)
    except ValueError as error:
        raise InputError(f"The correction does not fit the codebook: {error}.", "See /v1/codebook.") from None
    return store.add(annotation, classifier.folder.name, correction.key)
