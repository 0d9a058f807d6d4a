"""Sentences: cutting a pasted article into the units that are coded, each with its place in the original text."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import nupunkt

LONGEST_PARAGRAPH = 8_000  # characters handed to the splitter at once; it is not linear on hostile input
LONGEST_TITLE = 100  # characters looked back over for a title, blanks included
LONGEST_SENTENCE = 2_000  # characters; navigation lists without a stop are cut at a blank before this


# Words whose full stop ends no sentence, where the splitter was seen to cut news prose.
_TITLES = frozenset(
    ("mr", "mrs", "ms", "dr", "gen", "lt", "col", "maj", "capt", "sgt", "adm", "sen", "rep", "gov", "amb", "prof", "rev", "st", "brig", "no", "vs")
)
_PARAGRAPH = re.compile(r"[^\n\r\u2028\u2029\x0b\x0c]+")
_GLUED = re.compile(r"(?<=[a-z\d][.!?])(?=[A-Z][a-z])|(?<=[.!?][\"”’])(?=[A-Z][a-z])")
_BLANK = re.compile(r"\s+")
_WORD = re.compile(r"\w")
_INK = re.compile(r"\S")
_RUN = re.compile(r"([^\w\s])\1{15,}")
# What the splitter takes other signs for, one for one, so that places stay: full-width and styled letters and marks, and wide blanks.
_PLAIN = {number: number - 0xFEE0 for number in range(0xFF01, 0xFF5F)} | {0x3002: ".", 0xFF61: "."}
_PLAIN |= {number: unicodedata.normalize("NFKC", chr(number)) for number in range(0x1D400, 0x1D800)}
_PLAIN |= dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_UNSEEN = "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
_LOOSE = re.compile(rf"(?<!\w){_UNSEEN}|{_UNSEEN}(?!\w)")  # not within a word, where they part nothing
_CLOSERS = "\"”’'»)]"


@dataclass(frozen=True)
class Sentence:
    """One unit to classify.

    `text` has single blanks; `start` and `end` are character offsets of its source in the document's text (-1 when it did not come
    from a longer text). `position` counts from 0 in its document; `previous` is the sentence
    before it there, or "". `targets` are asked about for this sentence besides those asked about for all.
    """

    text: str
    document: str = ""
    position: int = 0
    previous: str = ""
    start: int = -1
    end: int = -1
    targets: tuple[str, ...] = ()


def split(text: str, document: str = "") -> list[Sentence]:
    """Cut `text` into sentences, in order; line ends always cut, except where a wrapped line goes on in lower case."""
    found: list[Sentence] = []
    for start, end in _spans(text):
        words = _BLANK.sub(" ", text[start:end]).strip()
        if not _WORD.search(words):
            continue
        previous = found[-1].text if found else ""
        found.append(Sentence(words, document, len(found), previous, start, end))
    return found


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for start, end in _paragraphs(text):
        for piece_start, piece_end in _capped(text, start, end, LONGEST_PARAGRAPH):
            for sentence_start, sentence_end in _cut(text, piece_start, piece_end):
                yield from _capped(text, sentence_start, sentence_end, LONGEST_SENTENCE)


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Lines; a line that begins in lower case after one without a closing mark is the same, wrapped, paragraph."""
    open_start = open_end = -1
    for line in _PARAGRAPH.finditer(text):
        words = line.group().strip()
        if not words:
            continue
        adjacent = open_end >= 0 and text.count("\n", open_end, line.start()) == 1
        if adjacent and words[0].islower() and text[open_end - 1] not in ".!?:" + _CLOSERS:
            open_end = line.end()
            continue
        if open_end >= 0:
            yield open_start, open_end
        open_start, open_end = line.start(), line.end()
    if open_end >= 0:
        yield open_start, open_end


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentence spans of one paragraph: the splitter's, mended where news prose misleads it."""
    paragraph = _plain(text[start:end])
    stops = [0]
    # The splitter takes the square of a run of marks, so it sees the first of a long run alone.
    for span_start, span_end in nupunkt.sent_spans(_RUN.sub(lambda run: run[1] + " " * (len(run[0]) - 1), paragraph)):
        stops += [glued.start() for glued in _GLUED.finditer(paragraph, span_start, span_end) if glued.start() > stops[-1]]
        if span_end > stops[-1]:
            stops.append(span_end)
    stops[-1] = len(paragraph)
    begin = 0
    last = _WORD.search(paragraph[::-1])
    last_word = len(paragraph) - 1 - last.start() if last else -1
    first_word = _WORD.search(paragraph)
    for stop in stops[1:]:
        if stop < len(paragraph):
            # A cut with no word before or behind it is none. Found once for all cuts, or a line of marks would take the square of its length.
            bare = stop > last_word or first_word is None or first_word.start() >= stop
            if bare or _goes_on(paragraph, begin, stop):
                continue
        yield start + begin, start + stop
        begin = stop
        first_word = _WORD.search(paragraph, begin)
    if begin < len(paragraph):
        yield start + begin, start + len(paragraph)


def _plain(paragraph: str) -> str:
    """The same text, of the same length, in the signs that the splitter knows; what is not seen at the edge of a word is a blank."""
    if paragraph.isascii():
        return paragraph
    return _LOOSE.sub(lambda run: " " * len(run[0]), paragraph.translate(_PLAIN))


def _goes_on(paragraph: str, begin: int, stop: int) -> bool:
    """Whether a cut at `stop` of the sentence from `begin` is none: after a title, or before lower case. Words stand on either side."""
    head = paragraph[max(begin, stop - LONGEST_TITLE) : stop].rstrip()
    if not head:
        return False
    last = head.split()[-1].strip("(\"“‘'").casefold()
    if last.endswith(".") and last[:-1] in _TITLES:
        return True
    tail = _INK.search(paragraph, stop)
    return tail is not None and tail.group().islower() and head[-1] not in "!?…"


def _capped(text: str, start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """The span itself, or pieces of at most `most` characters cut at blanks where there are any."""
    while end - start > most:
        blank = max(text.rfind(" ", start + most // 2, start + most), text.rfind("\n", start + most // 2, start + most))
        cut = blank + 1 if blank > 0 else start + most
        yield start, cut
        start = cut
    if start < end:
        yield start, end
