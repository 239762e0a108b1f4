"""A language model as teacher: render the prompt, ask, check the reply, ask again, give up.

An answer comes whole from the model, or not at all: nothing is defaulted. Structured output is
requested in the strongest form that the endpoint accepts, which is remembered per prompt. Failed
requests are retried by the model client; here only unusable replies are asked for again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, Protocol

from astra.errors import ConfigError, ModelBadReply, ModelRejects, TeacherError
from astra.protocols import Reply, Sampling
from astra.runs.cost import billed_stage
from astra.teacher.cache import AnswerCache, RecordedAnswer
from astra.teacher.cost import CostTotals
from astra.teacher.parse import as_record, read_reply
from astra.teacher.prompt import In, Out, Prompt
from astra.teacher.render import PromptTemplates, is_closed, reply_schema, schema_hash
from astra.types import Json, Message, Usage, content_hash

ReplyForm = Literal["schema", "json", "text"]
"""How structured output is requested: by a JSON Schema, as "any JSON", or by the prompt alone."""
FORMS: tuple[ReplyForm, ...] = ("schema", "json", "text")

_FORM_REFUSED = frozenset({400, 404, 415, 422})
"""Statuses by which endpoints refuse a form of output. 404: a router without such a provider."""
_REQUEST_REFUSED = frozenset({400, 413, 422})
"""Statuses about one request alone. With any other, no request would be answered."""
_ECHO = 4000
"""Characters of an unusable reply that the model sees again."""
_EXCERPT = 200


class Completer(Protocol):
    """The part of a model client that a teacher uses; `OpenAIModel` has it."""

    @property
    def name(self) -> str: ...

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        response_format: Mapping[str, Json] | None = None,
    ) -> Sequence[Reply]: ...


@dataclass(frozen=True, slots=True)
class _UsableReply(Generic[Out]):
    """An answer with its cost."""

    value: Json
    record: Out
    requests: int
    usage: Usage
    seconds: float


class ModelTeacher:
    """Answers prompts by asking a model. Concurrent equal questions share one request.

    `cache`: stores answers and finds them again; None: every question is paid for. `sampling`: its
    seed, if any, is raised by the index of the answer. `attempts`: requests per answer, at most.
    `form`: the strongest form of output to try.
    """

    def __init__(
        self,
        model: Completer,
        *,
        templates: PromptTemplates | None = None,
        cache: AnswerCache | None = None,
        costs: CostTotals | None = None,
        sampling: Sampling = Sampling(),
        attempts: int = 3,
        form: ReplyForm = "schema",
    ) -> None:
        if attempts < 1:
            raise ConfigError(f"attempts {attempts!r} must be at least 1")
        self._model = model
        self._templates = templates or PromptTemplates()
        self._cache = cache
        self.costs = costs or CostTotals()
        self._sampling = sampling
        self._attempts = attempts
        self._form: ReplyForm = form
        self._forms: dict[str, ReplyForm] = {}
        self._requests: dict[str, _SharedRequest] = {}

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def forms(self) -> Mapping[str, ReplyForm]:
        """By prompt: the form of output that the endpoint accepts."""
        return dict(self._forms)

    async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
        """Answer one prompt. `index` numbers independent answers to the same prompt.

        Raises `TeacherError` if no usable answer comes, `ModelUnavailable` if the endpoint does not
        answer at all, and `BudgetExceeded` before a request that exceeds the budget.
        """
        messages = self._templates.messages(prompt, task)
        key = self._key(prompt, messages, index)
        recorded = None if self._cache is None else self._cache.find(key)
        if recorded is not None:
            self.costs.replayed(prompt.name)
            try:
                return as_record(recorded.answer, prompt.output_type)
            except ValueError as error:
                raise TeacherError(
                    f"prompt {prompt.name!r}: the recorded answer does not fit ({error}): raise "
                    "the prompt's version"
                ) from error
        # Equal questions at once share a request. One that is over may still be listed: who waited
        # for it removes it only when it runs again.
        request = self._requests.get(key)
        if request is None or request.over:
            request = _SharedRequest(self._answer(prompt, task, messages, key, index))
            self._requests[key] = request
        try:
            return await request.result()
        finally:
            if request.over and self._requests.get(key) is request:
                del self._requests[key]

    def _key(self, prompt: Prompt[In, Out], messages: list[Message], index: int) -> str:
        sampling = self._sampling
        return content_hash(
            {
                "prompt": prompt.name,
                "version": prompt.version,
                "messages": [[message.role, message.content] for message in messages],
                "schema": schema_hash(prompt.output_type),
                "model": self._model.name,
                "sampling": [
                    sampling.temperature,
                    sampling.top_p,
                    sampling.max_tokens,
                    sampling.seed,
                ],
                "index": index,
            }
        )

    async def _answer(
        self,
        prompt: Prompt[In, Out],
        task: In,
        messages: list[Message],
        key: str,
        index: int,
    ) -> Out:
        reply = await self._usable_reply(prompt, task, messages, index)
        self.costs.answered(prompt.name)
        if self._cache is not None:
            self._cache.add(
                RecordedAnswer(
                    key=key,
                    prompt=prompt.name,
                    stage=billed_stage(),
                    version=prompt.version,
                    model=self._model.name,
                    index=index,
                    answer=reply.value,
                    requests=reply.requests,
                    usage=reply.usage,
                    seconds=round(reply.seconds, 3),
                )
            )
        return reply.record

    async def _usable_reply(
        self, prompt: Prompt[In, Out], task: In, messages: list[Message], index: int
    ) -> _UsableReply[Out]:
        """Ask until a reply can be used, at most `attempts` times."""
        conversation, usage, start = list(messages), Usage(), time.monotonic()
        problem, text = "", ""
        for attempt in range(1, self._attempts + 1):
            self.costs.check()
            reply = await self._reply(prompt, conversation, index)
            usage += reply.usage
            text = reply.message.content.strip()
            try:
                value, record = read_reply(reply, prompt.output_type)
                if prompt.problem and (found := prompt.problem(task, record)):
                    raise ValueError(found)
            except ValueError as error:
                problem = str(error)
                # Many endpoints refuse an empty assistant message.
                echo = (f"{text[:_ECHO]} …" if len(text) > _ECHO else text) or "(empty)"
                # Only the last reply is shown again: its problem is the one to solve.
                conversation = [
                    *messages,
                    Message(role="assistant", content=echo),
                    self._templates.again(task, problem),
                ]
                continue
            return _UsableReply(value, record, attempt, usage, time.monotonic() - start)
        self.costs.failed(prompt.name)
        raise TeacherError(
            f"prompt {prompt.name!r} got no usable answer from {self.name!r} in {self._attempts} "
            f"attempts; the last problem: {problem}; the last reply begins {text[:_EXCERPT]!r}"
        )

    async def _reply(
        self, prompt: Prompt[In, Out], messages: Sequence[Message], index: int
    ) -> Reply:
        """One reply, in the strongest form that the endpoint accepts for this prompt."""
        seed = self._sampling.seed
        sampling = self._sampling if seed is None else replace(self._sampling, seed=seed + index)
        first = self._forms.get(prompt.name, self._form)
        refusals: list[ModelRejects] = []
        for form in FORMS[FORMS.index(first) :]:
            start = time.monotonic()
            try:
                reply = (
                    await self._model.complete(
                        messages,
                        sampling,
                        response_format=response_format(form, prompt),
                    )
                )[0]
            except ModelRejects as error:
                refusals.append(error)
                if error.status in _FORM_REFUSED:
                    continue
                break
            except ModelBadReply as error:
                self.costs.failed(prompt.name)
                raise TeacherError(f"prompt {prompt.name!r} could not be asked: {error}") from error
            self._forms[prompt.name] = form
            self.costs.request(prompt.name, reply.usage, time.monotonic() - start)
            return reply
        # Every form is refused; the first refusal is about the form that is wanted most.
        self.costs.failed(prompt.name)
        if refusals[0].status in _REQUEST_REFUSED:
            raise TeacherError(f"prompt {prompt.name!r} can't be asked: {refusals[0]}")
        raise refusals[0]


def response_format(form: ReplyForm, prompt: Prompt[Any, Any]) -> dict[str, Json] | None:
    """The request's `response_format`. None if none is sent."""
    match form:
        case "schema":
            schema: dict[str, Json] = {
                "name": prompt.name,
                "schema": reply_schema(prompt.output_type),
                "strict": is_closed(prompt.output_type),
            }
            return {"type": "json_schema", "json_schema": schema}
        case "json":
            return {"type": "json_object"}
        case "text":
            return None


class _SharedRequest:
    """A request that several callers may wait for; cancelled when the last of them gives up."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._task = asyncio.create_task(work)
        self._waiting = 0
        self.over = False
        """Whether it is too late to wait for it."""

    async def result(self) -> Any:
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            self.over = self._task.done() or not self._waiting
            if self.over:
                self._task.cancel()
