"""Who may come in: tokens with roles, the cookie of the page, and the guard that asks of every request the role that demo/roles.py declares."""

import hashlib
import hmac
import ipaddress
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotations.errors import InputError
from demo.roles import FUNCTIONS, Role, role_of

SHORTEST_TOKEN = 24  # characters
SESSION_SECONDS = 12 * 3_600
COOKIE = "framewire"
ROLE = "role"  # the name of the caller's role in the state of a request that was let through
WRONG_A_MINUTE = 10  # logins with a wrong token from one address
MOST_ADDRESSES = 10_000  # remembered at once
LOOPBACK = frozenset(("127.0.0.1", "localhost", "[::1]"))  # what a browser on this machine puts into Host
_CALLS = re.compile(r"/gradio_api/(?:queue/join|(?:call/v2|call)/(?P<name>[^/]+)/?)")


@dataclass(frozen=True)
class Access:
    """The tokens that open the service, each with its role; without any, everybody who reaches it may do everything.

    `hosts` are the names that a request may give as Host while there are no tokens, empty for all: so a page of another site that lets its
    name point to this machine cannot speak for its reader.
    """

    tokens: tuple[tuple[Role, str], ...] = field(default=(), repr=False)
    hosts: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str, hosts: Iterable[str] = ()) -> "Access":
        """Tokens from words `ROLE:TOKEN` (role read, correct or retrain) between blanks or line ends; # begins a comment.

        Raises InputError, without repeating a token, for what is no such word and for tokens that are short or stand twice.
        """
        words = [word for line in text.splitlines() for word in line.partition("#")[0].split()]
        found: list[tuple[Role, str]] = []
        for number, word in enumerate(words, 1):
            name, _, token = word.partition(":")
            if name.upper() not in ("READ", "CORRECT", "RETRAIN"):
                raise InputError(f"Token {number} has no role.", "Write read:TOKEN, correct:TOKEN or retrain:TOKEN.")
            if len(token) < SHORTEST_TOKEN or not token.isascii():
                raise InputError(f"Token {number} is too short, or not ASCII.", "Make one with 'openssl rand -hex 32'.")
            if token in (other for _, other in found):
                raise InputError(f"Token {number} stands twice.", "Give each role its own.")
            found.append((Role[name.upper()], token))
        if not found:
            raise InputError("There is no token.", "Write read:TOKEN, correct:TOKEN or retrain:TOKEN, one to a line.")
        return cls(tuple(found), frozenset(hosts))

    def role(self, token: str) -> Role | None:
        """The role of a token, in the same time whichever it is and however much of it is right."""
        given = hashlib.sha256(token.encode("utf-8", errors="replace")).digest()
        found = None
        for role, known in self.tokens:
            if hmac.compare_digest(hashlib.sha256(known.encode()).digest(), given):
                found = role
        return found

    def session(self, token: str, now: float) -> str:
        """What the cookie holds: which token opened it, when it ends, and a code that only who knows that token can make."""
        return self._signed(token, int(now) + SESSION_SECONDS)

    def role_of_session(self, cookie: str, now: float) -> Role | None:
        """The role of a cookie; None when it has ended, was not made here, or its token is no longer among the tokens."""
        _, _, rest = cookie.partition(".")
        end = rest.partition(".")[0]
        if not end.isascii() or not end.isdigit() or len(end) > 12:
            return None
        found = None
        for role, token in self.tokens:
            if hmac.compare_digest(self._signed(token, int(end)).encode(), cookie.encode("utf-8", errors="replace")):
                found = role
        return found if now < int(end) <= now + SESSION_SECONDS + 60 else None

    @staticmethod
    def _signed(token: str, end: int) -> str:
        name = hashlib.sha256(token.encode()).hexdigest()[:16]
        return f"{name}.{end}.{hmac.new(token.encode(), f'framewire {name} {end}'.encode(), hashlib.sha256).hexdigest()}"


def check_address(host: str, access: Access) -> None:
    """Raise InputError when `host` can be reached by others and no token is asked of them."""
    try:
        inside = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        inside = False
    if not inside and not access.tokens:
        raise InputError(
            f"--host {host} can be reached by others, and there is no token.",
            "Give a file of tokens with --tokens, or FRAMEWIRE_TOKENS in the environment; see SECURITY.md.",
        )


class Lockout:
    """Counts wrong logins by address over the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, list[float]] = {}

    def wait(self, address: str) -> int:
        """Seconds until this address may try again; 0 when it may now."""
        now = self._clock()
        recent = [moment for moment in self._wrong.get(address, ()) if now - moment < 60]
        return int(60 - (now - recent[0])) + 1 if len(recent) >= WRONG_A_MINUTE else 0

    def wrong(self, address: str) -> None:
        """Note a wrong login."""
        now = self._clock()
        if len(self._wrong) >= MOST_ADDRESSES:
            self._wrong = {key: moments for key, moments in self._wrong.items() if now - moments[-1] < 60}
            if len(self._wrong) >= MOST_ADDRESSES:
                address = "many"  # from then on the new ones share one count
        self._wrong[address] = [*self._wrong.get(address, ()), now][-WRONG_A_MINUTE:]


def address_of(scope: Scope) -> str:
    """Who calls: the address, and of IPv6 the /64 that one household or host has to itself."""
    host = (scope.get("client") or ("unknown",))[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


class Guard:
    """Middleware that lets a request through when its caller has the role that its route, and its page function, need."""

    def __init__(self, app: ASGIApp, access: Access, lockout: Lockout, functions: Callable[[], Mapping[int, tuple[str, str]]]) -> None:
        """`functions` gives the page's functions: number to Python name and name in the API."""
        self.app, self._access, self._lockout, self._functions = app, access, lockout, functions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nothing here speaks it
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal, receive = await self._refusal(scope, receive)
        await (refusal or self.app)(scope, receive, send)

    async def _refusal(self, scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
        """The answer to a request that may not pass, None for one that may, and what the application receives then."""
        headers = Headers(scope=scope)
        needed = role_of(scope["method"], scope["path"])
        if needed is Role.CLOSED:
            return _answer(404, "No such page."), receive
        role: Role | None = Role.RETRAIN
        if not self._access.tokens:
            host = re.sub(r":\d+$", "", headers.get("host", ""))
            if self._access.hosts and host not in self._access.hosts and needed is not Role.PUBLIC:
                return _answer(421, "This service answers to the names of this machine only. Use http://127.0.0.1 with its port."), receive
        elif needed is not Role.PUBLIC:
            role, refusal = self._caller(scope, headers)
            if refusal is not None or needed is None:
                return refusal or _answer(404, "No such page."), receive
        call = _CALLS.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        if call is not None:
            body, receive = await _buffered(receive)
            needed = self._role_of_call(body, call["name"], "/v2/" in scope["path"])
            if needed is None:
                return _answer(422, "This call names no function of the page, or its data are no list."), receive
        if needed is not None and (role is None or role < needed):
            return _answer(403, f"Your token does not allow this; it takes one of the role '{needed.name.lower()}'."), receive
        if role is not None and needed is not Role.PUBLIC:  # of a public route nobody has looked who calls
            scope.setdefault("state", {})[ROLE] = role  # so that the page shows only what its reader may do
        return None, receive

    def _caller(self, scope: Scope, headers: Headers) -> tuple[Role | None, Response | None]:
        """The caller's role, or the answer to one who has none."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if token:
            address = address_of(scope)
            wait = self._lockout.wait(address)
            if wait:
                return None, _answer(429, "Too many wrong tokens.", {"Retry-After": str(wait)})
            role = self._access.role(token.strip()) if kind.lower() == "bearer" else None
            if role is None:
                self._lockout.wrong(address)
                return None, _answer(401, "This token is not known.", {"WWW-Authenticate": "Bearer"})
            return role, None
        for name, _, value in (part.strip().partition("=") for part in headers.get("cookie", "").split(";")):
            role = self._access.role_of_session(value, time.time()) if name == COOKIE else None
            if role is not None:
                return role, None
        if scope["method"] == "GET" and scope["path"] in ("/", "/docs") and "text/html" in headers.get("accept", ""):
            return None, RedirectResponse("/login", 303)
        return None, _answer(401, "A token is needed: send 'Authorization: Bearer TOKEN', or log in at /login.", {"WWW-Authenticate": "Bearer"})

    def _role_of_call(self, body: bytes, name: str | None, by_name: bool) -> Role | None:
        """The role that a call of a page function needs, by its number or its name; the highest, where it has both.

        None for a call that names none, or in a way that Gradio might read differently. With `by_name` the body holds the data by name.
        """
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(given, dict) or not (by_name or isinstance(given.get("data"), list)):
            return None
        number = given.get("fn_index")
        functions = self._functions()
        found = [python for key, (python, api) in functions.items() if key == number or (name is not None and api == name)]
        if not found or (number is not None and (type(number) is not int or number not in functions)):
            return None
        return max(FUNCTIONS.get(python, Role.RETRAIN) for python in found)


async def _buffered(receive: Receive) -> tuple[bytes, Receive]:
    """The whole body, whose size another middleware bounds, and a `receive` that gives it again."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return body, again


def routes(access: Access, lockout: Lockout) -> APIRouter:
    """Log in on the page, and out again."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login", response_class=Response)
    def form() -> Response:
        return HTMLResponse(_page("")) if access.tokens else RedirectResponse("/", 303)

    @router.post("/login", response_class=Response)
    async def login(request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return HTMLResponse(_page("Log in on this page."), 403)
        address = address_of(request.scope)
        wait = lockout.wait(address)
        if wait:
            return HTMLResponse(_page("Too many wrong tokens. Wait a minute."), 429, {"Retry-After": str(wait)})
        given = urllib.parse.parse_qs((await request.body()).decode("ascii", errors="replace"), max_num_fields=5, errors="replace")
        token = given.get("token", [""])[0].strip()
        if access.role(token) is None:
            lockout.wrong(address)
            return HTMLResponse(_page("This token is not known."), 401)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        value = access.session(token, time.time())
        answer.set_cookie(COOKIE, value, max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure, path="/")
        return answer

    @router.post("/logout", response_class=Response)
    def logout() -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", path="/")
        return answer

    return router


def _page(words: str) -> str:
    """The login form; `words` are ours and need no escaping."""
    said = f'<p role="alert">{words}</p>' if words else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        "<title>Framewire: log in</title><style>body{font:1.1rem system-ui,sans-serif;max-width:24rem;margin:15vh auto;padding:0 1rem}"
        "input,button{font:inherit;display:block;width:100%;box-sizing:border-box;padding:.6rem;margin:.4rem 0 1rem}</style></head>"
        f'<body><h1>Framewire</h1>{said}<form method="post" action="/login"><label for="token">Your token</label>'
        '<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>'
        "<button>Log in</button></form></body></html>"
    )


def _answer(status: int, words: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": words}, status, dict(headers or {}))
