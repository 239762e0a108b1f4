"""Contribution by replay: the reward of an episode without the calls of one turn.

*Ours*: c_k = reward - reward without the calls of turn k. It is exact, because an arena's rewards
are computed by rule from calls and results. Tools of an arena keep no state between calls (the
certificate replays them in other orders), so the recorded results of the remaining calls still
hold. Where tools may keep state, the remaining calls are made again in the sandbox.

It does not say what the agent would have done instead: later calls stay as they were, with
arguments that may come from the calls that are left out.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from astra.protocols import ToolHost
from astra.rewards import Reward, score
from astra.rollouts.calls import as_sent
from astra.rollouts.loop import RolloutLimits
from astra.training.algorithm import SampledEpisode
from astra.types import Arena, CallRecord, CallStatus, Goal, Trajectory, content_hash

Rerun = Callable[[str, Sequence[CallRecord]], Awaitable[list[CallRecord]]]
"""Makes calls of a task (an arena's id) again, from a fresh start."""
_RAN = (CallStatus.ok, CallStatus.tool_error)
CACHED = 65_536
"""Maximum number of episodes whose contributions are kept."""


class Counterfactual:
    """Replays episodes. Equal calls in the same arena are replayed once.

    `rerun`: makes the remaining calls again (not inside a running event loop). None: their recorded
    results hold. `seconds` and `replays` count the cost so far.
    """

    def __init__(
        self, arenas: Mapping[str, Arena], *, reward: Reward = "f1", rerun: Rerun | None = None
    ) -> None:
        self._arenas = arenas
        self._reward: Reward = reward
        self._rerun = rerun
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
        goals = self._arenas[episode.task].goals
        trajectory = episode.trajectory
        calls = [[c.turn, c.tool, c.arguments, c.status, c.result] for c in trajectory.calls]
        key = content_hash([episode.task, *calls])
        if key not in self._known:
            if self._rerun is None:
                self._known[key] = leave_one_out(trajectory, goals, self._reward)
            else:
                again = leave_one_out_again(trajectory, goals, self._rerun, self._reward)
                self._known[key] = asyncio.run(again)
            self.replays += trajectory.turns
            if len(self._known) > CACHED:
                self._known.popitem(last=False)
        self.seconds += time.perf_counter() - started
        # The key holds no number of turns: an answer after the last call is a turn without calls.
        return (self._known[key] + [0.0] * trajectory.turns)[: trajectory.turns]


def leave_one_out(
    trajectory: Trajectory, goals: Sequence[Goal], reward: Reward = "f1"
) -> list[float]:
    """c_k per turn, from the recorded calls. A turn without calls contributes 0."""
    whole = score(trajectory.calls, goals, reward=reward).reward
    acting = {call.turn for call in trajectory.calls}
    return [
        whole - score(without(trajectory.calls, turn), goals, reward=reward).reward
        if turn in acting
        else 0.0
        for turn in range(trajectory.turns)
    ]


async def leave_one_out_again(
    trajectory: Trajectory, goals: Sequence[Goal], rerun: Rerun, reward: Reward = "f1"
) -> list[float]:
    """c_k per turn with the remaining calls made again, for tools that may keep state."""
    whole = score(trajectory.calls, goals, reward=reward).reward
    contributions: list[float] = []
    for turn in range(trajectory.turns):
        rest = without(trajectory.calls, turn)
        if len(rest) < len(trajectory.calls):
            rest = await rerun(trajectory.task, rest)
            contributions.append(whole - score(rest, goals, reward=reward).reward)
        else:
            contributions.append(0.0)
    return contributions


def without(calls: Sequence[CallRecord], turn: int) -> list[CallRecord]:
    """The calls of all other turns."""
    return [call for call in calls if call.turn != turn]


async def made_again(
    calls: Sequence[CallRecord], host: ToolHost, limits: RolloutLimits
) -> list[CallRecord]:
    """The calls with the results that a fresh host gives, in their order. Enters and leaves it.

    Calls that never reached a tool (malformed, unknown, over a limit) stay as they are. Raises the
    host's errors, which are infrastructure failures.
    """
    made: list[CallRecord] = []
    async with host:
        for call in calls:
            if call.status not in _RAN or not isinstance(call.arguments, dict):
                made.append(call)
                continue
            result = await host.call(call.tool, call.arguments)
            status = CallStatus.tool_error if result.is_error else CallStatus.ok
            _, sent = as_sent(result.content, limits.result_characters)
            made.append(call.model_copy(update={"status": status, "result": sent}))
    return made
