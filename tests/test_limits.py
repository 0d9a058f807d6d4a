"""What a request may cost: bytes, seconds, requests, memory; and what an answer gives away."""

import asyncio
import csv
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.bridges.spreadsheet import guarded
from classifier import outputs
from classifier.classifier import Classifier
from classifier.models import Models
from classifier.sentences import Sentence
from demo import documents, limits, serving
from demo.app import build
from demo.limits import A_MINUTE, HEADERS, MOST_AT_ONCE, MOST_BYTES, Buckets, Limits
from training.train import Run


@pytest.fixture(scope="module")
def app(trained: tuple[Models, Run], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(trained[0], f"sqlite:///{tmp_path_factory.mktemp('db')}/c.sqlite")


@pytest.fixture
def client(app: Any) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


DOORS = ["/v1/score", "/v1/corrections", "/gradio_api/queue/join", "/gradio_api/call/read", "/gradio_api/reset", "/login", "/nowhere"]


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_at_every_door_however_it_is_sent(path: str, chunked: bool, client: TestClient) -> None:
    piece = b'{"texts": ["' + b"a" * 65_536
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(400):
            sent += len(piece)
            yield piece

    answer = client.post(path, content=pieces() if chunked else piece * 20, headers={"content-type": "application/json"})
    assert answer.status_code == 413 if path != "/nowhere" or not chunked else answer.status_code in (404, 405, 413)
    assert len(answer.content) < 1_000


def conversation(app: Any, scope: dict[str, Any], bodies: list[Any]) -> tuple[int, int]:
    """The status of an answer, and how many messages of the body were taken; None in `bodies` never comes."""
    taken, found = 0, [0]
    full = {"type": "http", "method": "POST", "path": "/v1/score", "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1)}

    async def receive() -> Any:
        nonlocal taken
        if taken >= len(bodies) or bodies[taken] is None:
            await asyncio.sleep(30)
        taken += 1
        return {"type": "http.request", "body": bodies[taken - 1], "more_body": True}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    asyncio.run(
        app(full | {"query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1", "asgi": {"version": "3.0"}} | scope, receive, send)
    )
    return found[-1], taken


def test_a_body_without_end_is_cut_off_when_it_is_too_large(app: Any) -> None:
    assert conversation(app, {}, [b"a" * 65_536] * 1_000) == (413, MOST_BYTES // 65_536 + 1)


def test_a_body_that_does_not_arrive_is_given_up(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.2)
    assert conversation(app, {}, [b"{", None])[0] == 408


def test_a_caller_from_elsewhere_has_a_measure_of_requests(app: Any) -> None:
    buckets = Buckets(lambda: now)
    now = 0.0
    assert all(buckets.take("a") for _ in range(A_MINUTE)) and not buckets.take("a") and buckets.take("b")
    now = 1.0
    assert sum(buckets.take("a") for _ in range(A_MINUTE)) == A_MINUTE // 60


def test_the_measure_is_told_with_429_and_not_used_on_this_machine(
    trained: tuple[Models, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "A_MINUTE", 5)
    app = build(trained[0], f"sqlite:///{tmp_path}/c.sqlite")
    far, near = TestClient(app, client=("198.51.100.1", 1)), TestClient(app, client=("127.0.0.1", 1))
    answers = [far.get("/healthz") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1].headers["retry-after"] and answers[-1].headers["x-content-type-options"] == "nosniff"
    assert [near.get("/healthz").status_code for _ in range(10)] == [200] * 10


def test_requests_beyond_what_is_answered_at_once_are_told_to_come_again(tmp_path: Path) -> None:
    statuses: list[int] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.2)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def many() -> None:
        door = Limits(slow, tmp_path)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "client": ("127.0.0.1", 1)}
        await asyncio.gather(*(door(scope, lambda: asyncio.sleep(1), send) for _ in range(MOST_AT_ONCE + 20)))  # type: ignore[arg-type]

    asyncio.run(many())
    assert (statuses.count(200), statuses.count(429)) == (MOST_AT_ONCE, 20)


def test_uploads_are_refused_while_the_disk_holds_enough_of_them(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    file = {"files": ("a.txt", b"Rain fell.", "text/plain")}
    assert client.post("/gradio_api/upload", files=file).status_code == 200
    assert client.post("/gradio_api/upload", content=b"a", headers={"content-length": str(limits.MOST_UPLOAD + 1)}).status_code == 413
    monkeypatch.setattr(limits, "MOST_KEPT", 0)
    assert client.post("/gradio_api/upload", files=file).status_code == 507


def test_an_upload_comes_back_as_an_attachment_and_no_other_file_does(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("sentinel")
    (path,) = client.post("/gradio_api/upload", files={"files": ("a.html", b"<script>alert(1)</script>", "text/html")}).json()
    answer = client.get(f"/gradio_api/file={path}")
    assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
    root = Path(__file__).parent.parent
    for wanted in (
        tmp_path / "secret.txt",
        root / "pyproject.toml",
        "/etc/passwd",
        f"{path}/../../../../etc/passwd",
        "../../etc/passwd",
        "file:///etc/passwd",
    ):
        for form in (f"/gradio_api/file={wanted}", f"/gradio_api/file/{wanted}", f"/file={wanted}", f"/static/{wanted}", f"/assets/../../{wanted}"):
            answer = client.get(form)
            assert answer.status_code in (403, 404, 405, 422, 500) or "<!doctype html" in answer.text.lower(), form
            assert "sentinel" not in answer.text and "root:" not in answer.text and "build-system" not in answer.text


def test_a_request_that_asks_for_too_much_is_refused_before_it_is_scored(client: TestClient) -> None:
    sentences = {"documents": [{"sentences": ["Rain fell."] * 5_000}], "targets": [f"target {n}" for n in range(20)]}
    answer = client.post("/v1/score", json=sentences)
    assert answer.status_code == 422 and "too many at once" in answer.json()["error"]


def test_a_request_that_takes_too_long_gives_up_its_turn(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LONGEST_SECONDS", 0.0001)
    answer = client.post("/v1/score", json={"documents": [{"sentences": ["Rain fell."] * 1_000}]})
    assert answer.status_code == 429 and answer.headers["retry-after"]
    monkeypatch.undo()
    assert client.post("/v1/score", json={"texts": ["Rain fell."]}).status_code == 200


def test_health_is_told_while_every_thread_scores(client: TestClient) -> None:
    body = {"texts": ["The envoy made an offer of talks. " * 300]}
    threads = [threading.Thread(target=client.post, args=("/v1/score",), kwargs={"json": body}) for _ in range(60)]
    for thread in threads:
        thread.start()
    assert client.get("/healthz").status_code == 200
    for thread in threads:
        thread.join()


def test_headers_stand_on_every_kind_of_answer(client: TestClient, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        client.get("/"), client.get("/docs"), client.get("/v1/nowhere"), client.get("/monitoring"), client.get("/config"),
        client.post("/v1/score", content=b"a" * (2 << 20)), client.post("/v1/score", content=b"{"), client.put("/v1/score"),
    ]  # fmt: skip
    monkeypatch.setattr(serving.Serving, "predict", lambda *_: 1 / 0)
    answers.append(client.post("/v1/score", json={"texts": ["Rain."]}))
    assert [answer.status_code for answer in answers] == [200, 200, 404, 404, 200, 413, 422, 404, 500]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "Traceback" not in answer.text and "ZeroDivision" not in answer.text


def test_the_reference_needs_nothing_from_elsewhere_and_names_every_route(client: TestClient) -> None:
    found = client.get("/docs").text
    assert "http://" not in found and "https://" not in found and "<script" not in found
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in found
    assert "curl -s localhost:7860/v1/score" in found


@pytest.mark.parametrize("lead", ["", " ", "\t", '"', "\ufeff", "'", "''"])
@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])
def test_what_a_spreadsheet_would_run_stands_behind_an_apostrophe(lead: str, mark: str, classifier: Classifier, tmp_path: Path) -> None:
    words = f'{lead}{mark}HYPERLINK("http://evil.example","x")'
    predictions = list(classifier.predict([Sentence(words, words)], [f"{mark}1+1"]))
    with outputs.save(predictions, tmp_path / "a.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    for name in ("prediction.sentence", "prediction.document"):
        assert row[name] == guarded(words) == "'" + words
    assert row["prediction.stance.1.target"].startswith("'") or mark in "\t\r"
    exact = json.loads(outputs.save(predictions, tmp_path / "a.jsonl").read_text())["prediction"]
    assert exact["sentence"] == words


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40))
def test_a_guarded_cell_never_begins_with_a_formula_and_comes_back(text: str) -> None:
    from annotations.bridges.spreadsheet import _unguarded

    assert not guarded(text).lstrip(' "\ufeff').startswith(("=", "+", "-", "@", "\t", "\r"))
    assert guarded(text) in (text, "'" + text)
    assert guarded(text) == text or _unguarded(guarded(text)) == text


def test_a_reader_of_files_reaches_no_network_and_gives_a_bounded_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    for attempt in (
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import subprocess; subprocess.run('true')",
        "import os; os.system('true')",
    ):
        code = f"import sys; from demo import documents; sys.addaudithook(documents._alone)\ntry: {attempt}"
        code += "\nexcept PermissionError: print('refused')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
        assert done.stdout == "refused\n"
    (tmp_path / "a.txt").write_text("word " * (documents.LONGEST // 5 + 1))
    with pytest.raises(documents.InputError, match="more than"):
        documents.read(tmp_path / "a.txt")
    words = "<p>The talks ended at noon on Friday, the envoy said. &x;</p><p>Nothing more was said of it on that day in town.</p>"
    hostile = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><html><body><article>{words}</article></body></html>'
    (tmp_path / "a.html").write_text(hostile)
    try:
        assert "root:" not in documents.read(tmp_path / "a.html")
    except documents.InputError as refused:
        assert "no readable text" in str(refused)
