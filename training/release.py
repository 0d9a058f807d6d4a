"""The released model: adapters small enough for the repository, joined to the packaged encoder into a model folder."""

import dataclasses
import json
import shutil
from pathlib import Path

from peft import PeftModel

from annotations.codebook import Codebook
from annotations.errors import TrainingError
from classifier.calibration import Calibration
from classifier.folder import Member, ModelFolder, write_manifest, written_beside
from classifier.models import Models
from training.export import export
from training.fit import load
from training.settings import TrainingSettings

RELEASED = Path(__file__).with_name("released")
DOCUMENTS = ("report.json", "settings.json", "splits.json", "README.md", "codebook.json", "calibration.json", "manifest.json")


def release(folder: ModelFolder, place: Path = RELEASED) -> Path:
    """Copy a trained model's adapters and documents, without weights, to `place`. Raises TrainingError where it has no adapters."""
    if not all((folder.path / member.folder / "adapter").is_dir() for member in folder.members):
        raise TrainingError(f"{folder.path}: trained without adapters.", "Train with --adapter-rank 16 or so; full weights are too large.")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in DOCUMENTS:
        shutil.copy2(folder.path / name, place / name)
    for member in folder.members:
        shutil.copytree(folder.path / member.folder / "adapter", place / member.folder / "adapter")
    return place


def install(models: Models, place: Path = RELEASED) -> ModelFolder:
    """Make the released model's folder among `models` from its adapters and the encoder, and promote it if nothing is.

    Raises TrainingError when no model is released or the encoder is missing.
    """
    try:
        manifest = json.loads((place / "manifest.json").read_bytes())
        stored = json.loads((place / "settings.json").read_bytes())
        codebook = Codebook.from_dict(json.loads((place / "codebook.json").read_bytes()))
        calibrations = {name: Calibration.from_dict(item) for name, item in json.loads((place / "calibration.json").read_bytes()).items()}
    except OSError as error:
        raise TrainingError(f"{place}: the released model is not complete ({error.strerror}).", "Clone the repository again.") from None
    settings = TrainingSettings(**{field.name: stored[field.name] for field in dataclasses.fields(TrainingSettings)})
    out = models.home / manifest["name"]
    if not out.exists():
        members = tuple(Member(item["folder"], tuple(item["questions"])) for item in manifest["members"])
        with written_beside(out) as beside:
            for member in members:
                model, tokenizer = load(codebook, member, settings)
                joined = PeftModel.from_pretrained(model, str(place / member.folder / "adapter")).merge_and_unload()
                export(joined.eval(), tokenizer, beside / member.folder)
            for name in ("report.json", "settings.json", "splits.json", "README.md"):
                shutil.copy2(place / name, beside / name)
            folder = ModelFolder(beside, manifest["name"], codebook, calibrations, members, manifest["context"], manifest["max_tokens"])
            write_manifest(beside, folder)
    if models.current_name() is None:
        models.promote(out, "released model")
    return ModelFolder.load(out)
