"""The network in use: tokenized pairs in, logits out, through ONNX Runtime. The only module that knows how a question is encoded."""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from annotations.errors import ModelFolderError
from classifier.folder import ONNX, TOKENIZER, Member, ModelFolder

TOKEN_BUDGET = 1_024  # padded tokens a batch; larger batches leave the processor's cache
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Input:
    """What the network reads: the sentence, and a second segment of target, sentence before, both or none."""

    first: str
    second: str = ""


def encode(text: str, previous: str, target: str | None, context: bool) -> Input:
    """The network's input for one sentence, the same in training and in use.

    A question per target reads the pair (sentence, target); with `context`, the sentence before follows in the second segment.
    """
    before = normal(previous) if context else ""
    if target is None:
        return Input(normal(text), before)
    return Input(normal(text), f"{normal(target)} | {before}" if before else normal(target))


def normal(text: str) -> str:
    """NFKC without invisible format characters and lone surrogates: variants that look alike read alike."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(character for character in folded if unicodedata.category(character) not in ("Cf", "Cs", "Cc") or character in "\n\t")


class Network:
    """The sessions of a model folder's checkpoints."""

    def __init__(self, folder: ModelFolder, threads: int | None = None) -> None:
        self.folder = folder
        threads = threads or os.cpu_count() or 1
        self._sessions = {member: _session(folder, member, threads) for member in folder.members}
        self._tokenizers = {member: _tokenizer(folder, member) for member in folder.members}

    def logits(self, member: Member, inputs: Sequence[Input]) -> Logits:
        """Logits of shape (inputs, outputs of the member), in the order of the inputs, whatever way they are batched.

        Equal inputs are computed once; batches hold inputs of like length, at most TOKEN_BUDGET padded tokens.
        """
        places: dict[Input, list[int]] = {}
        for place, item in enumerate(inputs):
            places.setdefault(item, []).append(place)
        encoded = [(self._token_ids(member, item), item) for item in places]
        encoded.sort(key=lambda pair: len(pair[0][0]))
        result = np.empty((len(inputs), len(self.folder.outputs(member))), dtype=np.float32)
        start = 0
        while start < len(encoded):
            stop = start + 1
            while stop < len(encoded) and (stop + 1 - start) * len(encoded[stop][0][0]) <= TOKEN_BUDGET:
                stop += 1
            batch = encoded[start:stop]
            for row, (_, item) in zip(self._run(member, [tokens for tokens, _ in batch]), batch, strict=True):
                result[places[item]] = row
            start = stop
        return result

    def _token_ids(self, member: Member, item: Input) -> tuple[list[int], list[int]]:
        tokenizer, _ = self._tokenizers[member]
        encoding = tokenizer.encode(item.first, item.second) if item.second else tokenizer.encode(item.first)
        return encoding.ids, encoding.type_ids

    def _run(self, member: Member, batch: Sequence[tuple[list[int], list[int]]]) -> Logits:
        width = max(len(ids) for ids, _ in batch)
        feed = {name: np.zeros((len(batch), width), dtype=np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
        feed["input_ids"] += self._tokenizers[member][1]
        for row, (ids, type_ids) in enumerate(batch):
            feed["input_ids"][row, : len(ids)] = ids
            feed["attention_mask"][row, : len(ids)] = 1
            feed["token_type_ids"][row, : len(ids)] = type_ids
        session = self._sessions[member]
        names = {item.name for item in session.get_inputs()}
        logits: Logits = session.run(["logits"], {name: value for name, value in feed.items() if name in names})[0]
        return logits


def _session(folder: ModelFolder, member: Member, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    file = folder.path / member.folder / ONNX
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its extension module that share no named base
        raise ModelFolderError(f"{file}: cannot be opened by ONNX Runtime ({type(error).__name__}).", "Train the model again.") from None


def _tokenizer(folder: ModelFolder, member: Member) -> tuple[Tokenizer, int]:
    file = folder.path / member.folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exception
        raise ModelFolderError(f"{file}: cannot be opened ({type(error).__name__}).", "Train the model again.") from None
    pad = next((tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>") if tokenizer.token_to_id(token) is not None), None)
    if pad is None:
        raise ModelFolderError(f"{file}: has no padding token.", "Train the model again.")
    tokenizer.enable_truncation(folder.max_tokens)
    tokenizer.no_padding()
    return tokenizer, pad
