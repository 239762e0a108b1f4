"""The HTTP of a NeMo Gym resources server: /seed_session, one address per tool, /verify.

A row holds the id of its arena alone (`verifier_metadata.arena`). The session is found by a cookie,
which NeMo Gym's agent sends along. `/verify` ends the episode and is the scoring channel of this
protocol, so it belongs to the trainer and never to a model.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from astra.errors import SessionError
from astra.rollouts.user_tool import USER_TOOL, has_user, heard, said, user_tool_problem
from astra.serve.bodies import json_body
from astra.serve.sessions import ServedSession, SessionTable
from astra.types import StopReason

COOKIE = "astra_session"


class NemoGymEndpoint:
    """Sessions that NeMo Gym's agents seed, play and verify."""

    def __init__(self, table: SessionTable) -> None:
        self._table = table

    def routes(self) -> list[Route]:
        """The last ones: any name may be a tool's."""
        return [
            Route("/seed_session", self.seed, methods=["POST"]),
            Route("/verify", self.verify, methods=["POST"]),
            _OfToolCalls("/{tool}", self.call, methods=["POST"]),
        ]

    async def seed(self, request: Request) -> Response:
        """Open a session for a row."""
        row = await json_body(request)
        metadata = row.get("verifier_metadata")
        arena_id = metadata.get("arena") if isinstance(metadata, dict) else None
        if not isinstance(arena_id, str):
            raise SessionError(422, "'verifier_metadata.arena' is not the id of an arena")
        if problem := user_tool_problem(self._table.arena(arena_id)):
            raise SessionError(422, f"this arena can't be played by this protocol: {problem}")
        return _with_cookie(JSONResponse({}), await self._table.open(arena_id))

    async def call(self, request: Request) -> Response:
        """Call a tool. Errors of tools are answers: the model reads them."""
        session, tool = self._table.find(_session_id(request)), request.path_params["tool"]
        if tool == USER_TOOL.name and has_user(session.arena):
            text = heard(await self._table.say(session, said(await json_body(request))))
        else:
            arguments = (await request.body()).decode("utf-8", "replace")
            text = (await self._table.call(session, tool, arguments)).text
        return _with_cookie(PlainTextResponse(text), session)

    async def verify(self, request: Request) -> Response:
        """End the episode by the response's last text, if it goes on, and score it."""
        row, session_id = await json_body(request), _session_id(request)
        if self._table.is_open(session_id):
            session = self._table.find(session_id)
            await self._table.say(session, _last_text(row.get("response")))
            await self._table.end(session, StopReason.answered)
        result = self._table.result(session_id)
        if result.score is None:
            raise SessionError(500, f"the episode broke and has no score: {result.error}")
        return JSONResponse({**row, "reward": result.score.reward})


def _session_id(request: Request) -> str:
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        raise SessionError(400, f"no cookie {COOKIE!r}: begin with /seed_session")
    return cookie


def _with_cookie(response: Response, session: ServedSession) -> Response:
    # With each answer: an agent of NeMo Gym keeps the cookies of the last one only.
    response.set_cookie(COOKIE, session.id, httponly=True, samesite="strict")
    return response


class _OfToolCalls(Route):
    """Any name may be a tool's, but only in a POST: another request of it asks for nothing here."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        # A partial match would tell of an unknown address that another method is right.
        return (Match.NONE, {}) if match is Match.PARTIAL else (match, child)


def _last_text(response: Any) -> str:
    """The text of the last message in a response of the Responses API. Empty if there is none."""
    output = response.get("output") if isinstance(response, dict) else None
    for item in reversed(output if isinstance(output, list) else []):
        if isinstance(item, dict) and item.get("type") == "message":
            content = item.get("content")
            parts = content if isinstance(content, list) else []
            texts = [part.get("text") for part in parts if isinstance(part, dict)]
            return "".join(text for text in texts if isinstance(text, str))
    return ""
