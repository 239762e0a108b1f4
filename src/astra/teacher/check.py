"""Check of an endpoint: does it offer what teachers, and agents that call tools, need?

A few short requests find out which forms of output it accepts and whether an answer is usable. They
say nothing about the quality of the model's answers.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from astra.configs.teacher import CheckTeacherConfig
from astra.errors import ModelError, TeacherError
from astra.models.keys import api_key
from astra.models.openai import OpenAIModel, Retries
from astra.protocols import Reply, Sampling
from astra.teacher.model import FORMS, ModelTeacher, ReplyForm
from astra.teacher.prompts.arenas import PARAPHRASE, ParaphraseIn
from astra.teacher.render import PromptTemplates
from astra.types import Json, Message, Record, ToolSchema, Usage

ReasoningStyle = Literal["none", "field", "inline"]
"""How replies carry reasoning: not at all, in a field of its own, or as a `<think>` block."""

_ASKED = ParaphraseIn(
    language="en",
    question="What is the height in metres of the mountain Kilimanjaro?",
    keep=("Kilimanjaro",),
)
_TOOL = ToolSchema(
    name="get_mountain_height",
    description="Returns the height of a mountain in metres.",
    parameters={
        "type": "object",
        "properties": {"mountain": {"type": "string", "description": "Name of the mountain."}},
        "required": ["mountain"],
    },
)
_CALL = "How high is Kilimanjaro? Call the tool get_mountain_height to find out."


class CheckedClient(Protocol):
    """The part of a model client that is checked; `OpenAIModel` has it."""

    @property
    def name(self) -> str: ...

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        tools: Sequence[ToolSchema] = (),
        response_format: Mapping[str, Json] | None = None,
        choices: int = 1,
    ) -> Sequence[Reply]: ...


class EndpointFinding(Record):
    """Result of one attempt."""

    works: bool
    detail: str = ""
    """What happened instead. Empty if there is nothing to tell."""


class EndpointReport(Record):
    """Abilities of an endpoint."""

    model: str
    usable: bool
    """Whether it can be a teacher: a usable answer came in the form that will be used."""
    form: ReplyForm | None
    """The form of output that will be used. None if the endpoint accepts none."""
    forms: dict[ReplyForm, EndpointFinding]
    tools: EndpointFinding
    """Tool calls. Agents need them, teachers don't."""
    choices: EndpointFinding
    """Several replies to one request (`n`)."""
    usage: EndpointFinding
    """Whether tokens are counted. If not, costs are unknown."""
    reasoning: ReasoningStyle
    seconds: float


class _RecordingClient:
    """A model client that keeps the first reply to each request."""

    def __init__(self, model: CheckedClient) -> None:
        self._model = model
        self.replies: list[Reply] = []

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        tools: Sequence[ToolSchema] = (),
        response_format: Mapping[str, Json] | None = None,
        choices: int = 1,
    ) -> Sequence[Reply]:
        replies = await self._model.complete(
            messages, sampling, tools=tools, response_format=response_format, choices=choices
        )
        self.replies.append(replies[0])
        return replies


async def check_endpoint(
    model: CheckedClient, templates: PromptTemplates | None = None
) -> EndpointReport:
    """Try everything concurrently. Raises `ModelError` if the endpoint can't be asked at all."""
    templates, start = templates or PromptTemplates(), time.monotonic()
    client = _RecordingClient(model)
    tried, tools, choices = await asyncio.gather(
        asyncio.gather(*(_try_form(client, form, templates) for form in FORMS)),
        _try_tools(client),
        _try_choices(client, templates),
    )
    errors = [outcome for outcome in tried if isinstance(outcome, ModelError)]
    if len(errors) == len(FORMS):
        raise errors[0]
    forms: dict[ReplyForm, EndpointFinding] = {
        form: EndpointFinding(works=False, detail=str(outcome))
        if isinstance(outcome, ModelError)
        else outcome
        for form, outcome in zip(FORMS, tried, strict=True)
    }
    taken: list[ReplyForm] = [form for form in FORMS if not forms[form].detail.startswith(_REFUSED)]
    form = taken[0] if taken else None
    reasoning: ReasoningStyle = "none"
    if any(reply.message.reasoning for reply in client.replies):
        reasoning = "field"
    elif any("</think>" in reply.message.content for reply in client.replies):
        reasoning = "inline"
    counted = any(reply.usage != Usage() for reply in client.replies)
    return EndpointReport(
        model=model.name,
        usable=form is not None and forms[form].works,
        form=form,
        forms=forms,
        tools=tools,
        choices=choices,
        usage=EndpointFinding(works=counted, detail="" if counted else "no tokens are counted"),
        reasoning=reasoning,
        seconds=round(time.monotonic() - start, 2),
    )


_REFUSED = "the endpoint refuses it"


async def _try_form(
    client: _RecordingClient, form: ReplyForm, templates: PromptTemplates
) -> EndpointFinding | ModelError:
    teacher = ModelTeacher(client, templates=templates, form=form)
    try:
        answer = await teacher.ask(PARAPHRASE, _ASKED)
    except TeacherError as error:
        refused = teacher.forms.get(PARAPHRASE.name) != form
        return EndpointFinding(
            works=False, detail=f"{_REFUSED}: {error}" if refused else str(error)
        )
    except ModelError as error:
        return error
    if teacher.forms[PARAPHRASE.name] != form:
        return EndpointFinding(works=False, detail=_REFUSED)
    if _ASKED.keep[0] not in answer.question:
        return EndpointFinding(
            works=True, detail=f"but it did not keep to the rules: {answer.question!r}"
        )
    again = teacher.costs.total.requests - 1
    return EndpointFinding(works=True, detail=f"after asking again {again} times" if again else "")


async def _try_tools(client: _RecordingClient) -> EndpointFinding:
    messages = [Message(role="user", content=_CALL)]
    try:
        (reply, *_) = await client.complete(messages, Sampling(), tools=[_TOOL])
    except ModelError as error:
        return EndpointFinding(works=False, detail=str(error))
    for call in reply.message.tool_calls:
        if call.tool != _TOOL.name:
            return EndpointFinding(works=False, detail=f"it called {call.tool!r}")
        try:
            if isinstance(json.loads(call.arguments), dict):
                return EndpointFinding(works=True)
        except (ValueError, RecursionError):
            pass
        return EndpointFinding(works=False, detail=f"its arguments are {call.arguments[:100]!r}")
    return EndpointFinding(works=False, detail="it wrote a text and called nothing")


async def _try_choices(client: _RecordingClient, templates: PromptTemplates) -> EndpointFinding:
    messages = templates.messages(PARAPHRASE, _ASKED)
    try:
        replies = await client.complete(messages, Sampling(), choices=2)
    except ModelError as error:
        return EndpointFinding(works=False, detail=str(error))
    if len(replies) != 2:
        return EndpointFinding(works=False, detail=f"2 were asked for, {len(replies)} came")
    return EndpointFinding(works=True)


async def check_teacher(config: CheckTeacherConfig) -> EndpointReport:
    """Try the endpoint that the options name."""
    # No variable is read unless named, so that no endpoint gets another's key.
    key, timeout = api_key(config.teacher_key_env), config.teacher_timeout
    retries = Retries(attempts=2, longest_wait=timeout)
    async with OpenAIModel(
        config.teacher, config.teacher_url, key, timeout=timeout, retries=retries
    ) as endpoint:
        return await check_endpoint(endpoint)
