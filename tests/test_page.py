"""The page in a real browser: paste, read, download, and hostile text shown as text."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from classifier.models import Models
from demo.app import build
from training.train import Run

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no chromium is installed, so the page is not looked at")]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def address(trained: tuple[Models, Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = build(trained[0], f"sqlite:///{tmp_path_factory.mktemp('db')}/c.sqlite")
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


def read(page: Any, text: str, targets: str = "NATO plan") -> None:
    page.get_by_label("Article").fill(text)
    page.get_by_label("Stance toward").fill(targets)
    page.locator("#read").click()


def test_a_pasted_article_comes_back_in_colours(page: Any, tmp_path: Path) -> None:
    read(page, "The troops at the border are a threat to us the minister said. Rain on the river market.")
    mark = page.locator("#prose mark").first
    mark.wait_for()
    assert "threat" in mark.inner_text()
    assert page.locator("#summary .fw-bar").count() == 7
    with page.expect_download() as download:
        page.get_by_text("Download CSV").click()
    download.value.save_as(tmp_path / "out.csv")
    assert "prediction.frames" in (tmp_path / "out.csv").read_text()


def test_markup_is_shown_and_not_run(page: Any) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    payload = '<img src=x onerror=alert(1)><script>alert(2)</script> The troops are a threat "><svg onload=alert(3)>'
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


def test_the_page_fits_a_phone(browser: Any, address: str) -> None:
    phone = browser.new_page(viewport={"width": 380, "height": 800})
    phone.goto(address)
    read(phone, "The army will reply with troops the minister warned. " * 5)
    phone.locator("#prose mark, #prose .fw-s").first.wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 380
    phone.close()
