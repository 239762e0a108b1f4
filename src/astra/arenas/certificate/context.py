"""What every check of the certificate works on: the arena, its tools, and a way to call them.

Tool code runs only behind the `Sandbox` protocol; nothing in this process executes it. A death, a
limit or a bad reply under a call is a finding about the tool. Any other sandbox error is ours and
passes through, so that no certificate is written at all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Literal, NamedTuple

from astra.errors import SandboxBadResult, SandboxDied, SandboxError, SandboxLimit
from astra.protocols import CallOutcome, Sandbox, SandboxEpisode, SandboxLimits, SandboxSession
from astra.types import Arena, Goal, GoldCall, Json, Target, Tool, canonical_json

LIMITS = SandboxLimits(cpu_seconds=1.0, wall_seconds=2.0)
"""Limits of every call of the certificate: tight, for a good tool answers in milliseconds."""
AT_ONCE = 24
"""Calls handed over together; a tool that hangs costs the limits of so many calls at most."""
EpisodeName = Literal["plain", "stateful", "third", "reversed"]
"""The episodes of one certificate. `plain`: the first replay; then empty, wrong and odd calls, for
a stateless episode runs each call on fresh modules. `stateful`: the second replay, then other
orders. `third`: the third replay. `reversed`: a fresh one for the reversed order."""
CLOCKS: dict[EpisodeName, float | None] = {
    "plain": None,
    "stateful": 1_773_144_305.5,
    "third": 4_118_083_512.25,
    "reversed": 951_868_799.0,
}
"""Clocks of the episodes. `plain`, which makes the wrong calls, has the real one as training has,
so that no tool tells the two apart. Else a Tuesday noon in March 2026, a Monday morning in June
2100, a Tuesday in February 2000 before midnight."""
HASH_SEEDS = (0, 1, 2)
REPLAYS: tuple[EpisodeName, ...] = ("plain", "stateful", "third")


class CheckFinding(Exception):
    """Something is wrong with the arena: the check fails with this reason and evidence."""

    def __init__(self, reason: str, **evidence: Json) -> None:
        super().__init__(reason)
        self.reason = reason
        self.evidence = evidence


class GoalStep(NamedTuple):
    """A goal that is solved by a call, with its call and its target."""

    goal: Goal
    call: GoldCall
    target: Target


class NamedCall(NamedTuple):
    """A call to make, and what it is called in a reason."""

    tool: str
    arguments: dict[str, Json]
    what: str


@dataclass
class ArenaUnderTest:
    """One arena under examination."""

    arena: Arena
    distractors: Sequence[Tool]
    sandbox: Sandbox
    seed: int
    outputs: dict[str, Json] = field(default_factory=dict)
    """What the gold call of each goal returned in the first replay, by goal id."""
    carried_mutants: Json = None
    """What `mutants` found for the arena without distractors; None: nothing yet."""
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Closes the episodes."""
    sessions: dict[EpisodeName, SandboxSession] = field(default_factory=dict)

    @cached_property
    def tools(self) -> dict[str, Tool]:
        """The arena's own tools by name."""
        return {tool.name: tool for tool in self.arena.tools}

    @cached_property
    def steps(self) -> list[GoalStep]:
        """Goals with a call, in the arena's order."""
        return [
            GoalStep(goal, goal.call, goal.target)
            for goal in self.arena.goals
            if goal.call is not None and goal.target is not None
        ]

    @cached_property
    def ordered(self) -> list[GoalStep]:
        """The steps in dependency order; in the arena's order where there is none."""
        return self.order(None)

    def order(self, rng: random.Random | None) -> list[GoalStep]:
        """The steps in a topological order; a random one if `rng` is given."""
        by_id = {step.goal.id: step for step in self.steps}
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for step in self.steps:
            sorter.add(step.goal.id, *(d for d in step.goal.depends_on if d in by_id))
        try:
            sorter.prepare()
        except CycleError:
            return list(self.steps)
        found: list[GoalStep] = []
        ready = list(sorter.get_ready())
        while ready:
            chosen = ready.pop(rng.randrange(len(ready)) if rng else 0)
            found.append(by_id[chosen])
            sorter.done(chosen)
            ready.extend(sorter.get_ready())
        return found

    def rng(self, purpose: str) -> random.Random:
        """A generator that depends on the seed, the arena and the purpose alone."""
        return random.Random(f"{self.seed}:{self.arena.id}:{purpose}")

    async def run(self, name: EpisodeName, calls: Sequence[NamedCall]) -> list[CallOutcome]:
        """Make the calls, in order, in one of the certificate's episodes.

        Raises `CheckFinding` when tool code dies, hits a limit or replies with something that is no
        JSON value.
        """
        session = self.sessions.get(name)
        if session is None:
            tools = [*self.arena.tools, *self.distractors]
            session = await self.sandbox.open(tools, self._episode(name))
            self.sessions[name] = await self.stack.enter_async_context(session)
        outcomes: list[CallOutcome] = []
        for start in range(0, len(calls), AT_ONCE):
            part = calls[start : start + AT_ONCE]
            found = await session.call_many([(call.tool, call.arguments) for call in part])
            for call, outcome in zip(part, found, strict=True):
                outcomes.append(await _patient(session, call, outcome))
        return outcomes

    def _episode(self, name: EpisodeName) -> SandboxEpisode:
        number = REPLAYS.index(name) if name in REPLAYS else 0
        stateful = name in ("stateful", "reversed")
        seed, hash_seed = self.seed + number, HASH_SEEDS[number]
        return SandboxEpisode(seed, hash_seed, CLOCKS[name], stateful=stateful, limits=LIMITS)


async def _patient(
    session: SandboxSession, call: NamedCall, outcome: CallOutcome | SandboxError
) -> CallOutcome:
    """The outcome of a call; the call is made again if its wall deadline passed, for a busy
    machine is no finding."""
    if isinstance(outcome, SandboxLimit) and outcome.limit == "wall":
        (outcome,) = await session.call_many([(call.tool, call.arguments)])
    if isinstance(outcome, SandboxDied | SandboxLimit | SandboxBadResult):
        raise CheckFinding(
            f"{call.what} ended in {type(outcome).__name__}: {str(outcome)[:300]}",
            call=shown(call.tool, call.arguments),
        ) from outcome
    if isinstance(outcome, CallOutcome):
        return outcome
    raise outcome


def gold(step: GoalStep) -> NamedCall:
    """The gold call of a step."""
    return NamedCall(step.call.tool, step.call.arguments, f"the gold call of goal {step.goal.id!r}")


def value_of(call: NamedCall, outcome: CallOutcome) -> Json:
    """The value that a call was answered with; `CheckFinding` if it was not answered."""
    if outcome.failure is not None:
        failure = outcome.failure
        raise CheckFinding(
            f"{call.what} failed ({failure.kind}): {failure.type}: {failure.message[:300]}",
            call=shown(call.tool, call.arguments),
        )
    if is_error(outcome.value):
        raise CheckFinding(
            f"{call.what} was answered with an error: {short(outcome.value)}",
            call=shown(call.tool, call.arguments),
        )
    return outcome.value


def is_error(value: Json) -> bool:
    """Whether a tool's value is a structured error, as the host that scores calls sees it."""
    return isinstance(value, dict) and isinstance(value.get("error"), dict)


def answered(outcome: CallOutcome) -> bool:
    """Whether a call gave a value that is no error."""
    return outcome.failure is None and not is_error(outcome.value)


def canonical_result(call: NamedCall, value: Json) -> str:
    """One spelling of a result; `CheckFinding` if it holds NaN or something that is no JSON."""
    try:
        return canonical_json(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckFinding(f"{call.what} returned what is no JSON value: {error}") from error


def short(value: Json, length: int = 200) -> str:
    """A value as it stands in a reason."""
    text = repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"


def shown(tool: str, arguments: dict[str, Json]) -> Json:
    """A call as evidence; long arguments are cut."""
    return {
        "tool": tool,
        "arguments": {name: _clipped(value) for name, value in arguments.items()},
    }


def _clipped(value: Json) -> Json:
    return value if len(repr(value)) <= 200 else short(value)
