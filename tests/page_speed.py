"""How soon the page is there and how soon it answers: `python -m tests.page_speed [MODEL FOLDER]` (default: the promoted model).

Prints the median and worst of REPEATS of: first contentful paint of the page, opened anew without a cache; the page's answer to an article of
1,000 words with one target, from the press of Read to the coloured sentences; the same over REST. Needs chromium and an otherwise idle machine.
"""

import itertools
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from classifier.models import Models
from tests.conftest import BROWSER, FLAGS, read, served
from tests.throughput import sentences

REPEATS = 7
TARGET = "NATO expansion"
PAINTED = """() => new Promise(done => {
  const painted = list => { const found = list.find(entry => entry.name === 'first-contentful-paint'); if (found) done(found.startTime); };
  painted(performance.getEntriesByType('paint'));
  new PerformanceObserver(list => painted(list.getEntries())).observe({type: 'paint', buffered: true});
})"""


def article(number: int) -> str:
    """1,000 words, all articles different."""
    words: list[str] = []
    for sentence in itertools.islice(sentences(), number * 80, None):
        words += sentence.split()
        if len(words) >= 1_000:
            return " ".join(words[:1_000])
    raise AssertionError("sentences() has no end")


def main(models: Models) -> None:
    from playwright.sync_api import sync_playwright

    seconds: dict[str, list[float]] = {"first contentful paint": [], "Article field is there": [], "1,000 words, page": [], "1,000 words, REST": []}
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        running = served(models, f"sqlite:///{place}/c.sqlite")
        address = next(running)
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        for number in range(REPEATS + 1):
            page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
            begun = time.perf_counter()
            page.goto(address)
            page.get_by_label("Article").wait_for()
            there = time.perf_counter() - begun
            painted = page.evaluate(PAINTED) / 1_000
            page.wait_for_load_state("networkidle")
            text = article(number)
            begun = time.perf_counter()
            read(page, text, TARGET)
            page.locator("#prose .fw-s").first.wait_for()
            read_in = time.perf_counter() - begun
            body = json.dumps({"texts": [article(number + 100)], "targets": [TARGET]}).encode()
            request = urllib.request.Request(f"{address}/v1/score", body, {"content-type": "application/json"})  # noqa: S310
            begun = time.perf_counter()
            urllib.request.urlopen(request).read()  # noqa: S310
            scored = time.perf_counter() - begun
            if number:  # the first warms up
                for found, value in zip(seconds.values(), (painted, there, read_in, scored), strict=True):
                    found.append(value)
            page.context.close()
        browser.close()
        next(running, None)
    for name, found in seconds.items():
        print(f"{name}: median {statistics.median(found):.2f} s, worst {max(found):.2f} s of {len(found)}")


if __name__ == "__main__":
    if BROWSER is None:
        sys.exit("no chromium is installed")
    given = sys.argv[1:]
    shelf = Models()
    if given:
        shelf = Models(Path(tempfile.mkdtemp(prefix="fw-speed-")))
        (shelf.home / "current").write_text(f"{Path(given[0]).resolve()}\n")
    main(shelf)
