"""Public sets are read as published, learnt by their protocols, and not run twice. All data here is made up."""

from pathlib import Path

import pytest

from annotations.errors import InputError
from tests.conftest import FRAMED, tiny_settings
from training import benchmarks
from training.public_sets import CODEBOOKS, SETS
from training.table import RunTable

TEXTS = list(FRAMED.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three of the sets in the shape in which they are published."""
    for name in ("cameo_quadclass", "un_quadclass", "gwsd"):
        (tmp_path / name).mkdir()
    lines = [f"{TEXTS[n % 4].format(f'grain {n}')}\t{n % 4}" for n in range(60)]
    (tmp_path / "cameo_quadclass" / "train.tsv").write_text("\n".join(lines[:44]))
    (tmp_path / "cameo_quadclass" / "test.tsv").write_text("\n".join([*lines[44:], '"He said ""no"" and rain"\t4']))
    (tmp_path / "un_quadclass" / "en_annotations_quad_multiclass.tsv").write_text("\n".join(["en\tQuadClass", *lines, 'An "open mark\t4']))
    head = "\tround\tsentence\tdisagree\tagree\tneutral\tin_held_out_test"
    rows = [f"{n}\t1\t{TEXTS[n % 3].format(n)}\t{float(n % 3 == 0)}\t{float(n % 3 == 1)}\t{float(n % 3 == 2)}\t{n > 30}" for n in range(45)]
    (tmp_path / "gwsd" / "GWSD.tsv").write_text("\n".join([head, *rows, "46\t1\tA screening sentence.\t\t\t\tFalse"]))
    return tmp_path


def test_sets_are_read_as_published(folder: Path) -> None:
    cameo = SETS["cameo_quadclass"].read(folder)
    assert (cameo[-1].text, cameo[-1].answers["event"]) == ('He said "no" and rain', "material_conflict")
    assert SETS["un_quadclass"].read(folder)[-1].text == 'An "open mark'
    gwsd = SETS["gwsd"].read(folder)
    assert len(gwsd) == 45, "screening sentences have no answer"
    assert gwsd[1].answers["stance"] == {"climate change is a serious concern": "agree"}


def test_every_row_is_judged_once_in_five_folds_and_no_test_row_is_learnt_from(folder: Path) -> None:
    rows = SETS["gwsd_5_fold"].read(folder)
    runs = [parts for _, parts in SETS["gwsd_5_fold"].runs(rows, 1)]
    assert sorted(row.id for parts in runs for row in parts["test"]) == sorted(row.id for row in rows)
    for name in SETS:
        if name not in ("gvfc", "vast"):
            for _, parts in SETS[name].runs(SETS[name].read(folder), 3):
                assert not {row.id for row in parts["test"]} & {row.id for row in (*parts["train"], *parts["validation"])}


def test_each_set_has_a_codebook_that_is_read() -> None:
    for public in SETS.values():
        assert public.book().questions[0].choose == "one"
    assert {path.stem for path in CODEBOOKS.glob("*.toml")} == {public.codebook for public in SETS.values()}


def test_a_network_learns_a_set_and_finished_seeds_are_kept(folder: Path, encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(encoder, epochs=8)
    said: list[str] = []

    def again() -> list[dict[str, object]]:
        return benchmarks.run(
            folder, ["un_quadclass", "gwsd"], ["framewire", "tf-idf"], settings, [1, 2], RunTable(tmp_path / "t.jsonl"), said.append
        )

    first = again()
    assert (len(first), len(said)) == (8, 7), "TF-IDF has no seed, so that one run stands for both where the split is fixed"
    assert again() == first
    assert len(said) == 7
    un = next(record for record in first if record["set"] == "un_quadclass")
    assert len(un["epochs"]) == 8  # type: ignore[arg-type]
    scores = [item["test"]["macro_f1"] for item in un["epochs"]]  # type: ignore[attr-defined]
    assert un["figures"]["macro_f1"] == pytest.approx(sum(scores) / 8), "the protocol is the mean over epochs"  # type: ignore[index]
    gwsd = next(record for record in first if record["set"] == "gwsd" and record["learner"] == "framewire")
    best = max(gwsd["epochs"], key=lambda item: item["validation"]["macro_f1"])  # type: ignore[call-overload]
    assert gwsd["picked"]["epoch"] == best["epoch"]  # type: ignore[index]
    table = benchmarks.summary(first)
    assert "| gwsd | tf-idf | - | macro-F1 |" in table
    assert ".661" in table


def test_an_unknown_set_or_a_missing_folder_is_refused(folder: Path, encoder: Path, tmp_path: Path) -> None:
    table = RunTable(tmp_path / "t.jsonl")
    with pytest.raises(InputError, match="no set 'glue'"):
        benchmarks.run(folder, ["glue"], ["tf-idf"], tiny_settings(encoder), [], table, print)
    with pytest.raises(InputError, match=r"train\.tsv"):
        benchmarks.run(tmp_path / "nowhere", ["cameo_quadclass"], ["tf-idf"], tiny_settings(encoder), [], table, print)
