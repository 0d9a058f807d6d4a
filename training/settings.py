"""The knobs of a training run, stored in the model that it makes."""

from dataclasses import dataclass

from annotations.errors import TrainingError

PACKAGED, LARGER = "all-MiniLM-L6-v2", "all-mpnet-base-v2"  # the encoders of the models fast and accurate
ENCODERS = ("shared", "per_question")


@dataclass(frozen=True)
class TrainingSettings:
    """All that a run can be told besides its rows and codebook. Checked on creation; raises TrainingError.

    `encoder` is the packaged default's name, a folder, or a Hub id. `encoders` says whether one checkpoint answers all questions or
    each has its own. `frozen_layers` are the encoder's lowest layers, which stay as they are and are computed once. `start` names a
    model of the same encoder whose weights are the beginning. `teacher` names one whose probabilities are learnt beside the labels.
    `context` reads the sentence before too. `unsure_weight` is what a row counts that its coders marked as unsure.
    """

    encoder: str = PACKAGED
    encoders: str = "per_question"
    frozen_layers: int = 0
    start: str = ""
    teacher: str = ""
    context: bool = False
    epochs: float = 3.0
    learning_rate: float = 8e-5
    head_learning_rate: float = 1e-3
    batch_size: int = 16
    unsure_weight: float = 1.0
    max_tokens: int = 128
    seed: int = 1

    def __post_init__(self) -> None:
        if self.encoders not in ENCODERS:
            raise TrainingError(f"encoders = {self.encoders!r}.", f"It is one of {', '.join(ENCODERS)}.")
        if self.frozen_layers < 0:
            raise TrainingError(f"frozen_layers = {self.frozen_layers}.", "Use 0 or more, and fewer than the encoder has layers.")
        if not 0 < self.epochs <= 100:
            raise TrainingError(f"epochs = {self.epochs}.", "Use a number above 0 and up to 100.")
        if not 0 < self.learning_rate < 1 or not 0 < self.head_learning_rate < 1:
            raise TrainingError("A learning rate is not between 0 and 1.", "Use 2e-5 to 2e-4.")
        if self.batch_size < 1 or not 8 <= self.max_tokens <= 512:
            raise TrainingError("batch_size or max_tokens is out of range.", "Use at least 1, and 8 to 512.")
        if not 0 < self.unsure_weight <= 1:
            raise TrainingError(f"unsure_weight = {self.unsure_weight}.", "Use a number above 0 and up to 1.")
