"""Batch runs finish: killed with kill -9 at any moment, with a full disk, with damaged blocks, and never two on one output."""

import datetime
import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from annotations.errors import InputError
from classifier.batch import Job, run
from classifier.classifier import Classifier
from tests.conftest import write_jsonl

ROOT = Path(__file__).resolve().parent.parent
SCORE = """
import sys
from pathlib import Path
from classifier import batch
from classifier.classifier import Classifier
batch.SHARD_RECORDS = 5
import classifier.classifier as c
c.WINDOW = 8
batch.run(Classifier(sys.argv[1], threads=1), batch.Job((sys.argv[2],), Path(sys.argv[3]), targets=("grain",)), lambda *n: print(*n, flush=True))
"""


def test_killed_with_kill_9_again_and_again_it_ends_in_the_same_bytes(classifier: Classifier, tmp_path: Path) -> None:
    rows = [{"n": n, "text": f"The envoy {n} made an offer. Rain {n % 3}."} for n in range(150)]
    source, out = write_jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    run(classifier, Job((str(source),), tmp_path / "whole.jsonl", targets=("grain",)))
    chance = random.Random(5)
    command = [sys.executable, "-c", SCORE, str(classifier.folder.path), str(source), str(out)]
    killed = 0
    for attempt in range(30):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 12) if attempt < 4 else 1000):
            if not process.stdout.readline():
                break
        time.sleep(chance.random() * 0.02)
        if attempt < 4 and process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        if out.exists():
            break
        assert process.returncode == -signal.SIGKILL
    assert killed >= 2
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not list(tmp_path.glob(".*")), "something was left behind"


def test_a_full_disk_is_a_sentence_and_the_run_goes_on_when_there_is_room(classifier: Classifier, tmp_path: Path) -> None:
    rows = [{"n": n, "text": f"The envoy {n} made an offer.", "pad": "x" * 2_000} for n in range(60)]
    job = Job((str(write_jsonl(tmp_path / "in.jsonl", rows)),), tmp_path / "out.jsonl")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InputError, match="Make room and start the same command again"):
            run(classifier, job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not job.out.exists()
    assert run(classifier, job).sentences == 60


def test_a_damaged_parquet_block_is_listed_and_the_others_are_scored(classifier: Classifier, tmp_path: Path) -> None:
    table = pyarrow.table({"text": [f"The envoy {n} made an offer of talks." for n in range(40)]})
    path = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=10, compression="zstd", use_dictionary=False)
    start = pyarrow.parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + 60] = b"\xff" * 60
    path.write_bytes(raw)
    done = run(classifier, Job((str(path),), tmp_path / "out.jsonl"))
    assert (done.sentences, done.rejected) == (30, 1)
    assert done.rejects is not None
    listed = json.loads(done.rejects.read_text())
    assert listed["place"].endswith("row group 2") and "damaged block" in listed["reason"]


def test_two_runs_on_one_output_do_not_meet(classifier: Classifier, tmp_path: Path) -> None:
    job = Job((str(write_jsonl(tmp_path / "in.jsonl", [{"text": "Rain."}])),), tmp_path / "out.jsonl")

    def again(records: int, sentences: int) -> None:
        with pytest.raises(InputError, match="Another run is writing"):
            run(classifier, job)

    assert run(classifier, job, again).sentences == 1
    assert run(classifier, job).sentences == 1


def test_bytes_dates_and_nan_of_parquet_come_back_untouched(classifier: Classifier, tmp_path: Path) -> None:
    columns = {
        "text": ["Rain.", "Bread."],
        "hash": [b"\x00\xff", None],
        "many": pyarrow.array([[b"\x01"], []], pyarrow.list_(pyarrow.binary())),
        "number": [math.nan, 1.5],
        "day": [datetime.date(2026, 1, 2), None],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "in.parquet")
    run(classifier, Job((str(tmp_path / "in.parquet"),), tmp_path / "out.parquet"))
    back = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    for name in columns:
        given = pyarrow.table(columns)[name]
        assert back[name].type == given.type
        assert repr(back[name].to_pylist()) == repr(given.to_pylist())


def test_json_output_is_json_also_where_the_input_is_not_a_number(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "Rain.", "x": NaN, "y": [Infinity]}\n')
    run(classifier, Job((str(tmp_path / "in.jsonl"),), tmp_path / "out.jsonl"))

    def refuse(word: str) -> None:
        raise AssertionError(word)

    line = json.loads((tmp_path / "out.jsonl").read_text(), parse_constant=refuse)
    assert (line["x"], line["y"]) == (None, [None])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_an_article_is_read_in_any_unicode_encoding(encoding: str, classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes("Café talks resume in Zürich.".encode(encoding))
    run(classifier, Job((str(tmp_path / "in.txt"),), tmp_path / "out.jsonl"))
    assert json.loads((tmp_path / "out.jsonl").read_text())["prediction"]["sentence"] == "Café talks resume in Zürich."


def test_a_line_without_end_is_listed_without_filling_memory(classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.records.LONGEST_LINE", 1_000)
    (tmp_path / "in.jsonl").write_text('{"text": "' + "a" * 5_000 + '"}\n{"text": "Rain."}\n')
    done = run(classifier, Job((str(tmp_path / "in.jsonl"),), tmp_path / "out.jsonl"))
    assert (done.sentences, done.rejected) == (1, 1)


def test_answers_are_equal_to_the_bit_whatever_the_windows_are(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    from classifier.sentences import Sentence

    sentences = [Sentence(f"The envoy {n} made an offer of talks {'on grain ' * (n % 5)}") for n in range(60)]
    whole = [[answer.scores for answer in item.answers] for item in classifier.predict(sentences, ["grain"])]
    monkeypatch.setattr("classifier.classifier.WINDOW", 7)
    assert [[answer.scores for answer in item.answers] for item in classifier.predict(sentences, ["grain"])] == whole


def test_a_folder_with_one_int8_scale_a_batch_is_served_in_float32(classifier: Classifier, tmp_path: Path) -> None:
    import dataclasses
    import shutil

    from onnxruntime.quantization import quantize_dynamic

    from classifier.network import _session

    member = classifier.folder.members[0]
    old = dataclasses.replace(classifier.folder, path=Path(shutil.copytree(classifier.folder.path, tmp_path / "old")))
    place = old.path / member.folder
    assert _session(old, member, None)._model_path.endswith("model.int8.onnx")
    quantize_dynamic(place / "model.onnx", place / "model.int8.onnx")
    assert _session(old, member, None)._model_path.endswith("model.onnx")
