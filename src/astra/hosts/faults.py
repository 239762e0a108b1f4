"""The dial of transient faults: calls that time out or meet a rate limit, and work when repeated.

A call meets a fault by a hash of the arena's id, the tool and the arguments, and only the first
time in an episode that it is made. So the same episode has the same faults whenever it is played,
in whatever order its calls come. Nothing is run, so nothing is changed.
"""

from __future__ import annotations

import hashlib

from astra.types import Arena, Json, canonical_json

_KINDS: tuple[tuple[str, str], ...] = (
    ("timeout", "the service did not answer in time"),
    ("rate_limited", "too many requests at the moment"),
)


class TransientFaults:
    """The faults of one episode of an arena."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena.id
        self._rate = fault_rate(arena)
        self._met: set[bytes] = set()

    def strike(self, tool: str, arguments: dict[str, Json]) -> Json:
        """The structured error that a call meets. None if it is carried out."""
        if not self._rate:
            return None
        text = canonical_json([self._arena, tool, arguments])
        digest = hashlib.blake2b(text.encode(), digest_size=9).digest()
        if digest in self._met or int.from_bytes(digest[:8]) >= self._rate * 2**64:
            return None
        self._met.add(digest)
        code, message = _KINDS[digest[8] % len(_KINDS)]
        fix = "nothing was done: make the same call again"
        return {"error": {"code": code, "message": message, "retryable": True, "fix": fix}}


def fault_rate(arena: Arena) -> float:
    """Share of an arena's calls that meet a fault. 0 without this dial."""
    dials = arena.provenance.get("dials")
    rate = dials.get("fault_rate") if isinstance(dials, dict) else None
    # A stranger's arena may say anything.
    return min(max(float(rate), 0.0), 1.0) if isinstance(rate, int | float) else 0.0
