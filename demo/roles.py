"""Roles, and which one every route and page function needs.

A new route or page function is declared in ROUTES or FUNCTIONS; tests/test_access.py fails for one that is not, and a service with
tokens refuses it.
"""

import enum
import re


class Role(enum.IntEnum):
    """What a caller may do; each role may do what the ones before it may. CLOSED is for routes that nobody may use."""

    PUBLIC = 0
    READ = 1
    CORRECT = 2
    RETRAIN = 3
    CLOSED = 9


# Each route as "METHOD /template", or "* /template" for all methods; a template's {name:path} takes slashes. HEAD goes by GET.
ROUTES: dict[str, Role] = {
    "GET /healthz": Role.PUBLIC,
    "GET /readyz": Role.PUBLIC,
    "GET /login": Role.PUBLIC,
    "POST /login": Role.PUBLIC,
    "POST /logout": Role.PUBLIC,
    "POST /v1/score": Role.READ,
    "POST /v1/jobs": Role.READ,
    "GET /v1/jobs/{job}": Role.READ,
    "DELETE /v1/jobs/{job}": Role.READ,
    "GET /v1/jobs/{job}/result": Role.READ,
    "GET /v1/jobs/{job}/tables/{table}.csv": Role.READ,
    "GET /v1/codebook": Role.READ,
    "GET /v1/model": Role.READ,
    "PUT /v1/model": Role.RETRAIN,
    "GET /metrics": Role.READ,
    "GET /docs": Role.READ,
    "GET /openapi.json": Role.READ,
    "POST /v1/corrections": Role.CORRECT,
    "GET /v1/corrections": Role.CORRECT,
    # The page. Calls of its functions go by FUNCTIONS besides.
    **{
        f"GET {path}": Role.READ
        for path in (
            *("/", "/config", "/config/", "/theme.css", "/static/{path:path}", "/assets/{path:path}", "/svelte/{path:path}", "/favicon.ico"),
            *("/manifest.json", "/pwa_icon", "/pwa_icon/{size}", "/gradio_api/theme.css", "/gradio_api/info", "/gradio_api/info/"),
            *("/gradio_api/openapi.json", "/gradio_api/app_id", "/gradio_api/app_id/", "/gradio_api/user", "/gradio_api/user/"),
            *("/gradio_api/login_check", "/gradio_api/login_check/", "/gradio_api/startup-events", "/gradio_api/heartbeat/{session_hash}"),
            *("/gradio_api/queue/data", "/gradio_api/queue/status", "/gradio_api/upload_progress", "/gradio_api/file={path_or_url:path}"),
            *("/gradio_api/file/{path:path}", "/gradio_api/call/{api_name}/{event_id}", "/gradio_api/call/v2/{api_name}/{event_id}"),
        )
    },
    **{f"POST /gradio_api/{path}": Role.READ for path in ("upload", "reset", "reset/", "cancel", "queue/join")},
    **{f"POST /gradio_api/{door}/{{api_name}}{end}": Role.READ for door in ("call", "call/v2") for end in ("", "/")},
    # Calls past the queue, and so past its bounds.
    **{f"POST /gradio_api/{door}/{{api_name}}{end}": Role.CLOSED for door in ("run", "api") for end in ("", "/")},
    "GET /robots.txt": Role.PUBLIC,
    # What Gradio brings along and this page has no use for: other sites' files, streams, code editing, counters of its own.
    **{
        f"* {path}": Role.CLOSED
        for path in (
            *("/gradio_api/proxy={url_path:path}", "/gradio_api/stream/{rest:path}", "/gradio_api/component_server", "/gradio_api/component_server/"),
            *("/gradio_api/process_recording", "/gradio_api/dev/reload", "/gradio_api/deep_link", "/gradio_api/runs", "/gradio_api/runs/"),
            *("/gradio_api/run-history/{rest:path}", "/gradio_api/custom_component/{rest:path}", "/gradio_api/token", "/gradio_api/token/"),
            *("/gradio_api/vibe-edit", "/gradio_api/vibe-edit/", "/gradio_api/undo-vibe-edit", "/gradio_api/undo-vibe-edit/"),
            *("/gradio_api/vibe-code", "/gradio_api/vibe-code/", "/gradio_api/vibe-starter-queries", "/gradio_api/vibe-starter-queries/"),
            *("/gradio_api/profiling/{rest:path}", "/monitoring", "/monitoring/{key:path}", "/login/"),
        )
    },
    "GET /logout": Role.CLOSED,  # Gradio's own, which works by a link from anywhere
}
# The page's functions by their Python names; lambdas only hand a value on.
FUNCTIONS: dict[str, Role] = {
    "read": Role.READ,
    "fill": Role.READ,
    "_file": Role.READ,
    "load_example": Role.READ,
    "<lambda>": Role.READ,
    "None": Role.READ,  # runs in the browser alone
    **dict.fromkeys(("_opened", "_allowed", "_keep", "_reopen", "_drove"), Role.READ),
    **dict.fromkeys(("_columns", "_start_corpus", "look_corpus", "_compare", "_cancel_corpus"), Role.READ),
    **dict.fromkeys(("_start_retrain", "look_retrain", "_cancel_retrain", "_promote", "_rollback"), Role.RETRAIN),
    "save": Role.CORRECT,
    "undo": Role.CORRECT,
}


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+(?::path)?\})", template)
    return re.compile(
        "".join((".*" if part.endswith(":path}") else "[^/]+") if part.startswith("{") else re.escape(part) for part in parts), re.DOTALL
    )


_PATTERNS = [(key.partition(" ")[0], _pattern(key.partition(" ")[2]), role) for key, role in ROUTES.items()]


def role_of(method: str, path: str) -> Role | None:
    """The role that a request needs, or None where nobody declared one."""
    method = "GET" if method == "HEAD" else method
    found = [role for declared, pattern, role in _PATTERNS if declared in (method, "*") and pattern.fullmatch(path)]
    return max(found) if found else None
