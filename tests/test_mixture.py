"""The rows of a release: what protected rows change, and what they leave alone."""

from annotations.codebook import Codebook
from annotations.mixture import ENOUGH, mix
from annotations.rows import Annotation

STANCE = {"the plan": "neutral", "the deal": "against"}


def row(number: int, split: str, **answers: object) -> Annotation:
    return Annotation(f"{split}{number}", f"{split}{number}", f"Sentence {number} of {split}.", answers, split=split)  # type: ignore[arg-type]


def written() -> list[Annotation]:
    return [row(n, split, frames=(), stance=STANCE) for split in ("train", "validation", "test") for n in range(10)]


def protected(stance: bool, count: int = ENOUGH) -> list[Annotation]:
    answers = {"frames": ()} | ({"stance": {"a plan": "favor"}} if stance else {})
    return [row(1000 + n, "validation", **answers) for n in range(count)] + [row(1000, "train", frames=("security_threat",))]


def test_thresholds_come_from_real_rows_and_written_validation_answers_the_rest(codebook: Codebook) -> None:
    mixed = mix(written(), protected(stance=False), codebook)
    ours = [item for item in mixed if item.split == "validation" and item.id.startswith("validation") and len(item.id) < 12]
    assert len(ours) == 10
    assert all(set(item.answers) == {"stance"} for item in ours)
    assert sum("frames" in item.answers for item in mixed if item.split == "validation") == ENOUGH


def test_written_validation_rows_are_learnt_from_where_real_ones_stand_in_for_all(codebook: Codebook) -> None:
    mixed = mix(written(), protected(stance=True), codebook)
    assert sum(item.split == "train" for item in mixed) == 10 + 10 + 1
    assert [item for item in mixed if item.split == "test"] == [item for item in written() if item.split == "test"]


def test_few_real_rows_change_no_threshold(codebook: Codebook) -> None:
    mixed = mix(written(), protected(stance=True, count=ENOUGH - 1), codebook)
    assert sum(item.split == "validation" and set(item.answers) == {"frames", "stance"} for item in mixed) == 10 + ENOUGH - 1


def test_the_most_frequent_stance_is_thinned_in_rows_to_learn_from_only(codebook: Codebook) -> None:
    many = [
        row(n, split, stance={"the plan": "neutral", "a plan": "neutral", "the deal": "against"}) for split in ("train", "test") for n in range(100)
    ]
    mixed = mix(many, protected(stance=False), codebook, keep=0.3)
    learnt = [answer for item in mixed if item.split == "train" for answer in item.answers.get("stance", {}).values()]  # type: ignore[union-attr]
    assert learnt.count("against") == 100
    assert 30 < learnt.count("neutral") < 90
    assert all(len(item.answers["stance"]) == 3 for item in mixed if item.split == "test")
    assert mix(many, protected(stance=False), codebook, keep=0.3) == mixed


def test_rows_without_a_label_are_thinned_in_rows_to_learn_from_only(codebook: Codebook) -> None:
    many = [row(n, split, frames=() if n % 2 else ("security_threat",)) for split in ("train", "test") for n in range(200)]
    mixed = mix(many, protected(stance=False), codebook, keep_empty=0.4)
    learnt = [item.answers["frames"] for item in mixed if item.split == "train"]
    assert learnt.count(("security_threat",)) == 100 + 1
    assert 25 < learnt.count(()) < 55
    assert sum(item.split == "test" for item in mixed) == 200
    assert sum(item.split == "validation" for item in mixed) == ENOUGH
