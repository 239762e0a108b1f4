"""Does an endpoint do what a teacher, and an agent that calls tools, need? A few short requests.

It tells what the endpoint takes and whether one answer could be used. It does not tell how good
the model's answers are.
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
"""Seen in replies: no reasoning, in a field of its own, or in a `<think>` block before the text."""

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
    """What of a model client is checked; `OpenAIModel` has it."""

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
    """One thing that was tried."""

    works: bool
    detail: str = ""
    """What was seen instead; "": nothing worth telling."""


class EndpointReport(Record):
    """What was found out about an endpoint."""

    model: str
    usable: bool
    """Whether it can be a teacher: an answer came in the form that will be used."""
    form: ReplyForm | None
    """The form of output that will be used; None: none is taken."""
    forms: dict[ReplyForm, EndpointFinding]
    tools: EndpointFinding
    """Needed of agents, not of teachers."""
    choices: EndpointFinding
    """Several replies to one request (`n`)."""
    usage: EndpointFinding
    """Whether tokens are counted; without, nothing can be said of cost."""
    reasoning: ReasoningStyle
    seconds: float


class _Heard:
    """The model, with what it replied kept."""

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
    """Try everything at once. `ModelError` when the endpoint can't be asked at all."""
    templates, heard, start = templates or PromptTemplates(), _Heard(model), time.monotonic()
    tried, tools, choices = await asyncio.gather(
        asyncio.gather(*(_try_form(heard, form, templates) for form in FORMS)),
        _try_tools(heard),
        _try_choices(heard, templates),
    )
    errors = [outcome for outcome in tried if isinstance(outcome, ModelError)]
    if len(errors) == len(FORMS):
        raise errors[0]
    forms: dict[ReplyForm, EndpointFinding] = {
        form: EndpointFinding(works=False, detail=str(found))
        if isinstance(found, ModelError)
        else found
        for form, found in zip(FORMS, tried, strict=True)
    }
    taken: list[ReplyForm] = [form for form in FORMS if not forms[form].detail.startswith(_REFUSED)]
    form = taken[0] if taken else None
    counted = any(reply.usage != Usage() for reply in heard.replies)
    return EndpointReport(
        model=model.name,
        usable=form is not None and forms[form].works,
        form=form,
        forms=forms,
        tools=tools,
        choices=choices,
        usage=EndpointFinding(works=counted, detail="" if counted else "no tokens are counted"),
        reasoning=_reasoning(heard.replies),
        seconds=round(time.monotonic() - start, 2),
    )


_REFUSED = "the endpoint refuses it"


async def _try_form(
    heard: _Heard, form: ReplyForm, templates: PromptTemplates
) -> EndpointFinding | ModelError:
    teacher = ModelTeacher(heard, templates=templates, form=form)
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


async def _try_tools(heard: _Heard) -> EndpointFinding:
    messages = [Message(role="user", content=_CALL)]
    try:
        (reply, *_) = await heard.complete(messages, Sampling(), tools=[_TOOL])
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


async def _try_choices(heard: _Heard, templates: PromptTemplates) -> EndpointFinding:
    messages = templates.messages(PARAPHRASE, _ASKED)
    try:
        replies = await heard.complete(messages, Sampling(), choices=2)
    except ModelError as error:
        return EndpointFinding(works=False, detail=str(error))
    if len(replies) != 2:
        return EndpointFinding(works=False, detail=f"2 were asked for, {len(replies)} came")
    return EndpointFinding(works=True)


def _reasoning(replies: Sequence[Reply]) -> ReasoningStyle:
    if any(reply.message.reasoning for reply in replies):
        return "field"
    return "inline" if any("</think>" in r.message.content for r in replies) else "none"


async def check_teacher(config: CheckTeacherConfig) -> EndpointReport:
    """Try the endpoint that the options name."""
    # No variable is read unless named, so that no endpoint gets another's key.
    key, timeout = api_key(config.teacher_key_env), config.teacher_timeout
    retries = Retries(attempts=2, longest_wait=timeout)
    async with OpenAIModel(
        config.teacher, config.teacher_url, key, timeout=timeout, retries=retries
    ) as endpoint:
        return await check_endpoint(endpoint)
