"""The released models: their differences to a published encoder, of low rank and in eight bits, small enough for the repository."""

import dataclasses
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from annotations.codebook import Codebook
from annotations.errors import TrainingError
from classifier.calibration import Calibration
from classifier.folder import MANIFEST, WEIGHTS, Member, ModelFolder, write_manifest, written_beside
from classifier.models import Models
from training.export import export
from training.fit import load
from training.settings import TrainingSettings

RELEASED = Path(__file__).with_name("released")
ACCURATE, FAST = "accurate", "fast"  # the folders of the two released models there; the first is the one that a clone starts with
DIFFERENCE = "difference.safetensors"
DOCUMENTS = ("report.json", "settings.json", "splits.json", "README.md", "calibration.svg")
DESCRIPTIONS = ("codebook.json", "calibration.json", MANIFEST)
STEPS = 127  # of an eight-bit number on either side of zero
LEFT, RIGHT, SCALE = ".left", ".right", ".scale"
RANK = 64  # of a stored difference; what that costs is in docs/results.md

Tensors = dict[str, torch.Tensor]


def release(folder: ModelFolder, place: Path = RELEASED / ACCURATE) -> Path:
    """Write a trained model's documents and, for each checkpoint, its difference to the encoder to `place`."""
    settings = _settings(folder.path)
    shutil.rmtree(place, ignore_errors=True)
    for member in folder.members:
        encoder, _ = load(folder.codebook, member, settings)
        (place / member.folder).mkdir(parents=True, exist_ok=True)
        save_file(difference(load_file(folder.path / member.folder / WEIGHTS), encoder.state_dict()), place / member.folder / DIFFERENCE)
    for name in (*DOCUMENTS, *DESCRIPTIONS):
        if (folder.path / name).is_file():  # a model made before there was a plot has none
            shutil.copy2(folder.path / name, place / name)
    return place


def difference(trained: Tensors, encoder: Tensors, rank: int = RANK) -> Tensors:
    """What training changed: each matrix as the product of two of `rank` columns and rows (truncated singular value decomposition).

    These are int8 with one float32 scale a column or row; heads are whole in 16 bits, vectors in 32, unchanged tensors left out.
    """
    stored: Tensors = {}
    for name, weights in trained.items():
        if name in encoder and torch.equal(weights, encoder[name]):
            continue
        if weights.ndim != 2 or "classifier" in name:
            stored[name] = (weights.half() if weights.ndim == 2 else weights).contiguous()
            continue
        left, values, right = torch.linalg.svd(weights - encoder[name], full_matrices=False)
        root = values[:rank].sqrt()
        for part, factor in ((LEFT, (left[:, :rank] * root).T), (RIGHT, root[:, None] * right[:rank])):
            scale = (factor.abs().amax(dim=1, keepdim=True) / STEPS).clamp_min(torch.finfo(torch.float32).tiny)
            stored[name + part] = torch.round(factor / scale).to(torch.int8).contiguous()
            stored[name + part + SCALE] = scale
    return stored


def joined(stored: Tensors, encoder: Tensors) -> Tensors:
    """The trained weights again, to within what the rank left out and half a step of each scale."""
    weights = dict(encoder)
    for name, tensor in stored.items():
        matrix = name.removesuffix(LEFT)
        if name.endswith(LEFT):
            left, right = (stored[matrix + part].float() * stored[matrix + part + SCALE] for part in (LEFT, RIGHT))
            weights[matrix] = encoder[matrix] + left.T @ right
        elif not name.endswith((RIGHT, SCALE)):
            weights[name] = tensor.float() if tensor.dtype == torch.float16 else tensor
    return weights


def install(models: Models, place: Path = RELEASED / ACCURATE) -> ModelFolder:
    """Make the released model's folder among `models` from its differences and the encoder, and promote it if nothing is.

    Raises TrainingError when no model is released or the encoder is missing.
    """
    try:
        manifest = json.loads((place / MANIFEST).read_bytes())
        codebook = Codebook.from_dict(json.loads((place / "codebook.json").read_bytes()))
        calibrations = {name: Calibration.from_dict(item) for name, item in json.loads((place / "calibration.json").read_bytes()).items()}
        settings = _settings(place)
    except OSError as error:
        raise TrainingError(f"{place}: the released model is not complete ({error.strerror}).", "Clone the repository again.") from None
    out = models.home / manifest["name"]
    if not out.exists():
        members = tuple(Member(item["folder"], tuple(item["questions"])) for item in manifest["members"])
        with written_beside(out) as beside:
            for member in members:
                model, tokenizer = load(codebook, member, settings)
                model.load_state_dict(joined(load_file(place / member.folder / DIFFERENCE), model.state_dict()))
                export(model.eval(), tokenizer, beside / member.folder)
            for name in DOCUMENTS:
                if (place / name).is_file():
                    shutil.copy2(place / name, beside / name)
            folder = ModelFolder(beside, manifest["name"], codebook, calibrations, members, manifest["context"], manifest["max_tokens"])
            write_manifest(beside, folder)
    if models.current_name() is None:
        models.promote(out, "released model")
    return ModelFolder.load(out)


def _settings(place: Path) -> TrainingSettings:
    stored = json.loads((place / "settings.json").read_bytes())
    return TrainingSettings(**{field.name: stored[field.name] for field in dataclasses.fields(TrainingSettings) if field.name in stored})
