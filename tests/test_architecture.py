"""Imports go one way, and nothing that unpickles, runs code of others or shares the page is in the code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "annotations": set(),
    "classifier": {"annotations"},
    "training": {"annotations", "classifier"},
    "demo": {"annotations", "classifier"},
}
HEAVY = {"torch", "transformers", "datasets", "peft", "accelerate"}
FILES = [path for folder in MAY_IMPORT for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    assert imported(path) & set(MAY_IMPORT) <= MAY_IMPORT[folder] | {folder}
    if folder != "training":
        assert not imported(path) & HEAVY


@pytest.mark.parametrize("path", [ROOT / "framewire.py", *FILES], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_dangerous_is_called(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not imported(path) & {"pickle", "joblib", "dill", "marshal", "shelve", "cloudpickle"}
    loaded = {f"{node.module}.{alias.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not loaded & {"torch.load", "gradio.load", "numpy.load", "yaml.load"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {
                "eval",
                "exec",
                "torch.load",
                "gr.load",
                "gradio.load",
                "os.system",
                "os.popen",
                "yaml.load",
                "numpy.load",
                "np.load",
            }
            for keyword in node.keywords:
                assert keyword.arg not in {"shell", "allow_pickle"} or ast.unparse(keyword.value) == "False"
                if keyword.arg in {"trust_remote_code", "share"}:
                    assert isinstance(keyword.value, ast.Constant) and keyword.value.value is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_label_of_our_codebook_is_named_in_python(path: Path) -> None:
    text = path.read_text()
    for label in ("security_threat", "broken_promises", "diplomatic_offer", "military_warning"):
        code = "\n".join(ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Compare | ast.Dict | ast.Set))
        assert label not in code


def test_scoring_needs_no_torch() -> None:
    code = "import sys, classifier.classifier, classifier.batch, demo.app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
