"""Which documents are learnt from, which set thresholds, and which only judge. A document is never cut in two."""

import dataclasses
import hashlib
from collections.abc import Sequence

from annotations.errors import RowsError
from annotations.rows import Annotation

TEST_SHARE = 0.15
VALIDATION_SHARE = 0.15
SHORTEST_LEAK = 30


def split_of(document: str) -> str:
    """The split of a document that has none, fixed by its id: SHA-256 as a number in [0, 1)."""
    number = int.from_bytes(hashlib.sha256(document.encode()).digest()[:8]) / 2**64
    if number < TEST_SHARE:
        return "test"
    return "validation" if number < TEST_SHARE + VALIDATION_SHARE else "train"


def assign(rows: Sequence[Annotation]) -> list[Annotation]:
    """Give every row a split: its document's where one of its rows names it, else by the document's id.

    Raises RowsError where the rows of one document name different splits, since its sentences would then judge themselves.
    """
    named: dict[str, str] = {}
    for row in rows:
        if row.split is None:
            continue
        if named.setdefault(row.document, row.split) != row.split:
            raise RowsError(
                f"document '{row.document}' is in two splits, {named[row.document]} and {row.split} (row '{row.id}').",
                "Give all its rows the same split.",
            )
    return [dataclasses.replace(row, split=named.get(row.document) or split_of(row.document)) for row in rows]


def overlaps(rows: Sequence[Annotation]) -> list[tuple[Annotation, Annotation]]:
    """Pairs (row outside test, row in test) whose texts are the same but for case, punctuation and spacing.

    Texts of fewer than SHORTEST_LEAK letters and digits are left out: 'Leave a Reply' stands under every article.
    """
    held_out = {bare: row for row in rows if row.split == "test" and len(bare := _bare(row.text)) >= SHORTEST_LEAK}
    return [(row, held_out[bare]) for row in rows if row.split != "test" and (bare := _bare(row.text)) in held_out]


def _bare(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
