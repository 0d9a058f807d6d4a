"""Coders on the page, in a real browser: correct in place, take back, two at once."""

import json
import urllib.request
from typing import Any

import pytest

from tests.conftest import read

pytestmark = pytest.mark.browser
ARTICLE = "The troops at the border are a threat to us the minister said. Rain on the river market."


def test_a_sentence_is_corrected_in_place_and_the_correction_taken_back(page: Any, address: str) -> None:
    read(page, ARTICLE)
    page.locator("#prose .fw-s").nth(1).click()
    page.get_by_role("button", name="Correct this sentence").click()
    page.locator("#quote", has_text="Rain on the river market.").wait_for()
    page.locator("#correct").get_by_label("security threat").check()
    page.locator("#correct").get_by_label("against").check()
    page.locator("#save").click()
    page.locator("#said", has_text="name is missing").wait_for()
    page.get_by_label("Your name").fill("anna <b>")
    page.get_by_label("Note", exact=True).fill("a menace")
    page.locator("#save").click()
    page.locator("#said", has_text="Kept as correction").wait_for()
    (row,) = (json.loads(line) for line in urllib.request.urlopen(f"{address}/v1/corrections").read().decode().splitlines())  # noqa: S310
    assert (row["text"], row["annotator"], row["note"]) == ("Rain on the river market.", "anna <b>", "a menace")
    assert "security_threat" in row["frames"] and row["stance"] == {"NATO plan": "against"}
    page.locator("#undo").click()
    page.locator("#said", has_text="taken back").wait_for()
    assert not urllib.request.urlopen(f"{address}/v1/corrections").read()  # noqa: S310
    page.locator("#history button").first.click()
    page.locator("#history td", has_text="taken back").first.wait_for()
    page.reload()
    page.get_by_label("Article").wait_for()
    read(page, ARTICLE)
    page.locator("#prose .fw-s").first.wait_for()
    assert page.get_by_label("Your name").input_value() == "anna <b>"


def test_two_coders_correct_at_once(browser: Any, address: str) -> None:
    pages = [browser.new_context().new_page() for _ in range(2)]
    for page, name in zip(pages, ("anna", "ben"), strict=True):
        page.goto(address)
        read(page, ARTICLE)
        page.locator("#prose .fw-s").first.wait_for()
        page.locator("#quote", has_text="troops").wait_for()
        page.get_by_label("Your name").fill(name)
    pages[1].locator("#correct").get_by_label("broken promises").set_checked(True)
    for page in pages:
        page.locator("#save").click(no_wait_after=True)
    for page in pages:
        page.locator("#said", has_text="Kept as correction").wait_for()
    pages[0].locator("#undo").click()
    pages[0].locator("#said", has_text="taken back").wait_for()
    rows = [json.loads(line) for line in urllib.request.urlopen(f"{address}/v1/corrections").read().decode().splitlines()]  # noqa: S310
    assert [row["annotator"] for row in rows if row["text"].startswith("The troops")] == ["ben"]
    for page in pages:  # both words stay in the history, also for who opens the page anew
        page.reload()
        page.locator("#history button").first.click()
        said = page.locator("#history tr", has_text="The troops")
        said.nth(1).wait_for()
        assert said.count() == 2 and page.locator("#history tr", has_text="anna").filter(has_text="taken back").count() >= 1
    for page in pages:
        page.context.close()
