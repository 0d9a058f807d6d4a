"""The lower layers of an encoder, left as they are: computed once for each row, so that a pass of training costs the upper layers alone."""

import datasets
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from annotations.errors import TrainingError

BATCH = 32  # rows computed at once


class FrozenLayers:
    """Takes the embeddings and the lowest `count` layers out of `model` and keeps what they make of each row of `dataset` in 16 bits.

    What is left of the model reads `outputs` as `inputs_embeds`; `put_back` makes it whole again. The kept states take two bytes for each
    hidden unit of each token: about 700 MB for 12,000 sentences and 768 units. Raises TrainingError where the encoder has no more layers.
    """

    def __init__(self, model: PreTrainedModel, dataset: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, count: int) -> None:
        base = model.base_model
        layers = getattr(getattr(base, "encoder", None), "layer", ())
        if not count < len(layers):
            raise TrainingError(f"frozen_layers = {count}, but the encoder has {len(layers)} layers to choose from.", "Use fewer.")
        self.embeddings, self.layers = base.embeddings, list(layers)[:count]
        upper = list(layers)[count:]
        base.encoder.layer = torch.nn.ModuleList(self.layers)
        self._states = _states(base, dataset, tokenizer)
        base.embeddings, base.encoder.layer = _Given(), torch.nn.ModuleList(upper)

    def outputs(self, rows: list[int]) -> torch.Tensor:
        """States of the rows after the frozen layers, shape (rows, longest, hidden units), padded with zeros."""
        return torch.nn.utils.rnn.pad_sequence([self._states[row].float() for row in rows], batch_first=True)

    def put_back(self, model: PreTrainedModel) -> None:
        """Give the model its embeddings and lower layers again."""
        base = model.base_model
        base.embeddings = self.embeddings
        base.encoder.layer = torch.nn.ModuleList([*self.layers, *base.encoder.layer])


class _Given(torch.nn.Module):
    """Stands where the embeddings were: what comes in is embedded already."""

    def forward(self, inputs_embeds: torch.Tensor, **_: object) -> torch.Tensor:
        return inputs_embeds


def _states(base: torch.nn.Module, dataset: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> list[torch.Tensor]:
    """What `base` makes of each row of `dataset`: tensors of (tokens, hidden units), in 16 bits."""
    found: list[torch.Tensor] = [torch.empty(0)] * len(dataset)
    lengths = dataset["length"]
    tokens = dataset.select_columns([name for name in tokenizer.model_input_names if name in dataset.column_names])
    base.eval()
    with torch.inference_mode():
        order = sorted(range(len(dataset)), key=lambda row: lengths[row])
        for rows in (order[start : start + BATCH] for start in range(0, len(order), BATCH)):
            batch = tokenizer.pad([tokens[row] for row in rows], return_tensors="pt")
            for row, states in zip(rows, base(**batch).last_hidden_state, strict=True):
                found[row] = states[: lengths[row]].half().clone()
    base.train()
    return found
