"""One process for the page and the API: a FastAPI application with the Gradio page mounted on it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotations.store import Store
from classifier.models import Models
from demo import api, corpus, job_routes, page
from demo.jobs import Jobs
from demo.metrics import Metrics, Watch
from demo.retrain import Base
from demo.serving import Serving

MOST_BYTES = 1 << 20  # of a request's body under /v1
MOST_UPLOAD = corpus.LARGEST + MOST_BYTES  # a file and what a form writes around it
JOBS = "jobs"  # the folder of jobs, beside the models
QUEUE = 32
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'self'; base-uri 'self'; object-src 'none'"
    ),
}


def build(models: Models, database: str, fixed: Path | None = None, base: Base | None = None) -> FastAPI:
    """The service over the promoted model (or the one at `fixed`) and the corrections database at a URL; a retrain starts from `base`.

    Raises ModelFolderError or StoreError when either cannot be opened.
    """
    serving, store, metrics = Serving(models, fixed), Store(database), Metrics()
    jobs = Jobs(models.home.resolve() / JOBS)
    jobs.resume()
    app = FastAPI(title="Framewire", description="Frames and stance in news, sentence by sentence.", docs_url="/docs", redoc_url=None)
    app.include_router(api.routes(serving, store, metrics))
    app.include_router(job_routes.routes(jobs, serving))
    api.handle_errors(app)
    app.add_middleware(_BodyLimit)

    @app.middleware("http")
    async def secure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    app.add_middleware(Watch, metrics=metrics)  # the last added is the outermost: it sees every answer

    blocks = page.build(serving, store, jobs, base or Base())
    blocks.queue(max_size=QUEUE, default_concurrency_limit=2)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=page.THEME,
        # In the head: what goes through css_paths is rewritten rule by rule, and rules with :is() or in @media do not survive it.
        head=f"<style>{page.CSS.read_text(encoding='utf-8')}</style><script>{page.SCRIPT.read_text(encoding='utf-8')}</script>",
        show_error=False,
        max_file_size=MOST_UPLOAD,
        footer_links=["api"],
        ssr_mode=False,
    )
    return mounted


class _TooLargeError(Exception):
    pass


class _BodyLimit:
    """Refuse bodies under /v1 over MOST_BYTES with 413, by their announced length or, without one, as soon as they exceed it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1"):
            await self.app(scope, receive, send)
            return
        most = MOST_UPLOAD if scope["path"] == "/v1/jobs" else MOST_BYTES
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            await _refuse(send, most)
            return
        read = 0
        started = False

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise _TooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, limited, watched)
        except _TooLargeError:
            if not started:
                await _refuse(send, most)


async def _refuse(send: Send, most: int) -> None:
    body = f'{{"error":"The request is too large; send at most {most:,} bytes."}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
