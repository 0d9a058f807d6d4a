"""What the service counts and logs of each request: route, status and time, never a text."""

import json
import logging
import time
from collections.abc import MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("framewire.requests")
SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # upper bounds of the histogram's buckets
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("framewire_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry)
        self.seconds = Histogram("framewire_request_seconds", "Time to answer.", ["route"], buckets=SECONDS, registry=self._registry)
        self._model = Gauge("framewire_model_info", "The model that answers now.", ["model", "codebook"], registry=self._registry)

    def text(self, model: str, codebook: str) -> bytes:
        """Everything in the Prometheus text format 0.0.4."""
        self._model.clear()
        self._model.labels(model, codebook).set(1)
        return generate_latest(self._registry)


class Watch:
    """Middleware that counts and logs every request when it has been answered."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500  # unless an answer was begun
        begun = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - begun
            route = _route(scope)
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            log.info("request", extra={"fields": {"method": method, "route": route, "status": status, "milliseconds": round(seconds * 1000, 1)}})


def _route(scope: MutableMapping[str, Any]) -> str:
    """The route's template, so that labels stay few and no path of a visitor's is kept."""
    return getattr(scope.get("route"), "path", None) or "other"


class Lines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        shape = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)), "level": record.levelname, "event": record.getMessage()}
        return json.dumps(shape | getattr(record, "fields", {}), ensure_ascii=True)


def log_to_stderr() -> None:
    """Send the service's log lines to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logger = logging.getLogger("framewire")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
