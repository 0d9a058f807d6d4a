"""What a request may cost before anybody looks at it: bytes, seconds, requests at once and a minute; and the headers on every answer."""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.access import MOST_ADDRESSES, address_of

MOST_BYTES = 1 << 20  # of a request's body
MOST_UPLOAD = 50_000_000 + (1 << 20)  # of a request that uploads files: one of corpus.LARGEST, and what a form writes around it
MOST_KEPT = 200 << 20  # bytes of uploads that lie on the disk at once, until the page's purge removes them
DOWNLOADED = "downloads"  # the folder of what the page hands out, among the uploads
BODY_SECONDS = 30  # a body must have arrived by then
UPLOAD_SECONDS = 300  # and a file
MOST_AT_ONCE = 256  # requests being answered, besides those that wait for the page's events
A_MINUTE = 1_200  # requests from one address, unless it is this machine's own
RETRY_SECONDS = 2
UPLOADS = ("/gradio_api/upload", "/v1/jobs")
# In place of Gradio's own words, which repeat what was sent. A full queue is no fault of the service: come again.
_PAGE_FAULTS = {503: (429, "The service is busy. Try again in a few seconds."), 422: (422, "The page's call does not fit.")}
_STREAMS = ("/gradio_api/queue/data", "/gradio_api/heartbeat/", "/gradio_api/upload_progress", "/gradio_api/call/")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    # Gradio's page needs inline scripts and eval; what that leaves to a script that got in is why texts are escaped where they are shown.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'self'; base-uri 'self'; "
        "form-action 'self'; object-src 'none'"
    ),
}


class SecureHeaders:
    """Middleware that puts HEADERS on every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, secured if scope["type"] == "http" else send)


class Buckets:
    """A_MINUTE requests for each address, refilled evenly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, address: str) -> bool:
        """Whether one more request of this address is within its measure."""
        now = self._clock()
        if address not in self._left and len(self._left) >= MOST_ADDRESSES:
            self._left = {key: (left, at) for key, (left, at) in self._left.items() if left + (now - at) * A_MINUTE / 60 < A_MINUTE}
            if len(self._left) >= MOST_ADDRESSES:
                address = "many"
        left, at = self._left.get(address, (A_MINUTE, now))
        left = min(A_MINUTE, left + (now - at) * A_MINUTE / 60)
        self._left[address] = (max(0.0, left - 1), now)
        return left >= 1


class Limits:
    """Middleware that refuses early, in words: 413 too large, 408 too slow, 429 too many, 507 no room for uploads."""

    def __init__(self, app: ASGIApp, uploads: Path, buckets: Buckets | None = None) -> None:
        """`uploads` is the folder where the page keeps what is uploaded."""
        self.app, self._uploads, self._buckets = app, uploads, buckets or Buckets()
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not _own(address_of(scope)) and not self._buckets.take(address_of(scope)):
            await _refuse(scope, receive, send, 429, f"At most {A_MINUTE:,} requests a minute.", retry=True)
            return
        if scope["method"] == "GET" and scope["path"].startswith(_STREAMS):
            await self._bounded(scope, receive, send)
            return
        if self._at_once >= MOST_AT_ONCE:
            await _refuse(scope, receive, send, 429, "The service is busy. Try again in a few seconds.", retry=True)
            return
        self._at_once += 1
        try:
            await self._bounded(scope, receive, send)
        finally:
            self._at_once -= 1

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        most, seconds = (MOST_UPLOAD, UPLOAD_SECONDS) if scope["path"] in UPLOADS else (MOST_BYTES, BODY_SECONDS)
        too_large = (413, f"The request is too large; send at most {most:,} bytes.")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > most:
            await _refuse(scope, receive, send, *too_large)
            return
        if scope["method"] == "POST" and scope["path"].startswith("/gradio_api/") and scope["path"] not in UPLOADS:
            kind = dict(scope["headers"]).get(b"content-type", b"")
            if not kind.lower().startswith(b"application/json"):  # Gradio fails on the rest with a 500
                await _refuse(scope, receive, send, *_PAGE_FAULTS[422])
                return
        if scope["path"] in UPLOADS and await asyncio.to_thread(_size, self._uploads) > MOST_KEPT:
            await _refuse(scope, receive, send, 507, "There is no room for more files now. Paste the text, or try again in an hour.")
            return
        deadline = time.monotonic() + seconds
        read, whole, started = 0, False, False
        fault: tuple[int, str] | None = None

        async def limited() -> Message:
            nonlocal read, whole, fault
            if whole:
                return await receive()
            if fault is not None:
                return {"type": "http.disconnect"}
            try:
                message = await asyncio.wait_for(receive(), max(0.01, deadline - time.monotonic()))
            except TimeoutError:
                fault = (408, f"The request did not arrive within {seconds} seconds.")
                return {"type": "http.disconnect"}
            read += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if read > most:
                fault = too_large
                return {"type": "http.disconnect"}
            return message

        async def watched(message: Message) -> None:
            nonlocal started, fault
            status = message.get("status", 0)
            if fault is None and status >= 400 and scope["path"].startswith("/gradio_api/"):
                fault = _PAGE_FAULTS.get(status) or (status, "The page's call was refused.")
            if fault is not None and not started:
                return  # what the application makes of a body that breaks off, and what Gradio repeats of a bad one, is not the answer
            started = True
            await send(message)

        try:
            await self.app(scope, limited, watched)
        except Exception:
            if fault is None or started:
                raise
        if fault is not None and not started:
            await _refuse(scope, receive, send, *fault, retry=fault[0] == 429)


def _own(address: str) -> bool:
    try:
        return ipaddress.ip_network(address).is_loopback
    except ValueError:
        return False


def _size(folder: Path) -> int:
    """Bytes of the uploads; the downloads beside them have a limit of their own."""
    total = 0
    for file in folder.rglob("*"):
        if file.relative_to(folder).parts[0] == DOWNLOADED:
            continue
        try:
            total += file.stat().st_size
        except OSError:  # purged meanwhile
            continue
    return total


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, words: str, retry: bool = False) -> None:
    headers: Mapping[str, str] = {"Connection": "close"} | ({"Retry-After": str(RETRY_SECONDS)} if retry else {})
    await JSONResponse({"error": words, "detail": words}, status, dict(headers))(scope, receive, send)
