"""The arena that a certificate examines, with its tools and a way to call them.

Tool code runs only behind the `Sandbox` protocol; nothing in this process executes it. A death, a
limit or an unusable reply during a call is a finding about the tool. Any other sandbox error is an
infrastructure failure and passes through, so that no certificate is written at all.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Literal, NamedTuple

from astra.arenas.certificate.plain_source import is_plain
from astra.errors import SandboxBadResult, SandboxDied, SandboxError, SandboxLimit
from astra.hosts.arena import sandbox_seed
from astra.hosts.tool_processes import ToolProcesses
from astra.protocols import CallOutcome, Sandbox, SandboxEpisode, SandboxLimits
from astra.types import Arena, Goal, GoldCall, Json, Target, Tool, canonical_json

LIMITS = SandboxLimits(cpu_seconds=0.5, wall_seconds=2.0)
"""Limits of every call of the certificate. Tight, because a good tool answers in milliseconds."""
EpisodeName = Literal["plain", "stateful", "paced", "reversed"]
"""The episodes of one certificate. `plain`: the first replay; afterwards empty, wrong and odd
calls, because a stateless episode runs each call on fresh modules. `stateful`: the second replay,
then other orders. `paced`: one as in training, with pauses before the calls. `reversed`: a fresh
one for the reversed order."""
CLOCKS: dict[EpisodeName, float | None] = {
    # The wrong calls run under the real clock, as in training: a tool can't recognise the
    # certificate by its clock and behave only there.
    "plain": None,
    "paced": None,
    "stateful": 4_117_859_112.25,  # a Monday morning, June 2100
    "reversed": 951_868_799.0,  # the last second of 29 February 2000, a Tuesday
}
BATCH_CALLS = 24
"""Calls sent to the sandbox together. It bounds what a hanging tool costs: the limits of so many
calls."""
HASH_SEEDS: dict[EpisodeName, int] = {"plain": 0, "paced": 0, "stateful": 1, "reversed": 2}
"""Rollouts have 0, so that the wrong calls have it, too. The other seed derives from one that is so
much above the certificate's."""
REPLAYS: tuple[EpisodeName, ...] = ("plain", "stateful")
PAUSE_SECONDS = (0.055, 0.075)
"""Least and most time between the turns of the paced episode: about that of a fast model."""


class CheckFinding(Exception):
    """A defect of the arena: the check fails with this reason and evidence."""

    def __init__(self, reason: str, **evidence: Json) -> None:
        super().__init__(reason)
        self.reason = reason
        self.evidence = evidence


class NamedCall(NamedTuple):
    """A tool call with the words that describe it in a reason."""

    tool: str
    arguments: dict[str, Json]
    description: str


class GoalStep(NamedTuple):
    """A goal that a tool call solves, with that call and its target."""

    goal: Goal
    call: GoldCall
    target: Target

    @property
    def gold_call(self) -> NamedCall:
        """The gold call, ready to be made."""
        description = f"the gold call of goal {self.goal.id!r}"
        return NamedCall(self.call.tool, self.call.arguments, description)


class WrongCall(NamedTuple):
    """A wrong call to a goal's tool."""

    kind: str
    """`decoy`, `other_goal`, `enum`, `number`, `date`, `unknown`, `flip`, `swap` or `list`; of
    `shortcut_calls` also `everything`, `word`, `part`, `option`, `options` and `choice`; of
    the check `general` also `earlier_input`."""
    arguments: dict[str, Json]


Trial = tuple[str, dict[str, Json], CallOutcome]
"""A wrong call's kind and arguments, and its outcome."""


class ArenaUnderTest:
    """One arena under examination. Use it as a context: it closes its sandbox sessions."""

    def __init__(
        self,
        arena: Arena,
        sandbox: Sandbox,
        seed: int,
        before_waiting: Callable[[], object] = lambda: None,
    ) -> None:
        self.arena = arena
        self.before_waiting = before_waiting
        """To be called before a pause after which little is left to do."""
        self._sandbox = sandbox
        self._seed = seed
        self.trials: dict[str, list[Trial]] = {}
        """The wrong calls of each goal with their outcomes: `mutants` fills it, `general` reads
        it."""
        self.wrong_calls: dict[str, list[WrongCall]] = {}
        """The wrong calls of each goal, once they are drawn."""
        self._stack = AsyncExitStack()
        self._processes: dict[EpisodeName, ToolProcesses] = {}
        self._paced: asyncio.Task[list[CallOutcome]] | None = None

    async def __aenter__(self) -> ArenaUnderTest:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._paced is not None:
            self._paced.cancel()
            await asyncio.gather(self._paced, return_exceptions=True)
        await self._stack.aclose()

    @cached_property
    def tools(self) -> dict[str, Tool]:
        """The arena's own tools by name."""
        return {tool.name: tool for tool in self.arena.tools}

    @cached_property
    def plain_tools(self) -> frozenset[str]:
        """Names of the tools whose code is plain (`plain_source`)."""
        # Own tools, too: their syntax trees are at hand, and they are the next arenas' distractors.
        tools = (*self.arena.tools, *self.arena.distractors)
        return frozenset(tool.name for tool in tools if is_plain(tool.source))

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
        """The steps in dependency order; in the arena's order if the dependencies are cyclic."""
        return self.order(None)

    def order(self, rng: random.Random | None) -> list[GoalStep]:
        """The steps in a topological order; in a random one if `rng` is given."""
        by_id = {step.goal.id: step for step in self.steps}
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for step in self.steps:
            sorter.add(step.goal.id, *(d for d in step.goal.depends_on if d in by_id))
        try:
            sorter.prepare()
        except CycleError:
            return list(self.steps)
        ordered: list[GoalStep] = []
        ready = list(sorter.get_ready())
        while ready:
            goal_id = ready.pop(rng.randrange(len(ready)) if rng else 0)
            ordered.append(by_id[goal_id])
            sorter.done(goal_id)
            ready.extend(sorter.get_ready())
        return ordered

    def rng(self, purpose: str) -> random.Random:
        """A generator that depends only on the seed, the arena and the purpose."""
        return random.Random(f"{self._seed}:{self.arena.id}:{purpose}")

    async def run(self, name: EpisodeName, calls: Sequence[NamedCall]) -> list[CallOutcome]:
        """Make the calls, in order, in one of the certificate's episodes.

        Raises `CheckFinding` when tool code dies, hits a limit or replies with something that is
        not a JSON value.
        """
        tools = self._processes.get(name)
        if tools is None:
            number = [*HASH_SEEDS].index(name)
            episode = SandboxEpisode(
                sandbox_seed(self._seed + HASH_SEEDS[name], self.arena.id, number),
                HASH_SEEDS[name],
                CLOCKS[name],
                stateful=name in ("stateful", "reversed"),
                limits=LIMITS,
            )
            # Distractors together where they can't notice it: a process for each would take more
            # time than all of the other checks.
            distractors, plain = self.arena.distractors, self.plain_tools
            groups = (
                self.arena.tools,
                [tool for tool in distractors if tool.name in plain],
                *([tool] for tool in distractors if tool.name not in plain),
            )
            opened = ToolProcesses(groups, self._sandbox, episode)
            tools = self._processes[name] = await self._stack.enter_async_context(opened)
        outcomes: list[CallOutcome] = []
        for start in range(0, len(calls), BATCH_CALLS):
            batch = calls[start : start + BATCH_CALLS]
            # As a rollout does it: one call at a time in each process.
            results = (
                [await self._alone(tools, call) for call in batch]
                if name == "paced"
                else await tools.call_many([(call.tool, call.arguments) for call in batch])
            )
            for call, outcome in zip(batch, results, strict=True):
                if isinstance(outcome, CallOutcome):
                    outcomes.append(outcome)
                    continue
                if isinstance(outcome, SandboxLimit) and outcome.limit == "wall":
                    # A busy machine is not a defect of the tool: it gets a second try alone.
                    outcome = await self._alone(tools, call)
                if isinstance(outcome, SandboxDied | SandboxLimit | SandboxBadResult):
                    raise CheckFinding(
                        f"{call.description} ended in {type(outcome).__name__}: "
                        f"{str(outcome)[:300]}",
                        call=call_evidence(call),
                    ) from outcome
                if not isinstance(outcome, CallOutcome):
                    raise outcome
                outcomes.append(outcome)
        return outcomes

    @staticmethod
    async def _alone(tools: ToolProcesses, call: NamedCall) -> CallOutcome | SandboxError:
        (outcome,) = await tools.call_many([(call.tool, call.arguments)])
        return outcome

    async def run_paced(self, turns: Sequence[Sequence[NamedCall]]) -> list[CallOutcome]:
        """As `run`, in the episode `paced`: before each turn passes the time of a model's message.

        A tool that behaves only where calls come together or without a pause is found by it.
        """
        rng = self.rng("pauses")
        outcomes: list[CallOutcome] = []
        for turn in turns:
            outcomes += await self.run("paced", turn)
            await asyncio.sleep(rng.uniform(*PAUSE_SECONDS) if turn is not turns[-1] else 0)
        return outcomes

    def start_paced(self, turns: Sequence[Sequence[NamedCall]]) -> None:
        """Begin `run_paced` beside the other checks; `paced_outcomes` waits for it."""
        self._paced = asyncio.create_task(self.run_paced(turns))

    async def paced_outcomes(self) -> list[CallOutcome]:
        """The outcomes of the calls that `start_paced` began."""
        assert self._paced is not None, "start_paced comes first"
        self.before_waiting()
        return await self._paced


def is_error(value: Json) -> bool:
    """Whether a tool's value is a structured error, as the host that scores calls sees it."""
    return isinstance(value, dict) and isinstance(value.get("error"), dict)


def is_answered(outcome: CallOutcome) -> bool:
    """Whether a call returned a value that is not an error."""
    return outcome.failure is None and not is_error(outcome.value)


def canonical_result(call: NamedCall, value: Json) -> str:
    """The canonical JSON of a result; `CheckFinding` if it holds NaN or is not JSON."""
    try:
        return canonical_json(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckFinding(
            f"{call.description} returned a value that is not JSON: {error}"
        ) from error


def shortened(value: Json, length: int = 200) -> str:
    """The value's `repr`, cut for use in a reason."""
    text = repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"


def call_evidence(call: NamedCall) -> Json:
    """A call as evidence; long arguments are cut."""
    arguments: dict[str, Json] = {
        name: value if len(repr(value)) <= 200 else shortened(value)
        for name, value in call.arguments.items()
    }
    return {"tool": call.tool, "arguments": arguments}
