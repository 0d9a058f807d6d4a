"""Bad input of every kind: no 5xx, no traceback, no echo, no hang. FRAMEWIRE_CASES is how many are tried; 100,000 by night."""

import json
import os
import random
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations import rows as annotated
from annotations.__main__ import TOOLS
from annotations.codebook import Codebook
from annotations.errors import FramewireError
from classifier import files
from classifier.files import Columns
from classifier.models import Models
from classifier.sentences import LONGEST_SENTENCE, split
from demo.app import build
from training.train import Run

CASES = int(os.environ.get("FRAMEWIRE_CASES", "300"))
SPLITTER, READERS, BRIDGES, CODEBOOKS, RAW, SCHEMA = (CASES * share // 100 for share in (25, 20, 15, 15, 15, 10))
LONGEST_REPLY = 4_096  # bytes of a refusal
SECONDS = 10  # that no case may take
QUICK = {"deadline": SECONDS * 1_000, "suppress_health_check": list(HealthCheck), "database": None}


@pytest.fixture(scope="module")
def app(trained: tuple[Models, Run], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(trained[0], f"sqlite:///{tmp_path_factory.mktemp('db')}/c.sqlite")


@pytest.fixture(scope="module")
def client(app: Any) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@settings(max_examples=SPLITTER, **QUICK)
@given(st.text(max_size=2_000) | st.text(alphabet=st.sampled_from('aA.!?…,;: \n\t"”’)1éЖ\u200b\u2028\ufeff\ud800-'), max_size=2_000))
def test_sentences_of_any_text_lead_back_to_it(text: str) -> None:
    end = 0
    for sentence in split(text):
        assert end <= sentence.start < sentence.end <= len(text)
        assert " ".join(text[sentence.start : sentence.end].split()) == sentence.text and len(sentence.text) <= LONGEST_SENTENCE
        end = sentence.end


@pytest.mark.parametrize("character", ["a", ".", " ", "\n", '"', "A", "é", "1"])
def test_five_million_of_one_character_are_split_in_seconds(character: str) -> None:
    split("Warm. Up.")
    begun = time.process_time()
    split(character * 5_000_000)
    assert time.process_time() - begun < 5


@pytest.mark.slow
def test_five_million_of_any_one_character_are_split_in_seconds() -> None:
    split("Warm. Up.")
    for number in [*range(128), 0xA0, 0xAD, 0x200B, 0x2028, 0x2029, 0x201C, 0x2026, 0x3002, 0xD800, 0xFEFF, 0x1F600]:
        begun = time.process_time()
        split(chr(number) * 5_000_000)
        assert time.process_time() - begun < 5, f"U+{number:04X}"


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["text", "id", "label", "frames", "stance", "data", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
LINES = st.lists(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()), max_size=6).map(b"\n".join)


@settings(max_examples=READERS, **QUICK)
@given(
    content=st.binary(max_size=300) | LINES | st.text(max_size=300).map(lambda text: text.encode(errors="replace")),
    ending=st.sampled_from(files.ROW_ENDINGS + files.DOCUMENT_ENDINGS),
)
def test_any_file_is_read_or_refused_in_words(content: bytes, ending: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"in{ending}"
        path.write_bytes(content)
        try:
            for record in files.read(str(path), Columns()):
                assert (record.text is None) <= (record.fault is not None)
        except FramewireError as error:
            assert str(path) in str(error) and "Traceback" not in str(error)


ROW = st.dictionaries(
    st.sampled_from(["id", "document", "text", "frames", "stance", "annotator", "split", "unsure", "note", "x"]), VALUES, max_size=8
)


@settings(max_examples=BRIDGES, **QUICK)
@given(
    content=LINES | st.binary(max_size=200) | st.lists(ROW, max_size=3).map(lambda found: "\n".join(map(json.dumps, found)).encode()),
    tool=st.sampled_from(["rows", *TOOLS]),
)
def test_any_export_is_read_or_refused_in_words(content: bytes, tool: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("in.csv" if tool == "csv" else "in.jsonl")
        path.write_bytes(content)
        try:
            annotated.read(path, BOOK) if tool == "rows" else TOOLS[tool][0](path, BOOK)
        except FramewireError as error:
            assert "Traceback" not in str(error)


BOOK = Codebook.load()
QUESTION = st.dictionaries(
    st.sampled_from(["name", "text", "choose", "per_target", "label", "x"]), VALUES | st.just("any") | st.just("frames"), max_size=6
)


@settings(max_examples=CODEBOOKS, **QUICK)
@given(st.one_of(VALUES, st.fixed_dictionaries({"question": st.lists(QUESTION, max_size=3)}, optional={"name": VALUES})))
def test_any_codebook_is_taken_or_refused_in_words(shape: Any) -> None:
    try:
        book = Codebook.from_dict(shape)
    except FramewireError as error:
        assert "Traceback" not in str(error)
    else:
        assert Codebook.from_dict(book.to_dict()) == book and len(book.fingerprint) == 64


@settings(max_examples=max(1, CODEBOOKS // 10), **QUICK)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
def test_any_codebook_file_is_taken_or_refused_in_words(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.toml"
        path.write_bytes(content)
        try:
            Codebook.load(path)
        except FramewireError as error:
            assert str(path) in str(error)
        else:
            assert tomllib.loads(content.decode("utf-8-sig"))


POSTS = ["/v1/score", "/v1/corrections", "/gradio_api/queue/join", "/gradio_api/call/read", "/gradio_api/run/read", "/gradio_api/reset", "/login"]
SENTINEL = "Zq7sentinel"


def body(draw: random.Random) -> bytes:
    """One hostile body: bytes that are no text, half characters, NaN, nesting, long numbers, doubled keys, wrong kinds, cut-off and marked JSON."""
    good: dict[str, Any] = draw.choice([
        {"texts": [f"Rain fell. {SENTINEL}"], "targets": ["the pact"]},
        {"documents": [{"id": "a", "text": SENTINEL}]},
        {"text": SENTINEL, "answers": {"frames": [], "stance": {"x": "favor"}}, "annotator": "anna", "key": None},
        {"data": [SENTINEL, "x"], "fn_index": 0, "session_hash": "x"},
    ])  # fmt: skip
    text = json.dumps(good)
    kinds: list[Any] = [
        lambda: bytes(draw.randrange(256) for _ in range(draw.randrange(200))),
        lambda: text.replace(SENTINEL, "\\ud800" + SENTINEL).encode(),
        lambda: text.encode()[: draw.randrange(len(text))],
        lambda: b"\xef\xbb\xbf" + text.encode(),
        lambda: text.encode("utf-16"),
        lambda: draw.choice([b"[", b'{"a":', b'{"texts":[', b'"']) * draw.choice([10, 1_000, 100_000]),
        lambda: text.replace(
            json.dumps(SENTINEL), draw.choice(["NaN", "Infinity", "1e999", "9" * 5_000, "-0", "null", "true", "[]", "{}", '"\\u0000"'])
        ).encode(),
        (text[:-1] + ", " + text[1:]).encode,
        lambda: json.dumps({key: draw.choice([None, 1, 1.5, True, "", [], {}, [None], [[]], {"a": {}}, SENTINEL * 50]) for key in good}).encode(),
        lambda: json.dumps(good | {SENTINEL: SENTINEL}).encode(),
        lambda: b"",
    ]
    made: bytes = draw.choice(kinds)()
    return made


TYPES = [
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "",
    "\xff",
    None,
]


def test_no_raw_body_gives_a_server_fault_or_comes_back(client: TestClient) -> None:
    draw = random.Random(1)
    for number in range(RAW):
        path, content, kind = draw.choice(POSTS), body(draw), draw.choice(TYPES)
        begun = time.monotonic()
        answer = client.post(path, content=content, headers={} if kind is None else {"content-type": kind.encode("latin-1")})
        said = f"case {number}: {path} {kind} {content[:200]!r} -> {answer.status_code} {answer.text[:200]}"
        assert time.monotonic() - begun < SECONDS, said
        assert answer.status_code < 500, said
        if answer.status_code >= 400:
            assert len(answer.content) <= LONGEST_REPLY and "Traceback" not in answer.text and "/site-packages/" not in answer.text, said
            assert SENTINEL not in answer.text, said


@pytest.mark.parametrize("phase", ["given", "ours"])
def test_the_contract_holds_for_generated_requests(phase: str, app: Any) -> None:
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 8
    wanted = [operation for operation in operations if (operation.method == "post") == (phase == "ours")]
    for operation in wanted:

        @settings(max_examples=max(5, SCHEMA // len(operations)), **QUICK)
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            case.call_and_validate(checks=[not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance])

        holds()
