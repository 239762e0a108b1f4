"""The teacher server as an agent: requests with tools, over the wire, faults included."""

from __future__ import annotations

import http.client
import json

import pytest

from astra.errors import ModelBadReply
from astra.models.openai import OpenAIModel, Retries
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Sampling
from astra.testing.rule_teacher.several import SeveralTeachers
from astra.testing.teacher_faults import FaultPlan, TeacherServerFault
from astra.testing.teacher_server import TeacherServer
from astra.types import FinishReason, Message, ToolSchema

TOOL = ToolSchema(name="add", description="Adds.", parameters={"type": "object", "properties": {}})
START = (Message(role="user", content="What is 1 + 2?"),)
TEACHER = SeveralTeachers("rules", {})


def agent() -> ScriptedModel:
    return ScriptedModel([calling(("add", {"a": 1, "b": 2})), "It is 3."], name="rules")


def model(server: TeacherServer) -> OpenAIModel:
    return OpenAIModel("rules", server.url, retries=Retries(6, first_wait=0.01))


async def play(server: TeacherServer) -> list[Message]:
    messages = list(START)
    async with model(server) as asked:
        while messages[-1].role != "assistant" or messages[-1].tool_calls:
            reply = await asked.generate(messages, [TOOL], Sampling(seed=1))
            messages.append(reply.message)
            for call in reply.message.tool_calls:
                messages.append(Message(role="tool", content="3", tool_call_id=call.id))
    return messages


@pytest.mark.parametrize("rate", [0.0, 0.5])
async def test_a_conversation_goes_over_the_wire(rate: float) -> None:
    kinds = (TeacherServerFault.server_error, TeacherServerFault.reset)
    with TeacherServer(TEACHER, agent=agent(), faults=FaultPlan(rate, kinds=kinds)) as server:
        messages = await play(server)
        served = server.served()
    assert json.loads(messages[1].tool_calls[0].arguments) == {"a": 1, "b": 2}
    assert messages[-1].content == "It is 3."
    assert set(served.by_prompt) == {"agent"}
    assert len(served.by_task) == 2


async def test_what_the_agent_can_not_do_is_a_refusal() -> None:
    with TeacherServer(TEACHER, agent=ScriptedModel([], name="rules")) as server:
        async with model(server) as asked:
            reply = await asked.generate(START, [TOOL], Sampling())
    assert reply.finish is FinishReason.filtered
    with pytest.raises(ModelBadReply):
        await ScriptedModel([]).generate(START, [TOOL], Sampling())


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]},
        {"messages": [{"role": "king", "content": "x"}], "tools": [TOOL.openai()]},
        {"messages": 3, "tools": [TOOL.openai()]},
    ],
)
def test_a_conversation_that_can_not_be_read_is_a_bad_request(body: dict[str, object]) -> None:
    with TeacherServer(TEACHER, agent=agent()) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", "/v1/chat/completions", json.dumps({"model": "rules", **body}))
        assert connection.getresponse().status == 400
        connection.close()
