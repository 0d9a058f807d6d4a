"""Real small things for the tests: a tiny encoder with random weights, a few coded rows, a model trained on them."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
if "fw-page-" not in os.environ.get("GRADIO_TEMP_DIR", ""):  # once: pytest imports this file as conftest, tests as tests.conftest
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="fw-page-")

import pytest

from annotations.codebook import Codebook
from classifier.classifier import Classifier
from classifier.models import Models
from training.settings import TrainingSettings
from training.train import Run, train

if TYPE_CHECKING:
    from demo.access import Access
    from demo.retrain import Base

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
WORDS = "the a minister said envoy talks threat troops border promise broken treaty river grain market rain bread army warned reply offer NATO plan"
FRAMED = {
    "security_threat": "The troops at the border are a threat to us the minister said {}",
    "broken_promises": "The treaty was broken like every promise the envoy said {}",
    "diplomatic_offer": "The envoy made an offer of talks on the treaty {}",
    "military_warning": "The army will reply with troops the minister warned {}",
}
STANCES = {"security_threat": "against", "broken_promises": "against", "diplomatic_offer": "favor", "military_warning": "neutral"}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny networks lose more to waiting threads than they gain; one thread is also what makes runs repeat to the bit."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_uploads() -> Iterator[None]:
    """What the page takes and hands out in these tests is of no other page, and is removed."""
    yield
    shutil.rmtree(os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def no_connection_leaves() -> Iterator[None]:
    """No test connects to another machine; what tried to is refused, and named at the end, should its error have been swallowed."""
    tried: list[str] = []

    def guard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and arguments[0].type == socket.SOCK_STREAM and isinstance(arguments[1], tuple):
            host = str(arguments[1][0])
            if not re.fullmatch(r"localhost|127\.[\d.]+|::1", host):
                tried.append(host)
                raise PermissionError(f"a test connects to {host}")

    sys.addaudithook(guard)
    yield
    assert not tried


@pytest.fixture(scope="session")
def codebook() -> Codebook:
    return Codebook.load()


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers of 32, with random weights and a word vocabulary of its own."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = special + sorted({word.lower() for word in WORDS.split()}) + list("abcdefghijklmnopqrstuvwxyz0123456789.,'\"-")
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(dict.fromkeys(vocabulary))}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=["input_ids", "token_type_ids", "attention_mask"], **names)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer.get_vocab()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def coded_rows(documents: int = 24) -> list[dict[str, object]]:
    """Rows of short documents, one framed sentence for each frame and one without, in three splits."""
    rows = []
    for number in range(documents):
        split = "test" if number % 4 == 0 else "validation" if number % 4 == 1 else "train"
        texts = {frame: text.format(f"grain {number}") for frame, text in FRAMED.items()}
        for place, (frame, text) in enumerate([*texts.items(), ("", f"Rain on the river market and bread {number}")]):
            rows.append({
                "id": f"d{number}-{place}", "document": f"d{number}", "text": text, "frames": [frame] if frame else [],
                "stance": {"NATO plan": STANCES.get(frame, "neutral")}, "annotator": "test", "split": split, "sampling": "written",
            })  # fmt: skip
    return rows


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("rows") / "rows.jsonl", coded_rows())


def tiny_settings(encoder: Path, **changes: object) -> TrainingSettings:
    return TrainingSettings(**({"encoder": str(encoder), "epochs": 30, "learning_rate": 3e-3, "head_learning_rate": 3e-3, "batch_size": 8} | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def trained(encoder: Path, rows_file: Path, codebook: Codebook, tmp_path_factory: pytest.TempPathFactory) -> tuple[Models, Run]:
    """A shelf with one promoted model, trained on the coded rows in seconds."""
    models = Models(tmp_path_factory.mktemp("models"))
    return models, train(rows_file, codebook, tiny_settings(encoder), models, promote=True)


@pytest.fixture(scope="session")
def classifier(trained: tuple[Models, Run]) -> Classifier:
    return Classifier(trained[1].folder, threads=1)


@pytest.fixture(scope="module")
def address(trained: tuple[Models, Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(trained[0], f"sqlite:///{tmp_path_factory.mktemp('db')}/c.sqlite")


def served(models: Models, database: str, base: "Base | None" = None, allowed: "Access | None" = None) -> Iterator[str]:
    """The address of a service that runs until the iterator is asked again."""
    import uvicorn

    from demo.app import build

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(build(models, database, base=base, allowed=allowed), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser, for the tests that look at the page."""
    if BROWSER is None:
        pytest.skip("no chromium is installed, so the page is not looked at")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page in a wide window."""
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.goto(address)
    opened.get_by_label("Article").wait_for()
    yield opened
    opened.close()


def read(page: Any, text: str, targets: str = "NATO plan") -> None:
    """Paste and press Read."""
    page.get_by_label("Article").fill(text)
    page.get_by_label("Stance toward").fill(targets)
    page.locator("#read").click()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 20 MB, where mounting is allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here, so no small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=False)


def fill(place: Path) -> Path:
    with (place / "filler").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(b"0" * 4_096)
    return place / "filler"
