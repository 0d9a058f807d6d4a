"""Rows and codebooks: every fault is named with its file and line."""

import json
from pathlib import Path

import pytest

from annotations import rows, splits
from annotations.codebook import Codebook
from annotations.errors import CodebookError, RowsError

GOOD = {"id": "1", "document": "d", "text": "Talks.", "frames": ["diplomatic_offer"], "stance": {"talks": "favor"}, "split": "train"}


def test_a_row_survives_reading_and_writing(codebook: Codebook, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(GOOD | {"unsure": True, "note": "n", "source": "s"}))
    (row,) = rows.read(tmp_path / "a.jsonl", codebook)
    rows.write(tmp_path / "b.jsonl", [row])
    assert rows.read(tmp_path / "b.jsonl", codebook) == [row]
    assert row.answers == {"frames": ("diplomatic_offer",), "stance": {"talks": "favor"}}


def test_a_question_that_is_absent_was_not_asked(codebook: Codebook, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({key: value for key, value in GOOD.items() if key != "stance"}))
    assert "stance" not in rows.read(tmp_path / "a.jsonl", codebook)[0].answers


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (json.dumps(GOOD | {"frames": ["panic"]}), "no label 'panic'; any of security_threat"),
        (json.dumps(GOOD | {"frames": "diplomatic_offer"}), "takes a list"),
        (json.dumps(GOOD | {"stance": {"talks": "maybe"}}), "no label 'maybe'"),
        (json.dumps(GOOD | {"stance": "favor"}), "from target to answer"),
        (json.dumps(GOOD | {"text": " "}), "missing or empty"),
        (json.dumps(GOOD | {"split": "dev"}), "split 'dev'"),
        (json.dumps({"id": "1", "text": "x", "tone": "angry"}), "none of the codebook's questions"),
        (json.dumps(GOOD)[:-5], "cut off"),
        ("[1]", "not a JSON object"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(line: str, words: str, codebook: Codebook, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(GOOD | {"id": "0"}) + "\n\n" + line + "\n")
    with pytest.raises(RowsError) as refusal:
        rows.read(path, codebook)
    assert f"{path}:3: " in str(refusal.value)
    assert words in str(refusal.value)


def test_two_rows_with_one_id_are_refused(codebook: Codebook, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD))
    with pytest.raises(RowsError, match=r"a\.jsonl:2: the id '1' stands already at .*:1"):
        rows.read(tmp_path, codebook)


def test_a_document_is_never_in_two_splits(codebook: Codebook) -> None:
    made = [rows.Annotation.from_dict(GOOD | {"id": str(n), "document": f"d{n // 3}", "split": None}, codebook) for n in range(300)]
    parts = {row.document: row.split for row in splits.assign(made)}
    assert all(row.split == parts[row.document] for row in splits.assign(made))
    assert {"train", "validation", "test"} == set(parts.values())
    torn = [rows.Annotation.from_dict(GOOD | {"id": str(n), "split": split}, codebook) for n, split in enumerate(("train", "test"))]
    with pytest.raises(RowsError, match="two splits"):
        splits.assign(torn)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("name = 'x'", "no \\[\\[question\\]\\]"),
        ("[[question]]\nname = 'text'\n", "taken by a column"),
        ("[[question]]\nname = 'q'\nchoose = 'two'\n", "choose = 'two'"),
        ("[[question]]\nname = 'q'\nchoose = 'one'\n[[question.label]]\nname = 'a'\ndefinition = 'd'\n", "too few labels"),
        ("[[question]]\nname = 'q'\n[[question.label]]\nname = 'a b'\ndefinition = 'd'\n", "cannot be used"),
        ("[[question]]\nname = 'q'\n[[question.label]]\nname = 'a'\n", "no definition"),
        ("[[question]]\nname = 'q'\ncolour = 1\n[[question.label]]\nname = 'a'\ndefinition = 'd'\n", "unknown key 'colour'"),
        ("[[question", "not valid TOML"),
    ],
)
def test_a_codebook_that_contradicts_itself_is_refused(toml: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(toml)
    with pytest.raises(CodebookError, match=words):
        Codebook.load(tmp_path / "c.toml")


def test_the_fingerprint_follows_the_meaning_and_not_the_spacing(codebook: Codebook) -> None:
    shape = codebook.to_dict()
    assert Codebook.from_dict(shape).fingerprint == codebook.fingerprint
    shape["question"][0]["label"][0]["definition"] += " More."
    assert Codebook.from_dict(shape).fingerprint != codebook.fingerprint
