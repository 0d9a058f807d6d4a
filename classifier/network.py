"""The network in use: tokenized pairs in, logits out, through ONNX Runtime. The only module that knows how a question is encoded."""

import itertools
import os
import unicodedata
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from annotations.errors import ModelFolderError
from classifier.folder import ONNX, ONNX_INT8, TOKENIZER, Member, ModelFolder

TOKEN_BUDGET = 1_024  # tokens a batch; larger batches leave the processor's cache
TOKENIZED = 256  # inputs that one thread tokenizes at once
Logits = NDArray[np.float32]
Tokens = tuple[list[int], list[int]]  # ids, and the segment of each


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
    """The sessions of a model folder's checkpoints.

    Batches hold inputs of one length only: nothing is padded, and an answer cannot depend on its neighbours. Each is computed by one
    thread, as many at a time as there are `threads` (default: the processors that this process may use); that scales better than threads inside
    of one batch. `precision` is "int8" or "fp32"; None takes int8 where the folder has it with a scale for each row.
    """

    def __init__(self, folder: ModelFolder, threads: int | None = None, precision: str | None = None) -> None:
        self.folder = folder
        self.threads = threads or len(os.sched_getaffinity(0))
        self._sessions = {member: _session(folder, member, precision) for member in folder.members}
        self._names = {member: {item.name for item in session.get_inputs()} for member, session in self._sessions.items()}
        self._tokenizers = {member: _tokenizer(folder, member) for member in folder.members}
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="network")
        weakref.finalize(self, self._pool.shutdown, wait=False)

    def logits(self, member: Member, inputs: Sequence[Input]) -> Logits:
        """Logits of shape (inputs, outputs of the member), in the order of the inputs. Equal inputs are computed once."""
        return self.start(member, inputs)()

    def start(self, member: Member, inputs: Sequence[Input]) -> Callable[[], Logits]:
        """Begin to compute logits and return what waits for them, so that others can begin, or be used, meanwhile."""
        places: dict[Input, list[int]] = {}
        for place, item in enumerate(inputs):
            places.setdefault(item, []).append(place)
        items = list(places)
        pieces = [items[start : start + TOKENIZED] for start in range(0, len(items), TOKENIZED)]
        encoded = [tokens for piece in self._pool.map(lambda piece: self._tokens(member, piece), pieces) for tokens in piece]
        order = sorted(range(len(items)), key=lambda number: len(encoded[number][0]), reverse=True)
        running: list[tuple[list[int], Future[Logits]]] = []
        for width, group in itertools.groupby(order, key=lambda number: len(encoded[number][0])):
            numbers = list(group)
            most = max(1, TOKEN_BUDGET // width)
            for begin in range(0, len(numbers), most):
                batch = numbers[begin : begin + most]
                running.append((batch, self._pool.submit(self._run, member, [encoded[number] for number in batch])))

        def wait() -> Logits:
            result = np.empty((len(inputs), len(self.folder.outputs(member))), dtype=np.float32)
            for batch, future in running:
                for number, row in zip(batch, future.result(), strict=True):
                    result[places[items[number]]] = row
            return result

        return wait

    def _tokens(self, member: Member, items: Sequence[Input]) -> list[Tokens]:
        tokenizer = self._tokenizers[member]
        encodings = tokenizer.encode_batch([(item.first, item.second) if item.second else item.first for item in items])
        return [(encoding.ids, encoding.type_ids) for encoding in encodings]

    def _run(self, member: Member, batch: Sequence[Tokens]) -> Logits:
        ids = np.array([ids for ids, _ in batch], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.array([kinds for _, kinds in batch], dtype=np.int64)}
        names = self._names[member]
        logits: Logits = self._sessions[member].run(["logits"], {name: value for name, value in feed.items() if name in names})[0]
        return logits


def _session(folder: ModelFolder, member: Member, precision: str | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # The arena keeps the largest batch's memory for each thread for ever; without it a long run stays small.
    options.enable_cpu_mem_arena = False
    small = folder.path / member.folder / ONNX_INT8
    # Folders made before scales for each row hold a graph whose answers move with their neighbours; they are served in float32.
    exact = small.is_file() and b"DynamicQuantizeLinear" not in small.read_bytes()
    file = small if precision == "int8" or (precision is None and exact) else folder.path / member.folder / ONNX
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its extension module that share no named base
        raise ModelFolderError(f"{file}: cannot be opened by ONNX Runtime ({type(error).__name__}).", "Train the model again.") from None


def _tokenizer(folder: ModelFolder, member: Member) -> Tokenizer:
    file = folder.path / member.folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exception
        raise ModelFolderError(f"{file}: cannot be opened ({type(error).__name__}).", "Train the model again.") from None
    tokenizer.enable_truncation(folder.max_tokens)
    tokenizer.no_padding()
    return tokenizer
