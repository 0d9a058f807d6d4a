"""The page in a real browser: paste, read, download, and hostile text shown as text."""

import fcntl
import json
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from classifier.models import Models
from demo.app import JOBS, build
from demo.jobs import TURN
from demo.retrain import Base
from training.train import Run

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no chromium is installed, so the page is not looked at")]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def address(trained: tuple[Models, Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(trained[0], f"sqlite:///{tmp_path_factory.mktemp('db')}/c.sqlite")


def served(models: Models, database: str, base: Base | None = None) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = build(models, database, base=base)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.goto(address)
    opened.get_by_label("Article").wait_for()
    yield opened
    opened.close()


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


def read(page: Any, text: str, targets: str = "NATO plan") -> None:
    page.get_by_label("Article").fill(text)
    page.get_by_label("Stance toward").fill(targets)
    page.locator("#read").click()


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
    page.keyboard.press("Escape")
    assert page.locator(".fw-panel").count() == 0
    page.locator("#prose .fw-s").nth(1).click()
    assert "Sentence 2" in page.locator(".fw-panel").inner_text()


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


def test_a_corpus_is_scored_while_the_page_is_reloaded(page: Any, trained: tuple[Models, Run], tmp_path: Path) -> None:
    rows = [f'"The troops are a threat. Rain on the market {n}.",{"<b>A</b>" if n % 2 else "B"},2026-01-{1 + n % 28:02}' for n in range(60)]
    (tmp_path / "news.csv").write_text('text,outlet,"date"\n' + "\n".join(rows) + "\n")
    page.get_by_role("tab", name="Corpus").click()
    page.locator("#corpus-file input[type=file]").set_input_files(tmp_path / "news.csv")
    page.wait_for_function("[...document.querySelectorAll('#columns input')].some(input => input.value === 'outlet')")
    turn = trained[0].home / JOBS / TURN
    turn.parent.mkdir(exist_ok=True)
    with turn.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # so that the reload comes before the end
        page.locator("#corpus-start").click()
        page.wait_for_function("location.search.includes('job=')")
        page.reload()
        page.locator("#corpus-status .fw-waiting").wait_for()
    page.locator("#corpus-results .fw-dot").first.wait_for(timeout=120_000)
    assert "120 sentences of 60 rows." in page.locator("#corpus-status").inner_text()
    assert "<b>A</b>" in page.locator("#corpus-results").inner_text()
    assert page.locator("#corpus-results .fw-weeks svg").count() > 0
    page.locator("#comparison td").first.wait_for()
    with page.expect_download() as download:
        page.get_by_text("CSV of this plot").first.click()
    download.value.save_as(tmp_path / "groups.csv")
    assert (tmp_path / "groups.csv").read_text().startswith("group,question,target,label")


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
    for page in pages:
        page.context.close()


def test_corrections_are_learnt_and_the_new_model_is_promoted_and_rolled_back(
    browser: Any, trained: tuple[Models, Run], rows_file: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained[1].folder.path, tmp_path / "models" / trained[1].folder.name)
    models = Models(tmp_path / "models")
    models.promote(models.path(trained[1].folder.name), "test")
    running = served(models, f"sqlite:///{tmp_path}/c.sqlite", Base(rows_file))
    address = next(running)
    body = {"text": "The envoy made an offer of bread.", "answers": {"frames": ["diplomatic_offer"]}, "annotator": "anna", "document": "new"}
    request = urllib.request.Request(f"{address}/v1/corrections", json.dumps(body).encode(), {"content-type": "application/json"})  # noqa: S310
    urllib.request.urlopen(request)  # noqa: S310
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(address)
    page.get_by_role("tab", name="Retrain").click()
    page.locator("#waiting b", has_text="1").wait_for()
    page.locator("#epochs input").fill("1")
    page.locator("#retrain-start").click()
    page.locator("#retrain-status", has_text="Corrections learnt from: 1").wait_for()
    page.locator("#retrain-status h3").wait_for(timeout=240_000)
    made = page.locator("#retrain-status h3").inner_text()
    assert "Against the promoted model, frames" in page.locator("#retrain-status").inner_text()
    page.locator("#promote").click()
    page.locator("#promoted", has_text="name of who promotes is missing").wait_for()
    page.locator("#promoter input, #promoter textarea").first.fill("anna")
    page.locator("#anyway input").check()
    page.locator("#promote").click()
    page.locator("#promoted", has_text=f"{made} serves now").wait_for()
    page.locator("#waiting b", has_text="0").wait_for()  # the swap waits for nobody: the model before answers until the new one is open
    assert json.loads(urllib.request.urlopen(f"{address}/v1/model").read())["name"] == made  # noqa: S310
    page.locator("#rollback").click()
    page.locator("#promoted", has_text=f"Back to {trained[1].folder.name}").wait_for()
    page.close()
    next(running, None)


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
