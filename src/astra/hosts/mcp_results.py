"""What an MCP tool returned, as one bounded JSON value.

Structured content goes before text. Text that is a JSON object or list is read as such, so that
its fields can be named. Images, sounds and files become a line that says what they were.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from astra.core.untrusted import check_json, read_json
from astra.protocols import ToolResult
from astra.types import Json, canonical_json

if TYPE_CHECKING:
    import mcp_types as wire


def as_result(result: wire.CallToolResult, *, most: int) -> ToolResult:
    """The result in at most some `most` characters; an error of the tool as {"error": {...}}."""
    value = result.structured_content
    try:
        check_json(value)
    except ValueError:
        value = None
    if value is None:
        parts = [_part(block) for block in result.content]
        value = parts[0] if len(parts) == 1 else parts
    if result.is_error and not (isinstance(value, dict) and isinstance(value.get("error"), dict)):
        value = {"error": {"code": "tool_error", "message": value}}
    return ToolResult(bounded(value, most), is_error=result.is_error)


def problem(code: str, message: str) -> ToolResult:
    """An error in the tool's stead."""
    return ToolResult({"error": {"code": code, "message": message}}, is_error=True)


def bounded(value: Json, most: int) -> Json:
    """The value, or the beginning of its text when that is over `most` characters."""
    try:
        text = canonical_json(value)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        text = repr(value).encode("ascii", "backslashreplace").decode()
        value = text
    if len(text) <= most:
        return value
    shown = value if isinstance(value, str) else text
    return f"{shown[:most]}… [cut: {most} of {len(shown)} characters shown]"


def _part(block: wire.ContentBlock) -> Json:
    import mcp_types as wire  # late: slow to import

    match block:
        case wire.TextContent():
            # Scalars stay text: "007" is not the number 7.
            if block.text.lstrip()[:1] in ("{", "["):
                with suppress(ValueError):
                    return read_json(block.text)
            return block.text
        case wire.ImageContent() | wire.AudioContent():
            return _reference(block.type, block.mime_type, block.data)
        case wire.EmbeddedResource(resource=wire.TextResourceContents() as resource):
            return f"[resource {resource.uri}]\n{resource.text}"
        case wire.EmbeddedResource(resource=wire.BlobResourceContents() as resource):
            return _reference(f"resource {resource.uri}", resource.mime_type, resource.blob)
        case wire.ResourceLink():
            return f"[resource {block.uri}, {block.mime_type or 'of unknown kind'}, not read]"
        case _:
            return f"[{block.type}, of unknown kind]"


def _reference(kind: str, mime_type: str | None, data: str) -> str:
    """A line for what can't be shown: kind, size, and a hash that tells two apart."""
    try:
        content = base64.b64decode(data)
    except (binascii.Error, ValueError):
        content = data.encode("utf-8", "replace")
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"[{kind}, {mime_type or 'of unknown kind'}, {len(content)} bytes, sha256 {digest}]"
