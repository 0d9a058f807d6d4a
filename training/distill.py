"""Learning from a larger model: its probabilities beside the coders' labels, and in place of labels that nobody gave (Hinton et al. 2015)."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from annotations.codebook import Codebook
from annotations.errors import TrainingError
from classifier.calibration import Calibration
from classifier.folder import Member, ModelFolder
from classifier.network import Network
from training.examples import Example

SHARE = 0.5  # of the goal that is the teacher's where a coder answered too


def distill(examples: Sequence[Example], codebook: Codebook, member: Member, teacher: ModelFolder, threads: int | None = None) -> list[Example]:
    """The examples with goals between 0 and 1: coders' answers mixed with the teacher's uncalibrated probabilities, in float32.

    Where nothing was asked the teacher alone answers. Raises TrainingError when it was made for another codebook.
    """
    if teacher.codebook.fingerprint != codebook.fingerprint:
        raise TrainingError(f"The teacher {teacher.name} was made for another codebook.", "Train a teacher on this one.")
    theirs = tuple(item for item in teacher.members if set(item.questions) & set(member.questions))
    network = Network(dataclasses.replace(teacher, members=theirs), threads, "fp32")
    goal = np.array([example.goal for example in examples], dtype=np.float64)
    told = np.full_like(goal, np.nan)
    for item in theirs:
        logits = network.logits(item, [example.input for example in examples])
        begin = 0
        for name in item.questions:
            question = codebook.question(name)
            held = [number for number, example in enumerate(examples) if (example.target != "") is question.per_target]
            place = _begin(codebook, member, name)
            if held and place is not None:
                part = logits[held, begin : begin + len(question.labels)]
                told[held, place : place + len(question.labels)] = Calibration.plain(question).scores(question, part)
            begin += len(question.labels)
    mixed = np.where(np.isnan(goal), told, np.where(np.isnan(told), goal, SHARE * told + (1 - SHARE) * goal))
    return [dataclasses.replace(example, goal=tuple(row)) for example, row in zip(examples, mixed.tolist(), strict=True)]


def _begin(codebook: Codebook, member: Member, question: str) -> int | None:
    """Where a question's outputs begin among the member's, None where it is not the member's."""
    begin = 0
    for name in member.questions:
        if name == question:
            return begin
        begin += len(codebook.question(name).labels)
    return None
