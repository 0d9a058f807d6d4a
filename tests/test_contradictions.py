"""A coder whose labels contradict the rest is named, honest ones are not, and one command leaves a coder out."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from annotations import rows as annotated
from annotations.codebook import Codebook
from annotations.contradictions import against_the_rest
from annotations.rows import Annotation
from annotations.store import Store

ROOT = Path(__file__).resolve().parent.parent


def coded(codebook: Codebook, coders: dict[str, float], texts: int = 60, seed: int = 0) -> list[Annotation]:
    """Each coder answers each text, wrongly at the rate given."""
    draw = random.Random(seed)
    labels, stances = codebook.question("frames").label_names, codebook.question("stance").label_names
    found = []
    for number in range(texts):
        truth, stance = draw.choice(labels), draw.choice(stances)
        for coder, rate in coders.items():
            wrong = draw.random() < rate
            answers = {
                "frames": (draw.choice([label for label in labels if label != truth]),) if wrong else (truth,),
                "stance": {"the pact": draw.choice([label for label in stances if label != stance]) if wrong else stance},
            }
            found.append(Annotation(f"{coder}-{number}", f"d{number % 7}", f"Sentence {number}.", answers, annotator=coder, sampling="correction"))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_who_contradicts_the_rest_is_named_and_nobody_else(seed: int, codebook: Codebook) -> None:
    found = against_the_rest(coded(codebook, {"anna": 0.1, "ben": 0.15, "cleo": 0.2, "troll": 0.9}, seed=seed), codebook)
    assert [item.coder for item in found if item.contradicts] == ["troll"]
    assert found[0].coder == "troll" and found[0].differs > 0.4 > found[1].differs


@pytest.mark.parametrize("seed", range(20))
def test_honest_coders_are_not_named(seed: int, codebook: Codebook) -> None:
    assert not any(item.contradicts for item in against_the_rest(coded(codebook, {"anna": 0.05, "ben": 0.1, "cleo": 0.25}, seed=seed), codebook))


def test_nothing_is_said_of_who_shares_little(codebook: Codebook) -> None:
    (anna, ben) = against_the_rest(coded(codebook, {"anna": 0.0, "ben": 1.0}, texts=1), codebook)
    assert not anna.contradicts and not ben.contradicts


def test_the_commands_name_a_coder_and_leave_it_out(codebook: Codebook, tmp_path: Path) -> None:
    annotated.write(tmp_path / "in.jsonl", coded(codebook, {"anna": 0.1, "ben": 0.1, "cleo": 0.1, "troll": 1.0}))

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "framewire", "annotations", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    shown = run("coders", tmp_path / "in.jsonl")
    assert shown.returncode == 0 and "contradicts the rest" in shown.stdout and "without" in shown.stdout
    assert run("without", tmp_path / "in.jsonl", "troll", "-o", tmp_path / "out.jsonl").returncode == 0
    left = annotated.read(tmp_path / "out.jsonl", codebook)
    assert {row.annotator for row in left} == {"anna", "ben", "cleo"} and len(left) == 180
    assert run("without", tmp_path / "in.jsonl", "nobody", "-o", tmp_path / "no.jsonl").returncode == 2


def test_without_a_coder_what_others_said_before_stands_again(codebook: Codebook, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/c.sqlite")
    for coder, labels in (("anna", ("diplomatic_offer",)), ("troll", ())):
        store.add(Annotation("new", "d", "Talks.", {"frames": labels}, annotator=coder, sampling="correction"), "m")
    assert [row.annotator for row in store.rows(codebook)] == ["troll"]
    assert [(row.annotator, row.answers["frames"]) for row in store.rows(codebook, {"troll"})] == [("anna", ("diplomatic_offer",))]
