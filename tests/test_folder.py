"""A model folder is used whole or not at all."""

import json
import shutil
from pathlib import Path

import pytest

from annotations.errors import ModelFolderError
from classifier.folder import ModelFolder
from classifier.models import Models
from training.train import Run


@pytest.fixture
def copy(trained: tuple[Models, Run], tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained[1].folder.path, tmp_path / "model"))


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


HARM = {
    "a flipped byte": lambda p: flip(p / "frames" / "model.safetensors"),
    "a flipped byte in the network": lambda p: flip(p / "stance" / "model.onnx"),
    "truncated weights": lambda p: (p / "frames" / "model.onnx").write_bytes((p / "frames" / "model.onnx").read_bytes()[:100]),
    "no tokenizer": lambda p: (p / "frames" / "tokenizer.json").unlink(),
    "no manifest": lambda p: (p / "manifest.json").unlink(),
    "an extra pickle": lambda p: (p / "pytorch_model.bin").write_bytes(b"\x80\x04"),
    "an extra module": lambda p: (p / "modeling.py").write_text("print(1)"),
    "a link": lambda p: (p / "link.json").symlink_to("/etc/hostname"),
    "a damaged manifest": lambda p: (p / "manifest.json").write_text("{"),
    "another codebook": lambda p: edit_json(p / "manifest.json", codebook="0" * 64),
    "a manifest of another format": lambda p: edit_json(p / "manifest.json", format=99),
    "no file list": lambda p: edit_json(p / "manifest.json", files=None),
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", HARM)
def test_a_harmed_folder_is_refused_and_named(name: str, copy: Path) -> None:
    HARM[name](copy)
    with pytest.raises(ModelFolderError) as refusal:
        ModelFolder.load(copy)
    assert str(copy) in str(refusal.value)


@pytest.mark.parametrize("key", ["auto_map", "attn_implementation"])
def test_a_config_that_could_run_code_is_refused_even_when_listed(key: str, copy: Path) -> None:
    from classifier.folder import sha256

    config = copy / "frames" / "config.json"
    edit_json(config, **{key: "evil/repo"})
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["frames/config.json"] = sha256(config)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFolderError, match=key):
        ModelFolder.load(copy)


def test_promote_and_rollback_move_one_pointer_and_are_logged(copy: Path, trained: tuple[Models, Run], tmp_path: Path) -> None:
    models = Models(tmp_path / "shelf")
    first, second = trained[1].folder.path, copy
    models.promote(first, "one")
    models.promote(second, "two")
    assert models.current() == second
    assert models.rollback() == first
    assert models.current() == first
    assert [entry["event"] for entry in models.entries()] == ["promote", "promote", "rollback"]
    with pytest.raises(ModelFolderError, match="no earlier"):
        models.rollback()


def test_a_damaged_model_cannot_be_promoted(copy: Path, trained: tuple[Models, Run], tmp_path: Path) -> None:
    models = Models(tmp_path / "shelf")
    models.promote(trained[1].folder.path, "good")
    flip(copy / "frames" / "model.onnx")
    with pytest.raises(ModelFolderError):
        models.promote(copy, "bad")
    assert models.current() == trained[1].folder.path
