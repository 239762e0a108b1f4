"""What an MCP tool returned, as one bounded JSON value.

Structured content goes before text. Text that is a JSON object or list is read as such, so that
its fields can be named. Images, sounds and files become a line that says what they were.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

import mcp_types as wire

from astra.protocols import ToolResult
from astra.types import Json, canonical_json, depth

DEEPEST = 64
"""Lists and objects inside each other; a deeper value is kept as text."""


def as_result(result: wire.CallToolResult, *, most: int) -> ToolResult:
    """The result in at most some `most` characters; an error of the tool as {"error": {...}}."""
    value = _value(result)
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


def _value(result: wire.CallToolResult) -> Json:
    value = result.structured_content
    if value is not None and depth(value, DEEPEST) <= DEEPEST:
        return value
    parts = [_part(block) for block in result.content]
    return parts[0] if len(parts) == 1 else parts


def _part(block: wire.ContentBlock) -> Json:
    match block:
        case wire.TextContent():
            return _parsed(block.text)
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


def _parsed(text: str) -> Json:
    """JSON objects and lists as values; everything else is text."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        value = json.loads(text)
        return value if depth(value, DEEPEST) <= DEEPEST and canonical_json(value) else text
    except (ValueError, RecursionError):
        return text
