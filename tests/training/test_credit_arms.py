"""Step-level algorithms beside GiGPO and ACPO: by hand, and what holds for every batch."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from astra.configs.training import ALGORITHMS, CreditConfig
from astra.errors import ConfigError
from astra.rewards import score
from astra.training.algorithm import Branch, HasState, SampledEpisode, ScoredBatch
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.counterfactual_steps import counterfactual
from astra.training.credit.first_exposure import exposures, first_exposure
from astra.training.credit.gigpo import gigpo
from astra.training.credit.graphgpo import GOAL, distances, graphgpo
from astra.training.credit.hgpo import hgpo
from astra.training.credit.igpo import discounted_sums_BK, igpo
from astra.training.credit.stepwise import StepSettings
from astra.training.rl.algorithms import make_algorithm
from astra.training.rl.grpo import group_advantages
from tests.training.made import GOALS, CountingPolicy, goal, played, scored, trajectory, written
from tests.training.test_credit_attribution import arena

PLAIN = StepSettings(discount=1.0, scale=False)
STEPWISE = [name for name in ALGORITHMS if name != "grpo"]


def per_step(advantages_BT: torch.Tensor, steps: int) -> list[list[float]]:
    """Of batches of `played` episodes: a value per step, which all of its tokens have."""
    values: list[list[float]] = []
    for row in advantages_BT.tolist():
        tokens = [row[4 * k : 4 * k + 3] for k in range(steps)]
        assert all(max(own) - min(own) < 1e-6 for own in tokens)
        values.append([own[0] for own in tokens])
    return values


def near(expected: Sequence[Sequence[float]]) -> Any:
    return [pytest.approx(row, abs=1e-5) for row in expected]


def test_hgpo_by_hand():
    # Two find a then b, one b then a; the third turns of all start from {a, b}.
    batch = scored([played([["a"], ["b"], ["c"]]), played([["a"], ["b"], []]),
                    played([["b"], ["a"], []])])  # fmt: skip
    # F1 after 1, 2, 3 goals of 3 calls: 1/2, 4/5, 1. Rewards 1, 0.8, 0.8; mean 2.6/3.
    returns = [[1.0, 0.5, 0.2], [0.8, 0.3, 0.0], [0.8, 0.3, 0.0]]
    episode = [1 - 2.6 / 3, 0.8 - 2.6 / 3, 0.8 - 2.6 / 3]
    # k = 0: the first steps (mean 2.6/3); the seconds from {a} (mean 0.4), that from {b} alone; the
    # thirds (mean 0.2/3). k = 1: seconds after the same, and thirds from {a} (mean 0.1). k = 2: the
    # thirds of the first two. Where one stands alone the others' weights count: 1, 2, 3.
    mean = 0.2 / 3
    third = [
        (1 * (0.2 - mean) + 2 * (0.2 - 0.1) + 3 * (0.2 - 0.1)) / 6,
        (1 * (0.0 - mean) + 2 * (0.0 - 0.1) + 3 * (0.0 - 0.1)) / 6,
        0.0 - mean,
    ]
    second = [0.5 - 0.4, 0.3 - 0.4, 0.0]
    found = hgpo(batch, CountingPolicy(), PLAIN)
    expected = [
        [e + r[0] - 2.6 / 3, e + s, e + t]
        for e, r, s, t in zip(episode, returns, second, third, strict=True)
    ]
    assert per_step(found.advantages_BT, 3) == near(expected)
    assert found.metrics["shared_steps_2"] == pytest.approx(2 / 9)
    without = dataclasses.replace(PLAIN, history=0)
    flat = hgpo(batch, CountingPolicy(), without).advantages_BT
    assert torch.equal(flat, gigpo(batch, CountingPolicy(), PLAIN).advantages_BT)


def test_distances_by_hand():
    paths = [["s", "a", "b", GOAL], ["s", "b", "b"], ["s", "z", "y"]]
    assert distances(paths) == {GOAL: 0, "b": 1, "a": 2, "s": 2, "z": 3, "y": 3}
    assert distances(paths[1:]) == {}


def test_graphgpo_by_hand():
    # The best finds a and b; another stops after a, a third wanders off, with a in the end.
    batch = scored([played([["a"], ["b"], []]), played([["a"], []]), played([["z"], ["a"], []])])
    rewards = [0.8, 0.5, 0.4]
    assert batch.rewards_B.tolist() == pytest.approx(rewards)
    # From {a, b} one step, from {a} two, from nothing three; {z} and {a, z} lead nowhere: four.
    settings = dataclasses.replace(PLAIN, discount=0.5)
    worth = {distance: 0.8 * 0.5**distance for distance in (0, 1, 2, 4)}
    first = (2 * worth[2] + worth[4]) / 3
    from_a = (worth[1] + worth[2]) / 2  # who stops stays in {a}
    step = [
        [worth[2] - first, worth[1] - from_a, 0.0],
        [worth[2] - first, worth[2] - from_a, 0.0],
        [worth[4] - first, 0.0, 0.0],
    ]
    found = graphgpo(batch, CountingPolicy(), settings)
    mean = sum(rewards) / 3
    expected = [[r - mean + s for s in row] for r, row in zip(rewards, step, strict=True)]
    expected[1][2] = 0.0  # no third step
    assert per_step(found.advantages_BT, 3) == near(expected)
    assert found.metrics["groups_with_goal"] == 1
    nothing = scored([played([["z"], []]), played([["y"], []])])
    assert graphgpo(nothing, CountingPolicy(), PLAIN).metrics["groups_with_goal"] == 0


def test_igpo_by_hand():
    episodes = [played([["a"], ["b"], []]), played([["a"], []])]
    batch = scored([dataclasses.replace(e, answer="xyz") for e in episodes])
    # A token of " xyz" has log-probability -1 + 0.01 * tokens read. Cuts: 2, 6, 10, 14; 2, 6, 10.
    likely = [math.exp(-1 + 0.01 * cut) for cut in (2, 6, 10)]
    one, two = likely[1] - likely[0], likely[2] - likely[1]
    mean = (one + two + one) / 3  # the last turns get the outcome: 0.8 and 0.5, ±0.15
    settings = StepSettings(step_weight=2.0, discount=0.5, scale=False)
    found = igpo(batch, CountingPolicy(), settings)
    gains = [2 * (one - mean), 2 * (two - mean)]
    expected = [
        [gains[0] + 0.5 * gains[1] + 0.25 * 0.15, gains[1] + 0.5 * 0.15, 0.15],
        [gains[0] - 0.5 * 0.15, -0.15, 0.0],
    ]
    assert per_step(found.advantages_BT, 3) == near(expected)
    # Without a known answer the discounted outcome is left.
    silent = igpo(scored(episodes), CountingPolicy(), settings)
    expected = [[0.25 * 0.15, 0.5 * 0.15, 0.15], [-0.5 * 0.15, -0.15, 0.0]]
    assert per_step(silent.advantages_BT, 3) == near(expected)
    assert silent.metrics["unknown_answers"] == 1


def test_discounted_sums():
    assert discounted_sums_BK(torch.tensor([[1.0, 0.0, 4.0]]), 0.5).tolist() == [[2.0, 2.0, 4.0]]


def test_first_exposure_by_hand():
    good, bad = played([["z"], ["a", "b"], []]), played([["z"], ["a"], []])
    batch = scored([good, bad])
    assert exposures(good) == [0, 2, 0]
    found = first_exposure(batch, CountingPolicy(), PLAIN)
    # Rewards 2·2/6 and 2·1/5: ±2/15. w = 1 ± 0.9·tanh(goals), over its mean.
    half = (2 / 3 - 0.4) / 2
    up, down = 1 + 0.9 * math.tanh(2), 1 - 0.9 * math.tanh(1)
    expected = [
        [half * w / ((2 + up) / 3) for w in (1, up, 1)],
        [-half * w / ((2 + down) / 3) for w in (1, down, 1)],
    ]
    assert per_step(found.advantages_BT, 3) == near(expected)
    assert found.metrics["credited_episodes"] == 1


def test_a_result_that_stood_there_before_is_credited_where_it_first_did():
    # Two goals with the same call: the second is solved when it is made again.
    made = trajectory("t", [["a"], ["z"], ["a"]])
    twice = score(made.calls, (GOALS[0], goal("a", "A").model_copy(update={"id": "again"})))
    assert twice.solved == 2
    episode = dataclasses.replace(played([["a"]]), trajectory=made, score=twice)
    assert exposures(episode) == [2, 0, 0]
    assert exposures(dataclasses.replace(episode, score=None)) == []


def test_a_right_call_in_a_failed_episode_is_rewarded():
    # The failed one finds a first and then wastes three calls; the other begins with a waste.
    failed, better = played([["a"], ["x", "y", "z"], []]), played([["z"], ["a", "b", "c"], []])
    batch = scored([failed, better])
    replay = Counterfactual({"arena": arena()})
    found = counterfactual(batch, CountingPolicy(), PLAIN, replay)
    # F1 2/7 and 6/7: ±2/7. Without a: 0 instead of 2/7; without z: 1 instead of 6/7.
    half, right, wrong = 2 / 7, 2 / 7, -1 / 7
    contrast = (right - wrong) / 2
    expected = [[-half + contrast, -half, -half], [half - contrast, half, half]]
    assert per_step(found.advantages_BT, 3) == near(expected)
    strong = dataclasses.replace(PLAIN, step_weight=3.0)
    credit = counterfactual(batch, CountingPolicy(), strong, replay)
    rewarded = per_step(credit.advantages_BT, 3)
    assert rewarded[0][0] > 0 > rewarded[0][1] and credit.metrics["rewarded_in_failures"] > 0
    # ACPO keeps the episode's sign, and GiGPO sees what came after.
    locked = make_algorithm("acpo", CreditConfig(attribution="counterfactual"), seed=0,
                            arenas={"arena": arena()})  # fmt: skip
    assert (locked.credit(batch, CountingPolicy()).advantages_BT[0] <= 0).all()
    assert per_step(gigpo(batch, CountingPolicy(), strong).advantages_BT, 3)[0][0] < 0


def test_it_needs_arenas_that_can_be_replayed():
    with pytest.raises(ConfigError, match="without goals"):
        make_algorithm("counterfactual", seed=0, arenas={})
    arenas = {"arena": arena()}
    with pytest.raises(ConfigError, match="an own reward"):
        make_algorithm("counterfactual", seed=0, arenas=arenas, reward=lambda *_: 1.0)


# --- every algorithm, every batch ------------------------------------------------------------


def algorithm(name: str, **credit: Any) -> Any:
    return make_algorithm(name, CreditConfig(**credit), seed=0, arenas={"arena": arena()})


def drawn(seed: int) -> ScoredBatch:
    """Two to four groups of one to five random episodes, answers known or not."""
    draw = random.Random(seed)
    episodes: list[SampledEpisode] = []
    for group in range(draw.randint(2, 4)):
        for _ in range(draw.randint(1, 5)):
            turns = [draw.choices("abcz", k=draw.randint(0, 2)) for _ in range(draw.randint(1, 4))]
            episode = played(turns, group=group, width=draw.randint(1, 3))
            episodes.append(dataclasses.replace(episode, answer=draw.choice(("", "C"))))
    return scored(episodes)


@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.parametrize("scale", [True, False])
def test_what_holds_for_every_batch(name: str, scale: bool):
    if name == "acpo" and not scale:
        return
    arenas = {"arena": arena()}
    for seed in range(12):
        batch = drawn(seed)
        # Of drift the second stage: the first is sdpo.
        config = CreditConfig(warm_up_steps=0)
        made = [make_algorithm(name, config, seed=0, arenas=arenas, scale=scale) for _ in range(2)]
        found = made[0].credit(batch, CountingPolicy(0.001))
        assert found.advantages_BT.isfinite().all()
        assert not found.advantages_BT[~batch.policy_mask_BT].any()
        assert all(map(math.isfinite, found.metrics.values()))
        assert found.metrics["credit/seconds"] >= 0
        # The order of the rows does not matter.
        order = torch.tensor(
            random.Random(seed).sample(range(len(batch.episodes)), k=len(batch.episodes))
        )
        moved = ScoredBatch(
            [batch.episodes[row] for row in order.tolist()],
            *(getattr(batch, field.name)[order] for field in dataclasses.fields(batch)[1:]),
        )
        again = made[1].credit(moved, CountingPolicy(0.001))
        assert torch.allclose(again.advantages_BT, found.advantages_BT[order], atol=1e-6)


@pytest.mark.parametrize("name", STEPWISE)
def test_what_does_not_differ_gets_no_credit(name: str):
    def credited(batch: ScoredBatch) -> torch.Tensor:
        made = algorithm(name, warm_up_steps=0)
        return made.credit(batch, CountingPolicy()).advantages_BT

    same = scored([dataclasses.replace(played([["a"], ["b"], []]), answer="C")] * 3)
    # igpo compares turns of the same episodes with each other, sdpo distills successes, too.
    if name in ("igpo", "sdpo"):
        gains = credited(same)
        assert gains.any() and (gains == gains[0]).all()
        same = scored([played([["a"], ["a"], []])] * 3)
    assert not credited(same).any()
    alone = scored([played([["a"], ["b"], []])])
    assert not credited(alone).any()
    # Groups of different prompts are not compared.
    apart = scored([played([["a"], []], group=0), played([["z"], ["b"], []], group=1)])
    assert not credited(apart).any()


@pytest.mark.parametrize("name", STEPWISE)
def test_a_resumed_run_goes_on_as_it_would(name: str):
    whole, resumed = (algorithm(name, warm_up_steps=2) for _ in range(2))
    for seed in range(3):
        whole.credit(drawn(seed), CountingPolicy())
    if isinstance(whole, HasState):
        resumed.load_state_dict(whole.state_dict())
    found = [each.credit(drawn(9), CountingPolicy()).advantages_BT for each in (whole, resumed)]
    assert torch.equal(*found)


@pytest.mark.parametrize("name", sorted({*STEPWISE} - {"acpo", "sdpo", "drift"}))
def test_single_turns_are_group_relative(name: str):
    batch = scored([written("right", 1.0, answer=""), written("wrong.", 0.0, answer="")])
    found = make_algorithm(name, seed=0, arenas={"problem-0": arena()}).credit(
        batch, CountingPolicy()
    )
    expected = group_advantages(batch.rewards_B, batch.group_B)
    assert torch.allclose(found.advantages_BT, expected.unsqueeze(1) * batch.policy_mask_BT)


class Weighing(CountingPolicy):
    """Reading makes some tokens likelier than others."""

    def branches(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[Branch]]]
    ) -> list[list[list[float]]]:
        return [
            [[0.01 * branch.cut * (token % 5) - 1 for token in branch.ids] for branch in branches]
            for _, branches in sequences
        ]


@pytest.mark.parametrize("name", STEPWISE)
def test_agreement_with_the_counterfactual_is_logged(name: str):
    # The first wastes its first turn, the second its second.
    batch = scored([played([["z"], ["a"], []]), played([["a"], ["b"], []]), played([["z"], []])])
    metrics = algorithm(name).credit(batch, Weighing()).metrics
    assert abs(metrics["agreement/credit"]) < 1 + 1e-9
    assert metrics["agreement/credit_trajectories"] >= 1
    quiet = algorithm(name, agreement=False).credit(batch, Weighing()).metrics
    assert not [each for each in quiet if each.startswith("agreement")]
    if name == "counterfactual":
        assert metrics["agreement/credit"] > 0.5
    without = make_algorithm("gigpo", seed=0, arenas={}).credit(batch, CountingPolicy()).metrics
    assert "agreement/credit" not in without
