"""The page /docs: every route of the API from its OpenAPI document, without a script and without anything from another site."""

import html
import json
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a2330;background:#fff}"
    "code,pre{font-family:ui-monospace,monospace;background:#eef2f6}pre{padding:.8rem;overflow:auto}summary{cursor:pointer;padding:.5rem 0}"
    "details{border-top:1px solid #c5ced8}table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}"
)


def routes(app: FastAPI) -> APIRouter:
    """The route of the page, over the application that it describes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs", response_class=Response)
    def docs() -> Response:
        return HTMLResponse(page(app.openapi()))

    return router


def page(document: dict[str, Any]) -> str:
    """An OpenAPI document as HTML: of each route its summary, the shape and an example of its body, and its answers."""
    parts = [_operation(document, path, method, found) for path, methods in document["paths"].items() for method, found in methods.items()]
    about = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(about['title'])}: API</title><style>{_STYLE}</style></head><body><h1>{html.escape(about['title'])}: API</h1>"
        f'<p>{html.escape(about.get("description", ""))} For programs: <a href="openapi.json">openapi.json</a>. A service with tokens wants '
        f"<code>Authorization: Bearer TOKEN</code>.</p>{''.join(parts)}</body></html>"
    )


def _operation(document: dict[str, Any], path: str, method: str, found: dict[str, Any]) -> str:
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    rows = [(item["name"], f"in {item['in']}", _kind(item.get("schema", {}))) for item in found.get("parameters", [])]
    example = ""
    if body is not None:
        shape = _resolved(document, body)
        wanted = shape.get("required", [])
        rows += [(name, "needed" if name in wanted else "", _kind(item)) for name, item in shape.get("properties", {}).items()]
        given = next(iter(shape.get("examples", [])), None)
        if given is not None:
            data = json.dumps(given, ensure_ascii=False, indent=1).replace("'", "'\\''")
            command = f"curl -s localhost:7860{path} -H 'content-type: application/json' -d '{data}'"
            example = f"<pre>{html.escape(command)}</pre>"
    cells = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    answers = ", ".join(f"{code} {item.get('description', '')}".strip() for code, item in found.get("responses", {}).items())
    return (
        f"<details open><summary><b>{method.upper()}</b> <code>{html.escape(path)}</code> {html.escape(found.get('summary', ''))}</summary>"
        f"<table>{cells}</table>{example}<p>Answers: {html.escape(answers)}.</p></details>"
    )


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


def _kind(schema: dict[str, Any]) -> str:
    """A schema in few words: its type, and the most that it takes."""
    choices = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
    words = []
    for choice in choices:
        inner = f" of {_kind(choice['items'])}" if choice.get("items") else ""
        most = next((f", at most {choice[key]:,}" for key in ("maxLength", "maxItems", "maximum") if key in choice), "")
        words.append(f"{choice.get('type') or choice.get('$ref', 'anything').rpartition('/')[2]}{inner}{most}")
    return " or ".join(words)
