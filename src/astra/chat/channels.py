"""Families whose messages are set out by special tokens: Gemma 4, and gpt-oss with its channels.

What can't be read keeps its raw text, as in `families`.
"""

from __future__ import annotations

import json
import re

from astra.chat.written import Tools, WrittenCall, WrittenMessage
from astra.core.untrusted import read_json

GEMMA_THOUGHT = re.compile(r"\A(?:\s*<\|channel>thought)?(.*?)<channel\|>", re.DOTALL)
HARMONY_THOUGHT = re.compile(r"\A<\|channel\|>analysis<\|message\|>(.*?)<\|end\|>", re.DOTALL)

_GEMMA_CALL = re.compile(r"<\|tool_call>(.*?)(?:<tool_call\|>|(?=<\|tool_call>)|\Z)", re.DOTALL)
_GEMMA_QUOTE = '<|"|>'
_BARE_KEY = re.compile(r'(?<=[{,])([^{}\[\],:"]+):')
_BARE_NONE = re.compile(r"(?<=[:,\[])None(?=[,\]}])")
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([^\s<]+)")


def gemma4(text: str, _tools: Tools) -> WrittenMessage:
    """Calls as `<|tool_call>call:NAME{key:<|"|>text<|"|>,other:3}<tool_call|>`: JSON with bare
    keys, and strings between tokens of their own, in which nothing is escaped."""
    calls: list[WrittenCall] = []
    for block in _GEMMA_CALL.findall(text):
        head, brace, rest = block.partition("{")
        calls.append(WrittenCall(head.strip().removeprefix("call:"), _gemma_json(brace + rest)))
    return _GEMMA_CALL.sub("", text), calls


def _gemma_json(text: str) -> str:
    """The arguments as JSON, or as they are when they are none."""
    parts = text.strip().split(_GEMMA_QUOTE)
    for index, part in enumerate(parts):
        if index % 2:
            parts[index] = json.dumps(part, ensure_ascii=False)
        else:
            keyed = _BARE_KEY.sub(lambda found: json.dumps(found[1].strip()) + ":", part)
            # The template writes what Jinja makes of a null.
            parts[index] = _BARE_NONE.sub("null", keyed)
    written = "".join(parts)
    try:
        read_json(written)
    except ValueError:
        return text
    # With an even number of parts a string was left open.
    return written if len(parts) % 2 else text


def harmony(text: str, _tools: Tools) -> WrittenMessage:
    """Messages `HEADER<|message|>BODY`, set apart by `<|end|><|start|>assistant`.

    The header names the channel, and of a call its recipient, before or after the channel.
    """
    content: list[str] = []
    calls: list[WrittenCall] = []
    for written in text.split("<|start|>assistant"):
        header, mark, body = written.partition("<|message|>")
        body = body.removesuffix("<|end|>")
        recipient = _RECIPIENT.search(header)
        if recipient:
            calls.append(WrittenCall(recipient.group(1), body.strip()))
        elif not mark:
            content.append(header)
        elif "<|channel|>analysis" not in header:
            content.append(body)
    return "\n".join(content), calls
