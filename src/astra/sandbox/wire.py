"""The owner's side of the protocol: frames, and the strict reading of what a child replies.

Everything that comes from a child is hostile: bounded in size before it is parsed, in depth after,
and never a value that the rest of the program can't write back as JSON (NaN, infinities, lone
surrogates).
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Sequence
from typing import Any

from astra.core.untrusted import JSON_DEPTH, check_json
from astra.errors import SandboxBadResult, SandboxLimit
from astra.protocols import CallFailure, CallOutcome, SandboxEpisode, SandboxLimits
from astra.types import Json, Tool

LENGTH = struct.Struct(">I")
ENVELOPE_BYTES = 16_384
"""What a reply may hold beside its value: the frame, or a failure's message."""
_MESSAGE = 2000
# What can hide an integer beyond a float or a lone surrogate; only such replies are walked value by
# value. Numbers with a point or an exponent are checked one by one while they are parsed.
_SUSPICIOUS = re.compile(rb"\d{300}|\\u[dD][89a-fA-F]")
_encode = json.JSONEncoder(ensure_ascii=True).encode


def _refuse(constant: str) -> float:
    raise SandboxBadResult(f"the tool returned {constant}, which is not JSON; return null or text")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise SandboxBadResult(f"the number {text:.40} is beyond 1.8e308; return smaller numbers")
    return value


_decode = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite).decode


def opening_message(tools: Sequence[Tool], episode: SandboxEpisode) -> dict[str, Json]:
    """The first message to a runner: the tools and the options."""
    return {
        "tools": [{"name": t.name, "source": t.source, "data": t.data} for t in tools],
        "seed": episode.seed,
        "clock": episode.clock,
        "stateful": episode.stateful,
        "memory_bytes": episode.limits.memory_bytes,
        "output_bytes": episode.limits.output_bytes,
    }


def opening_frame(tools: Sequence[Tool], episode: SandboxEpisode) -> bytes:
    """The first message, framed."""
    return frame(_encode(opening_message(tools, episode)).encode())


def call_frame(number: int, name: str, arguments: dict[str, Json]) -> bytes:
    """A call, framed."""
    return frame(_encode({"i": number, "n": name, "a": arguments}).encode())


def frame(payload: bytes) -> bytes:
    return LENGTH.pack(len(payload)) + payload


def read_reply(payload: bytes, number: int) -> dict[str, Any]:
    """The reply to call `number` as a mapping with `i` and one of `v`, `f`, `limit`, `bad`.

    Raises `SandboxBadResult` for anything that the protocol does not allow.
    """
    try:
        reply = _decode(payload.decode())
    except (ValueError, RecursionError) as error:
        raise SandboxBadResult(f"the reply is not JSON: {error}; return plain JSON") from None
    if not isinstance(reply, dict) or len(reply) != 2 or reply.get("i") != number:
        raise SandboxBadResult(f"the reply is not one to call {number}: {payload[:80]!r}")
    brackets = payload.count(b"[") + payload.count(b"{")
    if brackets > JSON_DEPTH or _SUSPICIOUS.search(payload):
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


def outcome(name: str, reply: dict[str, Any], seconds: float, limits: SandboxLimits) -> CallOutcome:
    """What a reply of `read_reply` means: a value or an orderly failure, else the typed error."""
    if "v" in reply:
        return CallOutcome(reply["v"], None, seconds)
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
