"""The commands as a user types them: what they print, what they write, and how they end."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.models import Models
from training.train import Run

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def framewire(trained: tuple[Models, Run]):  # type: ignore[no-untyped-def]
    def run(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "framewire", *map(str, arguments)],
            cwd=ROOT, env=os.environ | {"FRAMEWIRE_MODELS": str(trained[0].home)}, input=given, capture_output=True, check=False,
        )  # fmt: skip

    return run


def test_an_article_from_a_pipe_is_scored(framewire, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = framewire("score", "-", "-o", tmp_path / "out.jsonl", "--target", "grain", given=b"The envoy made an offer of talks. Rain fell.")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("score", "missing.txt", "-o", "out.jsonl"), "missing.txt: no such file"),
        (("score", "README.md", "-o", "out.docx"), "out.docx: unknown kind of output"),
        (("score", "README.md", "-o", "out.jsonl", "--model", "nowhere"), "nowhere: no such model folder"),
        (("score", "README.md", "-o", "out.jsonl", "--unit", "page"), "--unit page is unknown"),
        (("train", "--annotations", "missing.jsonl"), "missing.jsonl: no such file"),
        (("train", "--codebook", "missing.toml"), "missing.toml: no such codebook"),
        (("evaluate", "--model", "nowhere", "--annotations", "x"), "nowhere: no such model folder"),
        (("models", "promote", "nobody"), "No model 'nobody'"),
        (("serve", "--model", "nowhere"), "nowhere: no such model folder"),
    ],
)
def test_a_mistake_ends_in_one_plain_line(arguments: tuple[str, ...], words: str, framewire) -> None:  # type: ignore[no-untyped-def]
    done = framewire(*arguments)
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert not (ROOT / "out.jsonl").exists()


def test_some_bad_rows_end_in_their_own_exit_code(framewire, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "in.jsonl").write_text('{"text": "Rain fell."}\n{"text": ""}\n')
    done = framewire("score", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl")
    assert done.returncode == 3
    assert b"out.jsonl.rejects.jsonl" in done.stderr


def test_the_promoted_model_is_shown_as_json(framewire, trained: tuple[Models, Run]) -> None:  # type: ignore[no-untyped-def]
    shown = json.loads(framewire("models", "show", "--json").stdout)
    assert shown == {"path": str(trained[1].folder.path), "name": trained[1].folder.name}


def test_evaluate_prints_the_figures_that_training_reported(framewire, trained: tuple[Models, Run], rows_file: Path) -> None:  # type: ignore[no-untyped-def]
    done = framewire("evaluate", "--model", trained[1].folder.path, "--annotations", rows_file, "--json")
    figures = json.loads(done.stdout)["questions"]
    assert figures["frames"]["macro_f1"] == pytest.approx(trained[1].report["questions"]["frames"]["macro_f1"])


def test_every_command_of_the_readme_exists(framewire) -> None:  # type: ignore[no-untyped-def]
    readme = (ROOT / "README.md").read_text()
    for command in sorted(set(re.findall(r"framewire (\w+(?: (?:list|show|promote|rollback|check|agreement|import|export))?)", readme))):
        assert framewire(*command.split(), "--help").returncode == 0, command
