"""Arenas as MCP servers: over streamable HTTP for sessions of the server, and over stdio for one.

MCP carries tools and their results; a score never goes this way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.types import Message, Receive, Scope, Send

from astra.errors import SessionError
from astra.rollouts.session import ToolReply
from astra.rollouts.user_tool import USER_TOOL, has_user, heard, said
from astra.serve.bodies import replayed
from astra.serve.sessions import ServedSession, SessionTable
from astra.types import StopReason

SESSION = "astra.session"
"""Key of an ASGI scope under which its session stands."""
_SESSION_HEADER = b"mcp-session-id"
_VERSION_HEADER = b"mcp-protocol-version"


def mcp_server(
    table: SessionTable,
    session_of: Callable[[Any], ServedSession],
    *,
    instructions: str | None = None,
    user_tool: bool = False,
) -> Server[Any]:
    """A server whose tools are those of a session, found for each request.

    `user_tool`: the user of a conversation is one of them.
    """

    async def list_tools(context: Any, _: object) -> types.ListToolsResult:
        session = session_of(context.request)
        further = [USER_TOOL.openai()] if user_tool and has_user(session.arena) else []
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=tool["function"]["name"],
                    description=tool["function"]["description"],
                    # MCP requires it; a document of a tool without parameters may leave it out.
                    input_schema={"type": "object", **tool["function"]["parameters"]},
                )
                for tool in [*session.episode.tools, *further]
            ],
            # A user may bring tools in the course of a conversation.
            ttl_ms=0,
            cache_scope="private",
        )

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        session = session_of(context.request)
        arguments = json.dumps(params.arguments or {}, ensure_ascii=False)
        try:
            if user_tool and params.name == USER_TOOL.name and has_user(session.arena):
                text, failed = heard(await table.say(session, said(params.arguments))), False
            else:
                text, failed = _told(await table.call(session, params.name, arguments))
        except SessionError as error:
            text, failed = str(error), True
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], is_error=failed
        )

    return Server(
        "astra", instructions=instructions, on_list_tools=list_tools, on_call_tool=call_tool
    )


def _told(reply: ToolReply) -> tuple[str, bool]:
    return reply.text, reply.is_error


async def serve_stdio(table: SessionTable, arena_id: str, sample: int = 0) -> ServedSession:
    """Serve one episode over stdin and stdout until the client leaves. Returns it, ended."""
    session = await table.open(arena_id, sample)
    first = "\n\n".join(message["content"] for message in session.episode.messages)
    server = mcp_server(table, lambda _: session, instructions=first)
    try:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
    finally:
        await table.end(session, StopReason.answered)
    return session


class McpEndpoint:
    """MCP over streamable HTTP. The protocol is stateless here: sessions are those of the table.

    At `/sessions/ID/mcp` the address names the session, which is open already. At `/mcp/ARENA` the
    handshake opens one, which the client names by the header `Mcp-Session-Id` from then on.
    """

    def __init__(self, table: SessionTable, *, user_tool: bool = False) -> None:
        self._table = table
        server = mcp_server(table, lambda request: request.scope[SESSION], user_tool=user_tool)
        self.manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True)

    async def of_session(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request at `/sessions/ID/mcp`."""
        session = self._table.find(scope["path_params"]["session"])
        if scope["method"] == "DELETE":
            # The session is its opener's, who ends it at `/sessions/ID`.
            raise SessionError(405, "end a session by DELETE at /sessions/ID")
        await self._serve(session, scope, receive, send)

    async def of_arena(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request at `/mcp/ARENA`."""
        headers = dict(scope["headers"])
        arena_id = scope["path_params"]["arena"]
        if _SESSION_HEADER in headers:
            session = self._table.find(headers[_SESSION_HEADER].decode("latin-1"))
            if session.arena.id != arena_id:
                raise SessionError(404, f"this session does not play {arena_id[:100]!r}")
            if scope["method"] == "DELETE":
                await self._table.end(session, StopReason.answered)
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._serve(session, scope, receive, send)
            return
        message, receive = await replayed(receive)
        try:
            request = json.loads(message)
        except (ValueError, RecursionError):
            request = None
        method = request.get("method") if isinstance(request, dict) else None
        version = headers.get(_VERSION_HEADER, b"").decode("latin-1")
        if method == "server/discover" or version not in ("", *HANDSHAKE_PROTOCOL_VERSIONS):
            # From 2026-07-28 on there is no handshake, so nothing that could open a session.
            await _refuse_version(request, version, send)
        elif method != "initialize":
            raise SessionError(400, "no header Mcp-Session-Id: begin with `initialize`")
        else:
            await self._open(arena_id, scope, receive, send)

    async def _open(self, arena_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        session = await self._table.open(arena_id)
        accepted = False
        start: Message = {}

        async def send_with_id(message: Message) -> None:
            nonlocal accepted, start
            if message["type"] == "http.response.start":
                start = message  # held back: a refusal has the status 200, too
                return
            if start:
                accepted = b'"result"' in message.get("body", b"")
                if accepted:
                    header = (_SESSION_HEADER, session.id.encode())
                    start = {**start, "headers": [*start["headers"], header]}
                await send(start)
                start = {}
            await send(message)

        try:
            await self._serve(session, scope, receive, send_with_id)
        finally:
            if not accepted:
                refused = "the client left, or its handshake was refused"
                await self._table.end(session, StopReason.internal_error, refused)

    async def _serve(
        self, session: ServedSession, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["method"] != "POST":
            # A stream of the server's own messages, of which there are none.
            raise SessionError(405, "only POST is served here")
        # Without the id, which the transport would take for one of its own.
        headers = [item for item in scope["headers"] if item[0] != _SESSION_HEADER]
        scope = {**scope, "headers": headers, SESSION: session}
        await self.manager.handle_request(scope, receive, send)


def rpc_error(message: str, request_id: Any = None) -> dict[str, Any]:
    """An error of JSON-RPC. `request_id` None: of a request that was not read."""
    error = {"code": types.INVALID_REQUEST, "message": message}
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


async def _refuse_version(request: Any, version: str, send: Send) -> None:
    error = types.ErrorData(
        code=types.UNSUPPORTED_PROTOCOL_VERSION,
        message="this address opens a session by `initialize`; one that is open already, at "
        "/sessions/ID/mcp, needs no handshake",
        data={"supported": list(HANDSHAKE_PROTOCOL_VERSIONS), "requested": version},
    )
    request_id = request.get("id") if isinstance(request, dict) else None
    answer = types.JSONRPCError(jsonrpc="2.0", id=request_id, error=error)
    body = answer.model_dump_json(by_alias=True).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
