"""Contribution by replay: the reward of an episode without the calls of one turn.

*Ours*: c_k = reward - reward without the calls of turn k. It is exact, because an arena's rewards
are computed by rule from calls and results. Tools of most arenas keep no state between calls (the
certificate replays them in other orders), so the recorded results of the remaining calls still
hold. Where tools change a database, or may keep state otherwise, the remaining calls are made again
in the sandbox.

It does not say what the agent would have done instead: later calls stay as they were, with
arguments that may come from the calls that are left out.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from astra.core.loop import run_sync
from astra.hosts.arena import ArenaHost
from astra.protocols import Sandbox, ToolHost
from astra.rewards import Reward, score_calls
from astra.rollouts.calls import as_sent
from astra.rollouts.loop import RolloutLimits
from astra.sandbox.opening import shared_sandbox
from astra.training.algorithm import SampledEpisode
from astra.types import Arena, CallRecord, CallStatus, Trajectory, content_hash

Rerun = Callable[[str, Sequence[CallRecord]], Awaitable[list[CallRecord]]]
"""Makes calls of a task (an arena's id) again, from a fresh start."""
_RAN = (CallStatus.ok, CallStatus.tool_error)
CACHED = 65_536
"""Maximum number of episodes whose contributions are kept."""


class Counterfactual:
    """Replays episodes. Equal calls in the same arena are replayed once.

    `rerun`: makes the remaining calls again. None: their recorded results hold, and in arenas with
    a state the calls are made again in what `sandbox` opens. `seconds` and `replays` count the
    cost so far.
    """

    def __init__(
        self,
        arenas: Mapping[str, Arena],
        *,
        reward: Reward = "f1",
        rerun: Rerun | None = None,
        sandbox: Callable[[], AbstractAsyncContextManager[Sandbox]] | None = None,
    ) -> None:
        self._arenas = arenas
        self._reward: Reward = reward
        self._rerun = rerun
        self._open_sandbox = sandbox or (lambda: shared_sandbox("auto"))
        self._known: OrderedDict[str, list[float]] = OrderedDict()
        self.seconds = 0.0
        self.replays = 0

    def contributions(self, episode: SampledEpisode) -> list[float]:
        """c_k per turn. Empty for an episode without a trajectory.

        Raises KeyError if its arena is not one of `arenas`.
        """
        if episode.trajectory is None:
            return []
        started = time.perf_counter()
        arena = self._arenas[episode.task]
        trajectory = episode.trajectory
        calls = [[c.turn, c.tool, c.arguments, c.status, c.result] for c in trajectory.calls]
        # What was said is part of the score where facts have to be told.
        said = [] if arena.state is None else [m.content for m in trajectory.messages]
        key = content_hash([episode.task, said, *calls])
        if key not in self._known:
            if self._rerun is None and arena.state is None:
                self._known[key] = leave_one_out(trajectory, arena, self._reward)
            else:
                rerun = self._rerun or self._made_again
                again = leave_one_out_again(trajectory, arena, rerun, self._reward)
                self._known[key] = run_sync(again)
            self.replays += trajectory.turns
            if len(self._known) > CACHED:
                self._known.popitem(last=False)
        self.seconds += time.perf_counter() - started
        # The key holds no number of turns: an answer after the last call is a turn without calls.
        return (self._known[key] + [0.0] * trajectory.turns)[: trajectory.turns]

    async def _made_again(self, task: str, calls: Sequence[CallRecord]) -> list[CallRecord]:
        # Distractors may be others in each epoch, and change nothing of the state.
        arena = self._arenas[task].model_copy(update={"distractors": ()})
        own = {tool.name for tool in arena.tools}
        async with self._open_sandbox() as sandbox:
            # Calls that met a fault are not made again, so their repetitions must not meet it.
            host = ArenaHost(arena, sandbox, faults=False)
            return await made_again(calls, host, RolloutLimits(), own)


def leave_one_out(trajectory: Trajectory, arena: Arena, reward: Reward = "f1") -> list[float]:
    """c_k per turn, from the recorded calls. A turn without calls contributes 0."""
    whole = _worth(arena, trajectory, trajectory.calls, reward)
    acting = {call.turn for call in trajectory.calls}
    return [
        whole - _worth(arena, trajectory, without(trajectory.calls, turn), reward)
        if turn in acting
        else 0.0
        for turn in range(trajectory.turns)
    ]


async def leave_one_out_again(
    trajectory: Trajectory, arena: Arena, rerun: Rerun, reward: Reward = "f1"
) -> list[float]:
    """c_k per turn with the remaining calls made again, for tools that keep state."""
    whole = _worth(arena, trajectory, trajectory.calls, reward)
    contributions: list[float] = []
    for turn in range(trajectory.turns):
        rest = without(trajectory.calls, turn)
        if len(rest) < len(trajectory.calls):
            rest = await rerun(trajectory.task, rest)
            contributions.append(whole - _worth(arena, trajectory, rest, reward))
        else:
            contributions.append(0.0)
    return contributions


def _worth(
    arena: Arena, trajectory: Trajectory, calls: Sequence[CallRecord], reward: Reward
) -> float:
    """The reward of an episode with these calls in place of its own."""
    turns, messages = trajectory.turns, trajectory.messages
    return score_calls(arena, calls, turns=turns, reward=reward, messages=messages).reward


def without(calls: Sequence[CallRecord], turn: int) -> list[CallRecord]:
    """The calls of all other turns."""
    return [call for call in calls if call.turn != turn]


async def made_again(
    calls: Sequence[CallRecord],
    host: ToolHost,
    limits: RolloutLimits,
    tools: Collection[str] | None = None,
) -> list[CallRecord]:
    """The calls with the results that a fresh host gives, in their order. Enters and leaves it.

    Calls that never reached a tool (malformed, unknown, over a limit) stay as they are, and so do
    those of other tools than `tools`. Raises the host's errors, which are infrastructure failures.
    """
    made: list[CallRecord] = []
    async with host:
        for call in calls:
            other = tools is not None and call.tool not in tools
            if other or call.status not in _RAN or not isinstance(call.arguments, dict):
                made.append(call)
                continue
            result = await host.call(call.tool, call.arguments)
            status = CallStatus.tool_error if result.is_error else CallStatus.ok
            _, sent = as_sent(result.content, limits.result_characters)
            update = {"status": status, "result": sent, "effect": result.effect}
            made.append(call.model_copy(update=update))
    return made
