"""The REST API over a real model and a real database: the contract, the limits, the plain words of every refusal."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from classifier.models import Models
from classifier.sentences import Sentence
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
    refused = client.post("/v1/corrections", json=body | {"answers": {"frames": ["panic"]}, "key": "k2"})
    assert refused.status_code == 422 and "no label 'panic'" in refused.json()["error"]


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
