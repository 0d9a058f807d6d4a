"""A training run learns, reports, promotes or refuses, and leaves nothing half done."""

import dataclasses
import json
import subprocess
import sys
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
        # The rounding of the difference, and of activations that it moved across a step of eight bits.
        assert np.allclose(judged.logits, judge(again, some)[name].logits, atol=1e-1)
        assert np.mean(np.abs(judged.logits - judge(again, some)[name].logits)) < 2e-2


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


def test_bad_rows_are_refused_before_torch_is_imported(tmp_path: Path) -> None:
    bad = write_jsonl(tmp_path / "rows.jsonl", [row for row in coded_rows() if row["split"] != "test"])
    code = (
        "import sys; from annotations.errors import TrainingError\n"
        "from training.__main__ import train\n"
        f"try: train(annotations=[{str(bad)!r}])\n"
        "except TrainingError as error: print(error, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    assert "No rows in the split 'test'" in done.stdout
    assert done.stdout.strip().endswith("False")


def test_a_candidate_of_fewer_rows_is_not_promoted(trained: tuple[Models, Run], encoder: Path, codebook: Codebook, tmp_path: Path) -> None:
    models = Models(tmp_path / "models")
    models.promote(trained[1].folder.path, "test")
    fewer = write_jsonl(tmp_path / "rows.jsonl", [row for row in coded_rows() if row["document"] != "d3"])
    run = train(fewer, codebook, tiny_settings(encoder), models, promote=True)
    assert not run.promoted
    assert "it learnt from 55 rows and the promoted model from 60" in run.refusal or "worse" in run.refusal
    assert models.current() == trained[1].folder.path


def test_the_card_is_one_that_the_hub_reads_and_its_plot_is_a_picture(trained: tuple[Models, Run]) -> None:
    from xml.etree import ElementTree

    from huggingface_hub import ModelCard

    folder = trained[1].folder.path
    data = ModelCard.load(folder / "README.md").data
    values = {(item.task_name, item.metric_type): item.metric_value for item in data.eval_results}
    frames = trained[1].report["questions"]["frames"]
    assert values["frames", "f1"] == pytest.approx(frames["macro_f1"], abs=1e-4)
    assert values["frames", "expected_calibration_error"] == pytest.approx(frames["calibration_error"], abs=1e-4)
    assert "](calibration.svg)" in (folder / "README.md").read_text()
    drawn = ElementTree.fromstring((folder / "calibration.svg").read_text())  # noqa: S314
    circles = [item for item in drawn.iter() if item.tag.endswith("circle")]
    assert len(circles) == sum(len(item["reliability"]) for item in trained[1].report["questions"].values())


def test_coders_are_judged_against_the_adjudicated_rows_beside_the_model(encoder: Path, codebook: Codebook, tmp_path: Path) -> None:
    from annotations import rows as annotated
    from training.coders import beside, ceiling

    rows = coded_rows()
    (tmp_path / "rows").mkdir()
    (tmp_path / "coders").mkdir()
    path = write_jsonl(tmp_path / "rows" / "rows.jsonl", rows)
    half = [{**row, "frames": []} if row["document"] == "d0" else row for row in rows if row["document"] in ("d0", "d4")]
    write_jsonl(tmp_path / "coders" / "anna.jsonl", half)
    write_jsonl(tmp_path / "coders" / "of-another-text.jsonl", [{**row, "text": "Rain."} for row in half])
    write_jsonl(tmp_path / "coders" / "of-another-codebook.jsonl", [{"id": "1", "text": "Rain.", "mood": "good"}])
    found = ceiling(annotated.read(path, codebook), beside([path], codebook), codebook)
    assert set(found["frames"]) == {"anna"}
    assert found["frames"]["anna"]["rows"] == 10
    assert found["frames"]["anna"]["macro_f1"] == pytest.approx(2 / 3), "each frame found in one of two rows: precision 1, recall 0.5"
    assert found["stance"]["anna"]["macro_f1"] == 1


def test_setfit_learns_from_the_same_rows_where_it_is_installed(encoder: Path) -> None:
    from training import baselines

    if not baselines.has_setfit():
        with pytest.raises(TrainingError, match="SetFit is not installed"):
            baselines.setfit(["a"], np.eye(1), ["a"], "one", str(encoder), 1)
        return
    texts = [str(row["text"]) for row in coded_rows() if row["frames"]]
    goal = np.eye(4)[
        [
            list(dict.fromkeys(str(row["frames"]) for row in coded_rows() if row["frames"])).index(str(r["frames"]))
            for r in coded_rows()
            if r["frames"]
        ]
    ]
    for choose in ("one", "any"):
        chosen = baselines.setfit(texts, goal, texts, choose, str(encoder), 1, steps=3)
        assert chosen.shape == goal.shape
        assert (chosen == (goal > 0.5)).mean() > 0.9


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


def test_frozen_layers_stay_as_they_are_and_the_model_is_whole(encoder: Path, rows_file: Path, codebook: Codebook, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    run = train(rows_file, codebook, tiny_settings(encoder, frozen_layers=1), Models(tmp_path))
    before, after = load_file(encoder / "model.safetensors"), load_file(run.folder.path / "frames" / "model.safetensors")
    for layer, same in ((0, True), (1, False)):
        name = f"encoder.layer.{layer}.output.dense.weight"
        assert bool((before[name] == after[f"bert.{name}"]).all()) is same
    # What was computed once in training is what the whole model computes: it finds what it learnt.
    assert run.report["questions"]["frames"]["macro_f1"] > 0.8


def test_more_frozen_layers_than_there_are_is_refused(encoder: Path, rows_file: Path, codebook: Codebook, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the encoder has 2 layers"):
        train(rows_file, codebook, tiny_settings(encoder, encoders="shared", frozen_layers=2), Models(tmp_path))


def test_a_student_learns_from_its_teacher_what_no_coder_answered(
    trained: tuple[Models, Run], encoder: Path, codebook: Codebook, tmp_path: Path
) -> None:
    teacher = trained[1]
    rows = coded_rows()
    for row in rows:  # frames were asked in one document to learn from; in the others stance alone
        if row["split"] == "train" and row["document"] != "d2":
            del row["frames"]
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    alone = train(file, codebook, tiny_settings(encoder, epochs=8), Models(tmp_path / "alone"))
    taught = train(file, codebook, tiny_settings(encoder, epochs=8, teacher=str(teacher.folder.path)), Models(tmp_path / "taught"))
    assert taught.report["questions"]["frames"]["macro_f1"] > alone.report["questions"]["frames"]["macro_f1"] + 0.1


def test_a_teacher_of_another_codebook_is_refused(trained: tuple[Models, Run], codebook: Codebook) -> None:
    from classifier.folder import Member
    from training.distill import distill

    other = dataclasses.replace(trained[1].folder, codebook=dataclasses.replace(codebook, name="another"))
    with pytest.raises(TrainingError, match="another codebook"):
        distill([], codebook, Member("frames", ("frames",)), other)


def test_a_run_begins_where_another_model_ended(
    trained: tuple[Models, Run], encoder: Path, rows_file: Path, codebook: Codebook, tmp_path: Path
) -> None:
    start = str(trained[1].folder.path)
    few = {"epochs": 0.3, "learning_rate": 1e-6, "head_learning_rate": 1e-6}
    run = train(rows_file, codebook, tiny_settings(encoder, start=start, **few), Models(tmp_path))
    assert run.report["questions"]["frames"]["macro_f1"] > 0.9
    assert f"began with the weights of the model {trained[1].folder.name}" in (run.folder.path / "README.md").read_text()
    with pytest.raises(TrainingError, match="was made from the encoder"):
        train(rows_file, codebook, tiny_settings(tmp_path, start=start), Models(tmp_path))
    with pytest.raises(TrainingError, match="other checkpoints"):
        train(rows_file, codebook, tiny_settings(encoder, start=start, encoders="shared"), Models(tmp_path))
