"""The REST API over a real model and a real database: the contract, the limits, the plain words of every refusal."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from annotations import rows
from annotations.codebook import Codebook
from annotations.errors import InputError
from classifier.models import Models
from classifier.sentences import Sentence
from demo import documents
from demo.app import build
from training.train import Run


@pytest.fixture(scope="module")
def client(trained: tuple[Models, Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    database = tmp_path_factory.mktemp("db") / "corrections.sqlite"
    with TestClient(build(trained[0], f"sqlite:///{database}"), raise_server_exceptions=False) as client:
        yield client


def test_score_answers_as_the_classifier_does(client: TestClient, trained: tuple[Models, Run]) -> None:
    from classifier.classifier import Classifier

    texts = ["The troops are a threat.", "Rain on the river market."]
    answer = client.post("/v1/score", json={"texts": texts, "targets": ["NATO plan"]}).json()
    direct = Classifier(trained[1].folder).predict([Sentence(text, str(n)) for n, text in enumerate(texts)], ["NATO plan"])
    assert [item["frames"] for item in answer["predictions"]] == [prediction.to_dict()["frames"] for prediction in direct]
    assert answer["model"] == trained[1].folder.name


def test_a_document_is_split_and_given_sentences_are_not(client: TestClient) -> None:
    documents = [{"id": "a", "text": "One came. Two went."}, {"id": "b", "sentences": ["One came. Two went."]}]
    found = client.post("/v1/score", json={"documents": documents}).json()["predictions"]
    assert [(item["document"], item["position"]) for item in found] == [("a", 0), ("a", 1), ("b", 0)]


def test_codebook_model_and_health_are_told(client: TestClient, trained: tuple[Models, Run]) -> None:
    assert [question["name"] for question in client.get("/v1/codebook").json()["question"]] == ["frames", "stance"]
    assert client.get("/v1/model").json()["name"] == trained[1].folder.name
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ready"


def test_a_correction_is_kept_once(client: TestClient) -> None:
    body = {"text": "Talks ended.", "answers": {"frames": []}, "annotator": "anna", "key": "k1"}
    first, again = client.post("/v1/corrections", json=body), client.post("/v1/corrections", json=body)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    other = client.post("/v1/corrections", json=body | {"text": "Talks went on."})
    assert other.status_code == 422 and "another correction" in other.json()["error"]
    refused = client.post("/v1/corrections", json=body | {"answers": {"frames": ["panic"]}, "key": "k2"})
    assert refused.status_code == 422 and "no label 'panic'" in refused.json()["error"]


def test_exported_corrections_are_rows_to_learn_from(client: TestClient, codebook: Codebook, tmp_path: Path) -> None:
    answers = {"frames": ["diplomatic_offer"], "stance": {"the talks": "favor"}}
    body = {"text": "The envoy offered talks.", "answers": answers, "annotator": " anna  b ", "document": "d1", "unsure": True, "note": "why"}
    assert client.post("/v1/corrections", json=body).status_code == 201
    found = client.get("/v1/corrections")
    assert "corrections.jsonl" in found.headers["content-disposition"]
    (tmp_path / "out.jsonl").write_bytes(found.content)
    row = rows.read(tmp_path / "out.jsonl", codebook)[-1]
    assert (row.text, row.annotator, row.document, row.sampling, row.unsure, row.note) == (
        *("The envoy offered talks.", "anna b", "d1", "correction", True, "why"),
    )
    assert row.answers["stance"] == {"the talks": "favor"}


@pytest.mark.parametrize("name", ["", "   "])
def test_a_correction_needs_a_name(client: TestClient, name: str) -> None:
    assert client.post("/v1/corrections", json={"text": "x", "answers": {"frames": []}, "annotator": name}).status_code == 422


def test_requests_are_counted_by_route_and_logged_without_a_text(
    client: TestClient, trained: tuple[Models, Run], caplog: pytest.LogCaptureFixture
) -> None:
    from demo.metrics import Lines

    with caplog.at_level(logging.INFO, logger="framewire"):
        client.post("/v1/score", json={"texts": ["The secret troops."]})
        client.get("/v1/my-secret-path?q=secret")
    counted = client.get("/metrics")
    assert counted.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'framewire_requests_total{method="POST",route="/v1/score",status="200"}' in counted.text
    assert 'framewire_request_seconds_bucket{le="+Inf",route="/v1/score"}' in counted.text
    assert f'model="{trained[1].folder.name}"' in counted.text
    lines = [json.loads(Lines().format(record)) for record in caplog.records if record.name == "framewire.requests"]
    assert (lines[0]["route"], lines[0]["status"]) == ("/v1/score", 200)
    assert all(set(line) == {"time", "level", "event", "method", "route", "status", "milliseconds"} for line in lines)
    assert "secret" not in json.dumps(lines) and "secret" not in counted.text


def pdf(path: Path, *lines: str, pages: int = 1) -> Path:
    """A PDF of our own making; without lines its pages are blank, as scans are."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = DictionaryObject({NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1")})
    font[NameObject("/BaseFont")] = NameObject("/Helvetica")
    for _ in range(pages):
        page = writer.add_blank_page(600, 800)
        stream = DecodedStreamObject()
        stream.set_data(("BT /F1 12 Tf 50 700 Td 15 TL " + " ".join(f"({line}) Tj T*" for line in lines) + " ET").encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): DictionaryObject({NameObject("/F1"): writer._add_object(font)})})
    writer.write(path)
    return path


def test_a_pdf_gives_its_text_with_wrapped_lines_joined(tmp_path: Path) -> None:
    found = documents.read(pdf(tmp_path / "a.pdf", "The troops at the border are a threat to us, the", "Minister said on Tues-", "day. Rain fell."))
    assert "a threat to us, the Minister said on Tuesday. Rain fell." in found


def test_a_word_file_gives_its_paragraphs_and_tables(tmp_path: Path) -> None:
    import docx

    made = docx.Document()
    made.add_heading("Villages count", 1)
    made.add_paragraph("The troops are a threat.")
    made.add_table(1, 2).rows[0].cells[0].text = "Bread"
    made.save(str(tmp_path / "a.docx"))
    assert documents.read(tmp_path / "a.docx").startswith("Villages count\n\nThe troops are a threat.\n\nBread")


def test_text_and_html_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Café talks ended.".encode("cp1252"))
    (tmp_path / "a.html").write_text("<html><body><nav>Home</nav><article><p>The talks ended at noon on Friday.</p></article></body></html>")
    assert documents.read(tmp_path / "a.txt") == "Café talks ended."
    assert "The talks ended at noon" in documents.read(tmp_path / "a.html")


def test_a_file_that_cannot_be_read_gets_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("word/document.xml", b"0" * (documents.LARGEST_UNPACKED + 1))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    (tmp_path / "program.exe").write_bytes(b"MZ")
    (tmp_path / "large.txt").write_bytes(b"a" * (documents.LARGEST + 1))
    cases = [(pdf(tmp_path / "scan.pdf"), "OCR"), (pdf(tmp_path / "long.pdf", "x", pages=documents.MOST_PAGES + 1), "at most 200")]
    names = {"bomb.docx": "unpacks", "broken.pdf": "damaged", "program.exe": "kind", "large.txt": "At most"}
    for path, words in cases + [(tmp_path / name, words) for name, words in names.items()]:
        with pytest.raises(InputError, match=words) as refused:
            documents.read(path)
        assert str(tmp_path) not in str(refused.value)
    monkeypatch.setattr(documents, "SECONDS", 0.01)
    with pytest.raises(InputError, match="seconds"):
        documents.read(tmp_path / "scan.pdf")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{}", 422, "either 'texts' or 'documents'"),
        (json.dumps({"texts": [""]}).encode(), 422, "empty"),
        (json.dumps({"texts": ["x"], "targets": [""]}).encode(), 422, "targets"),
        (json.dumps({"texts": ["ok"] * 65}).encode(), 422, "texts"),
        (json.dumps({"texts": ["Министерство заявило, что переговоры начнутся в понедельник. " * 9]}).encode(), 422, "English"),
        (json.dumps({"texts": ["a\0b"]}).encode(), 422, "binary"),
        (b'{"texts": ["' + b"a" * (2 << 20) + b'"]}', 413, "too large"),
        (b"\xff\xfe\x00", 422, "does not fit"),
        (b'{"texts": ["\\ud800"]}', 422, ""),
        (b'{"texts": NaN}', 422, "does not fit"),
        (b"[" * 5_000, 422, "does not fit"),
        (b'{"texts": ["<script>alert(1)</script>"], "colour": "red"}', 422, "does not fit"),
    ],
)
@pytest.mark.parametrize("headers", [{"content-type": "application/json"}, {}])
def test_a_bad_body_is_refused_in_short_words_that_repeat_nothing(
    body: bytes, status: int, words: str, headers: dict[str, str], client: TestClient
) -> None:
    answer = client.post("/v1/score", content=body, headers=headers)
    assert answer.status_code == status or (words == "" and answer.status_code in (200, 422))
    if answer.status_code != 200:
        assert len(answer.content) < 1_000
        assert "Traceback" not in answer.text and "<script>" not in answer.text
        if headers:
            assert words in answer.json()["error"]


def test_security_headers_are_on_every_answer(client: TestClient) -> None:
    for path in ("/", "/healthz", "/v1/nowhere"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]


def test_callers_beyond_the_queue_are_told_to_come_again(trained: tuple[Models, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from demo import serving

    monkeypatch.setattr(serving, "MOST_WAITING", 1)
    with TestClient(build(trained[0], f"sqlite:///{tmp_path}/c.sqlite")) as client:
        body = {"texts": ["The envoy made an offer of talks. " * 400]}
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(client.post("/v1/score", json=body).status_code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(answers) == {200, 429}


def test_a_running_service_takes_up_a_promoted_model(trained: tuple[Models, Run], tmp_path: Path) -> None:
    import shutil

    models = Models(tmp_path / "shelf")
    shutil.copytree(trained[1].folder.path, models.home / "one")
    shutil.copytree(trained[1].folder.path, models.home / "two")
    (models.home / "two" / "manifest.json").write_text((models.home / "two" / "manifest.json").read_text().replace(trained[1].folder.name, "second"))
    models.promote(models.home / "one", "test")
    with TestClient(build(models, f"sqlite:///{tmp_path}/c.sqlite")) as client:
        assert client.get("/v1/model").json()["name"] == trained[1].folder.name
        models.promote(models.home / "two", "test")
        assert client.get("/v1/model").json()["name"] == "second"
