"""Jobs on the page, in a real browser: a corpus over a reload, ten thousand rows, a retrain, a model that was rolled back."""

import fcntl
import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from classifier.models import Models
from demo.app import JOBS
from demo.jobs import TURN
from demo.retrain import Base
from tests.conftest import served
from training.train import Run

pytestmark = pytest.mark.browser


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


@pytest.mark.slow
def test_ten_thousand_rows_go_through_a_reload_in_mid_job(page: Any, tmp_path: Path) -> None:
    rows = (f'"The troops at the border are a threat {n}. Rain on the market.",{"ABC"[n % 3]},2026-{1 + n % 12:02}-01' for n in range(10_000))
    (tmp_path / "news.csv").write_text("text,outlet,date\n" + "\n".join(rows) + "\n")
    page.get_by_role("tab", name="Corpus").click()
    page.locator("#corpus-file input[type=file]").set_input_files(tmp_path / "news.csv")
    page.wait_for_function("[...document.querySelectorAll('#columns input')].some(input => input.value === 'outlet')")
    page.locator("#corpus-start").click()
    page.locator("#corpus-status .fw-running", has_text="of 10,000 rows").wait_for(timeout=300_000)
    page.reload()
    page.locator("#corpus-status .fw-running", has_text="of 10,000 rows").wait_for(timeout=60_000)
    page.locator("#corpus-results .fw-dot").first.wait_for(timeout=1_800_000)
    assert "20,000 sentences of 10,000 rows." in page.locator("#corpus-status").inner_text()
    assert page.locator("#corpus-results .fw-row", has_text="3,334 doc., 6,668 sent.").count() >= 4
    with page.expect_download(timeout=120_000) as download:
        page.get_by_text("All sentences, JSONL").click()
    download.value.save_as(tmp_path / "out.jsonl")
    with (tmp_path / "out.jsonl").open() as lines:
        assert sum(1 for _ in lines) == 20_000


def test_a_job_of_a_model_that_was_rolled_back_ends_with_that_model_and_says_so(browser: Any, trained: tuple[Models, Run], tmp_path: Path) -> None:
    models = Models(tmp_path / "models")
    for name in ("first", "second"):
        shutil.copytree(trained[1].folder.path, models.home / name)
        manifest = models.home / name / "manifest.json"
        manifest.write_text(manifest.read_text().replace(trained[1].folder.name, name))
        models.promote(models.home / name, "test")
    running = served(models, f"sqlite:///{tmp_path}/c.sqlite")
    address = next(running)
    (tmp_path / "news.csv").write_text("text\nThe troops are a threat.\n")
    page = browser.new_page()
    page.goto(address)
    page.get_by_role("tab", name="Corpus").click()
    page.locator("#corpus-file input[type=file]").set_input_files(tmp_path / "news.csv")
    page.wait_for_function("[...document.querySelectorAll('#columns input')].some(input => input.value === 'text')")
    (models.home / JOBS).mkdir(exist_ok=True)
    with (models.home / JOBS / TURN).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # so that the job begins after the rollback
        page.locator("#corpus-start").click()
        page.locator("#corpus-status .fw-waiting").wait_for()
        models.rollback()
        assert json.loads(urllib.request.urlopen(f"{address}/v1/model").read())["name"] == "first"  # noqa: S310
    page.locator("#corpus-results", has_text="Scored by the model second. The service answers with first now.").wait_for(timeout=120_000)
    job = page.url.partition("job=")[2]
    result = urllib.request.urlopen(f"{address}/v1/jobs/{job}/result").read()  # noqa: S310
    assert json.loads(result)["prediction"]["model"] == "second"
    shutil.rmtree(models.home / "second")
    page.reload()  # what was counted is there without the model
    page.locator("#corpus-results", has_text="Scored by the model second, which is no longer here.").wait_for(timeout=60_000)
    with (models.home / JOBS / TURN).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        page.goto(address)
        page.get_by_role("tab", name="Corpus").click()
        page.locator("#corpus-file input[type=file]").set_input_files(tmp_path / "news.csv")
        page.wait_for_function("[...document.querySelectorAll('#columns input')].some(input => input.value === 'text')")
        page.locator("#corpus-start").click()
        page.locator("#corpus-status .fw-waiting").wait_for()
        shutil.rmtree(models.home / "first")
    page.locator("#corpus-status .fw-error", has_text="The model first, which served when the file was sent, is no longer here").wait_for(
        timeout=120_000
    )
    page.close()
    next(running, None)


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
