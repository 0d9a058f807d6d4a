"""Nobody gets in without a token that allows it, and no route or page function is without a declared role."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from annotations.errors import InputError
from classifier.models import Models
from demo.access import COOKIE, LOOPBACK, SESSION_SECONDS, WRONG_A_MINUTE, Access, Lockout, check_address
from demo.app import build
from demo.roles import FUNCTIONS, ROUTES, Role, role_of
from training.train import Run

TOKENS = {Role.READ: "r" * 30, Role.CORRECT: "c" * 30, Role.RETRAIN: "t" * 30}
ACCESS = Access.parse("\n".join(f"{role.name.lower()}:{token} # {role.name}" for role, token in TOKENS.items()))
ROLES: list[Role | None] = [None, *TOKENS]


@pytest.fixture(scope="module")
def app(trained: tuple[Models, Run], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(trained[0], f"sqlite:///{tmp_path_factory.mktemp('db')}/c.sqlite", allowed=ACCESS)


@pytest.fixture
def client(app: Any) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def bearer(role: Role | None) -> dict[str, str]:
    return {} if role is None else {"authorization": f"Bearer {TOKENS[role]}"}


def all_routes(routes: Any) -> Iterator[tuple[str, str]]:
    """Every (method, template) of an application, through mounted and included ones."""
    for route in routes:
        inner = getattr(getattr(route, "original_router", None), "routes", None) or getattr(route, "routes", None)
        if inner:
            yield from all_routes(inner)
            continue
        for method in getattr(route, "methods", None) or ():
            yield method, route.path


def test_every_route_has_a_declared_role(app: Any) -> None:
    found = set(all_routes(app.routes))
    assert ("POST", "/v1/score") in found and ("POST", "/gradio_api/queue/join") in found and len(found) > 80
    undeclared = sorted(f"{method} {path}" for method, path in found if role_of(method, path) is None)
    assert not undeclared, f"declare their roles in demo/roles.py, ROUTES: {undeclared}"


def test_every_api_route_is_declared_by_its_own_template(app: Any) -> None:
    ours = {f"{method} {path}" for method, path in all_routes(app.routes) if path.startswith("/v1") or "/" not in path[1:]}
    assert not {key for key in ours if key.startswith(("GET /v1", "POST /v1", "DELETE /v1", "PUT /v1"))} - set(ROUTES)


def test_every_page_function_has_a_declared_role(app: Any, trained: tuple[Models, Run], tmp_path: Path) -> None:
    from annotations.store import Store
    from demo import page
    from demo.jobs import Jobs
    from demo.retrain import Base
    from demo.serving import Serving

    blocks = page.build(Serving(trained[0]), Store(f"sqlite:///{tmp_path}/c.sqlite"), Jobs(tmp_path / "jobs"), Base())
    names = {str(function.name) for function in blocks.fns.values()}
    assert {"read", "save", "undo"} <= names
    assert not names - set(FUNCTIONS), "declare their roles in demo/roles.py, FUNCTIONS"


REQUESTS = [
    ("GET", "/healthz", Role.PUBLIC, None),
    ("GET", "/readyz", Role.PUBLIC, None),
    ("GET", "/robots.txt", Role.PUBLIC, None),
    ("GET", "/", Role.READ, None),
    ("HEAD", "/", Role.READ, None),
    ("GET", "/config", Role.READ, None),
    ("GET", "/metrics", Role.READ, None),
    ("GET", "/openapi.json", Role.READ, None),
    ("GET", "/v1/model", Role.READ, None),
    ("GET", "/v1/codebook", Role.READ, None),
    ("POST", "/v1/score", Role.READ, {"texts": ["Rain fell."]}),
    ("GET", "/v1/corrections", Role.CORRECT, None),
    ("POST", "/v1/corrections", Role.CORRECT, {"text": "Rain fell.", "answers": {"frames": []}, "annotator": "anna", "key": "roles"}),
    ("GET", "/gradio_api/proxy=http://127.0.0.1/", Role.CLOSED, None),
    ("GET", "/monitoring", Role.CLOSED, None),
    ("POST", "/gradio_api/component_server", Role.CLOSED, {}),
    ("POST", "/gradio_api/vibe-edit", Role.CLOSED, {}),
    ("GET", "/logout", Role.CLOSED, None),
    ("GET", "/v1/nowhere", None, None),
    ("DELETE", "/v1/corrections", None, None),
    ("GET", "//v1/corrections", None, None),
    ("GET", "/v1/corrections/", None, None),
]


@pytest.mark.parametrize("role", ROLES, ids=str)
@pytest.mark.parametrize(("method", "path", "needed", "body"), REQUESTS, ids=lambda value: str(value)[:30])
def test_each_role_gets_exactly_what_is_declared(
    method: str, path: str, needed: Role | None, body: Any, role: Role | None, client: TestClient
) -> None:
    answer = client.request(method, f"http://testserver{path}", headers=bearer(role), json=body)
    if needed is Role.CLOSED or (needed is None and role is not None):
        assert answer.status_code == 404
    elif needed is Role.PUBLIC or (needed is not None and role is not None and role >= needed):
        assert answer.status_code in (200, 201)
    else:
        assert answer.status_code == (401 if role is None else 403)
        assert "detail" not in answer.text


def test_who_may_not_retrain_promotes_nothing(client: TestClient) -> None:
    body = {"model": "nobody", "instead_of": "nobody"}
    assert [client.put("/v1/model", headers=bearer(role), json=body).status_code for role in ROLES] == [401, 403, 403, 422]


def number_of(client: TestClient, name: str) -> int:
    config = client.get("/config", headers=bearer(Role.RETRAIN)).json()
    return next(item["id"] for item in config["dependencies"] if item["api_name"] == name)


def test_page_functions_go_by_role_however_they_are_called(client: TestClient) -> None:
    save, read = number_of(client, "save"), number_of(client, "read")
    data: list[Any] = [None] * 20
    forms: list[tuple[str, Any]] = [
        ("queue/join", {"fn_index": save, "data": data, "session_hash": "x"}),
        ("queue/join", {"fn_index": float(save), "data": data, "session_hash": "x"}),
        ("queue/join", {"fn_index": str(save), "data": data, "session_hash": "x"}),
        ("call/save", {"data": data}),
        ("call/v2/save", {}),
        ("run/save", {"data": data}),
        ("api/save/", {"data": data}),
        ("call/read", {"data": data, "fn_index": save}),
        ("call/undo", {"data": ["anna"]}),
        ("queue/join", {"fn_index": 10_000, "data": data, "session_hash": "x"}),
    ]
    for path, body in forms:
        for role in (None, Role.READ):
            assert client.post(f"/gradio_api/{path}", json=body, headers=bearer(role)).status_code in (401, 403, 404, 422), (path, body, role)
    double = f'{{"fn_index": {read}, "fn_index": {save}, "data": [], "session_hash": "x"}}'
    json_type = {"content-type": "application/json"}
    assert client.post("/gradio_api/queue/join", content=double, headers=bearer(Role.READ) | json_type).status_code == 403
    joined = client.post(
        "/gradio_api/queue/join", json={"fn_index": read, "data": ["Rain fell.", ""], "session_hash": "x"}, headers=bearer(Role.READ)
    )
    assert joined.status_code == 200 and "event_id" in joined.json()


@pytest.mark.parametrize("role", list(TOKENS), ids=str)
def test_the_page_hides_what_a_token_does_not_allow_and_says_which_does(client: TestClient, role: Role) -> None:
    config = client.get("/config", headers=bearer(role)).json()
    number, outputs = next((item["id"], item["outputs"]) for item in config["dependencies"] if item["api_name"] == "_allowed")
    kinds = {item["id"]: item["type"] for item in config["components"]}
    joined = client.post("/gradio_api/queue/join", json={"fn_index": number, "data": [], "session_hash": f"s{role}"}, headers=bearer(role))
    assert joined.status_code == 200
    told: list[Any] = []
    with client.stream("GET", f"/gradio_api/queue/data?session_hash=s{role}", headers=bearer(role)) as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                told = message["output"]["data"]
                break
    said, gate, history, tab = told
    assert [kinds[output] for output in outputs] == ["html", "column", "html", "tabitem"]
    assert gate["visible"] is (role >= Role.CORRECT) and tab["visible"] is (role >= Role.RETRAIN)
    assert said["visible"] is (role < Role.RETRAIN) and ("Correcting takes one of the role 'correct'" in said["value"]) is (role is Role.READ)
    assert ("<table>" in history) is (role >= Role.CORRECT)


def test_the_page_logs_in_with_a_cookie_that_scripts_and_other_sites_cannot_use(client: TestClient) -> None:
    to_login = client.get("/", headers={"accept": "text/html"})
    assert (to_login.status_code, to_login.headers["location"]) == (303, "/login")
    assert "password" in client.get("/login").text
    wrong = client.post("/login", data={"token": "<script>" + "x" * 30})
    assert wrong.status_code == 401 and "script" not in wrong.text
    assert client.post("/login", data={"token": TOKENS[Role.READ]}, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    right = client.post("/login", data={"token": TOKENS[Role.READ]})
    cookie = right.headers["set-cookie"].lower()
    assert right.status_code == 303 and "httponly" in cookie and "samesite=strict" in cookie and TOKENS[Role.READ] not in cookie
    assert client.get("/config").status_code == 200
    assert client.get("/v1/corrections").status_code == 403
    client.post("/logout")
    assert client.get("/config").status_code == 401


def test_a_session_is_bound_to_its_token_and_its_time() -> None:
    made = ACCESS.session(TOKENS[Role.READ], 1_000)
    assert ACCESS.role_of_session(made, 1_000) is Role.READ
    assert ACCESS.role_of_session(made, 1_000 + SESSION_SECONDS) is None
    without = Access(tuple((role, token) for role, token in ACCESS.tokens if role is not Role.READ))
    assert without.role_of_session(made, 1_000) is None
    name, end, code = made.split(".")
    forged = [f"{name}.{int(end) + 1}.{code}", f"{name}.{end}.{'0' * 64}", "", "..", f"{name}.{'9' * 5_000}.{code}", "é.1.é", f"{name}.²³.{code}"]
    assert [ACCESS.role_of_session(value, 1_000) for value in forged] == [None] * len(forged)


def test_wrong_tokens_are_counted_by_address_and_locked_out_for_a_minute() -> None:
    now = 0.0
    lockout = Lockout(lambda: now)
    for _ in range(WRONG_A_MINUTE):
        assert not lockout.wait("a")
        lockout.wrong("a")
    assert 0 < lockout.wait("a") <= 61 and not lockout.wait("b")
    now = 61
    assert not lockout.wait("a")


@pytest.mark.parametrize("door", ["bearer", "form"])
def test_ten_wrong_logins_lock_the_address_out(door: str, trained: tuple[Models, Run], tmp_path: Path) -> None:
    app = build(trained[0], f"sqlite:///{tmp_path}/c.sqlite", allowed=ACCESS)
    client = TestClient(app, client=("192.0.2.7", 1), follow_redirects=False)

    def attempt(token: str) -> Any:
        if door == "form":
            return client.post("/login", data={"token": token})
        return client.get("/v1/model", headers={"authorization": f"Bearer {token}"})

    assert [attempt("w" * 30).status_code for _ in range(WRONG_A_MINUTE)] == [401] * WRONG_A_MINUTE
    locked = attempt(TOKENS[Role.READ])
    assert locked.status_code == 429 and 0 < int(locked.headers["retry-after"]) <= 61
    other = TestClient(app, client=("192.0.2.8", 1))
    assert other.get("/v1/model", headers=bearer(Role.READ)).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_an_open_address_needs_a_token(host: str) -> None:
    with pytest.raises(InputError, match="no token"):
        check_address(host, Access())
    check_address(host, ACCESS)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "[::1]", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    check_address(host, Access())


@pytest.mark.parametrize(
    "text", ["", "# nothing", "read:short", "admin:" + "x" * 30, "x" * 30, f"read:{'y' * 30} correct:{'y' * 30}", "read:" + "é" * 30]
)
def test_tokens_that_protect_nothing_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InputError) as refused:
        Access.parse(text)
    assert "xxx" not in str(refused.value) and "yyy" not in str(refused.value)
    assert "rrr" not in repr(ACCESS)


def test_without_tokens_a_name_of_another_site_is_not_answered(trained: tuple[Models, Run], tmp_path: Path) -> None:
    client = TestClient(build(trained[0], f"sqlite:///{tmp_path}/c.sqlite", allowed=Access(hosts=LOOPBACK)), base_url="http://127.0.0.1:7860")
    assert client.get("/v1/model").status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:7860"):
        assert client.get("/v1/model", headers={"host": host}).status_code == 421
    assert client.get("/healthz", headers={"host": "probe"}).status_code == 200


def test_the_cookie_is_the_only_one_that_counts(client: TestClient) -> None:
    session = ACCESS.session(TOKENS[Role.READ], 0)
    for cookie in (f"other={session}", f"{COOKIE}={session}", f"{COOKIE}=", f"{COOKIE}={json.dumps(session)}"):
        assert client.get("/v1/model", headers={"cookie": cookie}).status_code == 401
