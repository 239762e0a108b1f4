"""The teacher that is a language model: it renders, asks, checks, asks again, and then gives up.

An answer comes from the model, whole, or not at all: nothing is defaulted. Structured output is
asked for in the strongest form that the endpoint takes; what was learned of it is remembered.
Retries of requests are the model client's; here only answers that can't be used are asked again.
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
"""How structured output is asked for: a JSON Schema, "any JSON", or by the prompt alone."""
FORMS: tuple[ReplyForm, ...] = ("schema", "json", "text")

_NOT_TAKEN = frozenset({400, 404, 415, 422})
"""Statuses by which endpoints refuse a form of output. 404: routers that find no such provider."""
_TOO_MUCH = frozenset({400, 413, 422})
"""Statuses that are about the one request; by others, no request would be answered."""
_ECHO = 4000
"""Characters of an unusable reply that are shown to the model again."""
_EXCERPT = 200


class Completer(Protocol):
    """What a teacher needs of a model client; `OpenAIModel` is one."""

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
class _Asked(Generic[Out]):
    """An answer with what it took."""

    value: Json
    record: Out
    requests: int
    usage: Usage
    seconds: float


class ModelTeacher:
    """Answers prompts by asking a model. Many may ask at once; like questions share one request.

    `cache`: where answers are put on record and found again; None: every ask is paid for.
    `sampling`: a seed, where there is one, is raised by the index of the answer. `attempts`: how
    often one answer is asked for. `form`: the strongest form of output to try.
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
        self._flights: dict[str, _Flight] = {}

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def forms(self) -> Mapping[str, ReplyForm]:
        """By prompt: the form of output that the endpoint was found to take."""
        return dict(self._forms)

    async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
        """The answer to one prompt. `index`: which of several independent answers is wanted.

        `TeacherError` when no usable answer comes; `ModelUnavailable` when the endpoint does not
        answer at all; `BudgetExceeded` before a request that may not be paid for.
        """
        messages = self._templates.messages(prompt, task)
        key = self._key(prompt, messages, index)
        recorded = None if self._cache is None else self._cache.find(key)
        if recorded is not None:
            self.costs.replayed(prompt.name)
            return self._record(prompt, recorded.answer)
        flight = self._flights.get(key)
        if flight is None or flight.over:
            flight = _Flight(self._answer(prompt, task, messages, key, index))
            self._flights[key] = flight
        try:
            return await flight.result()
        finally:
            if flight.over and self._flights.get(key) is flight:
                del self._flights[key]

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

    def _record(self, prompt: Prompt[In, Out], value: Json) -> Out:
        try:
            return as_record(value, prompt.output_type)
        except ValueError as error:
            raise TeacherError(
                f"prompt {prompt.name!r}: the answer on record does not fit ({error}): raise the "
                "prompt's version"
            ) from error

    async def _answer(
        self,
        prompt: Prompt[In, Out],
        given: In,
        messages: list[Message],
        key: str,
        index: int,
    ) -> Out:
        asked = await self._asked(prompt, given, messages, index)
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
                    answer=asked.value,
                    requests=asked.requests,
                    usage=asked.usage,
                    seconds=round(asked.seconds, 3),
                )
            )
        return asked.record

    async def _asked(
        self, prompt: Prompt[In, Out], given: In, messages: list[Message], index: int
    ) -> _Asked[Out]:
        """Ask until an answer can be used, at most `attempts` times."""
        talk, usage, start = list(messages), Usage(), time.monotonic()
        problem, said = "", ""
        for attempt in range(1, self._attempts + 1):
            self.costs.check()
            reply = await self._reply(prompt, talk, index)
            usage += reply.usage
            said = reply.message.content
            try:
                value, record = read_reply(reply, prompt.output_type)
            except ValueError as error:
                problem = str(error)
                # Only the last try is shown again: what counts is what is wrong with it.
                talk = [*messages, _shown(reply.message), self._templates.again(given, problem)]
                continue
            return _Asked(value, record, attempt, usage, time.monotonic() - start)
        self.costs.failed(prompt.name)
        raise TeacherError(
            f"prompt {prompt.name!r} got no usable answer from {self.name!r} in {self._attempts} "
            f"attempts; the last problem: {problem}; the last reply begins {said[:_EXCERPT]!r}"
        )

    async def _reply(
        self, prompt: Prompt[In, Out], messages: Sequence[Message], index: int
    ) -> Reply:
        """One reply, in the strongest form that the endpoint takes for this prompt."""
        first = self._forms.get(prompt.name, self._form)
        refusals: list[ModelRejects] = []
        for form in FORMS[FORMS.index(first) :]:
            start = time.monotonic()
            try:
                reply = (
                    await self._model.complete(
                        messages,
                        self._sampled(index),
                        response_format=response_format(form, prompt),
                    )
                )[0]
            except ModelRejects as error:
                refusals.append(error)
                if error.status in _NOT_TAKEN:
                    continue
                break
            except ModelBadReply as error:
                self.costs.failed(prompt.name)
                raise TeacherError(f"prompt {prompt.name!r} could not be asked: {error}") from error
            self._forms[prompt.name] = form
            self.costs.request(prompt.name, reply.usage, time.monotonic() - start)
            return reply
        # Whatever the form, it is refused; the first refusal is about what is wanted most.
        self.costs.failed(prompt.name)
        if refusals[0].status in _TOO_MUCH:
            raise TeacherError(f"prompt {prompt.name!r} can't be asked: {refusals[0]}")
        raise refusals[0]

    def _sampled(self, index: int) -> Sampling:
        seed = self._sampling.seed
        return self._sampling if seed is None else replace(self._sampling, seed=seed + index)


def response_format(form: ReplyForm, prompt: Prompt[Any, Any]) -> dict[str, Json] | None:
    """What is sent as `response_format`; None: nothing."""
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


def _shown(message: Message) -> Message:
    """An unusable reply as it is shown to the model again."""
    text = message.content.strip()
    if len(text) > _ECHO:
        text = f"{text[:_ECHO]} …"
    # Many endpoints refuse an empty assistant message.
    return Message(role="assistant", content=text or "(empty)")


class _Flight:
    """A request that several may wait for. It is cancelled when nobody waits any more."""

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
