"""The model folder: everything that a fitted model is, on disk, checked before it is used and never half written."""

import contextlib
import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from annotations.codebook import Codebook
from annotations.errors import CodebookError, ModelFolderError
from classifier.calibration import Calibration

FORMAT = 1
MANIFEST = "manifest.json"
WEIGHTS, TOKENIZER, CONFIG = "model.safetensors", "tokenizer.json", "config.json"
ONNX, ONNX_INT8 = "model.onnx", "model.int8.onnx"
ALLOWED_ENDINGS = (".json", ".safetensors", ".onnx", ".md", ".txt", ".svg")  # nothing that runs or unpickles on loading
# Keys of config.json that make transformers fetch or run code of others.
FORBIDDEN_CONFIG = ("auto_map", "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "custom_pipelines")


@dataclass(frozen=True)
class Member:
    """One checkpoint of the model: its folder inside the model folder ("." for the root) and the questions that its logits answer."""

    folder: str
    questions: tuple[str, ...]


@dataclass(frozen=True)
class ModelFolder:
    """A complete, checked model folder.

    `context` tells whether the sentence before is read too; `max_tokens` is where input is cut.
    """

    path: Path
    name: str
    codebook: Codebook
    calibrations: dict[str, Calibration]
    members: tuple[Member, ...]
    context: bool
    max_tokens: int

    @classmethod
    def load(cls, path: Path | str) -> "ModelFolder":
        """Open a model folder and check every file against its manifest.

        Raises ModelFolderError that names what is missing, damaged, unsafe or made for another codebook.
        """
        path = Path(path)
        manifest = _manifest(path)
        _check_files(path, manifest["files"])
        try:
            codebook = Codebook.from_dict(_json(path / "codebook.json"), str(path / "codebook.json"))
            calibrations = {name: Calibration.from_dict(shape) for name, shape in _json(path / "calibration.json").items()}
            members = tuple(Member(str(item["folder"]), tuple(item["questions"])) for item in manifest["members"])
            folder = cls(path, manifest["name"], codebook, calibrations, members, manifest["context"], manifest["max_tokens"])
            made_for = manifest["codebook"]
        except (KeyError, TypeError, ValueError, AttributeError, CodebookError) as error:
            raise ModelFolderError(f"{path}: its description is damaged ({error}).", "Train or fetch the model again.") from None
        if made_for != codebook.fingerprint:
            raise ModelFolderError(f"{path}: codebook.json is not the codebook that this model was trained for.", "Train again.")
        folder._check_members(manifest["files"])
        return folder

    def _check_members(self, listed: dict[str, str]) -> None:
        asked = [name for member in self.members for name in member.questions]
        if sorted(asked) != sorted(question.name for question in self.codebook.questions) or set(asked) != set(self.calibrations):
            raise ModelFolderError(f"{self.path}: its checkpoints do not answer exactly the codebook's questions.", "Train again.")
        if not isinstance(self.max_tokens, int) or not 8 <= self.max_tokens <= 512 or not isinstance(self.context, bool):
            raise ModelFolderError(f"{self.path / MANIFEST}: max_tokens or context is out of range.", "Fetch or train the model again.")
        for name, calibration in self.calibrations.items():
            size = len(self.codebook.question(name).labels)
            if (
                any(len(item) != size for item in (calibration.slope, calibration.intercept, calibration.threshold))
                or min(calibration.threshold) <= 0
            ):
                raise ModelFolderError(f"{self.path}: the calibration of '{name}' does not fit its labels.", "Fetch or train the model again.")
        for member in self.members:
            for file in (CONFIG, TOKENIZER, ONNX):
                if str(PurePosixPath(member.folder, file)) not in listed:
                    raise ModelFolderError(f"{self.path}: {member.folder}/{file} is not in {MANIFEST}.", "Fetch or train the model again.")
            config = _json(self.path / member.folder / CONFIG)
            if not isinstance(config, dict) or not isinstance(config.get("id2label"), dict):
                raise ModelFolderError(f"{self.path / member.folder / CONFIG}: names no labels.", "Fetch or train the model again.")
            for key in FORBIDDEN_CONFIG:
                if key in config:
                    raise ModelFolderError(f"{self.path / member.folder / CONFIG}: the key '{key}' is refused.", "It could run code of others.")
            labels = [config.get("id2label", {}).get(str(number)) for number in range(len(self.outputs(member)))]
            if labels != self.outputs(member):
                raise ModelFolderError(f"{self.path / member.folder / CONFIG}: its labels are not the codebook's, in order.", "Train again.")

    def outputs(self, member: Member) -> list[str]:
        """The names of a member's logits, in order: `question.label`."""
        return [f"{name}.{label}" for name in member.questions for label in self.codebook.question(name).label_names]

    def document(self, name: str) -> Any:
        """The content of one of the folder's JSON files (report, settings, splits). Raises ModelFolderError."""
        return _json(self.path / f"{name}.json")


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A fresh folder next to `path` that gets its name when the block ends well; otherwise it goes. Raises ModelFolderError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise ModelFolderError(f"{path}: is there already.", "Choose another --out or remove it.")
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield beside
        beside.chmod(0o755)
        beside.rename(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_manifest(folder: Path, content: ModelFolder) -> None:
    """Write `codebook.json`, `calibration.json` and, last, the manifest with the SHA-256 of every file that is in `folder`."""
    write_json(folder / "codebook.json", content.codebook.to_dict())
    write_json(folder / "calibration.json", {name: dataclasses.asdict(item) for name, item in content.calibrations.items()})
    files = {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}
    manifest = {
        "format": FORMAT,
        "name": content.name,
        "codebook": content.codebook.fingerprint,
        "members": [dataclasses.asdict(member) for member in content.members],
        "context": content.context,
        "max_tokens": content.max_tokens,
        "files": {name: digest for name, digest in files.items() if name != MANIFEST},
    }
    write_json(folder / MANIFEST, manifest)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, in UTF-8."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def sha256(file: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelFolderError(f"{file}: cannot be read ({error.strerror}).", "Check its permissions.") from None


def _manifest(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise ModelFolderError(f"{path}: no such model folder.", "Train one with 'framewire train', or name another with --model.")
    if not (path / MANIFEST).is_file():
        raise ModelFolderError(f"{path}: no {MANIFEST}, so not a Framewire model.", "Give a folder that 'framewire train' wrote.")
    manifest = _json(path / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not isinstance(manifest.get("files"), dict):
        raise ModelFolderError(f"{path / MANIFEST}: not a manifest of format {FORMAT}.", "Train the model again with this version.")
    return manifest


def _check_files(path: Path, listed: dict[str, str]) -> None:
    found = {str(file.relative_to(path)): file for file in path.rglob("*") if not file.is_dir() or file.is_symlink()}
    for name, file in found.items():
        if file.is_symlink():
            raise ModelFolderError(f"{file}: is a link.", "A model folder holds plain files only; copy the file in.")
        if name != MANIFEST and (name not in listed or not name.endswith(ALLOWED_ENDINGS)):
            raise ModelFolderError(f"{file}: is not listed in {MANIFEST}.", "Remove it, or fetch the model again.")
    for name, digest in listed.items():
        if name not in found:
            raise ModelFolderError(f"{path / name}: is missing.", "Fetch or train the model again.")
        if sha256(found[name]) != digest:
            raise ModelFolderError(f"{path / name}: is damaged (its SHA-256 is not the recorded one).", "Fetch or train the model again.")


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise ModelFolderError(f"{file}: cannot be read ({error.strerror}).", "Train the model again.") from None
    except (ValueError, RecursionError):
        raise ModelFolderError(f"{file}: not valid JSON.", "Fetch or train the model again.") from None
