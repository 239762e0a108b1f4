"""OpenEnv's WebSocket protocol, as its client speaks it: reset, step, state, close.

At `/openenv/ARENA/ws` a connection plays one arena; at `/openenv/ws` each reset names one. Actions
are `{"type": "list_tools"}`, `{"type": "call_tool", "tool_name": NAME, "arguments": {...}}` or
`{"type": "message", "content": TEXT}`, which answers or speaks to the user of a conversation.

The reward is 0.0 until the step that ends the episode, which carries all of it: clients sum.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from astra.core.untrusted import read_json
from astra.errors import SessionError
from astra.serve.sessions import ServedSession, SessionTable
from astra.types import Json, StopReason

MESSAGE_CHARACTERS = 1 << 20


class OpenEnvEndpoint:
    """Connections of OpenEnv clients, each with a session of its own at a time."""

    def __init__(self, table: SessionTable) -> None:
        self._table = table

    def routes(self) -> list[WebSocketRoute]:
        return [
            WebSocketRoute("/openenv/ws", self.serve),
            WebSocketRoute("/openenv/{arena}/ws", self.serve),
        ]

    async def serve(self, socket: WebSocket) -> None:
        """One connection, until the client leaves."""
        await socket.accept()
        connection = _Connection(self._table, socket.path_params.get("arena"))
        try:
            while True:
                answer = await connection.answer(await socket.receive_text())
                if answer is None:
                    break
                await socket.send_json(answer)
            await socket.close()
        except (WebSocketDisconnect, KeyError):
            pass  # a KeyError is Starlette's for a message of bytes
        finally:
            await connection.close()


class _ProtocolError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Connection:
    def __init__(self, table: SessionTable, arena_id: str | None) -> None:
        self._table = table
        self._arena_id = arena_id
        self._session: ServedSession | None = None
        self._steps = 0

    async def close(self) -> None:
        if self._session is not None:
            await self._table.end(self._session, StopReason.answered)

    async def answer(self, text: str) -> dict[str, Any] | None:
        """The answer to a message. None: the client closes."""
        try:
            message = _message(text)
            match message.get("type"):
                case "reset":
                    return _observation(await self._reset(_object(message, "data")))
                case "step":
                    return _observation(await self._step(_object(message, "data")))
                case "state":
                    return {"type": "state", "data": self._state()}
                case "close":
                    return None
                case other:
                    raise _ProtocolError("UNKNOWN_TYPE", f"a message of the type {other!r:.100}")
        except _ProtocolError as error:
            return _error(error.code, str(error))
        except SessionError as error:
            full = error.status == 503
            return _error("CAPACITY_REACHED" if full else "EXECUTION_ERROR", str(error))

    async def _reset(self, options: dict[str, Json]) -> dict[str, Any]:
        arena_id = self._arena_id or options.get("arena")
        seed = options.get("seed") or 0
        if not isinstance(arena_id, str):
            _invalid(f"'arena' is {arena_id!r:.100}: write the id of an arena")
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 31:
            _invalid(f"'seed' is {seed!r:.100}: write a whole number from 0")
        await self.close()
        self._session, self._steps = None, 0
        self._session = await self._table.open(arena_id, seed)
        return self._outcome({"messages": self._session.episode.messages, **self._tools()})

    async def _step(self, action: dict[str, Json]) -> dict[str, Any]:
        session = self._session
        if session is None:
            raise _ProtocolError("SESSION_ERROR", "no episode has begun: send a reset")
        match action:
            case {"type": "list_tools"}:
                return self._outcome(self._tools())
            case {"type": "call_tool", "tool_name": str(name), **rest}:
                arguments = rest.get("arguments", {})
                if not isinstance(arguments, dict):
                    _invalid("'arguments' is not an object")
                self._steps += 1
                reply = await self._table.call(session, name, json.dumps(arguments))
                result = {
                    "content": [{"type": "text", "text": reply.text}],
                    "is_error": reply.is_error,
                }
                return self._outcome({"tool_name": name, "result": result, "error": None})
            case {"type": "message", "content": str(text)}:
                self._steps += 1
                answer = await self._table.say(session, text)
                return self._outcome({"user": answer, **self._tools()})
            case _:
                _invalid(
                    "the action is not a list_tools, a call_tool with tool_name and arguments, or "
                    "a message with content"
                )

    def _tools(self) -> dict[str, Any]:
        session = self._session
        assert session is not None
        functions = [tool["function"] for tool in session.episode.tools]
        tools = [
            {
                "name": function["name"],
                "description": function["description"],
                "input_schema": function["parameters"],
            }
            for function in functions
        ]
        return {"tools": tools}

    def _outcome(self, observation: dict[str, Any]) -> dict[str, Any]:
        session = self._session
        assert session is not None
        reward = 0.0
        if session.episode.over:
            score = session.episode.score()
            if score is None:
                problem = session.episode.trajectory.error
                raise SessionError(500, f"the episode broke and has no score: {problem}")
            reward = score.reward
        return {"observation": observation, "reward": reward, "done": session.episode.over}

    def _state(self) -> dict[str, Any]:
        return {
            "episode_id": None if self._session is None else self._session.id,
            "step_count": self._steps,
        }


def _message(text: str) -> dict[str, Json]:
    try:
        message = read_json(text, most=MESSAGE_CHARACTERS)
    except ValueError as error:
        raise _ProtocolError("INVALID_JSON", f"the message can't be read: {error}") from error
    if not isinstance(message, dict):
        _invalid("the message is not an object")
    return message


def _object(message: dict[str, Json], name: str) -> dict[str, Json]:
    value = message.get(name, {})
    if not isinstance(value, dict):
        _invalid(f"{name!r} is not an object")
    return value


def _invalid(message: str) -> NoReturn:
    raise _ProtocolError("VALIDATION_ERROR", message)


def _observation(outcome: dict[str, Any]) -> dict[str, Any]:
    return {"type": "observation", "data": outcome}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"type": "error", "data": {"code": code, "message": message}}
