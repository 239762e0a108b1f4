"""Batches and a policy made by hand, for tests of algorithms."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from astra.rewards import score
from astra.training.algorithm import Branch, SampledEpisode, ScoredBatch
from astra.types import (
    CallRecord,
    CallStatus,
    Goal,
    GoldCall,
    Json,
    Matcher,
    StopReason,
    Target,
    Trajectory,
)


def goal(name: str, answer: str) -> Goal:
    """Solved by a call to `look` that returns {"value": answer}."""
    return Goal(
        id=name,
        question=f"what is {name}?",
        answer=answer,
        call=GoldCall(tool="look", arguments={"at": name}),
        target=Target(matcher=Matcher.exact, value=answer, field="value"),
    )


GOALS = (goal("a", "A"), goal("b", "B"), goal("c", "C"))


def call(turn: int, at: str, result: str | None = None) -> CallRecord:
    value: Json = {"value": at.upper() if result is None else result}
    return CallRecord(
        id=f"{turn}-{at}",
        turn=turn,
        tool="look",
        arguments={"at": at},
        status=CallStatus.ok,
        result=value,
    )


def trajectory(task: str, turns: Sequence[Sequence[str]]) -> Trajectory:
    """Turns as the keys that their calls look at; the last turn answers."""
    return Trajectory(
        task=task,
        messages=(),
        calls=tuple(call(turn, at) for turn, keys in enumerate(turns) for at in keys),
        stop=StopReason.answered,
        turns=len(turns),
    )


def played(
    turns: Sequence[Sequence[str]], *, task: str = "arena", group: int = 0, width: int = 3
) -> SampledEpisode:
    """An episode of GOALS; each turn has `width` tokens of the policy's and one of the tools'."""
    made = trajectory(task, turns)
    steps: list[int] = []
    for turn in range(len(turns)):
        steps += [turn] * width + [-1]
    scored = score(made.calls, GOALS, turns=made.turns)
    return SampledEpisode(
        task=task,
        prompt_ids=(1, 2),
        completion_ids=tuple(range(10, 10 + len(steps))),
        policy_mask=tuple(step >= 0 for step in steps),
        logprobs=tuple(-0.5 if step >= 0 else 0.0 for step in steps),
        entropies=tuple(0.25 * (step + 1) if step >= 0 else 0.0 for step in steps),
        steps=tuple(steps),
        reward=scored.reward,
        trajectory=made,
        score=scored,
        group=group,
    )


def written(
    text: str,
    reward: float,
    *,
    entropies: Sequence[float] | None = None,
    answer: str = "42",
    group: int = 0,
) -> SampledEpisode:
    """A single-turn response, a token per character, not cut into steps."""
    ids = tuple(map(ord, text))
    return SampledEpisode(
        task=f"problem-{group}",
        prompt_ids=(1, 2),
        completion_ids=ids,
        policy_mask=(True,) * len(ids),
        logprobs=(-0.5,) * len(ids),
        entropies=tuple(entropies) if entropies is not None else (0.5,) * len(ids),
        steps=(0,) * len(ids),
        reward=reward,
        group=group,
        answer=answer,
    )


def scored(episodes: Sequence[SampledEpisode]) -> ScoredBatch:
    """The episodes padded to the right."""
    length = max(len(episode.completion_ids) for episode in episodes)

    def pad(name: str, filler: float, dtype: torch.dtype) -> torch.Tensor:
        rows = [[*getattr(e, name), *[filler] * (length - len(e.completion_ids))] for e in episodes]
        return torch.tensor(rows, dtype=dtype)

    return ScoredBatch(
        episodes=episodes,
        group_B=torch.tensor([episode.group for episode in episodes]),
        rewards_B=torch.tensor([episode.reward for episode in episodes]),
        policy_mask_BT=pad("policy_mask", False, torch.bool),
        step_BT=pad("steps", -1, torch.long),
        old_logprobs_BT=pad("logprobs", 0.0, torch.float),
        entropy_BT=pad("entropies", 0.0, torch.float),
    )


class CountingPolicy:
    """Thinks of an answer's tokens as likelier the more it has read; a token per character."""

    def __init__(self, per_token: float = 0.01) -> None:
        self.asked = 0
        """Branches."""
        self._per_token = per_token

    def logprobs(self, input_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        raise AssertionError("not asked by any algorithm here")

    def branches(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[Branch]]]
    ) -> list[list[list[float]]]:
        self.asked += sum(len(branches) for _, branches in sequences)
        return [
            [[-1 + self._per_token * branch.cut] * len(branch.ids) for branch in branches]
            for _, branches in sequences
        ]

    def encode(self, text: str) -> list[int]:
        return list(map(ord, text))

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))
