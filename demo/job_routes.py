"""Corpus jobs over REST: send a file, ask how far it is, fetch the scored lines and the tables, cancel or remove."""

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel

from annotations.errors import InputError
from demo import corpus
from demo.api import PROBLEMS
from demo.corpus import Wanted
from demo.jobs import Jobs, NoJobError
from demo.serving import Serving

_KINDS = {"jsonl": (corpus.SCORED, "application/x-ndjson"), "csv": (corpus.TABLE, "text/csv")}
Table = Literal["groups", "weeks", "strongest", "documents"]
Column = Annotated[str | None, Form(max_length=500)]


class JobResponse(BaseModel):
    """Where a job is: "waiting", "running", "done", "failed" or "cancelled"; `share` of the work in [0, 1]; `words` for a reader."""

    id: str
    state: str
    share: float
    words: str
    counts: dict[str, int]
    model: str


def routes(jobs: Jobs, serving: Serving) -> APIRouter:
    """The routes under /v1/jobs."""
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=PROBLEMS)

    def answer(job: str) -> dict[str, Any]:
        state = jobs.state(job)
        model = Path(folder(job)[1]["settings"]["model"]).name
        return {"id": job, "state": state.state, "share": state.share, "words": state.words, "counts": state.counts, "model": model}

    def folder(job: str) -> tuple[Path, dict[str, Any]]:
        about = jobs.describe(job)
        if about["kind"] != "corpus":
            raise NoJobError("There is no job of this id.")
        return jobs.folder(job), about

    @router.post("", response_model=JobResponse, status_code=202, summary="Score a file of texts (CSV, JSONL, Parquet or a zip)")
    def create(
        file: Annotated[UploadFile, File(description=f"One of {', '.join(corpus.ENDINGS)}.")],
        targets: Annotated[list[str] | None, Form(description="What the stance is toward; may be repeated.")] = None,
        text_column: Annotated[str, Form(max_length=500)] = "text",
        document_column: Column = None,
        group_column: Column = None,
        date_column: Column = None,
        target_column: Column = None,
        unit: Annotated[str, Form()] = "document",
    ) -> dict[str, Any]:
        wanted = Wanted(text_column, document_column, group_column, date_column, target_column, unit, tuple(targets or ()))
        return answer(corpus.receive(jobs, serving, file.file, file.filename or "", wanted))

    @router.get("/{job}", response_model=JobResponse, summary="How far a job is")
    def state(job: str) -> dict[str, Any]:
        folder(job)
        return answer(job)

    @router.get("/{job}/result", summary="The scored lines, as framewire score writes them", response_class=FileResponse)
    def result(job: str, format: Literal["jsonl", "csv"] = "jsonl") -> FileResponse:
        name, kind = _KINDS[format]
        return sent(job, name, kind)

    @router.get("/{job}/tables/{table}.csv", summary="The numbers behind a plot, CSV", response_class=FileResponse)
    def table(job: str, table: Table) -> FileResponse:
        return sent(job, f"{table}.csv", "text/csv")

    def sent(job: str, name: str, kind: str) -> FileResponse:
        place, _ = folder(job)
        if jobs.state(job).state != "done":
            raise InputError("The job is not done.", "Ask for its state.")
        return FileResponse(place / name, media_type=kind, filename=f"framewire-{name}")

    @router.delete("/{job}", summary="Cancel an open job; remove one that has ended, with all its files")
    def delete(job: str) -> dict[str, str]:
        folder(job)
        if jobs.state(job).open:
            jobs.cancel(job)
            return {"state": "cancelled"}
        jobs.delete(job)
        return {"state": "deleted"}

    return router
