"""Servers and tools that are there twice, wholly or nearly (MinHash over their documents)."""

from __future__ import annotations

import re
from collections import defaultdict

from datasketch import MinHash, MinHashLSH

from astra.trajectories.records import CollectedToolServer
from astra.types import ToolSchema, canonical_json

SERVERS_NEAR = 0.9
"""Estimated Jaccard similarity of the texts of two servers from which one is left out."""
TOOLS_NEAR = 0.8
"""The same of the descriptions of two tools with equal arguments and names equal but for a
version: words alone do not tell `enable` from `disable` in a long text."""

MOST_VERSIONS = 20
"""Names equal but for a number that are compared."""

_PERMUTATIONS = 128
_SEED = 1
_SHINGLE = 3
_WORD = re.compile(r"[\u3400-\u9fff]|\w+")
_VERSION = re.compile(r"(?:^|[_-]|(?<=[a-z]))v?\d+$|[_-]")


class SeenServers:
    """The servers so far, in their order; tells which one a new server repeats."""

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._near = MinHashLSH(threshold=SERVERS_NEAR, num_perm=_PERMUTATIONS)
        self._hashes: list[tuple[str, MinHash]] = []

    def repeats(self, server: CollectedToolServer) -> str | None:
        """Which earlier server this one repeats, and how much of it; None: it is new, and kept."""
        exact = canonical_json([tool.document.model_dump(mode="json") for tool in server.tools])
        if exact in self._exact:
            return f"the same tools as {self._exact[exact]}"
        hashed = _hashed("\n".join(_text(tool.document) for tool in server.tools))
        for place in sorted(int(str(key)) for key in self._near.query(hashed)):
            name, other = self._hashes[place]
            if (same := hashed.jaccard(other)) >= SERVERS_NEAR:
                return f"{same:.0%} of the text of {name}"
        called = f"{server.name!r} ({server.id})"
        self._exact[exact] = called
        self._near.insert(str(len(self._hashes)), hashed)
        self._hashes.append((called, hashed))
        return None


class SeenTools:
    """The tools of one server so far; tells which one a new tool repeats under another name."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], str] = {}
        self._versions: defaultdict[tuple[str, str], list[tuple[str, MinHash]]] = defaultdict(list)

    def repeats(self, tool: ToolSchema) -> str | None:
        """Name of the earlier tool; None: this one is new, and kept."""
        parameters = canonical_json(tool.parameters)
        exact = (" ".join(tool.description.split()).casefold(), parameters)
        if exact in self._exact:
            return self._exact[exact]
        others = self._versions[_VERSION.sub("", tool.name).casefold(), parameters]
        if len(others) < MOST_VERSIONS:  # more are no versions, but a numbered series
            hashed = _hashed(tool.description)
            for name, other in others:
                if hashed.jaccard(other) >= TOOLS_NEAR:
                    return name
            others.append((tool.name, hashed))
        self._exact[exact] = tool.name
        return None


def _text(document: ToolSchema) -> str:
    names = " ".join(document.parameters.get("properties", {}))
    return f"{document.name} {document.description} {names}"


def _hashed(text: str) -> MinHash:
    words = _WORD.findall(text.casefold())
    count = max(1, len(words) - _SHINGLE + 1)
    shingles = {" ".join(words[i : i + _SHINGLE]) for i in range(count)}
    hashed = MinHash(num_perm=_PERMUTATIONS, seed=_SEED)
    hashed.update_batch([shingle.encode("utf-8", "replace") for shingle in sorted(shingles)])
    return hashed
