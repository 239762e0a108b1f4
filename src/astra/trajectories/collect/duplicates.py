"""Servers and tools that occur twice, exactly or nearly (MinHash over their documents)."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from astra.trajectories.near_duplicates import NearDuplicates, minhash, word_shingles
from astra.trajectories.records import CollectedToolServer
from astra.types import ToolSchema, canonical_json

if TYPE_CHECKING:
    from datasketch import MinHash

SERVER_SIMILARITY = 0.9
"""Similarity of two servers' texts from which the later one is a duplicate."""
TOOL_SIMILARITY = 0.8
"""Similarity of two tools' descriptions from which the later one is a duplicate.

Only tools with equal parameters, and names equal but for a version, are compared: in a long text
the words alone do not distinguish `enable` from `disable`.
"""
MOST_VERSIONS = 20
"""Tools that are compared as versions of one name; more of them are a numbered series."""

_VERSION = re.compile(r"(?:^|[_-]|(?<=[a-z]))v?\d+$|[_-]")


class ServerDeduplicator:
    """The servers so far, in their order."""

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._similar = NearDuplicates(SERVER_SIMILARITY, word_shingles)

    def duplicate_of(self, server: CollectedToolServer) -> str | None:
        """What the server repeats, in words. None: it is new, and remembered."""
        label = f"{server.name!r} ({server.id})"
        documents = [tool.document for tool in server.tools]
        exact = canonical_json([document.model_dump(mode="json") for document in documents])
        if exact in self._exact:
            return f"the same tools as {self._exact[exact]}"
        text = "\n".join(
            f"{each.name} {each.description} {' '.join(each.parameters.get('properties', {}))}"
            for each in documents
        )
        if (similar := self._similar.add(label, text)) is not None:
            other, similarity = similar
            return f"{similarity:.0%} of the text of {other}"
        self._exact[exact] = label
        return None


class ToolDeduplicator:
    """The tools of one server so far."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], str] = {}
        self._versions: defaultdict[tuple[str, str], list[tuple[str, MinHash]]] = defaultdict(list)

    def duplicate_of(self, tool: ToolSchema) -> str | None:
        """Name of the earlier tool that this one repeats. None: it is new, and remembered."""
        parameters = canonical_json(tool.parameters)
        exact = (" ".join(tool.description.split()).casefold(), parameters)
        if exact in self._exact:
            return self._exact[exact]
        # Only versions of one name are compared: `get_v1` and `get_v2`, `getUser` and `get_user`.
        versions = self._versions[_VERSION.sub("", tool.name).casefold(), parameters]
        if len(versions) < MOST_VERSIONS:
            hashed = minhash(word_shingles(tool.description))
            for name, other in versions:
                if hashed.jaccard(other) >= TOOL_SIMILARITY:
                    return name
            versions.append((tool.name, hashed))
        self._exact[exact] = tool.name
        return None
