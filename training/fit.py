"""Fitting one checkpoint: transformers' Trainer over the examples of its questions, with the loss masked where nothing was asked."""

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from safetensors import SafetensorError
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from annotations.codebook import Codebook
from annotations.errors import TrainingError
from classifier.folder import Member
from training.encoders import locate
from training.examples import Example
from training.frozen import FrozenLayers
from training.settings import TrainingSettings

WARM_UP = 0.1  # share of the steps during which the learning rate rises
WEIGHT_DECAY = 0.01
GROUPED = 20  # batches that are sorted by length together
NUMBERS = ("labels", "weight", "length", "row")  # of an example, beside its tokens
CHECKPOINTS = 8  # a killed run loses at most this share of its steps (one in eight)


def fit(
    examples: Sequence[Example],
    codebook: Codebook,
    member: Member,
    settings: TrainingSettings,
    scratch: Path,
    callbacks: Sequence[TrainerCallback] = (),
    start: Path | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Fine-tune the encoder, or the checkpoint at `start`, on `examples`; `scratch` holds checkpoints, from which a killed run goes on.

    The same examples, settings, versions and threads give the same weights. Raises TrainingError when the encoder cannot be loaded.
    """
    set_seed(settings.seed)
    model, tokenizer = load(codebook, member, settings, start)
    # The vocabulary's vectors stay the encoder's: small sets cannot teach thirty thousand of them, and a third of the step is saved.
    model.get_input_embeddings().weight.requires_grad = False
    dataset = _dataset(examples, tokenizer, settings.max_tokens)
    frozen = FrozenLayers(model, dataset, tokenizer, settings.frozen_layers) if settings.frozen_layers else None
    trainer = _MaskedTrainer(
        model=model,
        args=_arguments(len(examples), settings, scratch),
        train_dataset=dataset,
        data_collator=_Collator(tokenizer, frozen),
        callbacks=list(callbacks),
    )
    trainer.groups = [(len(codebook.question(name).labels), codebook.question(name).choose) for name in member.questions]
    trainer.head_learning_rate = settings.head_learning_rate
    trainer.train(resume_from_checkpoint=_last_whole(scratch))
    if frozen:
        frozen.put_back(model)
    return model.eval(), tokenizer


def load(
    codebook: Codebook, member: Member, settings: TrainingSettings, start: Path | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The pretrained encoder with a fresh head for the member's outputs, or the checkpoint at `start` as it is. Raises TrainingError."""
    place = str(start) if start else locate(settings.encoder)
    names = [f"{name}.{label}" for name in member.questions for label in codebook.question(name).label_names]
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    transformers.logging.set_verbosity_error()  # the missing head is meant; no need to warn of it
    transformers.logging.disable_progress_bar()  # of loading and saving, which take a second
    try:
        config = AutoConfig.from_pretrained(place, num_labels=len(names), trust_remote_code=False, **labels)
        model = AutoModelForSequenceClassification.from_pretrained(
            place, config=config, trust_remote_code=False, use_safetensors=True, ignore_mismatched_sizes=True
        )
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise TrainingError(f"The encoder '{settings.encoder}' cannot be loaded: {reason}", "Give a folder or Hub id with safetensors.") from None
    if not start:
        _start_pooler(model)
    return model, tokenizer


def _start_pooler(model: PreTrainedModel) -> None:
    """Start the pooler as the identity where there is one.

    Sentence encoders were trained by the mean of their tokens, so the pooler stored with them may be anything. Whether it alone held
    learning back was not isolated (docs/results.md).
    """
    dense = getattr(getattr(model.base_model, "pooler", None), "dense", None)
    if dense is not None and dense.in_features == dense.out_features:
        with torch.no_grad():
            dense.weight.copy_(torch.eye(dense.in_features))
            dense.bias.zero_()


def _last_whole(scratch: Path) -> str | None:
    """The latest checkpoint that was written to its end (its state is written last); half ones are removed."""
    whole = []
    for checkpoint in scratch.glob("checkpoint-*"):
        if (checkpoint / "trainer_state.json").is_file():
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return str(max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]))) if whole else None


def bf16_is_fast() -> bool:
    """Whether this processor multiplies bfloat16 itself; emulated, it is hundreds of times slower than float32."""
    return bool(torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _arguments(size: int, settings: TrainingSettings, scratch: Path) -> TrainingArguments:
    steps = math.ceil(size / settings.batch_size * settings.epochs)
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=WARM_UP,
        weight_decay=WEIGHT_DECAY,
        bf16=bf16_is_fast(),
        seed=settings.seed,
        save_strategy="steps",
        save_steps=max(1, math.ceil(steps / CHECKPOINTS)),
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=False,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


def _dataset(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> datasets.Dataset:
    encoded: dict[str, list[Any]] = {name: [] for name in ("input_ids", *NUMBERS)}
    for number, example in enumerate(examples):
        pair = (example.input.first, example.input.second) if example.input.second else (example.input.first,)
        tokens = tokenizer(*pair, truncation=True, max_length=max_tokens)
        for name in tokens:
            encoded.setdefault(name, [])
            if name != "input_ids":
                encoded[name].append(tokens[name])
        encoded["input_ids"].append(tokens["input_ids"])
        encoded["labels"].append(list(example.goal))
        encoded["weight"].append(example.weight)
        encoded["length"].append(len(tokens["input_ids"]))
        encoded["row"].append(number)
    return datasets.Dataset.from_dict(encoded)


class _Collator:
    def __init__(self, tokenizer: PreTrainedTokenizerBase, frozen: FrozenLayers | None) -> None:
        self.tokenizer, self.frozen = tokenizer, frozen

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        tokens = [{name: row[name] for name in row if name not in NUMBERS} for row in rows]
        batch = dict(self.tokenizer.pad(tokens, return_tensors="pt"))
        if self.frozen:
            del batch["input_ids"]
            batch["inputs_embeds"] = self.frozen.outputs([row["row"] for row in rows])
        batch["labels"] = torch.tensor([row["labels"] for row in rows])
        batch["weight"] = torch.tensor([row["weight"] for row in rows])
        return batch


class _LikeLengths(torch.utils.data.Sampler[int]):
    """Row numbers in an order that makes batches of like length, the batches themselves in random order.

    transformers' own grouping goes from long to short within fifty batches; here labels go with length, and the loss swung with it.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called before each epoch, also of a resumed run, so that its order is the same."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        random = torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch)
        shuffled = torch.randperm(len(self.lengths), generator=random).tolist()
        window = self.batch_size * GROUPED
        batches = []
        for start in range(0, len(shuffled), window):
            near = sorted(shuffled[start : start + window], key=lambda row: self.lengths[row])
            batches += [near[first : first + self.batch_size] for first in range(0, len(near), self.batch_size)]
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [row for batch in batches if len(batch) < self.batch_size for row in batch]
        for number in torch.randperm(len(whole), generator=random).tolist():
            yield from whole[number]
        yield from rest


class _MaskedTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped here
    """Trainer whose loss is, for each question, binary or softmax cross-entropy over the rows that were asked it."""

    groups: list[tuple[int, str]]
    head_learning_rate: float

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[int]:
        return _LikeLengths(self.train_dataset["length"], self.args.train_batch_size, self.args.seed)

    def log(self, logs: dict[str, float], *_: Any, **__: Any) -> None:
        """Say nothing: the progress bar is enough, and the report has the figures."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
        goal, weight = inputs.pop("labels"), inputs.pop("weight")
        outputs = model(**inputs)
        loss = masked_loss(outputs.logits.float(), goal, weight, self.groups)
        return (loss, outputs) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with its own learning rate for the head, which starts from nothing."""
        optimizer: torch.optim.Optimizer | None = getattr(self, "optimizer", None)
        if optimizer is None:
            trained = [(name, item) for name, item in self.model.named_parameters() if item.requires_grad]
            head = [item for name, item in trained if "classifier" in name or "pooler" in name]
            body = [item for name, item in trained if not ("classifier" in name or "pooler" in name)]
            groups = [{"params": body, "lr": self.args.learning_rate}, {"params": head, "lr": self.head_learning_rate}]
            optimizer = torch.optim.AdamW(groups, weight_decay=self.args.weight_decay, fused=True)
            self.optimizer = optimizer
        return optimizer


def masked_loss(logits: torch.Tensor, goal: torch.Tensor, weight: torch.Tensor, groups: Sequence[tuple[int, str]]) -> torch.Tensor:
    """Sum over questions of the weighted mean loss of the rows that were asked; NaN in `goal` (n, outputs) means not asked."""
    total = logits.sum() * 0.0
    begin = 0
    for size, choose in groups:
        part, wanted = logits[:, begin : begin + size], goal[:, begin : begin + size]
        begin += size
        asked = ~torch.isnan(wanted).any(dim=1)
        if not asked.any():
            continue
        if choose == "any":
            losses = functional.binary_cross_entropy_with_logits(part[asked], wanted[asked], reduction="none").mean(dim=1)
        else:
            losses = functional.cross_entropy(part[asked], wanted[asked], reduction="none")
        total = total + (losses * weight[asked]).sum() / weight[asked].sum()
    return total
