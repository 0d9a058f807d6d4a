"""The page in a real browser: paste, read, download, and hostile text shown as text."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import read

pytestmark = pytest.mark.browser

ARTICLE = "The troops at the border are a threat to us the minister said. Rain on the river market."
# The least contrast (WCAG 2.2, 1.4.3) of every element of ours that holds words, against the colours painted behind it.
CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * x + .7152 * y + .0722 * z; };
  const ground = node => node ? over(rgba(getComputedStyle(node).backgroundColor), ground(node.parentElement)) : [255, 255, 255, 1];
  return [...document.querySelectorAll('#prose *, #summary *, #read, #save, #correct span, #downloads button, .fw-panel *')]
    .filter(node => node.offsetParent && [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()))
    .map(node => { const back = ground(node), ink = over(rgba(getComputedStyle(node).color), back);
      const [high, low] = [light(ink), light(back)].sort((a, b) => b - a); return [node.textContent.slice(0, 40), (high + .05) / (low + .05)]; });
}"""


def test_a_pasted_article_comes_back_in_colours(page: Any, tmp_path: Path) -> None:
    read(page, "The troops at the border are a threat to us the minister said. Rain on the river market.")
    mark = page.locator("#prose mark").first
    mark.wait_for()
    assert "threat" in mark.inner_text()
    assert page.locator("#summary .fw-key").count() == 7
    assert page.locator("#summary .fw-balance").count() == 1
    with page.expect_download() as download:
        page.get_by_text("Download CSV").click()
    download.value.save_as(tmp_path / "out.csv")
    assert "prediction.frames" in (tmp_path / "out.csv").read_text()


def test_markup_is_shown_and_not_run(page: Any) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    payload = '${alert(5)} {{alert(6)}} <img src=x onerror=alert(1)><script>alert(2)</script> The troops are a threat "><svg onload=alert(3)>'
    read(page, payload, '"><img src=x onerror=alert(4)>')
    page.locator("#prose .fw-s").first.wait_for()
    page.wait_for_timeout(500)
    assert not asked
    assert page.locator("#prose img, #prose script, #prose svg, #summary img").count() == 0
    assert "<img src=x" in page.locator("#prose").inner_text()


def test_an_empty_text_gets_plain_words(page: Any) -> None:
    read(page, "   ")
    page.get_by_role("alert").wait_for()
    assert "empty" in page.get_by_role("alert").inner_text()


def test_a_legend_box_hides_and_shows_a_label_without_asking_the_server(page: Any) -> None:
    read(page, ARTICLE)
    mark = page.locator("#prose mark").first
    mark.wait_for()
    box = page.locator(f"#{(mark.get_attribute('class') or '').split()[1]}")
    page.wait_for_timeout(1_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    coloured = "mark => getComputedStyle(mark).backgroundColor"
    before = mark.evaluate(coloured)
    box.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.locator(f"#{box.get_attribute('id')}-tip").is_visible()
    page.keyboard.press("Space")
    assert mark.evaluate(coloured) == "rgba(0, 0, 0, 0)" != before
    box.check()
    assert mark.evaluate(coloured) == before
    assert not asked


def test_a_sentence_opens_its_probabilities_by_key_and_by_click(page: Any) -> None:
    read(page, ARTICLE)
    sentence = page.locator("#prose .fw-s").first
    sentence.focus()
    page.keyboard.press("Enter")
    assert page.locator(".fw-panel .fw-bar").count() == 7
    assert sentence.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Tab")  # from the panel, where the key led
    assert page.evaluate("document.activeElement.textContent") == "Correct this sentence"
    page.keyboard.press("Escape")
    assert page.locator(".fw-panel").count() == 0
    assert sentence.evaluate("node => node === document.activeElement")
    page.locator("#prose .fw-s").nth(1).click()
    assert "Sentence 2" in page.locator(".fw-panel").inner_text()


def test_a_dropped_file_is_read_into_the_article(page: Any, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html><body><article><p>The talks ended at noon on Friday.</p></article></body></html>")
    page.locator("#file input[type=file]").set_input_files(tmp_path / "a.html")
    page.wait_for_function("document.querySelector('textarea').value.includes('ended at noon')")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7 nothing more")
    page.locator("#file").get_by_label("Clear").or_(page.locator("#file").get_by_label("Remove")).first.click()
    page.locator("#file input[type=file]").set_input_files(tmp_path / "b.pdf")
    page.get_by_role("alert").wait_for()
    assert "damaged" in page.get_by_role("alert").inner_text()


def test_the_report_opens_without_the_service(page: Any, browser: Any, tmp_path: Path) -> None:
    read(page, ARTICLE)
    page.locator("#prose .fw-s").first.wait_for()
    with page.expect_download() as download:
        page.get_by_text("Download report").click()
    download.value.save_as(tmp_path / "report.html")
    alone = browser.new_page(viewport={"width": 380, "height": 800}, java_script_enabled=False)
    asked: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(f"file://{tmp_path}/report.html")
    assert len(asked) == 1
    assert alone.locator(".fw-s").count() == 2 and alone.locator(".fw-table tbody tr").count() == 2
    alone.close()


def test_the_words_that_drove_a_label_are_shown_in_its_panel(page: Any) -> None:
    read(page, ARTICLE)
    page.locator("#prose .fw-s").first.click()
    page.get_by_role("button", name="Which words drove this?").click()
    page.locator(".fw-panel .fw-drove").first.wait_for()
    assert page.locator(".fw-panel .fw-drove .fw-for").count() > 0
    assert page.locator(".fw-panel .fw-drove").first.inner_text().endswith("minister said.")
    page.locator("#prose .fw-s").nth(1).click()
    assert page.locator(".fw-panel .fw-drove").count() == 0


def test_a_link_reopens_the_same_view_in_another_browser_and_holds_no_text(page: Any, browser: Any) -> None:
    read(page, ARTICLE, "NATO plan; the <b>treaty</b>")
    page.locator("#prose .fw-s").first.wait_for()
    page.locator("#link:not([disabled])").click()
    page.wait_for_function("location.search.includes('view=')")
    assert "troops" not in page.url and len(page.url) < 120
    shown = page.locator("#prose").inner_text(), page.locator("#summary").inner_text()
    other = browser.new_page()
    other.goto(page.url)
    other.locator("#prose .fw-s").first.wait_for()
    assert (other.locator("#prose").inner_text(), other.locator("#summary").inner_text()) == shown
    assert other.get_by_label("Stance toward").input_value() == "NATO plan; the <b>treaty</b>"
    other.goto(page.url[:-3])
    other.get_by_role("alert").wait_for()
    assert "no view of this address" in other.get_by_role("alert").inner_text()
    other.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_from_their_ground(browser: Any, address: str, theme: str) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{address}/?__theme={theme}")
    read(page, "Border villages count\nBy Ilze Bermane\n\n" + ARTICLE)
    page.locator("#prose .fw-s").last.click()
    page.locator(".fw-panel").wait_for()
    for words, contrast in page.evaluate(CONTRASTS):
        assert contrast >= 4.5, f"{words}: {contrast:.2f}"
    page.close()


def test_the_page_fits_a_phone(browser: Any, address: str) -> None:
    phone = browser.new_page(viewport={"width": 380, "height": 800})
    phone.goto(address)
    read(phone, "The army will reply with troops the minister warned. " * 5)
    phone.locator("#prose mark, #prose .fw-s").first.wait_for()
    phone.locator("#prose .fw-s").first.click()
    phone.locator(".fw-panel").wait_for()
    for name in ("Probabilities of every sentence", "Corrections so far"):
        phone.get_by_role("button", name=name).click()
    phone.wait_for_timeout(1_000)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 380
    small = phone.evaluate("""() => [...document.querySelectorAll('main button, main label:has(> input), main a.fw-button')]
        .filter(node => node.offsetParent && !node.closest('.fw-prose .fw-s') && node.getBoundingClientRect().height < 43.5)
        .map(node => node.outerHTML.slice(0, 120))""")
    assert not small
    phone.close()
