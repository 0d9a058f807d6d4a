"""Ten thousand rows, one in a hundred bad, in twelve ways: every good one is scored, every bad one listed with its line and the reason."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from classifier import files
from classifier.models import Models
from training.train import Run

ROOT = Path(__file__).resolve().parent.parent
ROWS = 10_000
SOME_REJECTED = 3  # exit code
RUSSIAN = "Министерство заявило, что переговоры начнутся в понедельник. " * 6


def row(number: int, **changes: object) -> bytes:
    return json.dumps({"n": number, "text": f"The envoy made offer {number} of talks", "about": ""} | changes, ensure_ascii=False).encode()


# What is wrong with a row, and words of the reason that is given.
WAYS: dict[str, Callable[[int], bytes]] = {
    "not valid JSON": lambda n: row(n)[:-9],
    "not a JSON object": lambda n: b"[" + row(n) + b"]",
    "not UTF-8 text": lambda n: row(n).replace(b"envoy", b"\xff\xfe"),
    "no column 'text'": lambda n: row(n).replace(b'"text"', b'"body"'),
    "'text' is empty": lambda n: row(n, text=None),
    "'text' is int, not text": lambda n: row(n, text=n),
    "the text is empty": lambda n: row(n, text=" \t … "),
    "'text' is list, not text": lambda n: row(n, text=["Talks."]),
    "half a character": lambda n: row(n, outlet="A").replace(b'"A"', b'"\\ud800"'),
    "a key 'prediction' already": lambda n: row(n, prediction={}),
    "does not seem to be English": lambda n: row(n, text=RUSSIAN),
    "A target has 201 characters": lambda n: row(n, about="x" * 201),
}


def test_of_ten_thousand_rows_the_bad_hundred_are_listed_and_the_rest_scored(trained: tuple[Models, Run], tmp_path: Path) -> None:
    draw = random.Random(13)
    reasons = {number: list(WAYS)[place % len(WAYS)] for place, number in enumerate(draw.sample(range(1, ROWS + 1), ROWS // 100))}
    lines = [WAYS[reasons[number]](number) if number in reasons else row(number) for number in range(1, ROWS + 1)]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    command = [sys.executable, "-m", "framewire", "score", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--target-column", "about"]
    environment = os.environ | {"FRAMEWIRE_MODELS": str(trained[0].home)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == SOME_REJECTED, done.stderr
    scored = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [item["n"] for item in scored] == [number for number in range(1, ROWS + 1) if number not in reasons]
    assert all(item["prediction"]["error"] is None and item["prediction"]["frames_scores"] for item in scored)
    listed = [json.loads(line) for line in (tmp_path / "out.jsonl.rejects.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [int(item["place"].rpartition(":")[2]) for item in listed] == sorted(reasons)
    for item in listed:
        assert reasons[int(item["place"].rpartition(":")[2])] in item["reason"]
    assert f"{ROWS:,} rows or documents read, {ROWS - len(reasons):,} sentences written" in done.stdout
    assert f"{len(reasons)} could not be scored" in done.stderr and "Traceback" not in done.stderr


def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("The secret offer of talks.")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.txt").write_text("Rain fell.")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "linked").symlink_to(tmp_path)
    assert files.find([str(folder)]) == [str(folder / "good.txt")]
