"""The REST API under /v1, as the README documents it; errors become status codes here and nowhere else."""

import json
import logging
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from annotations.errors import FramewireError, InputError, StoreError
from annotations.store import Store
from classifier.classifier import LONGEST_TARGET, MOST_TARGETS
from classifier.models import PromotionError
from classifier.sentences import LONGEST_SENTENCE, Sentence
from demo.corrections import Correction, keep
from demo.jobs import FULL
from demo.limits import HEADERS, RETRY_SECONDS
from demo.metrics import Metrics
from demo.serving import LONGEST_TEXT, MOST_TEXTS, BusyError, Serving, cut

log = logging.getLogger("framewire")
NO_ROOM = "The disk is full. Make room, then try again."

Target = Annotated[str, Field(min_length=1, max_length=LONGEST_TARGET)]
Annotator = Annotated[str, Field(min_length=1, max_length=100)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
_EXAMPLE: Any = {"texts": ["The envoy said his government was ready to sign a written guarantee."], "targets": ["the guarantee treaty"]}


class Document(BaseModel):
    """An article: its text, which is cut into sentences, or its sentences in order."""

    model_config = ConfigDict(extra="forbid")
    id: Annotated[str, Field(max_length=500)] = ""
    text: Text | None = None
    sentences: Annotated[list[Annotated[str, Field(max_length=LONGEST_SENTENCE)]], Field(max_length=5_000)] | None = None


class ScoreRequest(BaseModel):
    """Texts or documents, and what the stance is toward."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})
    texts: Annotated[list[Text], Field(max_length=MOST_TEXTS)] | None = None
    documents: Annotated[list[Document], Field(max_length=MOST_TEXTS)] | None = None
    targets: Annotated[list[Target], Field(max_length=MOST_TARGETS)] = []


class ScoreResponse(BaseModel):
    """One prediction for each sentence, in order, in the shape of `framewire score`."""

    model: str
    codebook: str
    predictions: list[dict[str, Any]]


class CorrectionRequest(BaseModel):
    """What a coder says of one sentence: answers by question, as in an annotated row."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "The talks ended at noon.", "answers": {"frames": [], "stance": {"the talks": "neutral"}}, "annotator": "anna"}]
        },
    )
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_SENTENCE)]
    answers: dict[str, Any]
    annotator: Annotator
    document: Annotated[str, Field(max_length=500)] = ""
    note: Annotated[str, Field(max_length=2_000)] = ""
    unsure: bool = False
    key: Annotated[str, Field(max_length=64)] | None = None


class CorrectionResponse(BaseModel):
    """The number under which a correction is kept; it is on disk."""

    correction: int


class PromoteRequest(BaseModel):
    """Which model shall serve, and which one it is to take the place of; names as `framewire models list` shows them."""

    model_config = ConfigDict(extra="forbid")
    model: Annotated[str, Field(min_length=1, max_length=200)]
    instead_of: Annotated[str, Field(min_length=1, max_length=200)]


class PromoteResponse(BaseModel):
    """The model that serves now."""

    model: str


class Problem(BaseModel):
    """What went wrong and what to do."""

    error: str


PROBLEMS: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (400, 401, 403, 404, 405, 408, 413, 421, 422, 429, 500, 503, 507)}


def routes(serving: Serving, store: Store, metrics: Metrics) -> APIRouter:
    """The API's routes over a serving model and a corrections database."""
    router = APIRouter(responses=PROBLEMS)

    @router.post("/v1/score", response_model=ScoreResponse, summary="Frames and stance of every sentence")
    def score(request: ScoreRequest) -> dict[str, Any]:
        classifier = serving.classifier()
        if (request.texts is None) == (request.documents is None):
            raise InputError("Send either 'texts' or 'documents'.", 'For example {"texts": ["..."], "targets": ["..."]}.')
        if request.texts is not None:
            predictions = serving.predict([(str(number), text) for number, text in enumerate(request.texts)], request.targets)
        else:  # all at once, so that one model answers for all
            sentences = [sentence for document in _documents(request) for sentence in _sentences(document)]
            predictions = serving.predict_sentences(sentences, request.targets)
        name, codebook = (predictions[0].model, predictions[0].codebook) if predictions else (classifier.folder.name, classifier.codebook)
        return {"model": name, "codebook": codebook.fingerprint, "predictions": [item.to_dict() for item in predictions]}

    @router.get("/v1/codebook", summary="Questions, labels and their definitions")
    def codebook() -> dict[str, Any]:
        found = serving.classifier().codebook
        return found.to_dict() | {"fingerprint": found.fingerprint}

    @router.get("/v1/model", summary="Which model answers, and how good it is")
    def model() -> dict[str, Any]:
        folder = serving.classifier().folder
        return {"name": folder.name, "codebook": folder.codebook.fingerprint, "report": folder.document("report")}

    @router.put("/v1/model", response_model=PromoteResponse, responses={409: {"model": Problem}}, summary="Promote another model")
    def promote(request: PromoteRequest) -> dict[str, str]:
        if request.model not in serving.models.names():  # a name, never a path
            raise InputError("There is no model of this name.", "See 'framewire models list'.")
        serving.models.promote(serving.models.home / request.model, "by PUT /v1/model", request.instead_of)
        return {"model": request.model}

    @router.post("/v1/corrections", response_model=CorrectionResponse, status_code=201, summary="Keep a coder's correction")
    def correct(request: CorrectionRequest) -> dict[str, int]:
        return {"correction": keep(serving, store, Correction(**request.model_dump()))}

    @router.get("/v1/corrections", summary="The corrections as annotated rows, JSONL", response_class=Response)
    def export(without: Annotated[list[Annotator], Query(max_length=100, description="Coders whose corrections are left out.")] = []) -> Response:  # noqa: B006
        rows = [json.dumps(row.to_dict(), ensure_ascii=False) + "\n" for row in store.rows(serving.classifier().codebook, frozenset(without))]
        headers = {"Content-Disposition": 'attachment; filename="corrections.jsonl"'}
        return Response("".join(rows), media_type="application/x-ndjson", headers=headers)

    @router.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:  # waits for no thread, so that it answers while all of them score
        return {"status": "ok"}

    @router.get("/readyz", summary="A model is open and the database answers")
    def readyz() -> dict[str, str]:
        store.ping()
        return {"status": "ready", "model": serving.classifier().folder.name}

    @router.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    def measured() -> Response:
        folder = serving.classifier().folder
        return Response(metrics.text(folder.name, folder.codebook.fingerprint), media_type="text/plain; version=0.0.4")

    return router


def _documents(request: ScoreRequest) -> list[Document]:
    documents = request.documents or []
    for document in documents:
        if (document.text is None) == (document.sentences is None):
            raise InputError("A document has either 'text' or 'sentences'.")
    return [document.model_copy(update={"id": document.id or str(number)}) for number, document in enumerate(documents)]


def _sentences(document: Document) -> list[Sentence]:
    if document.sentences is None:
        return cut(document.id, document.text or "")
    texts = [" ".join(text.split()) for text in document.sentences]
    if not all(texts):
        raise InputError("A sentence is empty.", "Leave it out.")
    before = ["", *texts]
    return [Sentence(text, document.id, position, before[position]) for position, text in enumerate(texts)]


def handle_errors(app: FastAPI) -> None:
    """Turn every error into a short JSON answer that repeats nothing of the request."""

    @app.exception_handler(FramewireError)
    def framewire(_: Request, error: FramewireError) -> JSONResponse:
        if isinstance(error, BusyError):
            return _answer(429, str(error), {"Retry-After": str(RETRY_SECONDS)})
        if isinstance(error, PromotionError):
            return _answer(409, str(error))
        return _answer(getattr(error, "status", 503 if isinstance(error, StoreError) else 422), str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # FastAPI's own answer repeats the input, and fails on bytes and NaN.
        faults = [f"{'.'.join(str(part) for part in item['loc'][1:])[:100] or 'body'}: {item['type']}" for item in error.errors()[:5]]
        clean = "; ".join(faults).encode("ascii", "replace").decode()
        return _answer(422, f"The request does not fit: {clean}. See /docs.")

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL:  # an upload that did not fit on the disk
            return _answer(507, NO_ROOM)
        if error.status_code == 400:  # FastAPI's word for a body that is no text or nested too deep
            return _answer(422, "The request does not fit: body: not JSON. See /docs.")
        return _answer(error.status_code, {404: "No such page.", 405: "Method not allowed."}.get(error.status_code, "Refused."), error.headers)

    @app.exception_handler(OSError)
    def disk(request: Request, error: OSError) -> JSONResponse:
        return _answer(507, NO_ROOM) if error.errno in FULL else unforeseen(request, error)

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> JSONResponse:
        route = getattr(request.scope.get("route"), "path", "other")
        log.error("unforeseen", extra={"fields": {"error": type(error).__name__, "route": route}})
        return _answer(500, "Something went wrong here; it has been logged.", HEADERS)  # made outside the middleware that sets them


def _answer(status: int, words: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": words}, status_code=status, headers=dict(headers) if headers else None)
