"""Who plays a benchmark: an endpoint, a local model, an object, or a reference policy."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, closing, contextmanager, nullcontext
from typing import Any, cast

from astra.chat.families import CHAT_FAMILIES
from astra.configs.benchmarks import BenchmarkConfig, UserConfig
from astra.evaluation.benchmarks.records import BenchmarkTask
from astra.models.keys import api_key
from astra.models.openai import OpenAIModel
from astra.protocols import Model, Reply, Sampling
from astra.rollouts.adapters import AdaptedModel, UserModel
from astra.types import FinishReason, Message, ToolSchema

ModelOpener = Callable[[BenchmarkTask], AbstractContextManager[Model]]
"""Opens the model for one episode of a task."""
_FAMILY = CHAT_FAMILIES["hermes"]
_NO_ANSWER = "I do not know."
_SYSTEM = """\
You may call functions. These are their documents, one per line:
<tools>
{tools}
</tools>
To call functions, write for each call a JSON object with its name and arguments:
<tool_call>
{{"name": "function_name", "arguments": {{"argument_name": "value"}}}}
</tool_call>
The results come back in <tool_response></tool_response>. To call nothing, write no <tool_call>."""


def reference_model(config: BenchmarkConfig, task: BenchmarkTask) -> Model:
    """The reference policy of the options, for one task."""
    gold = task.gold if config.policy == "gold" else ()
    return RecitedMessages(gold or (), name=str(config.policy))


class RecitedMessages:
    """Messages of one episode, one after the other whatever is said, then that it does not know."""

    def __init__(self, messages: Sequence[Message], name: str) -> None:
        self.name = name
        self._left = iter(messages)

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        message = next(self._left, None) or Message(role="assistant", content=_NO_ANSWER)
        finish = FinishReason.tool_calls if message.tool_calls else FinishReason.stop
        return Reply(message, finish)


async def open_user(config: UserConfig, stack: AsyncExitStack) -> Model | None:
    """The model that plays the user. None: a script does."""
    if config.user_url is not None:
        name, key = cast(str, config.user_model), api_key(config.user_key_env)
        talking = OpenAIModel(name, config.user_url, key, timeout=config.user_timeout)
        return await stack.enter_async_context(talking)
    if config.user_model is None:
        return None
    return AdaptedModel(cast(UserModel, config.user_model))


async def open_model(config: BenchmarkConfig, stack: AsyncExitStack) -> ModelOpener:
    """Who plays by the options."""
    if config.policy is not None:
        return lambda task: nullcontext(reference_model(config, task))
    prompted = config.function_calling == "prompt" and not config.writes_tools_itself

    def shown(model: Model) -> Model:
        return PromptedModel(model) if prompted else model

    if config.is_local:
        from astra.engines.local import LocalModel  # late: torch

        deterministic = config.episodes_at_once == 1
        local = LocalModel(
            cast(Any, config.model),
            deterministic=deterministic,
            template_args=config.template_args,
        )

        @contextmanager
        def converse(_: BenchmarkTask) -> Generator[Model]:
            with closing(local.cached()) as conversation:
                yield shown(conversation)

        return converse
    if config.base_url is not None:
        endpoint = OpenAIModel(
            cast(str, config.model),
            config.base_url,
            api_key(config.api_key_env),
            timeout=config.timeout,
        )
        model: Model = await stack.enter_async_context(endpoint)
    else:
        model = AdaptedModel(cast(UserModel, config.model))
    return lambda _: nullcontext(shown(model))


class PromptedModel:
    """A model without function calling: tools, calls and results are text of its messages.

    The form is that of the Hermes family. A call that can't be read is still a call.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def name(self) -> str:
        return self._model.name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        reply = await self._model.generate(_as_text(messages, tools), [], sampling)
        message = _FAMILY.read(reply.message.content, tools)
        # Ids of one conversation differ from message to message.
        turn = sum(m.role == "assistant" for m in messages)
        calls = tuple(
            call.model_copy(update={"id": f"call_{turn}_{index}"})
            for index, call in enumerate(message.tool_calls)
        )
        reasoning = message.reasoning or reply.message.reasoning
        message = message.model_copy(update={"tool_calls": calls, "reasoning": reasoning})
        finish = FinishReason.tool_calls if calls else reply.finish
        return Reply(message, finish, reply.usage)


def _as_text(messages: Sequence[Message], tools: Sequence[ToolSchema]) -> list[Message]:
    """A conversation with tools as one without."""
    documents = "\n".join(json.dumps(tool.openai(), ensure_ascii=False) for tool in tools)
    system = "\n\n".join(
        [m.content for m in messages if m.role == "system"]
        + ([_SYSTEM.format(tools=documents)] if tools else [])
    )
    written = [Message(role="system", content=system)] if system else []
    for message in messages:
        if message.role == "system":
            continue
        content = message.content
        for call in message.tool_calls:
            try:
                arguments = json.loads(call.arguments)
            except ValueError:
                arguments = call.arguments
            body = json.dumps({"name": call.tool, "arguments": arguments}, ensure_ascii=False)
            content += f"\n<tool_call>\n{body}\n</tool_call>"
        role = message.role
        if role == "tool":
            role, content = "user", f"<tool_response>\n{content}\n</tool_response>"
        if role == "user" and written and written[-1].role == "user":
            # Many chat templates want the roles to alternate.
            content = f"{written.pop().content}\n{content}"
        written.append(Message(role=role, content=content.strip()))
    return written
