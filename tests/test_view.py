"""What the page draws: escaped, told apart without colour, true to the predictions; and the report that stands alone."""

import html.parser
import json
import re

import pytest

from annotations.codebook import Codebook, Label, Question
from classifier.classifier import Classifier
from classifier.predictions import Answer, Prediction
from classifier.sentences import Sentence, split
from demo import tables, view

HOSTILE = "</script><img src=x onerror=alert(1)> \"'${alert(2)}{{3}} The troops are a threat."
ARTICLE = "Villages count the launchers\nBy Ilze Bermane\nMarch 3, 2026\nShare | Print\n\nThe troops came. Rain fell.\n\nWhat next\n\nBread came."


class Tags(html.parser.HTMLParser):
    """The tags of a page with their attributes, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def classed(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if name in (attributes.get("class") or "").split()]


def predict(classifier: Classifier, text: str, *targets: str) -> list[Prediction]:
    return list(classifier.predict(split(text, "d"), targets))


def made(codebook: Codebook, labels: tuple[str, ...], uncertain: tuple[str, ...] = (), text: str = "Talks ended.") -> Prediction:
    frames, stance = codebook.questions
    answers = (
        Answer(frames, (0.6, 0.5, 0.1, 0.1), labels, uncertain),
        Answer(stance, (0.1, 0.8, 0.1), ("favor",), (), "the treaty"),
    )
    return Prediction(Sentence(text, "d"), answers, codebook, "m")


def test_everything_from_outside_is_escaped(classifier: Classifier) -> None:
    predictions = predict(classifier, HOSTILE, '"><script>alert(4)</script>')
    report = view.report(predictions, HOSTILE, "", "<today>")
    for page in (view.prose(predictions, HOSTILE), view.summary(predictions, classifier.codebook), report, view.error(HOSTILE), view.quoted(HOSTILE)):
        found = Tags(page)
        assert not {"script", "img"} & {tag for tag, _ in found.tags}
        assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert "<img src=x onerror=alert(1)>" in Tags(view.prose(predictions, HOSTILE)).words


def test_a_users_own_codebook_is_escaped_and_needs_no_code() -> None:
    labels = (Label("calm", '"><script>alert(1)</script>'), Label("a_storm", "Wind."))
    own = Codebook("mine", (Question("mood", "<b>Which?</b>", "any", False, labels),))
    found = Tags(view.summary([], own))
    assert "script" not in {tag for tag, _ in found.tags}
    assert {attributes["id"] for attributes in found.classed("fw-tip")} == {"fw-mood-calm-tip", "fw-mood-a_storm-tip"}
    assert "<b>Which?</b>" in found.words


def test_a_sentence_carries_its_marks_and_all_its_scores(codebook: Codebook) -> None:
    found = Tags(view.prose([made(codebook, ("security_threat", "broken_promises"))], "Talks ended."))
    (sentence,) = found.classed("fw-s")
    assert sentence["tabindex"] == "0" and sentence["role"] == "button"
    scores = json.loads(sentence["data-scores"] or "")
    assert [title for title, _ in scores] == ["frames", "the treaty"]
    assert scores[0][1][0] == ["security threat", 0.6, view.COLOURS[0], True, False]
    assert [attributes["title"] for attributes in found.classed("fw-mark")] == ["security threat", "broken promises"]
    assert len([tag for tag, _ in found.tags if tag == "mark"]) == 2


def test_what_the_model_does_not_know_is_shown_as_such(codebook: Codebook) -> None:
    prediction = made(codebook, ("security_threat",), ("broken_promises",))
    assert [item["title"] for item in Tags(view.prose([prediction], "Talks ended.")).classed("fw-mark")] == [
        "security threat",
        "broken promises (uncertain)",
    ]
    words = Tags(view.summary([prediction], codebook)).words
    assert "1 sentence, 1 with an uncertain answer" in words
    assert "0 of 1, 0%, 1 uncertain" in words


def test_the_summary_counts_each_label_and_balances_each_target(codebook: Codebook) -> None:
    predictions = [made(codebook, ("security_threat",)), made(codebook, ())]
    found = Tags(view.summary(predictions, codebook))
    assert "1 of 2, 50%" in found.words
    assert "0 against (0%), 2 favor (100%), 0 neutral (0%)" in found.words
    assert len(found.classed("fw-balance")) == 1
    boxes = [attributes for tag, attributes in found.tags if tag == "input"]
    assert len(boxes) == 7 and sum("checked" in attributes for attributes in boxes) == 6


@pytest.mark.parametrize(
    ("text", "alone", "kind"),
    [
        ("By Ilze Bermane", True, "furniture"),
        ("March 3, 2026", True, "furniture"),
        ("Tuesday, 3 March 2026 at 10:15", True, "furniture"),
        ("Leave a Reply", False, "furniture"),
        ("12 comments", True, "furniture"),
        ("Home | World | Politics", True, "furniture"),
        ("© 2026 The Paper", True, "furniture"),
        ("By Friday the troops had left.", True, "text"),
        ("Share prices fell.", True, "text"),
        ("Border villages count the launchers", True, "heading"),
        ("Border villages count the launchers", False, "text"),
        ('He said: "We go home"', True, "heading"),
        ("word " * 40, True, "text"),
    ],
)
def test_headlines_and_furniture_are_told_from_prose(text: str, alone: bool, kind: str) -> None:
    assert view.kind(text.strip(), alone) == kind


def test_an_article_has_one_headline_and_subheads(classifier: Classifier) -> None:
    prose = view.prose(predict(classifier, ARTICLE), ARTICLE)
    assert re.findall(r'<(?:h2|h3|p) class="([\w-]+)"', prose) == [
        *("fw-headline", "fw-furniture", "fw-furniture", "fw-furniture", "fw-text", "fw-subhead", "fw-text"),
    ]
    assert "fw-headline" not in view.prose(predict(classifier, "One line alone"), "One line alone")


def test_the_report_stands_alone(classifier: Classifier) -> None:
    predictions = predict(classifier, ARTICLE, "NATO plan")
    report = view.report(predictions, ARTICLE, ".fw-report{color:red}", "2026-11-22")
    found = Tags(report)
    assert not {"script", "link", "img", "a", "iframe"} & {tag for tag, _ in found.tags}
    assert "http" not in report and "url(" not in report and "@import" not in report
    assert not [item for item in found.classed("fw-s") if "role" in item], "what cannot be opened is no button"
    for told in (predictions[0].model, classifier.codebook.fingerprint, "2026-11-22", "The troops came."):
        assert told in found.words
    assert sum(tag == "tr" for tag, _ in found.tags) == len(predictions) + 1


def test_tables_say_every_probability_and_corrections_in_words(codebook: Codebook) -> None:
    header, rows = tables.scores([made(codebook, ("security_threat",))])
    assert len(header) == len(rows[0]) == 11
    assert rows[0][:4] == [1, "Talks ended.", "security threat", 0.6]
    answers = {"id": "new", "frames": ["security_threat"], "stance": {"the treaty": "against"}}
    kept = {"number": 1, "time": "t", "coder": "anna", "text": "x", "note": "", "model": "m", "undone": True, "unsure": False}
    _, shown = tables.history([kept | {"answers": json.dumps(answers)}], codebook)
    assert shown == [[1, "t", "anna", "x", "frames: security threat; stance: against (the treaty)", "", "m", "taken back"]]
