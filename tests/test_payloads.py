"""Fifty payloads at every place where words of others are shown, in a real browser, light and dark: no script runs, no element is theirs."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotations.codebook import Codebook, Label
from annotations.errors import CodebookError
from annotations.rows import Annotation
from annotations.store import Store
from classifier.folder import ModelFolder, write_manifest
from classifier.models import Models
from demo.app import JOBS
from demo.jobs import JOB, STATE, write_json
from demo.limits import HEADERS
from tests.conftest import BROWSER, FLAGS, read, served
from training.train import Run

TAGS = """<script>alert(1)</script>|<ScRiPt>alert(1)</sCrIpT>|<script src=//evil.example/x.js></script>|<script/x>alert(1)</script>
</script><script>alert(1)//|<img src=x onerror=alert(1)>|<img src=x onerror="alert(1)"/>|<img/src=x/onerror=alert(1)>
<IMG SRC=x ONERROR=alert(1)>|<img src=x:x onerror=alert`1`>|<svg onload=alert(1)>|<svg/onload=alert(1)>|<svg><script>alert(1)</script></svg>
<svg><animate onbegin=alert(1) attributeName=x>|<svg><a href=javascript:alert(1)>x|<math><mtext><img src=x onerror=alert(1)>
<math href=javascript:alert(1)>x</math>|<body onload=alert(1)>|<iframe src=javascript:alert(1)></iframe>
<iframe srcdoc="<script>alert(1)</script>">|<object data=javascript:alert(1)>|<embed src=javascript:alert(1)>|<a href=javascript:alert(1)>x</a>
<a href="java&#10;script:alert(1)">x</a>|<form action=javascript:alert(1)><button>x</button></form>
<button formaction=javascript:alert(1)>x</button>|<input autofocus onfocus=alert(1)>|<select autofocus onfocus=alert(1)>
<textarea autofocus onfocus=alert(1)>|<details open ontoggle=alert(1)>x|<video src=x onerror=alert(1)>|<audio src=x onerror=alert(1)>
<video><source onerror=alert(1)>|<marquee onstart=alert(1)>x</marquee>|<meta http-equiv=refresh content="0,url=javascript:alert(1)">
<base href=//evil.example/>|<link rel=stylesheet href=//evil.example/x.css>|<style>@import '//evil.example/x.css'</style>
<xss onfocus=alert(1) tabindex=1 autofocus>x|<div style="background:url(//evil.example)">x</div>|"><script>alert(1)</script>
'><img src=x onerror=alert(1)>|" onmouseover=alert(1) x="|' autofocus onfocus='alert(1)|--><script>alert(1)</script>
</textarea><script>alert(1)</script>|</title></style><script>alert(1)</script>|${alert(1)} {{alert(1)}} #{alert(1)} <%= alert(1) %>
[x](javascript:alert(1)) ![x](x"onerror="alert(1))|&lt;script&gt;alert(1)&lt;/script&gt; \\u003cscript\\u003ealert(1)"""
PAYLOADS = [payload for line in TAGS.split("\n") for payload in line.split("|")]
ALL = " ~ ".join(PAYLOADS)
ARTICLE = "\n".join(f"The minister said on {number} May that {payload} was no threat to talks" for number, payload in enumerate(PAYLOADS))
# Elements with an attribute that would run or fetch what a payload brings, and elements that the page itself never has (Gradio's own base is './').
FOREIGN = """() => [...document.querySelectorAll('*')].filter(node =>
  ['XSS', 'MARQUEE', 'MATH', 'OBJECT', 'EMBED', 'AUDIO'].includes(node.tagName)
  || (node.tagName === 'BASE' && node.getAttribute('href') !== './')
  || [...node.attributes].some(item => /alert|evil/.test(item.value)
    && /^(on.*|src|srcdoc|href|xlink:href|action|formaction|data|style|content)$/i.test(item.name))
  || (node.tagName === 'STYLE' && /evil/.test(node.textContent))).map(node => node.outerHTML.slice(0, 200))"""


@pytest.fixture
def place(trained: tuple[Models, Run], tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A service whose codebook, corrections and jobs are full of payloads: its address, and the ids of its jobs."""
    models = Models(tmp_path / "models")
    home = Path(shutil.copytree(trained[1].folder.path, models.home / "hostile"))
    folder = ModelFolder.load(home)
    hostile = {"definition": ALL, "include": ALL, "example": ALL}
    questions = tuple(
        dataclasses.replace(item, text=ALL, labels=tuple(dataclasses.replace(label, **hostile) for label in item.labels))
        for item in folder.codebook.questions
    )
    write_manifest(home, dataclasses.replace(folder, codebook=Codebook(ALL, questions)))
    models.promote(home, ALL)
    database = f"sqlite:///{tmp_path}/c.sqlite"
    for payload in PAYLOADS:
        row = Annotation("new", payload, payload, {"frames": ()}, annotator=payload, sampling="correction", note=payload)
        Store(database).add(row, payload)
    jobs = {"a file's name": "n" * 16, "an error": "e" * 16}
    for job, state, words in ((jobs["a file's name"], "cancelled", ""), (jobs["an error"], "failed", ALL)):
        (models.home / JOBS / job).mkdir(parents=True)
        settings = {"name": ALL, "model": str(home), "group": None}
        write_json(models.home / JOBS / job / JOB, {"kind": "corpus", "created": "2026", "settings": settings, "tries": 0})
        write_json(models.home / JOBS / job / STATE, {"state": state, "share": 0.5, "words": words, "counts": {}})
    running = served(models, database)
    yield next(running), jobs
    next(running, None)


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no chromium is installed, so no script could run")
def test_fifty_payloads_run_no_script_and_make_no_element(place: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    address, jobs = place
    ran: list[str] = []
    bare: list[str] = []

    def watched(browser: Any) -> Any:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(120_000)
        page.on("dialog", lambda dialog: (ran.append(page.url), dialog.dismiss()))
        page.on("request", lambda request: ran.append(request.url) if "evil" in request.url.split("?")[0] else None)
        page.on("response", lambda answer: bare.append(answer.url) if answer.url.startswith(address) and not guarded(answer.headers) else None)
        return page

    def quiet(page: Any, at: str) -> None:
        page.wait_for_timeout(300)
        assert (ran, page.evaluate(FOREIGN)) == ([], []), at

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        for theme in ("light", "dark"):
            page = watched(browser)
            page.goto(f"{address}/?__theme={theme}")
            page.get_by_label("Article").wait_for()
            page.locator("#history button").first.click()
            page.locator("#history td").first.wait_for()
            assert page.locator("#history tbody tr").count() == len(PAYLOADS)
            quiet(page, f"{theme}: definitions and annotators")
            targets = [payload.replace(";", ",") for payload in PAYLOADS]
            for begin in range(0, len(targets), 17):
                read(
                    page,
                    "\n".join(f"The minister said on {number} May that {payload} was no threat to talks" for number, payload in enumerate(PAYLOADS)),
                    ";".join(targets[begin : begin + 17]),
                )
                page.locator("#summary .fw-balance .fw-name", has_text=" ".join(targets[begin].split())).first.wait_for()
                page.locator("#prose .fw-s").first.click()
                page.locator(".fw-panel").wait_for()
                quiet(page, f"{theme}: text and targets from {begin}")
            page.get_by_role("button", name="Probabilities of every sentence").click()
            quiet(page, f"{theme}: table")
            assert "<img src=x onerror=alert(1)>" in page.locator("#prose").inner_text()
            if theme == "light":
                with page.expect_download() as download:
                    page.get_by_text("Download report").click()
                download.value.save_as(tmp_path / "report.html")
                report = watched(browser)
                report.goto(f"file://{tmp_path}/report.html")
                report.locator(".fw-s").first.wait_for()
                quiet(report, "the report, where no policy helps")
                report.close()
            for at, job in jobs.items():
                page.goto(f"{address}/?__theme={theme}&job={job}")
                page.locator("#corpus-status", has_text="<img src=x onerror=alert(1)>").wait_for()
                quiet(page, f"{theme}: {at}")
            page.close()
        browser.close()
    assert not bare, "answers without CSP, nosniff and frame headers"


def guarded(headers: dict[str, str]) -> bool:
    return all(name.lower() in headers for name in HEADERS)


def test_a_label_cannot_be_a_payload() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) == 50
    shape = json.loads(json.dumps(Codebook.load().to_dict()))
    for payload in PAYLOADS:
        shape["question"][0]["label"][0] = dataclasses.asdict(Label(payload, "Nothing."))
        with pytest.raises(CodebookError, match="cannot be used"):
            Codebook.from_dict(shape)
