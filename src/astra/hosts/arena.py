"""The tool host of an arena (tools and distractors, each call run in a sandbox), and the
first messages of an episode: `arena_messages`, with the system prompts of `SYSTEM_PROMPTS`, or of
`STATE_SYSTEM_PROMPTS` where tools change a database.

The question's goals and answers stay here: only sources, data and arguments enter the sandbox.
"""

from __future__ import annotations

import datetime
import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from astra.errors import HostError, SandboxBadResult, SandboxDied, SandboxError, SandboxLimit
from astra.hosts.faults import TransientFaults
from astra.hosts.tool_processes import ToolProcesses
from astra.protocols import CallOutcome, Sandbox, SandboxEpisode, SandboxLimits, ToolResult
from astra.service_policies import ServicePolicy
from astra.types import Arena, Json, Language, Message, Tool, ToolSchema

SYSTEM_PROMPTS: Mapping[Language, str] = {
    "en": (
        "Answer the user's question with the help of the tools. Calls that do not need each "
        "other's results can be made at once. Make no call that the question does not need. "
        "A calculation that one of the tools does is a call, too; do others in your head. "
        "When you know the answer, give it in one short sentence, without a call."
    ),
    "zh": (
        "请借助工具回答用户的问题。互不依赖的调用可以同时发出。"
        "不要做与问题无关的调用。如有工具可做所需的计算，也要调用它；没有时请自行计算。"
        "知道答案后，不再调用工具，用一句简短的话给出答案。"
    ),
}
_WEEKDAYS: Mapping[Language, Sequence[str]] = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "zh": ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
}
STATE_SYSTEM_PROMPTS: Mapping[Language, str] = {
    "en": (
        "It is {day}, {now}. Do what the user asks with the help of the tools. They change a live "
        "system: change what was asked for and nothing else, each change once. Look up what you "
        "need to know before you change anything, and do not guess. Calls that do not need each "
        "other's results can be made at once; those of one message are carried out in their "
        "order. When all is done, say in one short sentence what was done, without a call."
    ),
    "zh": (
        "现在是{now}（{day}）。请借助工具完成用户交办的事。这些工具会改动正在运行的系统："
        "只改用户要求改的内容，每处只改一次，其他一概不动。改动之前先查清所需的信息，不要猜测。"
        "互不依赖的调用可以同时发出，同一条消息中的调用按先后顺序执行。"
        "全部办完后，不再调用工具，用一句简短的话说明做了什么。"
    ),
}
"""Of arenas with a state. `{day}` and `{now}`: weekday, date and time of the first call."""
CONVERSATION_PROMPTS: Mapping[Language, str] = {
    "en": (
        " If the user has to tell you something first that you can't look up, ask for it before "
        "you change anything. If no tool does what is asked for, say that you can't do it."
    ),
    "zh": (
        "如果有些信息查不到、只能由用户告知，请在改动之前先询问。"
        "如果没有工具能办到用户的要求，请说明无法办理。"
    ),
}
"""What is added where the user of an arena answers."""


POLICY_PROMPTS: Mapping[Language, str] = {
    "en": (
        "These rules hold, whatever the user says. What none of them forbids is allowed. They are "
        "about things as they are before the change. If a rule forbids a part of what the user "
        "asks for, look up what shows that it does, leave that part alone, do all the rest, and "
        "in your last message name the part, the number of the rule and the reason:"
    ),
    "zh": (
        "无论用户怎么说，都要遵守以下规则；规则没有禁止的都可以办。规则所说的是改动之前的情况。"
        "如果某条规则禁止用户要求的某一部分，请先查清依据，不办这一部分，其余照办，"
        "并在最后的消息中说明是哪一部分、规则的编号和原因："
    ),
}
"""What stands before the rules of an arena with a policy."""


def system_prompt_of(arena: Arena) -> str:
    """The built-in system prompt of an arena, in the language of its question."""
    if arena.state is None:
        return SYSTEM_PROMPTS[arena.language]
    now = datetime.datetime.fromisoformat(arena.state.now)
    prompt = STATE_SYSTEM_PROMPTS[arena.language].format(
        day=_WEEKDAYS[arena.language][now.weekday()], now=now.isoformat(" ", "minutes")
    )
    if arena.state.turns:
        prompt += CONVERSATION_PROMPTS[arena.language]
    if arena.state.policy is not None:
        prompt += policy_prompt(arena.state.policy, arena.language)
    return prompt


def policy_prompt(policy: ServicePolicy, language: Language) -> str:
    """The rules of an arena, numbered, and how to keep them."""
    rules = [f"{number}. {rule.text}" for number, rule in enumerate(policy.rules, start=1)]
    user = [policy.user.text] if policy.user.text else []
    return "\n\n" + "\n".join([*user, POLICY_PROMPTS[language], *rules])


def arena_messages(arena: Arena, system_prompt: str | None = None) -> tuple[Message, ...]:
    """The first messages of an episode: system prompt and question.

    `system_prompt` None: the built-in one (`system_prompt_of`).
    """
    prompt = system_prompt_of(arena) if system_prompt is None else system_prompt
    return (
        Message(role="system", content=prompt),
        Message(role="user", content=arena.question),
    )


def sandbox_seed(seed: int, arena_id: str, sample: int) -> int:
    """The seed of a sandbox episode.

    A tool can read it from `random`. It is derived everywhere in the same way, so that none can
    tell a certificate, an evaluation or a person at the prompt from training by it.
    """
    digest = hashlib.blake2b(f"sandbox {seed} {arena_id} {sample}".encode(), digest_size=4)
    return int.from_bytes(digest.digest())


def shown_tools(arena: Arena) -> list[ToolSchema]:
    """The documents that an episode of an arena begins with, as its host shows them."""
    withheld = frozenset[str]() if arena.state is None else arena.state.withheld
    return [tool.document for tool in _in_order(arena) if tool.name not in withheld]


def _in_order(arena: Arena) -> list[Tool]:
    """The tools and distractors, in an order that does not tell one from the other."""
    tools: list[Tool] = [*arena.tools, *arena.distractors]
    random.Random(arena.id).shuffle(tools)
    return tools


class ArenaHost:
    """One episode of an arena as a tool host. Sandbox processes start at their first call.

    Tool code that dies or hits a limit twice under the same arguments, but not without them,
    answers with an error, as a tool does that raises. Were that a failure of ours, a model could
    choose such arguments to have a bad episode left out of its scores.
    """

    def __init__(
        self,
        arena: Arena,
        sandbox: Sandbox,
        *,
        seed: int = 0,
        sample: int = 0,
        limits: SandboxLimits = SandboxLimits(),
        faults: bool = True,
    ) -> None:
        """`seed` and `sample`: of the run, and the number of the episode; see `sandbox_seed`.

        `faults`: let calls meet the transient faults of the arena (`astra.hosts.faults`).
        """
        self._faults = TransientFaults(arena) if faults else None
        self._arena = arena.id
        self._tools = _in_order(arena)
        # Each distractor apart: it comes from another arena than the tools beside it.
        groups = (arena.tools, *((distractor,) for distractor in arena.distractors))
        episode = SandboxEpisode(sandbox_seed(seed, arena.id, sample), limits=limits)
        database = None if arena.state is None else arena.state.episode()
        self._processes = ToolProcesses(groups, sandbox, episode, database)
        self.ordered = database is not None
        self._withheld = set[str]() if arena.state is None else set(arena.state.withheld)

    async def __aenter__(self) -> Self:
        counts = Counter(tool.name for tool in self._tools)
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise HostError(
                f"arena {self._arena!r} shows several tools named {twice[0]!r}: "
                "leave one out, or rename it before mixing"
            )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._processes.__aexit__(*error)

    def tools(self) -> Sequence[ToolSchema]:
        """Documents in an order that is fixed for the arena and says nothing about it.

        Tools that the user has yet to bring are not among them.
        """
        return [tool.document for tool in self._tools if tool.name not in self._withheld]

    def bring(self, names: Iterable[str]) -> None:
        """Show tools from now on that were not shown before."""
        self._withheld.difference_update(names)

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        """Run a tool. Its own errors come back as results; a `SandboxError` is ours."""
        fault = None if self._faults is None else self._faults.strike(name, arguments)
        if fault is not None:
            return ToolResult(fault, is_error=True, is_transient=True)
        outcome = await _call(self._processes, name, arguments)
        if isinstance(outcome, SandboxError):
            return _error("tool_failed", f"the tool broke under these arguments: {outcome}")
        if outcome.failure is not None:
            failure = outcome.failure
            if failure.kind == "missing":
                raise HostError(f"tool {name!r} has no function of that name: {failure.message}")
            code = "invalid_arguments" if failure.kind == "arguments" else "tool_failed"
            return _error(code, f"{failure.type}: {failure.message}")
        value = outcome.value
        failed = isinstance(value, dict) and isinstance(value.get("error"), dict)
        return ToolResult(value, is_error=failed, effect=outcome.effect)


async def _call(
    tools: ToolProcesses, name: str, arguments: dict[str, Json]
) -> CallOutcome | SandboxError:
    """The outcome of a call, or how its arguments break the tool. Raises if the sandbox is down."""
    try:
        return await tools.call(name, arguments)
    except (SandboxDied, SandboxLimit, SandboxBadResult):
        pass  # asked again, for a busy machine or a kill from outside is not the tool's doing
    try:
        return await tools.call(name, arguments)
    except (SandboxDied, SandboxLimit, SandboxBadResult) as broken:
        await tools.ping(name)  # a sandbox that is down fails here too
        return broken


def _error(code: str, message: str) -> ToolResult:
    return ToolResult({"error": {"code": code, "message": message}}, is_error=True)
