"""Playing arenas with a model, scoring the episodes, and their statistics.

Infrastructure failures are never scored: they are counted, and their rate is reported. If no
episode could be scored there is no score at all, rather than a zero.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import accumulate, islice
from typing import NamedTuple

from astra.arenas.difficulty import level_of
from astra.core.intervals import Interval, bootstrap
from astra.episodes import Score
from astra.errors import StageError
from astra.evaluation.episode_opening import EpisodeOpening, ModelFactory, spread_play
from astra.evaluation.mistakes import Mistake, first_mistake
from astra.evaluation.pass_k import pass_at, pass_hat
from astra.hosts.arena_user import ArenaUser, UserReplyKind
from astra.protocols import Model, Sandbox
from astra.rewards import Reward, RewardFunction, score_trajectory
from astra.rollouts.episodes import ConversingModel, PlayedConversation
from astra.rollouts.loop import RolloutJob, RolloutLimits, rollouts
from astra.runs.executor import Executor
from astra.types import Arena, Record, Trajectory

HOPELESS = 20
"""An evaluation stops if none of its first episodes could be scored."""
_MESSAGES = 100
"""Maximum number of different error messages that are counted: they come from outside."""


class PlayedEpisode(Record):
    """An episode as it is stored. `score` is None exactly after an infrastructure failure."""

    trajectory: Trajectory
    score: Score | None
    user: dict[UserReplyKind, int] = {}
    """Messages that a model wrote in the user's place: `reworded` were said, the others were
    replaced. Empty with a scripted user."""


class ReportGroup(Record):
    """A group of arenas. Means over scored episodes, None without any."""

    episodes: int
    f1: float | None
    recall: float | None
    precision: float | None
    pass_at_k: dict[str, float] = {}
    """As in the summary."""


class EvaluationSummary(Record):
    """Statistics of an evaluation. Means are over scored episodes. None if there are none."""

    arenas: int
    episodes: int
    f1: Interval | None
    recall: float | None
    precision: float | None
    solved: float | None
    """Goals solved per episode."""
    calls: float | None
    """Calls per episode, failed ones included."""
    infrastructure_failures: int
    failure_rate: float
    """Infrastructure failures per episode."""
    errors: dict[str, int]
    """The most frequent messages of infrastructure failures, at most five, with their counts."""
    reward: float | None
    """The selected reward."""
    answer_correct: float | None
    """Fraction of final answers that are right. Not part of the reward. Arenas whose tools change
    a database are not counted."""
    waste: float | None = None
    """Calls that helped nothing per episode of arenas with a state. None if there are none."""
    damage: float | None = None
    """Rows changed beyond what was asked for, per episode of arenas with a state."""
    turns: float | None
    pass_k: dict[str, float]
    """pass^k by k: the chance that k episodes of an arena all solve every goal, for each k up to
    the samples that every arena has. Empty if none could be scored."""
    pass_at_k: dict[str, float] = {}
    """pass@k by k: the chance that at least one of k episodes solves every goal."""
    flat: float | None = None
    """Fraction of the arenas whose episodes all have the same reward: RL learns nothing from such a
    group. None with one episode of each."""
    mistakes: dict[Mistake, int] = {}
    """Scored episodes that are not right by their first mistake, of arenas without a state."""
    stop_reasons: dict[str, int]
    by_scenario: dict[str, ReportGroup]
    by_hops: dict[str, ReportGroup]
    by_language: dict[str, ReportGroup]
    by_task: dict[str, ReportGroup] = {}
    """By what is asked for, of arenas with a state. An arena counts for each of its tasks."""
    by_conversation: dict[str, ReportGroup] = {}
    """By what happens in the conversation. Empty if there are none."""
    by_level: dict[str, ReportGroup] = {}
    """By level of difficulty. Empty if the arenas were made without levels."""
    user: dict[UserReplyKind, int] = {}
    """Messages that a model wrote in the user's place: `reworded` were said; those that left a fact
    out, told one too early, invented one or contradicted the script were replaced."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Tokens of all episodes together, failed ones included."""


async def play(
    arenas: Iterable[Arena],
    player: ModelFactory,
    sandbox: Sandbox,
    limits: RolloutLimits,
    *,
    samples: int = 1,
    seed: int = 0,
    reward: Reward | RewardFunction = "f1",
    system_prompt: str | None = None,
    concurrency: int = 16,
    in_waves: bool = False,
    user: Model | None = None,
    executor: Executor | None = None,
) -> AsyncGenerator[tuple[Arena, PlayedEpisode]]:
    """Play every arena `samples` times. Episodes are yielded in the order of the arenas.

    Arenas are read as they are needed. `seed`: those of the sandbox episodes derive from it.
    `in_waves`: for `conversations`; about `concurrency` episodes are opened before the first of
    them runs, as an engine needs it that gives the same episodes for the same seed. `user`: words
    what the users of conversations say. None: the script's own words. `executor`: plays, if
    `player` and `user` can be pickled; an episode whose workers are lost is an infrastructure
    failure.
    """
    opening = EpisodeOpening(player, sandbox, seed, system_prompt, user)
    if executor is not None:
        places = ((arena, sample) for arena in arenas for sample in range(samples))
        async with aclosing(spread_play(places, opening, limits, concurrency, executor)) as played:
            async for arena, trajectory, replies in played:
                score = score_episode(arena, trajectory, reward)
                yield arena, PlayedEpisode(trajectory=trajectory, score=score, user=replies)
        return
    pending: deque[tuple[Arena, ArenaUser | None]] = deque()

    def jobs(part: Iterable[Arena]) -> Iterator[RolloutJob]:
        for arena in part:
            for sample in range(samples):
                job, answering = opening.job(arena, sample)
                pending.append((arena, answering))
                yield job

    waves: Iterable[Iterable[Arena]] = [arenas]
    if in_waves:
        arenas, size = iter(arenas), max(1, concurrency // samples)
        concurrency = size * samples  # whole arenas, and all of a wave at once
        waves = iter(lambda: list(islice(arenas, size)), [])
    for wave in waves:
        async with aclosing(rollouts(jobs(wave), limits, concurrency=concurrency)) as trajectories:
            async for trajectory in trajectories:
                # Trajectories come in the order of their jobs.
                arena, answered = pending.popleft()
                score = score_episode(arena, trajectory, reward)
                replies = {} if answered is None else dict(answered.replies)
                yield arena, PlayedEpisode(trajectory=trajectory, score=score, user=replies)


def conversations(model: ConversingModel, seed: int) -> ModelFactory:
    """A conversation with a local model for each sample of an arena, with a seed of its own."""

    def player(arena: Arena, sample: int) -> PlayedConversation:
        text = f"{seed} {arena.id} {sample}"
        digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
        return model.converse(int.from_bytes(digest))

    return player


def score_episode(
    arena: Arena, trajectory: Trajectory, reward: Reward | RewardFunction = "f1"
) -> Score | None:
    """The score of an arena's episode. None after an infrastructure failure."""
    if trajectory.infrastructure_failure:
        return None
    return score_trajectory(arena, trajectory, reward)


async def tallied(
    episodes: AsyncGenerator[tuple[Arena, PlayedEpisode]],
    seed: int,
    store: Callable[[PlayedEpisode], None] | None = None,
    *,
    tally: EvaluationTally | None = None,
) -> EvaluationSummary:
    """The summary of episodes, each of which is passed to `store`. Closes the generator.

    `tally`: holds episodes of an earlier part.

    Raises StageError if none of the first 20 episodes could be scored and there are more: an
    endpoint or a key that is missing at the beginning is not tried a thousand times.
    """
    tally = EvaluationTally() if tally is None else tally
    async with aclosing(episodes):
        async for arena, episode in episodes:
            # Before this episode is counted: if there is none, the failures are the report.
            if tally.hopeless:
                raise StageError(f"stopped: none of {HOPELESS} episodes worked; {tally.error}")
            tally.add(arena, episode)
            if store is not None:
                store(episode)
    return tally.report(seed)


# --- statistics ------------------------------------------------------------------------------


class _Row(NamedTuple):
    """The numbers of one scored episode."""

    f1: float
    recall: float
    precision: float
    solved: float
    calls: float
    reward: float
    answer_correct: float
    turns: float
    solved_all: float
    has_state: float
    waste: float
    damage: float


class EvaluationTally:
    """Collects episodes into a summary. Keeps numbers only: some hundred bytes per episode."""

    def __init__(self) -> None:
        self._arena = ""  # of the last episode
        self._episodes = array("L")
        """Episodes of each arena, failed ones included."""
        self._scored = array("L")
        """Scored episodes of each arena."""
        self._values = array("d")
        """A `_Row` after the other."""
        self._members: defaultdict[tuple[str, str], array[int]] = defaultdict(lambda: array("L"))
        """Numbers of arenas by (grouping, group)."""
        self._stops: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._user: Counter[UserReplyKind] = Counter()
        self._mistakes: Counter[Mistake] = Counter()
        self._failures = 0
        self._errors: Counter[str] = Counter()

    @property
    def hopeless(self) -> bool:
        """Whether enough episodes failed to stop."""
        return self._failures >= HOPELESS and not self._values

    @property
    def error(self) -> str:
        """The most frequent message of failures. Empty without any."""
        return next((message for message, _ in self._errors.most_common(1)), "")

    def add(self, arena: Arena, episode: PlayedEpisode) -> None:
        """Count one episode of an arena. Those of an arena come one after another."""
        trajectory, scored = episode.trajectory, episode.score
        if arena.id != self._arena:
            self._arena = arena.id
            for group in _groups_of(arena):
                self._members[group].append(len(self._episodes))
            self._episodes.append(0)
            self._scored.append(0)
        self._episodes[-1] += 1
        self._stops[trajectory.stop.value] += 1
        self._tokens.update(trajectory.usage.model_dump())
        self._user.update(episode.user)
        if scored is None:
            self._failures += 1
            if trajectory.error in self._errors or len(self._errors) < _MESSAGES:
                self._errors[trajectory.error] += 1
            return
        if (mistake := first_mistake(arena, trajectory, scored)) is not None:
            self._mistakes[mistake] += 1
        self._scored[-1] += 1
        self._values.extend(
            _Row(
                f1=scored.f1,
                recall=scored.recall,
                precision=scored.precision,
                solved=scored.solved,
                calls=scored.calls,
                reward=scored.reward,
                answer_correct=float(scored.answer_correct or False),
                turns=trajectory.turns,
                solved_all=float(scored.solved == scored.goals and not scored.damage),
                has_state=float(arena.state is not None),
                waste=scored.waste,
                damage=scored.damage,
            )
        )

    def report(self, seed: int = 0) -> EvaluationSummary:
        """The summary of what was added. `seed` is that of the bootstrap."""
        solved_all = self._column("solved_all")
        # Rows of the other kind hold zeros there, so that a sum is that of the kind.
        acting = self._mean("has_state")
        answering = None if acting is None else 1 - acting
        episodes = sum(self._episodes)
        return EvaluationSummary(
            arenas=len(self._episodes),
            episodes=episodes,
            f1=bootstrap(self._column("f1"), seed),
            recall=self._mean("recall"),
            precision=self._mean("precision"),
            solved=self._mean("solved"),
            calls=self._mean("calls"),
            infrastructure_failures=self._failures,
            failure_rate=self._failures / episodes if episodes else 0.0,
            errors=dict(self._errors.most_common(5)),
            reward=self._mean("reward"),
            answer_correct=_part(self._mean("answer_correct"), answering),
            waste=_part(self._mean("waste"), acting),
            damage=_part(self._mean("damage"), acting),
            turns=self._mean("turns"),
            pass_k=pass_hat(solved_all),
            pass_at_k=pass_at(solved_all),
            flat=_flat(self._column("reward")),
            mistakes=dict(self._mistakes.most_common()),
            stop_reasons=dict(sorted(self._stops.items())),
            by_scenario=self._groups("scenario"),
            by_hops=self._groups("hops"),
            by_language=self._groups("language"),
            by_task=self._groups("task"),
            by_conversation=self._groups("conversation"),
            by_level=self._groups("level"),
            user=dict(sorted(self._user.items())),
            prompt_tokens=self._tokens["prompt_tokens"],
            completion_tokens=self._tokens["completion_tokens"],
            cached_tokens=self._tokens["cached_tokens"],
        )

    def _groups(self, grouping: str) -> dict[str, ReportGroup]:
        return {
            name: ReportGroup(
                episodes=sum(self._episodes[number] for number in numbers),
                f1=self._mean("f1", numbers),
                recall=self._mean("recall", numbers),
                precision=self._mean("precision", numbers),
                pass_at_k=pass_at(self._column("solved_all", numbers)),
            )
            for (kind, name), numbers in sorted(self._members.items())
            if kind == grouping
        }

    def _column(self, name: str, numbers: Sequence[int] | None = None) -> list[array[float]]:
        """A number of scored episodes, per arena that has any. `numbers`: of these arenas."""
        column = self._values[_Row._fields.index(name) :: len(_Row._fields)]
        ends = list(accumulate(self._scored))
        return [
            column[ends[number] - self._scored[number] : ends[number]]
            for number in (range(len(ends)) if numbers is None else numbers)
            if self._scored[number]
        ]

    def _mean(self, name: str, numbers: Sequence[int] | None = None) -> float | None:
        """Over scored episodes. None without any."""
        values = [value for own in self._column(name, numbers) for value in own]
        # fsum: the mean of equal values is that value, and does not depend on their order.
        return math.fsum(values) / len(values) if values else None


def _groups_of(arena: Arena) -> Iterator[tuple[str, str]]:
    """Each grouping and the group in it."""
    yield "scenario", arena.scenario.value
    yield "hops", str(arena.hops)
    yield "language", arena.language
    for task in set(arena.provenance.get("kinds", ())) if arena.state is not None else ():
        yield "task", str(task)
    if "conversation" in arena.provenance:
        yield "conversation", str(arena.provenance["conversation"])
    if (level := level_of(arena.provenance)) is not None:
        yield "level", str(level)


def _part(mean: float | None, fraction: float | None) -> float | None:
    """The mean over a fraction of the episodes, the others being 0. None if there are none."""
    return mean / fraction if mean is not None and fraction else None


def _flat(rewards: Iterable[Sequence[float]]) -> float | None:
    """Fraction of groups with one reward, of those of several episodes. None if there are none."""
    different = [len(set(own)) for own in rewards if len(own) > 1]
    return different.count(1) / len(different) if different else None
