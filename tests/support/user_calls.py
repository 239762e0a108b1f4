"""Reference policies where the user of a conversation is a tool."""

from __future__ import annotations

import json
from collections.abc import Sequence

from astra.protocols import Model, Sampling
from astra.rollouts.user_tool import LEFT, USER_TOOL
from astra.types import Message, ToolCallRequest


async def said_by_tool(model: Model, messages: Sequence[Message]) -> Message:
    """The policy's next message, as a call if it says something to a user who is there."""
    if any(message.role == "tool" and message.content == LEFT for message in messages):
        return Message(role="assistant", content="Done.")
    message = (await model.generate(messages, (), Sampling())).message
    if message.tool_calls:
        return message
    arguments = json.dumps({"text": message.content}, ensure_ascii=False)
    call = ToolCallRequest(id="call_user", tool=USER_TOOL.name, arguments=arguments)
    return Message(role="assistant", tool_calls=(call,))
