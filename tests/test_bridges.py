"""Bridges: what we write comes back whole, what tools export is read as they mean it, and damage is refused with its place."""

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from annotations import rows as annotated
from annotations.__main__ import TOOLS, app
from annotations.bridges import argilla, argilla_flat, datasets_folder, doccano, ids_only, label_studio, label_studio_min, parts, prodigy, spreadsheet
from annotations.codebook import Codebook
from annotations.errors import InputError, RowsError
from annotations.rows import SAMPLINGS, SPLITS, Annotation


def question(name: str, choose: str, per_target: bool, *labels: str) -> dict[str, Any]:
    return {"name": name, "choose": choose, "per_target": per_target, "label": [{"name": label, "definition": "As it says."} for label in labels]}


# Every kind of question, two questions that share a label, and names that a tool might use for itself.
BOOK = Codebook.from_dict({
    "name": "all kinds",
    "question": [
        question("frames", "any", False, "threat", "offer", "other"),
        question("tone", "one", False, "calm", "shrill", "other"),
        question("stance", "one", True, "against", "favor"),
        question("choices", "any", True, "war", "peace", "none"),
    ],
})  # fmt: skip

READABLE = st.characters(exclude_categories=["Cs"])
WORDS = st.one_of(
    st.text(READABLE, min_size=1, max_size=30).filter(str.strip), st.sampled_from(["=1+1", "'=x", "a|b", "-", "x=y:z", " -2", "a\r\nb", "\t@", "#1"])
)
NAMES = st.text(READABLE, max_size=8)


def answers(draw: Callable[[Any], Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for q in BOOK.questions:
        some = st.lists(st.sampled_from(q.label_names), unique=True).map(lambda chosen, q=q: tuple(n for n in q.label_names if n in chosen))
        answer = st.sampled_from(q.label_names) if q.choose == "one" else some
        if draw(st.booleans()):
            given[q.name] = draw(st.dictionaries(WORDS, answer, min_size=1, max_size=3) if q.per_target else answer)
    return given or {"frames": ()}


@st.composite
def coded(draw: Callable[[Any], Any]) -> list[Annotation]:
    ids = draw(st.lists(WORDS, unique=True, min_size=1, max_size=3))
    return [
        Annotation(
            id=id,
            document=draw(WORDS),
            text=draw(WORDS),
            answers=answers(draw),
            annotator=draw(NAMES),
            split=draw(st.sampled_from([None, *SPLITS])),
            sampling=draw(st.sampled_from(SAMPLINGS)),
            source=draw(NAMES),
            unsure=draw(st.booleans()),
            note=draw(NAMES),
        )
        for id in ids
    ]


def whole(rows: list[Annotation]) -> list[dict[str, Any]]:
    """Rows as plain dictionaries, by id, since notes do not count when rows are compared."""
    return sorted((dataclasses.asdict(row) for row in rows), key=lambda row: str(row["id"]))


def put(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=coded())
def test_what_is_written_comes_back_whole(tool: str, tmp_path: Path, rows: list[Annotation]) -> None:
    read, write = TOOLS[tool]
    write(tmp_path / "out", rows, BOOK)
    assert whole(read(tmp_path / "out", BOOK)) == whole(rows)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=coded())
def test_labels_without_texts_are_joined_again_by_hash(tmp_path: Path, rows: list[Annotation]) -> None:
    ids_only.write(tmp_path / "ids.jsonl", rows, BOOK)
    texts = put(tmp_path / "texts.jsonl", lines(*({"text": row.text} for row in rows)))
    joined = ids_only.read(tmp_path / "ids.jsonl", BOOK, texts)
    assert not joined.missing
    assert whole(list(joined.rows)) == whole([dataclasses.replace(row, note="") for row in rows])


def test_ids_only_holds_no_text_says_who_coded_and_counts_what_is_missing(tmp_path: Path) -> None:
    rows = [Annotation(f"r{n}", "d", f"Secret text {n}.", {"frames": ()}, annotator=who, note="Secret") for n, who in enumerate(["anna", "m7"])]
    ids_only.write(tmp_path / "ids.jsonl", rows, BOOK, models=["m7"])
    written = (tmp_path / "ids.jsonl").read_text()
    assert "Secret" not in written
    assert [json.loads(line)["origin"] for line in written.splitlines()] == ["manual", "model"]
    joined = ids_only.read(tmp_path / "ids.jsonl", BOOK, put(tmp_path / "texts.txt", "Another text.\r\nSecret text 1.\r\n"))
    assert ([row.id for row in joined.rows], joined.missing) == (["r1"], ("r0",))
    with pytest.raises(RowsError, match="none of the 2 texts"):
        ids_only.read(tmp_path / "ids.jsonl", BOOK, put(tmp_path / "texts.txt", "Another text.\n"))


def task(*annotations: object, **data: object) -> dict[str, Any]:
    return {"id": 7, "data": {"text": "They broke it."} | data, "annotations": list(annotations)}


def result(**chosen: list[str]) -> list[dict[str, Any]]:
    return [{"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": labels}} for name, labels in chosen.items()]


def test_label_studio_exports_are_read(tmp_path: Path) -> None:
    remark = {"from_name": "remark", "type": "textarea", "value": {"text": ["hm"]}}
    export = [
        task(
            {"completed_by": 3, "result": [*result(frames=["offer", "threat"], stance=["against"]), remark]},
            {"completed_by": {"id": 4, "email": "ben@example.org"}, "was_cancelled": False, "result": []},
            {"completed_by": 5, "was_cancelled": True, "result": result(frames=["other"])},
            target="NATO",
        ),
        {"id": 8, "data": {"text": "Not yet."}, "annotations": [], "predictions": [{"result": result(frames=["other"])}]},
    ]
    anna, ben = label_studio.read(put(tmp_path / "x.json", export), BOOK)
    assert (anna.id, anna.annotator) == ("7", "3")
    assert anna.answers == {"frames": ("threat", "offer"), "stance": {"NATO": "against"}, "choices": {"NATO": ()}}
    assert ben.annotator == "ben@example.org" and ben.answers == {"frames": (), "choices": {"NATO": ()}}


def test_the_three_shapes_of_json_min_are_read(tmp_path: Path) -> None:
    shapes = [{"frames": {"choices": ["offer", "threat"]}}, {"frames": "offer"}, {}]
    export = [{"id": n, "text": "They broke it.", "annotator": 3, "lead_time": 1.5} | shape for n, shape in enumerate(shapes)]
    rows = label_studio_min.read(put(tmp_path / "x.json", export), BOOK)
    assert [row.answers["frames"] for row in rows] == [("threat", "offer"), ("offer",), ()]
    assert [(row.id, row.annotator) for row in rows] == [("0", "3"), ("1", "3"), ("2", "3")]


def test_doccano_exports_are_read_and_documents_without_label_are_not_negatives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    export = lines(
        {"id": 1, "text": "One.", "label": ["threat", "stance:a=b:c=favor", "tone=other"], "Comments": ["hm"]},
        {"id": 2, "text": "Two.", "label": [], "Comments": []},
        {"id": 3, "text": "Three.", "label": ["frames=-", "choices:NATO=-"], "Comments": []},
    )
    one, three = doccano.read(put(tmp_path / "x.jsonl", export), BOOK)
    assert one.answers == {"frames": ("threat",), "tone": "other", "stance": {"a=b:c": "favor"}} and one.note == "hm"
    assert three.answers == {"frames": (), "choices": {"NATO": ()}}
    assert "1 of 3 records left out" in caplog.text


def test_prodigy_rejections_are_left_out_and_acceptance_without_choice_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = [{"id": name, "text": name} for name in ("threat", "offer", "other")]
    tasks = [
        {"text": f"Text {n}.", "meta": {"id": n}, "options": options, "accept": chosen, "answer": answer, "_session_id": "db-anna"}
        for n, (chosen, answer) in enumerate([(["threat"], "accept"), ([], "accept"), (["threat"], "reject"), ([], "ignore")])
    ]
    rows = prodigy.read(put(tmp_path / "x.jsonl", lines(*tasks)), BOOK)
    assert [(row.id, row.answers, row.annotator) for row in rows] == [("0", {"frames": ("threat",)}, "db-anna"), ("1", {"frames": ()}, "db-anna")]
    assert "2 of 4 records left out" in caplog.text


def test_argilla_exports_are_read_and_drafts_left_out(tmp_path: Path) -> None:
    anna, ben = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
    fields = {"text": "They broke it.", "target": "NATO"}
    nested = {
        "id": "a1", "fields": fields, "metadata": {"document": "d1"}, "suggestions": {"frames": {"value": ["other"]}}, "vectors": {},
        "responses": {"frames": [{"value": ["threat"], "user_id": anna}], "stance": [{"value": "against", "user_id": ben}]},
        "status": "pending", "_server_id": None,
    }  # fmt: skip
    rows = argilla.read(put(tmp_path / "x.json", [nested]), BOOK)
    assert [(row.id, row.document, row.annotator) for row in rows] == [("a1", "d1", anna), ("a1", "d1", ben)]
    assert rows[0].answers == {"frames": ("threat",), "choices": {"NATO": ()}}
    flat = {
        "id": "a1", **fields, "document": "d1", "frames.suggestion": ["other"], "tone.responses": None, "frames.responses": [["threat"], ["offer"]],
        "frames.responses.users": [anna, ben], "frames.responses.status": ["submitted", "draft"],
    }  # fmt: skip
    assert argilla_flat.read(put(tmp_path / "x.json", [flat]), BOOK) == rows[:1]


def test_a_sheet_shows_one_column_for_each_target_and_runs_no_formula(tmp_path: Path) -> None:
    rows = [
        Annotation("1", "d", "=HYPERLINK(1)", {"frames": ("threat", "offer"), "stance": {"NATO expansion": "favor"}}),
        Annotation("2", "d", "Plain.", {"frames": (), "stance": {"grain": "against"}}, note="＝1"),
    ]
    spreadsheet.write(tmp_path / "x.csv", rows, BOOK)
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as stream:
        one, two = csv.DictReader(stream)
    assert (one["text"], two["note"]) == ("'=HYPERLINK(1)", "'＝1")
    assert (one["frames"], one["stance:NATO expansion"], one["stance:grain"]) == ("threat|offer", "favor", "")
    assert (two["frames"], two["stance:NATO expansion"], two["stance:grain"]) == ("-", "", "against")


def test_the_datasets_library_reads_the_folder_with_its_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    rows = [
        Annotation("1", "d", "One.", {"frames": ()}, split="train"),
        Annotation("2", "e", "Two.", {"stance": {"NATO": "favor"}, "choices": {"NATO": ("war",)}}, split="test", unsure=True),
    ]
    datasets_folder.write(tmp_path / "out", rows, BOOK)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].features == loaded["test"].features
    assert loaded["train"][0]["frames"] == [] and loaded["train"][0]["stance"] is None
    assert loaded["test"][0]["choices"] == [{"target": "NATO", "labels": ["war"]}] and loaded["test"][0]["unsure"] is True


def test_an_older_export_of_a_folder_leaves_no_split_behind(tmp_path: Path) -> None:
    datasets_folder.write(tmp_path, [Annotation("1", "d", "One.", {"frames": ()}, split="train")], BOOK)
    datasets_folder.write(tmp_path, [Annotation("1", "d", "One.", {"frames": ()})], BOOK)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "unassigned.jsonl"]


def test_parts_of_a_row_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    export = [task({"result": result(frames=[label])}) for label in ("threat", "offer")]
    with pytest.raises(RowsError, match=r"record 2: 'frames' is not what it is at .*record 1; both are of the row '7'"):
        label_studio.read(put(tmp_path / "x.json", export), BOOK)


RECORD = {
    "label-studio": task({"result": result(frames=["nonsense"])}),
    "label-studio-min": {"id": 1, "text": "One.", "frames": "nonsense"},
    "doccano": {"id": 1, "text": "One.", "label": ["frames=nonsense"]},
    "prodigy": {"text": "One.", "meta": {"id": 1, "question": "frames"}, "accept": ["nonsense"], "answer": "accept"},
    "argilla": {"id": 1, "fields": {"text": "One."}, "responses": {"frames": [{"value": ["nonsense"], "user_id": "u"}]}},
    "argilla-flat": {"id": 1, "text": "One.", "frames.responses": [["nonsense"]], "frames.responses.users": ["u"]},
}


@pytest.mark.parametrize("tool", RECORD)
def test_an_unknown_label_is_refused_with_its_place_and_what_there_is(tool: str, tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r"x\.json.*1: 'frames' has no label 'nonsense'; any of threat, offer, other"):
        TOOLS[tool][0](put(tmp_path / "x.json", [RECORD[tool]]), BOOK)


@pytest.mark.parametrize(
    ("tool", "change", "reason"),
    [
        ("label-studio", task({"result": result(frame=["threat"])}), "no question 'frame'; it asks frames, tone"),
        ("label-studio", task({"result": result(stance=["favor"])}), "'stance' is asked about a target, and the record names none"),
        ("label-studio-min", {"frame": {"choices": ["threat", "offer"]}}, "no question 'frame'"),
        ("label-studio-min", {"frames": 3}, "'frames' is neither a label nor a list"),
        ("doccano", {"label": ["other"]}, "two questions have the label 'other'; write QUESTION=other"),
        ("doccano", {"label": ["nonsense"]}, "no label 'nonsense'; labels without a target are threat"),
        ("doccano", {"label": ["frames=threat", "frames=-"]}, "no label '-'"),
        ("doccano", {"label": [[0, 3, "threat"]]}, "sequence labelling"),
        ("prodigy", {"meta": {"id": 1}, "options": [{"id": "other"}]}, "its options are the labels of frames and tone"),
        ("prodigy", {"accept": None, "label": "threat"}, "leaves the others open"),
        ("prodigy", {"meta": {"id": 1, "question": "tone"}, "accept": ["calm", "shrill"]}, "'tone' takes one label, not list"),
        ("argilla", {"responses": {"frames": [3]}}, "'frames' holds a int where an object belongs"),
        ("argilla-flat", {"frames.responses.users": []}, "not as many users"),
        ("argilla-flat", {"row-asked": ["frames"]}, "'row-asked' is not text"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(tool: str, change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=reason):
        TOOLS[tool][0](put(tmp_path / "x.jsonl", lines(RECORD[tool] | change)), BOOK)


def test_a_folder_that_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match="none of its files is a split"):
        datasets_folder.read(tmp_path / "nowhere", BOOK)
    twice = {"id": "1", "text": "One.", "stance": [{"target": "NATO", "label": "favor"}] * 2}
    put(tmp_path / "test.jsonl", lines(twice))
    with pytest.raises(RowsError, match=r"test\.jsonl:1: 'stance' has a target twice"):
        datasets_folder.read(tmp_path, BOOK)
    with pytest.raises(RowsError, match="cannot be made a folder"):
        datasets_folder.write(tmp_path / "test.jsonl", [], BOOK)


@pytest.mark.parametrize("tool", RECORD)
def test_the_export_of_another_tool_is_refused(tool: str, tmp_path: Path) -> None:
    foreign = [record for other, record in RECORD.items() if other not in (tool, "label-studio-min", "argilla-flat", "doccano", "prodigy")]
    foreign += [{"entities": []}, 3, None, [], "text"]
    with pytest.raises(RowsError) as refused:
        TOOLS[tool][0](put(tmp_path / "x.json", foreign), BOOK)
    assert refused.value.problem.count("x.json, record") == len(foreign) and "xport" in refused.value.remedy


DAMAGED = [b"", b"[", b'[{"id": 1', b'{"id": ', b"\xff\xfe[\x00", b"[]", b"{}", b"\0\0\0", b'"\xc3"', b"id;text\n1;x\n"]
DAMAGED += [b"[" * 100_000, b'[{"id": ' + b"9" * 5_000 + b"}]"]  # beyond what Python's reader follows or turns into a number


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_files_are_refused_with_the_file_and_a_remedy(tool: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_bytes(content)
    with pytest.raises(RowsError) as refused:
        TOOLS[tool][0](tmp_path if tool == "datasets" else file, BOOK)
    assert str(tmp_path) in refused.value.problem and refused.value.remedy


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["threat", "frames", "stance:=favor", "\ud800", "nan"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "value", "choices", "type", "from_name", "target", "user_id"]), inner, max_size=4)
    ),
    max_leaves=8,
)
KEYS = ["text", "data", "annotations", "label", "answer", "accept", "meta", "options", "fields", "responses", "metadata", "row-asked", "row-id"]
KEYS += ["frames", "stance", "frames.responses", "frames.responses.users", "text-sha256", "answers", "origin", "unsure", "split", "Comments"]


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_records_are_read_or_refused_and_nothing_else(tool: str, tmp_path: Path, data: st.DataObject) -> None:
    plausible = dict(RECORD.get(tool, {"id": 1, "text": "One.", "frames": ["threat"]}))
    for key in data.draw(st.lists(st.sampled_from([*KEYS, *plausible]), max_size=4)):
        plausible[key] = data.draw(JSON)
    file = put(tmp_path / "train.jsonl", lines(plausible))
    try:
        rows = TOOLS[tool][0](tmp_path if tool == "datasets" else file, BOOK)
    except RowsError:
        return
    annotated.write(tmp_path / "rows.jsonl", rows)
    assert len(annotated.read(tmp_path / "rows.jsonl", BOOK)) == len(rows)


@pytest.mark.parametrize(
    "sheet",
    [
        "id,text,frames\n1,One.\n",
        "id,text,frame\n1,One.,threat\n",
        "id,text,frames,frames\n1,One.,threat,offer\n",
        "id,text,stance\n1,One.,favor\n",
        "text,frames\nOne.,threat\n",
        'id,text,frames\n1,"One.,threat\n',
        "id,text,frames\n1," + "x" * 200_000 + ",threat\n",
        "id,text,frames,unsure\n1,One.,threat,perhaps\n",
        "id,text,frames\n1,One.,threat\n1,One.,offer\n",
        "id,text,frames\n1,One.,\n",
    ],
)
def test_faulty_sheets_are_refused_with_the_line(sheet: str, tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r"x\.csv:\d"):
        spreadsheet.read(put(tmp_path / "x.csv", sheet), BOOK)


def test_hand_made_sheets_are_read(tmp_path: Path) -> None:
    sheet = '\ufeffframes,stance:NATO,text,id\r\nthreat | offer,favor,"One,\r\ntwo.",1\r\n\r\n-,,Three.,2\r\n'
    one, two = spreadsheet.read(put(tmp_path / "x.csv", sheet), BOOK)
    assert one.answers == {"frames": ("threat", "offer"), "stance": {"NATO": "favor"}} and one.text == "One,\r\ntwo."
    assert two.answers == {"frames": ()}


def test_a_damaged_ids_only_file_is_refused_with_the_line(tmp_path: Path) -> None:
    texts = put(tmp_path / "texts.txt", "One.\n")
    good = {"id": "1", "text-sha256": ids_only.digest("One."), "origin": "manual", "answers": {"frames": []}}
    for damage in ({"origin": "guessed"}, {"answers": {"frame": []}}, {"answers": {"frames": ["nonsense"]}}, {"text-sha256": 3}, {"id": None}):
        with pytest.raises(RowsError, match=r"ids\.jsonl:1"):
            ids_only.read(put(tmp_path / "ids.jsonl", lines(good | damage)), BOOK, texts)
    with pytest.raises(RowsError, match=r"texts\.jsonl:2: no 'text'"):
        ids_only.read(put(tmp_path / "ids.jsonl", lines(good)), BOOK, put(tmp_path / "texts.jsonl", lines({"text": "One."}, {"body": "Two."})))


def command(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows_file(path: Path) -> Path:
    labels = Codebook.load().questions[0].label_names
    annotated.write(path, [Annotation("1", "d", "One.", {"frames": labels[:1]}, annotator="anna"), Annotation("2", "d", "Two.", {"frames": ()})])
    return path


@pytest.mark.parametrize("tool", TOOLS)
def test_the_commands_carry_rows_there_and_back(tool: str, tmp_path: Path) -> None:
    file, out, back = rows_file(tmp_path / "rows.jsonl"), tmp_path / "out", tmp_path / "back.jsonl"
    there = command("export", file, "--to", tool, "-o", out)
    assert there.output == f"{out}: 2 rows.\n"
    here = command("import", out, "--from", tool, "-o", back)
    assert here.output == f"{back}: 2 rows of 1 documents by anna, (nobody); answered: frames 2.\n"
    assert back.read_text() == file.read_text()


def test_the_commands_join_labels_and_texts(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "rows.jsonl")
    assert command("export", file, "--to", "ids-only", "-o", tmp_path / "ids", "--model-coder", "anna").exit_code == 0
    joined = command("join", tmp_path / "ids", put(tmp_path / "texts.txt", "Two.\n"), "-o", tmp_path / "back.jsonl")
    assert "1 rows are left out, since their text is not there: 1." in joined.output
    assert isinstance(command("import", tmp_path / "ids", "--from", "ids-only", "-o", tmp_path / "x").exception, InputError)


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    file, out = rows_file(tmp_path / "rows.jsonl"), put(tmp_path / "out", "kept")
    for arguments in (("export", file, "--to", "csv", "-o", out), ("import", rows_file(tmp_path / "x"), "--from", "csv", "-o", out)):
        assert isinstance(command(*arguments).exception, InputError | RowsError)
    assert out.read_text() == "kept"
    assert command("export", file, "--to", "csv", "-o", out, "--force").exit_code == 0
    assert out.read_text().startswith("id,document,text,frames")
    assert isinstance(command("import", out, "--from", "csv", "-o", file).exception, InputError)
    for arguments in (("export", file, "--to", "nothing"), ("import", out, "--from", "nothing"), ("import", out, "--from", "csv")):
        assert isinstance(command(*arguments, "-o", tmp_path / "no" / "folder").exception, InputError)


def test_several_coders_give_a_file_each(tmp_path: Path) -> None:
    label = Codebook.load().questions[0].label_names[0]
    export = put(tmp_path / "x.json", [task(*({"completed_by": n, "result": result(frames=[label])} for n in (3, 4)))])
    assert command("import", export, "--from", "label-studio", "-o", tmp_path / "out.jsonl").exit_code == 0
    assert sorted(file.name for file in tmp_path.glob("out*")) == ["out.1.jsonl", "out.2.jsonl"]
    assert "1 rows by two coders" in command("agreement", tmp_path / "out.1.jsonl", tmp_path / "out.2.jsonl").output


def test_a_text_that_is_cut_within_a_character_is_refused_when_written(tmp_path: Path) -> None:
    row = Annotation("1", "d", "One \ud800.", {"frames": ()})
    for tool, (_, write) in TOOLS.items():
        with pytest.raises(RowsError, match="half a character"):
            write(tmp_path / tool, [row], BOOK)


def test_coders_of_one_id_are_kept_apart() -> None:
    rows = [Annotation("1", "d", "One.", {"frames": ()}, annotator=name) for name in ("anna", "ben")]
    assert parts.by_coder(rows) == [[rows[0]], [rows[1]]]
    assert parts.by_coder(rows[:1]) == [rows[:1]]


def test_labels_find_their_texts_in_a_folder_of_published_tables(tmp_path: Path) -> None:
    texts = ["He said : “ we will answer ” .", 'A\tquoted "word" stands here.', "Two  spaces stand here."]
    coded = ["He said: “we will answer”.", 'A quoted "word" stands here.', "Two spaces stand here."]
    rows = [Annotation(str(n), f"d{n}", text, {"frames": ()}, "m7") for n, text in enumerate(coded)]
    (tmp_path / "ids").mkdir()
    ids_only.write(tmp_path / "ids" / "one.jsonl", rows[:2], BOOK, models=["m7"])
    ids_only.write(tmp_path / "ids" / "two.jsonl", rows[2:], BOOK, models=["m7"])
    (tmp_path / "texts" / "deep").mkdir(parents=True)
    put(tmp_path / "texts" / "a.csv", f'id,body\n1,"{texts[0]}"\n2,"A\tquoted ""word"" stands here."\n')
    put(tmp_path / "texts" / "deep" / "b.tsv", f"{texts[2]}\t4\n")
    put(tmp_path / "texts" / "other.jsonl", '{"body": "of something else"}\n')
    joined = ids_only.read(tmp_path / "ids", BOOK, tmp_path / "texts")
    assert not joined.missing
    assert [row.text for row in joined.rows] == coded
    with pytest.raises(RowsError, match=r"no \.csv"):
        ids_only.read(tmp_path / "ids", BOOK, tmp_path / "ids" / ".." / "empty" if (tmp_path / "empty").mkdir() else tmp_path / "empty")
