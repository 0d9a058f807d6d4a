"""Writing a fitted checkpoint in the formats that others read: safetensors, tokenizer, ONNX in float32 and int8."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from annotations import rows as annotated
from annotations.codebook import Codebook
from annotations.errors import TrainingError
from classifier.folder import ONNX, ONNX_INT8, TOKENIZER, WEIGHTS
from training.quantize import quantize

OPSET = 17
SAMPLED = 200  # one in so many of the project's sentences


def export(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write config.json, model.safetensors, the tokenizer's files, model.onnx and model.int8.onnx to `folder`.

    Raises TrainingError for an encoder without a fast tokenizer, which could not be read without torch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    if not (folder / TOKENIZER).is_file():
        raise TrainingError("This encoder has no fast tokenizer (tokenizer.json).", "Choose an encoder that has one.")
    (folder / WEIGHTS).chmod(0o644)  # written for its owner alone; a service may run as somebody else
    _onnx(model, tokenizer, folder / ONNX)
    quantize(folder / ONNX, folder / ONNX_INT8, _samples(tokenizer))


def _samples(tokenizer: PreTrainedTokenizerBase) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Inputs that show how large an encoder's units become: some sentences of the project, whatever the codebook."""
    for row in annotated.read(annotated.OURS, Codebook.load())[::SAMPLED]:
        yield {name: np.array([ids]) for name, ids in tokenizer(row.text, truncation=True, max_length=128).items()}


class _Logits(torch.nn.Module):
    """The model as a function of its input arrays alone."""

    def __init__(self, model: PreTrainedModel, names: list[str]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *arrays: torch.Tensor) -> Any:
        return self.model(**dict(zip(self.names, arrays, strict=True))).logits


def _onnx(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, file: Path) -> None:
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in tokenizer.model_input_names]
    sample = tokenizer(["One sentence.", "Another one, longer."], ["A target", "A target"], padding=True, return_tensors="pt")
    # eval() on the wrapper too: the exporter restores its training flag, and dropout would come on.
    wrapper = _Logits(model, names).eval()
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's notes on tracing and on its own deprecation tell a user nothing
        torch.onnx.export(
            wrapper,
            tuple(sample[name] for name in names),
            str(file),
            input_names=names,
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names} | {"logits": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
    model.set_attn_implementation(implementation)
