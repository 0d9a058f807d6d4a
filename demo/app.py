"""One process for the page and the API: a FastAPI application with the Gradio page mounted on it."""

from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from gradio.utils import get_upload_folder

from annotations.store import Store
from classifier.models import Models
from demo import access, api, job_routes, page, purge, reference
from demo.access import Access, Guard, Lockout
from demo.jobs import Jobs
from demo.limits import MOST_UPLOAD, Limits, SecureHeaders
from demo.metrics import Metrics, Watch
from demo.retrain import Base
from demo.serving import Serving

JOBS = "jobs"  # the folder of jobs, beside the models
QUEUE = 32


def build(models: Models, database: str, fixed: Path | None = None, allowed: Access | None = None, base: Base | None = None) -> FastAPI:
    """The service over the promoted model (or the one at `fixed`) and the corrections database at a URL.

    `allowed` says who may do what; a retrain starts from `base`.

    Raises ModelFolderError or StoreError when either cannot be opened.
    """
    serving, store, metrics = Serving(models, fixed), Store(database), Metrics()
    jobs = Jobs(models.home.resolve() / JOBS)
    jobs.resume()
    uploads = Path(get_upload_folder())
    app = FastAPI(
        title="Framewire",
        description="Frames and stance in news, sentence by sentence.",
        docs_url=None,
        redoc_url=None,
        lifespan=lambda _: purge.purging(uploads, jobs, store),
    )
    app.include_router(api.routes(serving, store, metrics))
    app.include_router(job_routes.routes(jobs, serving))
    api.handle_errors(app)
    blocks = page.build(serving, store, jobs, base or Base())
    allowed, lockout = allowed or Access(), Lockout()
    app.include_router(access.routes(allowed, lockout))
    app.include_router(reference.routes(app))
    functions = {number: (str(function.name), str(function.api_name)) for number, function in blocks.fns.items()}
    app.add_middleware(Guard, access=allowed, lockout=lockout, functions=lambda: functions)
    app.add_middleware(Limits, uploads=uploads)
    app.add_middleware(SecureHeaders)
    app.add_middleware(Watch, metrics=metrics)  # the last added is the outermost: it sees every answer

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
