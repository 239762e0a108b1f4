"""Whether expected updates follow the gradient of the reward where the policy decides when to stop.

A process small enough to be enumerated: in each of three turns the policy calls a, calls b or
stops; its states are those of the arena. Every group of three trajectories is given its credit and
weighed by its probability, so that the expected update is exact. Compared is its direction, because
a baseline that contains the own rollout only shortens it.

The gradient is that of the sum over tokens. How a loss averages over tokens is not a part of this.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from astra.configs.training import ALGORITHMS, CreditConfig
from astra.training.algorithm import Branch, Credit, ScoredBatch
from astra.training.credit.gigpo import step_returns_BK
from astra.training.credit.steps import spread_BT
from astra.training.rl.algorithms import make_algorithm
from tests.training.made import CountingPolicy, played, scored
from tests.training.test_credit_attribution import arena

PAGE = Path(__file__).parents[2] / "docs" / "algorithms.md"
ACTIONS = ("a", "b", "stop")
TURNS, GROUP = 3, 3
STATES = ("", "a", "b", "ab")
PASSED = 0.47
"""Chance of a reward above 0.5."""
# Logits by state: a sound policy that wastes calls and stops early, to different degrees.
LOGITS = torch.tensor(
    [[0.6, 0.2, -0.4], [-0.5, 0.8, 0.1], [0.3, -0.6, 0.4], [-0.3, -0.2, 1.2]], dtype=torch.double
)


class Knowing(CountingPolicy):
    """Thinks of the answer as likelier the more different letters it has read."""

    def branches(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[Branch]]]
    ) -> list[list[list[float]]]:
        return [
            [
                [-2 + 0.8 * len({ord("a"), ord("b")} & set(ids[: branch.cut]))] * len(branch.ids)
                for branch in branches
            ]
            for ids, branches in sequences
        ]


class Shown(CountingPolicy):
    """The process's own policy. An action that a demonstration took in the same state is e times as
    likely to it, before all chances are divided by their sum."""

    def branches(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[Branch]]]
    ) -> list[list[list[float]]]:
        return [[self._logprobs(ids[2:-2], branch.ids)] for ids, (branch,) in sequences]

    def _logprobs(self, demonstration: Sequence[int], ids: Sequence[int]) -> list[float]:
        logits = LOGITS.clone()
        for state, action in set(states_and_actions(demonstration)):
            logits[state, action] += 1
        chances = logits.log_softmax(1)
        found = [float(chances[place]) for place in states_and_actions(ids)]
        # After each action stands the tools' token.
        return [value for chance in found for value in (chance, 0.0)]


def states_and_actions(ids: Sequence[int]) -> list[tuple[int, int]]:
    """Of the steps of a completion: indices of the state and of the action taken there."""
    letters = [chr(token) for token in ids[::2]]
    return [
        (STATES.index("".join(sorted(set(letters[:k])))), "abs".index(letter))
        for k, letter in enumerate(letters)
    ]


def trajectories() -> list[tuple[str, ...]]:
    """All courses of the process."""
    found: list[tuple[str, ...]] = []
    for length in range(1, TURNS + 1):
        for calls in itertools.product("ab", repeat=length - 1):
            found += [(*calls, last) for last in (ACTIONS if length == TURNS else ("stop",))]
    return found


Credited = Callable[[ScoredBatch], Credit]


class Process:
    """Probabilities, score functions and all groups."""

    def __init__(self) -> None:
        self.courses = trajectories()
        chances = LOGITS.softmax(1)
        self.probability: list[float] = []
        self.scores_CKP = torch.zeros(len(self.courses), TURNS, LOGITS.numel(), dtype=torch.double)
        for c, course in enumerate(self.courses):
            chance = 1.0
            for k, action in enumerate(course):
                state = STATES.index("".join(sorted(set(course[:k]))))
                taken = ACTIONS.index(action)
                chance *= float(chances[state, taken])
                score = torch.zeros_like(LOGITS)
                score[state] = -chances[state]
                score[state, taken] += 1
                self.scores_CKP[c, k] = score.flatten()
            self.probability.append(chance)
        episodes = [
            played([[] if action == "stop" else [action] for action in course], width=1)
            for course in self.courses
        ]
        # A step's token tells its action, so that a policy can read it.
        self.episodes = [
            dataclasses.replace(
                episode,
                answer="C",
                completion_ids=tuple(ord(c) for action in course for c in (action[0], ".")),
            )
            for episode, course in zip(episodes, self.courses, strict=True)
        ]
        self.members = list(
            itertools.combinations_with_replacement(range(len(self.courses)), GROUP)
        )
        self.batch = scored(
            [
                dataclasses.replace(self.episodes[c], group=g)
                for g, members in enumerate(self.members)
                for c in members
            ]
        )

    def gradient(self) -> Tensor:
        """Of the expected reward."""
        total = torch.zeros(LOGITS.numel(), dtype=torch.double)
        for chance, episode, scores in zip(
            self.probability, self.episodes, self.scores_CKP, strict=True
        ):
            total += chance * episode.reward * scores.sum(0)
        return total

    def update(self, credit: Credited) -> Tensor:
        """The expected sum of advantage times score function over a group's steps."""
        advantages_BK = credit(self.batch).advantages_BT[:, ::2].double()
        total = torch.zeros(LOGITS.numel(), dtype=torch.double)
        for g, members in enumerate(self.members):
            orders = math.factorial(GROUP)
            for count in Counter(members).values():
                orders //= math.factorial(count)
            weight = orders * math.prod(self.probability[c] for c in members)
            own = self.scores_CKP[list(members)]
            total += weight * (advantages_BK[GROUP * g : GROUP * (g + 1), :, None] * own).sum(
                (0, 1)
            )
        return total

    def angles(self, credit: Credited) -> tuple[float, float]:
        """Degrees between the expected update and the gradient: of all logits together, and of
        those of the worst state."""
        update_SA, gradient_SA = (x.view_as(LOGITS) for x in (self.update(credit), self.gradient()))
        pairs = [(update_SA.flatten(), gradient_SA.flatten())]
        pairs += zip(update_SA, gradient_SA, strict=True)
        cosines = [float(torch.cosine_similarity(u, g, dim=0)) for u, g in pairs]
        whole, *states = [math.degrees(math.acos(min(1.0, cosine))) for cosine in cosines]
        return whole, max(states)


def by_turn_index(batch: ScoredBatch) -> Credit:
    """Biased on purpose: a turn's reward less the mean of the group's at the same turn.

    The sum over later turns subtracts as many means as the rollout has turns left, which is decided
    by what it does.
    """
    return _by_turn(batch, stopped_count=False)


def by_turn_of_all(batch: ScoredBatch) -> Credit:
    """The same without the bias: rollouts that stopped count as 0, so that every mean is subtracted
    from every rollout."""
    return _by_turn(batch, stopped_count=True)


def _by_turn(batch: ScoredBatch, *, stopped_count: bool) -> Credit:
    returns_BK = step_returns_BK(batch, 1.0)
    present_BK = returns_BK.isfinite().float()
    returns_BK = returns_BK.nan_to_num(0.0)
    following_BK = torch.cat([returns_BK[:, 1:], torch.zeros_like(returns_BK[:, :1])], 1)
    rewards_BK = returns_BK - following_BK
    advantages_BK = torch.zeros_like(rewards_BK)
    for group in batch.group_B.unique():
        rows = batch.group_B == group
        if stopped_count:
            own = returns_BK[rows]
            advantages_BK[rows] = own - own.mean(0)
        else:
            own, present = rewards_BK[rows], present_BK[rows]
            centred = (own - own.sum(0) / present.sum(0).clamp(min=1)) * present
            advantages_BK[rows] = centred.flip(1).cumsum(1).flip(1)
    spread = spread_BT(advantages_BK * present_BK, batch.step_BT, 0.0)
    return Credit(spread * batch.policy_mask_BT)


def credit_of(name: str, *, plain: bool) -> Credited:
    """`plain`: without discount and division by deviations, as far as the algorithm has them."""
    # Of GraphGPO γ is no discount of rewards: with 1 all distances are worth the same.
    discount = 1.0 if plain and name != "graphgpo" else CreditConfig().discount
    config = CreditConfig(agreement=False, discount=discount)
    scale = not plain or name == "acpo"
    arenas = {"arena": arena()}
    made: Any = make_algorithm(name, config, seed=0, arenas=arenas, scale=scale)
    if name == "drift":
        # The second stage, at a pass rate that these groups don't move, and nothing in the buffer.
        counts = {"arena": [PASSED * 1e9, (1 - PASSED) * 1e9, config.warm_up_steps]}
        made.load_state_dict({"steps": config.warm_up_steps, "counts": counts, "buffer": {}})
    policy = Shown() if name in ("sdpo", "drift") else Knowing()
    return lambda batch: made.credit(batch, policy)


@pytest.fixture(scope="module")
def process() -> Process:
    return Process()


UNBIASED = 0.01
"""Degrees, above which a direction counts as another. Rounding makes some 0.001."""


def test_the_process_is_all_there_is(process: Process):
    assert len(process.courses) == 15
    assert math.fsum(process.probability) == pytest.approx(1)
    chances = zip(process.probability, process.episodes, strict=True)
    passed = math.fsum(chance for chance, episode in chances if episode.reward > 0.5)
    assert passed == pytest.approx(PASSED, abs=0.005)
    assert len(process.members) == math.comb(15 + GROUP - 1, GROUP)


def test_a_baseline_by_turn_index_is_caught(process: Process):
    assert process.angles(by_turn_index)[0] > 100 * UNBIASED
    assert process.angles(by_turn_of_all)[0] < UNBIASED


def test_only_a_group_s_mean_leaves_the_direction(process: Process):
    assert process.angles(credit_of("grpo", plain=True))[0] < UNBIASED
    # Where nothing returns to a state, the number of steps compared there does not depend on what
    # they do, and GiGPO's update has the direction of the state's gradient.
    update, gradient = process.update(credit_of("gigpo", plain=True)), process.gradient()
    first = slice(0, len(ACTIONS))
    assert torch.allclose(update[first] / gradient[first], torch.tensor(4.0).double(), atol=1e-4)
    assert process.angles(credit_of("gigpo", plain=True))[1] > 100 * UNBIASED


@pytest.mark.slow
def test_the_table_of_the_page(process: Process):
    """What docs/algorithms.md says of every algorithm, and of the two above."""
    found = {
        "baseline by turn": (*process.angles(by_turn_index), None),
        "baseline by turn, stopped ones as 0": (*process.angles(by_turn_of_all), None),
    }
    for name in ALGORITHMS:
        default = process.angles(credit_of(name, plain=False))[0]
        plain = (None, None) if name == "acpo" else process.angles(credit_of(name, plain=True))
        found[f"`{name}`"] = (*plain, default)
    for name, angles in found.items():
        cells = ["–" if angle is None else f"{angle:.1f}°" for angle in angles]
        assert f"| {name} | {' | '.join(cells)} |" in PAGE.read_text("utf-8")
