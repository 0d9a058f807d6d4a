"""Corpus jobs over real processes: they outlive a service, can be cancelled, refuse what is hostile, and count rightly."""

import dataclasses
import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from annotations.codebook import Codebook
from annotations.errors import InputError
from classifier.classifier import Classifier
from classifier.models import Models
from demo import charts, corpus, shares
from demo.app import JOBS, build
from demo.corpus import Wanted
from demo.jobs import CANCEL, TURN, Jobs, NoJobError
from demo.serving import Serving
from training.train import Run

CSV = "outlet,day,text\n" + "".join(
    f'{"Courier <b>" if number % 2 else "Post"},2026-01-{1 + number % 28:02},"The troops are a threat. Rain on the river market {number}."\n'
    for number in range(20)
)


@pytest.fixture(scope="module")
def jobs(trained: tuple[Models, Run]) -> Jobs:
    return Jobs(trained[0].home.resolve() / JOBS)


@pytest.fixture(scope="module")
def client(trained: tuple[Models, Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with TestClient(build(trained[0], f"sqlite:///{tmp_path_factory.mktemp('db')}/c.sqlite"), raise_server_exceptions=False) as client:
        yield client


def ended(client: TestClient, job: str) -> dict[str, object]:
    for _ in range(1_800):
        answer: dict[str, object] = client.get(f"/v1/jobs/{job}").json()
        if answer["state"] not in ("waiting", "running"):
            return answer
        time.sleep(0.1)
    raise AssertionError(answer)


def send(client: TestClient, name: str, content: bytes, **fields: object) -> str:
    answer = client.post("/v1/jobs", files={"file": (name, content)}, data=fields)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_table_becomes_scored_lines_and_tables_and_is_gone_when_removed(client: TestClient, trained: tuple[Models, Run]) -> None:
    job = send(client, "a.csv", CSV.encode(), group_column="outlet", date_column="day", targets=["NATO plan", "the treaty"])
    done = ended(client, job)
    assert (done["state"], done["share"], done["model"]) == ("done", 1.0, trained[1].folder.path.name), done
    assert done["counts"] == {"sentences": 40, "rows": 20, "rejected": 0, "undated": 0}
    lines = [json.loads(line) for line in client.get(f"/v1/jobs/{job}/result").text.splitlines()]
    assert (
        len(lines) == 40
        and lines[1]["outlet"] == "Post"
        and [item["target"] for item in lines[0]["prediction"]["stance"]]
        == [
            "NATO plan",
            "the treaty",
        ]
    )
    assert not any(str(trained[0].home) in json.dumps(line) for line in lines)
    table = pd.read_csv(io.StringIO(client.get(f"/v1/jobs/{job}/tables/groups.csv").text))
    held = sum("security_threat" in line["prediction"]["frames"] for line in lines if line["outlet"] == "Post")
    row = table[(table["group"] == "Post") & (table["label"] == "security_threat")].iloc[0]
    assert (row["held"], row["sentences"], row["documents"]) == (held, 20, 10)
    assert "prediction.stance.2.label" in client.get(f"/v1/jobs/{job}/result?format=csv").text.splitlines()[0]
    assert client.delete(f"/v1/jobs/{job}").json() == {"state": "deleted"}
    assert client.get(f"/v1/jobs/{job}").status_code == 404


def test_a_zip_gives_a_row_for_each_text_and_its_folder_as_group(client: TestClient) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as out:
        out.writestr("post/a.txt", "The troops are a threat.")
        out.writestr("../../etc/b.html", "<html><body><article><p>The talks ended at noon on Friday.</p></article></body></html>")
        out.writestr("post/c.txt", b"\0\1\2")
        out.writestr("program.exe", b"MZ")
    done = ended(client, job := send(client, "a.zip", packed.getvalue()))
    assert done["counts"]["rows"] == 3 and done["counts"]["rejected"] == 1, done  # type: ignore[index]
    assert '"folder": "post"' in client.get(f"/v1/jobs/{job}/result").text


def test_a_bomb_and_what_is_no_table_are_refused_in_words(client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.txt", b"0" * (corpus.LARGEST_UNPACKED + 1))
    cases = [("a.zip", packed.getvalue(), "holds more than"), ("a.zip", b"PK nothing", "damaged"), ("a.parquet", b"x", "damaged")]
    cases += [("a.jsonl", b"[1]\n", "damaged"), ("a.exe", b"MZ", "kind"), ("a.csv", b"body\nx\n", "no column 'text'")]
    for name, content, words in cases:
        answer = client.post("/v1/jobs", files={"file": (name, content)})
        assert answer.status_code == 422 and words in answer.json()["error"], (name, answer.text)
    # A zip whose directory lies about sizes is bounded when it is unpacked.
    monkeypatch.setattr(corpus, "LARGEST_UNPACKED", 10)
    monkeypatch.setattr(corpus, "_members", lambda packed: packed.infolist())
    (tmp_path / "b.zip").write_bytes(packed.getvalue())
    with pytest.raises(InputError, match="unpacks to more"):
        corpus._unzip(tmp_path / "b.zip", tmp_path / "rows.jsonl")


def test_a_waiting_job_is_cancelled_and_another_is_told_apart(client: TestClient, jobs: Jobs) -> None:
    import fcntl

    jobs.home.mkdir(exist_ok=True)
    with (jobs.home / TURN).open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        job = send(client, "a.csv", CSV.encode())
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "waiting"
        assert client.get(f"/v1/jobs/{job}/result").status_code == 422
        assert client.delete(f"/v1/jobs/{job}").json() == {"state": "cancelled"}
        assert ended(client, job)["state"] == "cancelled"
    for name in ("x" * 16, "..", "%2e%2e%2fmodels", ".turn"):
        assert client.get(f"/v1/jobs/{name}").status_code == 404


def test_a_job_of_a_model_that_was_rolled_back_ends_with_that_model_or_says_that_it_is_gone(trained: tuple[Models, Run], tmp_path: Path) -> None:
    import fcntl
    import shutil

    from demo.corpus_tab import CorpusTab

    models = Models(tmp_path / "models")
    for name in ("first", "second"):
        shutil.copytree(trained[1].folder.path, models.home / name)
        manifest = models.home / name / "manifest.json"
        manifest.write_text(manifest.read_text().replace(trained[1].folder.name, name))
        models.promote(models.home / name, "test")
    (models.home / JOBS).mkdir()
    with TestClient(build(models, f"sqlite:///{tmp_path}/c.sqlite"), raise_server_exceptions=False) as client:
        with (models.home / JOBS / TURN).open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # so that the job begins after the rollback
            job = send(client, "a.csv", CSV.encode(), group_column="outlet")
            models.rollback()
            assert client.get("/v1/model").json()["name"] == "first"
        done = ended(client, job)
        assert (done["state"], done["model"]) == ("done", "second"), done
        assert json.loads(client.get(f"/v1/jobs/{job}/result").text.splitlines()[0])["prediction"]["model"] == "second"
        with gr.Blocks():
            tab = CorpusTab(Serving(models), Jobs(models.home.resolve() / JOBS))
        assert "Scored by the model second. The service answers with first now." in tab.look_corpus(job)[3]
        shutil.rmtree(models.home / "second")
        assert "Scored by the model second, which is no longer here." in tab.look_corpus(job)[3], "what was counted needs no model"
        assert "fw-table" in tab._compare(job, "Post", "Courier <b>")
        with (models.home / JOBS / TURN).open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            job = send(client, "a.csv", CSV.encode())
            shutil.rmtree(models.home / "first")
        failed = ended(client, job)
        assert failed["state"] == "failed" and "The model first, which served when the file was sent, is no longer here" in str(failed["words"])
        assert str(tmp_path) not in json.dumps(failed)


def test_a_killed_job_is_taken_up_by_the_next_service(trained: tuple[Models, Run], tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "a.csv").write_text(CSV)
    jobs = Jobs(tmp_path / "jobs")
    jobs.home.mkdir()
    with (jobs.home / TURN).open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        job = corpus.submit(jobs, Serving(trained[0]), tmp_path / "a.csv", "a.csv", Wanted(targets=("NATO plan",)))
        process = jobs._started[0]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert jobs.state(job).state == "failed" and "ended before its time" in jobs.state(job).words
    later = Jobs(tmp_path / "jobs")
    later.resume()
    while later.state(job).open:
        time.sleep(0.1)
    assert later.state(job).state == "done"
    assert not (later.folder(job) / CANCEL).exists()
    with pytest.raises(NoJobError):
        later.state("../jobs")


def counted(draw: int, documents: int, label: float) -> pd.DataFrame:
    generator = np.random.default_rng(draw)
    rows = []
    for number in range(documents):
        asked = int(generator.integers(1, 30))
        held = int(generator.binomial(asked, label))
        rows.append((f"d{number}", "A", "", "frames", "", "security_threat", held, asked))
    return pd.DataFrame(rows, columns=["document", "group", "week", "question", "target", "label", "held", "asked"])


def test_intervals_hold_the_truth_about_as_often_as_they_say(codebook: Codebook) -> None:
    inside = 0
    for draw in range(60):
        row = shares.shares(counted(draw, 40, 0.3), "group", codebook).set_index("label").loc["security_threat"]
        inside += bool(row["low"] <= 0.3 <= row["high"])
    assert 50 <= inside <= 60


def test_shares_do_not_depend_on_the_order_of_documents_and_alike_documents_still_have_a_width(codebook: Codebook) -> None:
    counts = counted(1, 30, 0.3)
    forth, back = (shares.shares(part, "group", codebook).drop(columns="group") for part in (counts, counts[::-1]))
    pd.testing.assert_frame_equal(forth, back)
    never = shares.shares(counted(1, 30, 0.0), "group", codebook).set_index("label").loc["security_threat"]
    assert never["low"] == 0 < never["high"] < 0.2
    neutral = pd.concat([counted(1, 30, 0.0).assign(question="stance", target="NATO plan", label=label) for label in ("against", "favor", "neutral")])
    balance = shares.shares(neutral, "group", codebook).set_index("label").loc[shares.BALANCE]
    assert balance["low"] == -balance["high"] < 0 == balance["share"]
    assert shares.shares(counted(1, 1, 0.5), "group", codebook)["low"].isna().all()


def test_plots_show_markup_of_the_rows_as_text(codebook: Codebook) -> None:
    counts = counted(1, 9, 0.4).assign(group='<img src=x onerror="alert(1)">', week="2026-01-05")
    later = counts.assign(week="2026-01-19", group="B")
    both = pd.concat([counts, later])
    table = shares.shares(both, "group", codebook)
    drawn = charts.dots(table, codebook, shares.groups(both)) + charts.weeks(shares.shares(both, "week", codebook), codebook)
    drawn += charts.comparison(shares.compared(both, '<img src=x onerror="alert(1)">', "B", codebook), codebook, "<b>", "B")
    assert "<img" not in drawn and "&lt;img" in drawn
    assert drawn.count("<polyline") == 2 * len(codebook.question("frames").labels)  # the week between has no document: the line is cut there


def test_the_words_that_drove_a_label_matter_more_than_random_ones(classifier: Classifier, codebook: Codebook) -> None:
    from annotations.rows import Annotation
    from demo import occlusion
    from tests.conftest import coded_rows

    rows = [Annotation.from_dict(row, codebook) for row in coded_rows(4)]
    (frames, _stance) = occlusion.deletion_test(classifier, rows)
    assert frames.cases == 20 and frames.words > frames.chance
    from classifier.sentences import Sentence

    sentence = Sentence(rows[0].text, targets=("NATO plan",))
    (item, *_rest) = occlusion.drove(lambda asked: list(classifier.predict(asked)), sentence)
    assert [word for word, _ in item.pieces] == rows[0].text.split()
    cut = dataclasses.replace(sentence, text=" ".join(rows[0].text.split()[1:]))
    (direct,) = classifier.predict([cut])
    assert item.pieces[0][1] == pytest.approx(item.score - direct.answer(item.question, item.target).score(item.label))


def test_quoted_speech_is_told_from_the_outlets_own_voice(classifier: Classifier) -> None:
    from classifier.sentences import split
    from demo.voices import voices

    text = (
        'He came. "We were made fools of. Rain will fall." She called it "a threat" to the town of all the people there.\n“Open quote\nNew line came.'
    )
    predictions = list(classifier.predict(split(text)))
    assert voices(predictions, text) == ["own", "quoted", "quoted", "part", "quoted", "own"]


def test_a_view_comes_back_as_it_was(classifier: Classifier) -> None:
    from classifier.sentences import split
    from demo.views import packed, unpacked

    predictions = list(classifier.predict(split("The troops came. Rain fell.", "d"), ["NATO plan"]))
    text, targets, found = unpacked(packed("The troops came. Rain fell.", "NATO plan", predictions))
    assert (text, targets) == ("The troops came. Rain fell.", "NATO plan")
    assert [item.to_dict() for item in found] == [item.to_dict() for item in predictions]
    assert [item.sentence for item in found] == [item.sentence for item in predictions]
    with pytest.raises(InputError, match="cannot be read"):
        unpacked('{"text": 1}')
