"""Scoring files: rows come back whole, bad rows are listed, a killed run goes on."""

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from annotations.errors import InputError
from classifier import batch
from classifier.batch import Job, run
from classifier.classifier import Classifier
from classifier.records import Columns
from tests.conftest import write_jsonl

ROWS = [
    {"id": 7, "text": "The troops are a threat. The envoy made an offer of talks.", "outlet": "A", "tags": ["x"]},
    {"id": 8, "text": "Rain on the river.", "outlet": "B", "tags": None},
]


def scored(path: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_row_gives_one_line_per_sentence_with_all_its_columns(classifier: Classifier, tmp_path: Path) -> None:
    job = Job((str(write_jsonl(tmp_path / "in.jsonl", ROWS)),), tmp_path / "out.jsonl", targets=("NATO plan", "grain"))
    done = run(classifier, job)
    lines = scored(tmp_path / "out.jsonl")
    assert (done.records, done.sentences, done.rejected) == (2, 3, 0)
    assert [{key: line[key] for key in ROWS[0]} for line in lines] == [ROWS[0], ROWS[0], ROWS[1]]
    first = lines[0]["prediction"]
    assert (first["position"], first["sentence"], first["error"]) == (0, "The troops are a threat.", None)
    assert set(first["frames_scores"]) == set(classifier.codebook.question("frames").label_names)
    assert [item["target"] for item in first["stance"]] == ["NATO plan", "grain"]
    assert sum(first["stance"][0]["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert first["codebook"] == classifier.codebook.fingerprint


def test_csv_and_parquet_hold_the_same_as_jsonl(classifier: Classifier, tmp_path: Path) -> None:
    source = str(write_jsonl(tmp_path / "in.jsonl", ROWS))
    for ending in ("jsonl", "csv", "parquet"):
        run(classifier, Job((source,), tmp_path / f"out.{ending}", targets=("NATO plan",)))
    lines = scored(tmp_path / "out.jsonl")
    with (tmp_path / "out.csv").open(newline="") as stream:
        flat = list(csv.DictReader(stream))
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    for line, cells, row in zip(lines, flat, table, strict=True):
        wanted = line["prediction"]["stance"][0]
        assert cells["prediction.stance.1.label"] == row["prediction.stance.1.label"] == wanted["label"]
        assert float(cells["prediction.stance.1.scores.against"]) == row["prediction.stance.1.scores.against"] == wanted["scores"]["against"]
        assert row["prediction.frames"] == "|".join(line["prediction"]["frames"])
        assert (row["id"], cells["outlet"]) == (line["id"], line["outlet"])


def test_a_sentence_row_gives_exactly_one_line_even_when_it_is_empty(classifier: Classifier, tmp_path: Path) -> None:
    rows = [
        {"doc": "a", "text": "The envoy spoke. Twice.", "about": "grain"},
        {"doc": "a", "text": "", "about": "grain"},
        {"doc": "b", "text": "Rain.", "about": ""},
    ]
    job = Job((str(write_jsonl(tmp_path / "in.jsonl", rows)),), tmp_path / "out.jsonl", Columns("text", "doc", "about"), (), "sentence")
    done = run(classifier, job)
    lines = [line["prediction"] for line in scored(tmp_path / "out.jsonl")]
    assert [(line["document"], line["position"]) for line in lines] == [("a", 0), ("a", 1), ("b", 0)]
    assert [item["target"] for item in lines[0]["stance"]] == ["grain"]
    assert "empty" in lines[1]["error"] and lines[2]["stance"] == []
    assert done.rejected == 1


def test_bad_rows_are_listed_and_the_others_scored(classifier: Classifier, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'{"text": "Rain on the river."}\n{"text": \n{"other": 1}\n{"text": 3}\n\xff\xfe\n{"text": "Bread."}\n')
    done = run(classifier, Job((str(source),), tmp_path / "out.jsonl"))
    assert (done.records, done.sentences, done.rejected) == (6, 2, 4)
    assert done.rejects is not None
    listed = scored(done.rejects)
    assert [item["place"].rsplit(":", 1)[1] for item in listed] == ["2", "3", "4", "5"]
    assert all(item["reason"] for item in listed)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"title,body\nx,y\n", "no column 'text'; it has title, body"),
        ("a.parquet", b"PAR1 not really", "not a readable Parquet file"),
        ("a.csv", b"\x00\x01\x02", "binary"),
        ("a.docx", b"x", "unknown kind"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(name: str, content: bytes, words: str, classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        run(classifier, Job((str(tmp_path / name),), tmp_path / "out.jsonl"))
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("binary.txt", bytes(range(256)) * 9, "binary data"),
        ("empty.txt", b"", "empty"),
        ("russian.txt", ("Министерство заявило, что переговоры начнутся в понедельник. " * 9).encode(), "English"),
        ("french.txt", ("Le ministre a déclaré mardi que son pays était prêt à négocier avec ses voisins. " * 5).encode(), "English"),
        ("none.html", b"<html><body></body></html>", "no readable text"),
    ],
)
def test_a_document_that_cannot_be_scored_is_listed_beside_a_good_one(
    name: str, content: bytes, words: str, classifier: Classifier, tmp_path: Path
) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / "good.txt").write_text("Rain on the river. The envoy spoke.")
    done = run(classifier, Job((str(folder),), tmp_path / "out.jsonl"))
    assert (done.sentences, done.rejected) == (2, 1)
    assert done.rejects is not None and words in scored(done.rejects)[0]["reason"]


def test_a_windows_1252_article_and_an_html_page_are_read(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_bytes("The minister said \x93no\x94 to the plan.".encode("latin-1"))
    words = "The envoy made an offer of talks to the army on the border plan."
    page = f"<html><body><nav>Home News</nav><article><h1>Talks</h1><p>{words}</p></article></body></html>"
    (tmp_path / "page.html").write_text(page)
    run(classifier, Job((str(tmp_path / "old.txt"), str(tmp_path / "page.html")), tmp_path / "out.jsonl"))
    texts = [line["prediction"]["sentence"] for line in scored(tmp_path / "out.jsonl")]
    assert texts[0] == "The minister said “no” to the plan."
    assert any("The envoy made an offer" in text for text in texts)


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SHARD_RECORDS", 7)
    rows = [{"n": n, "text": f"The envoy {n} made an offer of talks. Rain {n % 3}."} for n in range(40)]
    job = Job((str(write_jsonl(tmp_path / "in.jsonl", rows)),), tmp_path / "out.jsonl", targets=("grain",))
    run(classifier, job)
    whole = job.out.read_bytes()
    job.out.unlink()

    class Killed(BaseException):
        pass

    def kill(records: int, sentences: int) -> None:
        if records >= 21:
            raise Killed

    with pytest.raises(Killed):
        run(classifier, job, kill)
    assert not job.out.exists()
    seen: list[str] = []
    original = batch._prepared
    monkeypatch.setattr(batch, "_prepared", lambda job, name, records: seen.append(name) or original(job, name, records))
    run(classifier, job)
    assert job.out.read_bytes() == whole
    assert seen == ["000003", "000004", "000005"], "whole shards were scored again"
    assert not list(tmp_path.glob(".*parts")), "shards were left behind"


def test_the_answer_for_a_sentence_does_not_depend_on_its_neighbours(classifier: Classifier, tmp_path: Path) -> None:
    from classifier.sentences import Sentence

    texts = [f"The envoy made an offer {'of talks and grain ' * (n % 7)}{n}" for n in range(200)]
    together = list(classifier.predict(map(Sentence, texts), ["grain"]))
    alone = [next(classifier.predict([Sentence(text)], ["grain"])) for text in texts]
    for one, other in zip(together, alone, strict=True):
        for a, b in zip(one.answers, other.answers, strict=True):
            assert a.labels == b.labels
            assert a.scores == pytest.approx(b.scores, abs=1e-5)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_flat_output_needs_no_target(ending: str, classifier: Classifier, tmp_path: Path) -> None:
    done = run(classifier, Job((str(write_jsonl(tmp_path / "in.jsonl", ROWS)),), tmp_path / f"out.{ending}"))
    assert done.sentences == 3
    again = run(classifier, Job((str(tmp_path / f"out.{ending}"),), tmp_path / "again.csv", targets=("grain",)))
    assert again.rejected == 0, "our own flat output cannot be scored again"


def test_output_never_meets_input(classifier: Classifier, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", ROWS)
    with pytest.raises(InputError, match="is written by this run"):
        run(classifier, Job((str(source),), source))
    for _ in range(2):
        done = run(classifier, Job((str(tmp_path),), tmp_path / "out.jsonl"))
        assert done.records == 2, "an earlier output was read as input"


def test_a_bad_file_does_not_stop_the_others(classifier: Classifier, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("Rain on the river.")
    (folder / "b.csv").write_text("title\nx\n")
    (folder / "c.parquet").write_bytes(b"junk")
    done = run(classifier, Job((str(folder),), tmp_path / "out.jsonl"))
    assert (done.sentences, done.rejected) == (1, 2)


def test_a_csv_is_read_in_its_own_encoding_to_the_last_byte(classifier: Classifier, tmp_path: Path) -> None:
    for encoding in ("utf-8", "cp1252"):
        text = "n,text\n" + "".join(f"{n},Rain fell on the river\n" for n in range(500)) + "501,Café “Zürich” is open.\n"
        (tmp_path / "in.csv").write_bytes(text.encode(encoding))
        run(classifier, Job((str(tmp_path / "in.csv"),), tmp_path / "out.jsonl"))
        assert scored(tmp_path / "out.jsonl")[-1]["text"] == "Café “Zürich” is open."


def test_half_characters_and_line_separators_harm_no_other_row(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "Rain.", "x": "\\ud800"}\n{"text": "", "x": "a\u2028b"}\n{"text": "Bread."}\n')
    done = run(classifier, Job((str(tmp_path / "in.jsonl"),), tmp_path / "out.jsonl"))
    assert (done.sentences, done.rejected) == (1, 2)
    assert done.rejects is not None
    assert len(done.rejects.read_text().split("\n")) == 3


def test_sentence_unit_keeps_count_even_of_rows_that_cannot_be_read(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "Rain."}\n{"text": \n{}\n{"text": "Bread."}\n')
    run(classifier, Job((str(tmp_path / "in.jsonl"),), tmp_path / "out.jsonl", unit="sentence"))
    assert [line["prediction"]["error"] is None for line in scored(tmp_path / "out.jsonl")] == [True, False, False, True]
