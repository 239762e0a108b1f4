"""The owner's side of the protocol: frames, and the strict reading of what a child replies.

Everything that comes from a child is hostile: bounded in size before it is parsed, in depth after,
and never a value that the rest of the program can't write back as JSON (NaN, infinities, lone
surrogates).
"""

from __future__ import annotations

import base64
import json
import marshal
import math
import re
import struct
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from astra.core.kept import kept_by_identity
from astra.core.untrusted import JSON_DEPTH, check_json
from astra.databases import DatabaseEpisode, DatabaseTable, Effect, RowChange
from astra.errors import SandboxBadResult, SandboxLimit
from astra.protocols import CallFailure, CallOutcome, SandboxEpisode
from astra.sandbox.database_image import opening_fields
from astra.types import Json, Tool

LENGTH = struct.Struct(">I")
ENVELOPE_BYTES = 16_384
"""What a reply may hold beside its value: the frame, or a failure's message."""
_MESSAGE = 2000
# What can hide an integer beyond a float or a lone surrogate; only such replies are walked value by
# value. Numbers with a point or an exponent are checked one by one while they are parsed.
_LONG_INTEGER = 300
_SUSPICIOUS = re.compile(rb"\d{%d}|\\u[dD][89a-fA-F]" % _LONG_INTEGER)
_STATE = re.compile(r"[0-9a-f]{64}")
_encode = json.JSONEncoder(ensure_ascii=True).encode
_LONGEST_COMPILED = 64_000
"""Characters of a source from which it is left to the child, with its limits, to compile it."""


def _refuse(constant: str) -> float:
    raise SandboxBadResult(f"the tool returned {constant}, which is not JSON; return null or text")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise SandboxBadResult(f"the number {text:.40} is beyond 1.8e308; return smaller numbers")
    return value


_decode = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite).raw_decode


def opening_message(tools: Sequence[Tool], episode: SandboxEpisode) -> dict[str, Json]:
    """The first message to a runner: the tools and the options."""
    sources = [{"name": t.name, "source": t.source, "data": t.data} for t in tools]
    return {"tools": sources, **_options(episode)}


def _options(episode: SandboxEpisode) -> dict[str, Json]:
    options: dict[str, Json] = {
        "seed": episode.seed,
        "clock": episode.clock,
        "stateful": episode.stateful,
        "memory_bytes": episode.limits.memory_bytes,
        "output_bytes": episode.limits.output_bytes,
    }
    if episode.database is not None:
        options["database"] = opening_fields(episode.database)
    return options


def opening_frame(tools: Sequence[Tool], episode: SandboxEpisode) -> bytes:
    """The first message, framed, to a child that runs the interpreter that this process does.

    It gets compiled code: compiling takes a third of the time of a process for an episode, and the
    same tools are opened again and again.
    """
    encoded = ", ".join(map(_tool_json, tools))
    return frame(f'{{"tools": [{encoded}], {_encode(_options(episode))[1:]}'.encode())


@kept_by_identity(128)
def _tool_json(tool: Tool) -> str:
    code = _compiled(tool.name, tool.source)
    shape = {"source": tool.source} if code is None else {"code": code}
    return _encode({"name": tool.name, **shape, "data": tool.data})


@lru_cache(maxsize=4096)
def _compiled(name: str, source: str) -> str | None:
    """A source as marshalled code in base64. Compiling runs none of it.

    None if it can't be compiled: then the child finds out why, and says so at the first call.
    """
    if len(source) > _LONGEST_COMPILED:
        return None
    try:
        with warnings.catch_warnings():
            # An invalid escape in a teacher's source would warn on our terminal.
            warnings.simplefilter("ignore")
            code = compile(source, f"<{name}>", "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError, SystemError):
        return None
    return base64.b64encode(marshal.dumps(code)).decode()


def call_frame(number: int, name: str, arguments: dict[str, Json]) -> bytes:
    """A call, framed."""
    return frame(_encode({"i": number, "n": name, "a": arguments}).encode())


def frame(payload: bytes) -> bytes:
    return LENGTH.pack(len(payload)) + payload


def read_reply(payload: bytes, number: int) -> dict[str, Any]:
    """The reply to call `number` as a mapping with `i` and one of `v`, `f`, `limit`, `bad`.

    Beside `v` may stand `e`, an effect.

    Raises `SandboxBadResult` for anything that the protocol does not allow.
    """
    try:
        text = payload.decode()
        reply, end = _decode(text)
    except (ValueError, RecursionError) as error:
        raise SandboxBadResult(f"the reply is not JSON: {error}; return plain JSON") from None
    fields = 3 if isinstance(reply, dict) and "e" in reply and "v" in reply else 2
    if (
        end != len(text)
        or not isinstance(reply, dict)
        or len(reply) != fields
        or reply.get("i") != number
    ):
        raise SandboxBadResult(f"the reply is not one to call {number}: {payload[:80]!r}")
    brackets = payload.count(b"[") + payload.count(b"{")
    if brackets > JSON_DEPTH or (
        (len(payload) > _LONG_INTEGER or b"\\u" in payload) and _SUSPICIOUS.search(payload)
    ):
        try:
            check_json(reply, JSON_DEPTH + 1)  # with the envelope
        except ValueError as error:
            raise SandboxBadResult(
                f"the result can't be used: {error}; return plain, flat JSON"
            ) from None
    return reply


def read_failure(fields: Json) -> CallFailure:
    """The `f` of a reply; `SandboxBadResult` when it is not of that form."""
    match fields:
        case ["arguments" | "raised" | "missing" as kind, str(name), str(message)]:
            return CallFailure(kind, _text(name[:200]), _text(message[:_MESSAGE]))
        case _:
            raise SandboxBadResult(f"the reply reports no known failure: {str(fields)[:80]!r}")


def read_effect(tool: str, fields: Json, database: DatabaseEpisode | None) -> Effect:
    """The `e` of a reply; `SandboxBadResult` when no call of the tool can have changed that.

    What is accepted can be false, but never breaks who reads it: tables, columns and keys exist.
    """
    try:
        if database is None or tool not in database.writes:
            raise ValueError("this tool writes nothing")
        effect = Effect(changes=fields["c"], state=fields["s"])
        if not effect.changes or not _STATE.fullmatch(effect.state):
            raise ValueError("no change, or no hash of a state")
        for change in effect.changes:
            _check_change(change, database.database.table(change.table))
    except (KeyError, TypeError, ValueError) as error:
        text = _text(str(error))[:200]
        raise SandboxBadResult(f"{tool!r} reports a change that can't be: {text}") from None
    return effect


def _check_change(change: RowChange, table: DatabaseTable) -> None:
    """Raise ValueError unless it is one of a row of the table."""
    names = {column.name for column in table.columns}
    whole = [row for row in (change.before, change.after) if row is not None]
    updated = change.before is not None and change.after is not None
    fits = bool(whole) and (
        whole[0].keys() == whole[1].keys() <= names if updated else whole[0].keys() == names
    )
    if not fits or (not updated and whole[0][table.key] != change.key):
        raise ValueError(f"a row of {table.name!r} has other columns, or another key")


def outcome(
    name: str, reply: dict[str, Any], seconds: float, episode: SandboxEpisode
) -> CallOutcome:
    """What a reply of `read_reply` means: a value or an orderly failure, else the typed error."""
    limits = episode.limits
    if "v" in reply:
        effect = read_effect(name, reply["e"], episode.database) if "e" in reply else None
        return CallOutcome(reply["v"], None, seconds, effect)
    if "f" in reply:
        return CallOutcome(None, read_failure(reply["f"]), seconds)
    match reply.get("limit"):
        case "memory":
            raise SandboxLimit("memory", f"{name!r} needs more than {limits.memory_bytes} bytes")
        case "output":
            raise SandboxLimit("output", f"{name!r} returned more than {limits.output_bytes} bytes")
        case _:
            reason = _text(str(reply.get("bad")))[:500]
            raise SandboxBadResult(f"{name!r} returned what is not JSON: {reason}; return JSON")


def _text(value: str) -> str:
    """Without lone surrogates, which can't be stored."""
    return value.encode(errors="replace").decode()
