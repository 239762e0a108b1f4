"""The pages over HTTP: read-only, on the loopback by default, nothing loaded from elsewhere."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from importlib import resources
from urllib.parse import parse_qsl, quote, urlencode

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from astra.serve.access import LOOPBACK, host_name, is_one_of
from astra.viewer.site import Site

COOKIE = "astra_view"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {frames}"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


def view_app(
    site: Site, *, token: str | None = None, loopback: bool = True, framed: bool = False
) -> ASGIApp:
    """The application. `token`: what a browser has to send once, as `?token=`.

    `loopback`: answer requests to a loopback name only. `framed`: pages of this machine, such as a
    notebook, may show it in a frame.
    """

    def page(request: Request) -> Response:
        answer = site.answer(request.path_params["path"], dict(request.query_params))
        return Response(answer.body, answer.status, media_type=answer.media_type)

    files = resources.files("astra.viewer") / "static"
    routes = [
        Mount("/static", StaticFiles(directory=str(files))),
        # A function that is not async runs in a thread: reading a long file stops no other page.
        Route("/{path:path}", page, methods=["GET", "HEAD"]),
    ]
    frames = "http://127.0.0.1:* http://localhost:*" if framed else "'none'"
    headers = _HEADERS | {"content-security-policy": _POLICY.format(frames=frames)}
    app = Starlette(routes=routes, middleware=[Middleware(_Access, token=token, loopback=loopback)])
    # Around the application: what it answers to an error of ours comes from outside its middleware.
    return _Headers(app, headers)


class _Headers:
    """Sends headers with every answer, refusals included."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, with_headers)


class _Access:
    """Who may look: whoever knows the token, and no page of another site.

    On the loopback only requests to a loopback name are answered: a web page may have its own name
    lead to this machine.
    """

    def __init__(self, app: ASGIApp, token: str | None, *, loopback: bool) -> None:
        self._app = app
        self._token = token
        self._loopback = loopback
        # The cookie is not the token itself, which may be used elsewhere, too.
        self._session = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        await (self._refusal(request) or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        host = host_name(request)
        if self._loopback and host not in LOOPBACK:
            return PlainTextResponse(f"the host {host[:100]!r} is not served here\n", 421)
        if self._token is None or is_one_of(request.cookies.get(COOKIE, ""), [self._session]):
            return None
        query = parse_qsl(request.url.query, keep_blank_values=True)
        if not is_one_of(dict(query).get("token", ""), [self._token]):
            return PlainTextResponse("a token is needed: open the address with ?token=TOKEN\n", 401)
        # Without the token in the address: it would stay in the history, and in what is copied.
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # With one slash: an address that begins with two leads to another host.
        path = quote("/" + request.url.path.lstrip("/"))
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(COOKIE, self._session, httponly=True, samesite="strict")
        return answer
