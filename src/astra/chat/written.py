"""What families' parsers give back, before it is a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from astra.types import ToolSchema

Tools = Mapping[str, ToolSchema]


class WrittenCall(NamedTuple):
    """A tool call as it stands in a model's text."""

    tool: str
    arguments: str
    id: str = ""
    """As the model wrote it. Empty if its family writes none."""


WrittenMessage = tuple[str, Sequence[WrittenCall]]
"""Text beside the calls, and the calls in the order in which they were written."""
