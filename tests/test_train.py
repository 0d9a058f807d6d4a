"""A training run learns, reports, promotes or refuses, and leaves nothing half done."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from annotations.codebook import Codebook
from annotations.errors import TrainingError
from classifier.models import Models
from tests.conftest import coded_rows, tiny_settings, write_jsonl
from training.train import Run, train


def test_a_tiny_network_learns_frames_that_words_give_away(trained: tuple[Models, Run]) -> None:
    frames = trained[1].report["questions"]["frames"]
    assert frames["macro_f1"] > 0.9
    assert trained[1].report["baselines"]["frames"]["majority"]["macro_f1"] == 0


def test_the_first_model_is_promoted_and_the_folder_is_whole(trained: tuple[Models, Run]) -> None:
    models, run = trained
    assert run.promoted
    assert models.current() == run.folder.path
    files = {str(file.relative_to(run.folder.path)) for file in run.folder.path.rglob("*") if file.is_file()}
    for member in ("frames", "stance"):
        assert {f"{member}/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json", "model.onnx", "model.int8.onnx")} <= files
    assert not list(models.home.glob(".2*")), "a folder written beside was left"


def test_transformers_loads_a_checkpoint_without_us(trained: tuple[Models, Run]) -> None:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(trained[1].folder.path / "frames")
    assert model.config.id2label[0] == "frames.security_threat"


def test_the_same_rows_and_seed_give_the_same_weights(encoder: Path, rows_file: Path, codebook: Codebook, tmp_path: Path) -> None:
    settings = tiny_settings(encoder, epochs=2)
    first = train(rows_file, codebook, settings, Models(tmp_path / "a"))
    second = train(rows_file, codebook, settings, Models(tmp_path / "b"))
    for member in ("frames", "stance"):
        assert (first.folder.path / member / "model.safetensors").read_bytes() == (second.folder.path / member / "model.safetensors").read_bytes()


def test_a_worse_candidate_is_not_promoted(trained: tuple[Models, Run], encoder: Path, rows_file: Path, codebook: Codebook, tmp_path: Path) -> None:
    good = trained[1].folder.path
    models = Models(tmp_path)
    models.promote(good, "test")
    run = train(rows_file, codebook, tiny_settings(encoder, epochs=0.1), models, promote=True)
    assert not run.promoted
    assert any(item.worse for item in run.differences)
    assert models.current() == good


def test_a_released_model_answers_as_the_trained_one(encoder: Path, rows_file: Path, codebook: Codebook, tmp_path: Path) -> None:
    from annotations import rows, splits
    from classifier.network import Network
    from training.evaluate import judge
    from training.release import install, release

    run = train(rows_file, codebook, tiny_settings(encoder, epochs=6), Models(tmp_path / "a"))
    again = install(Models(tmp_path / "b"), release(run.folder, tmp_path / "released"))
    some = splits.assign(rows.read(rows_file, codebook))[:20]
    for name, judged in judge(run.folder, some, Network(run.folder)).items():
        assert np.allclose(judged.logits, judge(again, some)[name].logits, atol=2e-2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [row for row in rows if row["split"] != "test"], "No rows in the split 'test'"),
        (lambda rows: [{**row, "frames": [f for f in row["frames"] if f != "broken_promises"]} for row in rows], "'broken_promises'"),
        (lambda rows: [*rows, {**rows[0], "id": "x", "document": "leak", "split": "train"}], "stand in test and outside it"),
        (lambda rows: [*rows, {**rows[0], "id": "x", "frames": []}], "contradict each other"),
    ],
)
def test_rows_that_cannot_teach_are_refused(change, words: str, encoder: Path, codebook: Codebook, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write_jsonl(tmp_path / "rows.jsonl", change(coded_rows()))
    with pytest.raises(TrainingError, match=words):
        train(path, codebook, tiny_settings(encoder), Models(tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_a_fifth_frame_is_learnt_without_a_change_in_python(encoder: Path, codebook: Codebook, tmp_path: Path) -> None:
    shape = codebook.to_dict()
    shape["question"][0]["label"].append({"name": "economy", "definition": "Grain and bread are at issue."})
    rows = coded_rows()
    rows += [
        {**rows[0], "id": f"e{n}", "document": f"e{n}", "text": f"Bread and grain at the market {n}", "frames": ["economy"],
         "split": ("test", "validation", "train", "train")[n % 4]} for n in range(20)
    ]  # fmt: skip
    run = train(write_jsonl(tmp_path / "rows.jsonl", rows), Codebook.from_dict(shape), tiny_settings(encoder), Models(tmp_path / "models"))
    assert run.report["questions"]["frames"]["labels"]["economy"]["recall"] > 0.5


def test_the_card_and_settings_tell_how_it_was_made(trained: tuple[Models, Run]) -> None:
    folder = trained[1].folder.path
    card = (folder / "README.md").read_text()
    assert "no human has checked" in card.replace("\n", " ")
    assert f"{trained[1].report['questions']['frames']['macro_f1']:.3f}" in card
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["seed"] == dataclasses.asdict(tiny_settings(Path("x")))["seed"]
    assert set(settings["versions"]) >= {"torch", "transformers"}


def test_a_killed_fit_goes_on_and_ends_in_the_same_weights(encoder: Path, rows_file: Path, codebook: Codebook, tmp_path: Path) -> None:
    import torch
    from transformers import TrainerCallback

    from annotations import rows, splits
    from training.examples import build
    from training.fit import fit
    from training.train import members_of

    class Kill(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:
            if state.global_step == 11:  # type: ignore[attr-defined]
                raise KeyboardInterrupt

    settings = tiny_settings(encoder, epochs=3)
    member = members_of(codebook, settings)[0]
    examples = build(splits.assign(rows.read(rows_file, codebook)), codebook, member, settings.context)
    whole, _ = fit(examples, codebook, member, settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(examples, codebook, member, settings, tmp_path / "killed", [Kill()])
    assert list((tmp_path / "killed").glob("checkpoint-*"))
    resumed, _ = fit(examples, codebook, member, settings, tmp_path / "killed")
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name


def test_two_processes_give_the_weights_of_one_and_say_what_is_wrong(encoder: Path, rows_file: Path, codebook: Codebook, tmp_path: Path) -> None:
    import torch

    settings = tiny_settings(encoder, epochs=1)
    alone = train(rows_file, codebook, settings, Models(tmp_path / "a"))
    torch.set_num_threads(2)
    try:
        beside = train(rows_file, codebook, settings, Models(tmp_path / "b"))
        for member in ("frames", "stance"):
            assert (alone.folder.path / member / "model.safetensors").read_bytes() == (beside.folder.path / member / "model.safetensors").read_bytes()
        (tmp_path / "empty").mkdir()
        with pytest.raises(TrainingError, match="cannot be loaded"):
            train(rows_file, codebook, tiny_settings(tmp_path / "empty"), Models(tmp_path / "c"))
    finally:
        torch.set_num_threads(1)


def test_two_equal_runs_do_not_share_checkpoints(tmp_path: Path) -> None:
    from training.train import _alone

    with _alone(tmp_path / "scratch"), pytest.raises(TrainingError, match="under way"), _alone(tmp_path / "scratch"):
        pass
