"""SDPO and DRIFT against numbers computed by hand."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from astra.errors import StageError
from astra.training.algorithm import Branch, SampledEpisode
from astra.training.credit import drift
from astra.training.credit.drift import Drift, difficulties, exploration_BT, pass_rate
from astra.training.credit.sdpo import demonstrations, sdpo
from astra.training.credit.stepwise import StepSettings
from tests.training.made import CountingPolicy, played, scored, written

PLAIN = StepSettings(scale=False)


class Copying(CountingPolicy):
    """Log-probability of a token: -1 if it stands anywhere before, else -3."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[tuple[int, ...]] = []

    def branches(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[Branch]]]
    ) -> list[list[list[float]]]:
        self.read += [tuple(ids) for ids, _ in sequences]
        return [
            [
                [
                    -1.0 if token in [*ids[:cut], *own[:place]] else -3.0
                    for place, token in enumerate(own)
                ]
                for cut, own in branches
            ]
            for ids, branches in sequences
        ]


def credited(*episodes: SampledEpisode, rule: Any = None) -> list[list[float]]:
    """Credit of a batch, by token, without padding."""
    batch = scored(episodes)
    credit = rule or (lambda *given: sdpo(*given, PLAIN))
    rows = credit(batch, Copying()).advantages_BT.tolist()
    return [row[: len(e.completion_ids)] for row, e in zip(rows, episodes, strict=True)]


# --- SDPO ------------------------------------------------------------------------------------


def test_sdpo_by_hand():
    good, longer, bad = written("ab", 1.0), written("abb", 1.0), written("acc", 0.0)
    # Each is shown the shortest success but itself: "abb", "ab", "ab". Tokens that stand there, and
    # did not stand in the student's own response before, come from -3 to -1.
    expected = [[2.0, 2.0], [2.0, 2.0, 0.0], [2.0, 0.0, 0.0]]
    assert credited(good, longer, bad) == expected
    assert credited(good, longer, dataclasses.replace(bad, group=1)) == [*expected[:2], [0.0] * 3]


def test_the_demonstration_is_an_earlier_part_of_the_conversation():
    good, bad = written("ab", 1.0), written("cd", 0.0)
    policy = Copying()
    credit = sdpo(scored([good, bad]), policy, PLAIN)
    # The success has no other to learn from, and is not read.
    assert policy.read == [(1, 2), (1, 2, *map(ord, "ab"), 1, 2)]
    assert credit.metrics == {"demonstrated": 0.5, "teacher_minus_student": 0.0}


def test_without_a_success_there_is_no_credit():
    bad = [written("ab", 0.5), written("cd", 0.0)]
    assert credited(*bad) == [[0.0] * 2] * 2
    lower = StepSettings(success=0.4)
    assert credited(*bad, rule=lambda *given: sdpo(*given, lower)) == [[0.0] * 2] * 2
    also = written("ad", 0.0)
    assert credited(*bad, also, rule=lambda *given: sdpo(*given, lower))[2] == [2.0, 0.0]


def test_nobody_is_taught_by_who_earned_less():
    batch = scored([written("a", 0.8), written("b", 0.9), written("cc", 0.9), written("d", 0.1)])
    a, b, c = ((ord("a"),), (ord("b"),), (ord("c"),) * 2)
    assert demonstrations(batch, 0.5) == [b, c, b, b]
    assert demonstrations(scored([written("a", 0.8), written("b", 0.9)]), 0.5) == [b, None]
    assert demonstrations(scored([written("a", 0.8), written("b", 0.2)]), 0.5) == [None, a]


def test_tokens_of_tools_get_none():
    good, bad = played([["a"], ["b"], []]), played([["z"], []])
    found = credited(good, bad)
    assert found[0] == [0.0] * 12
    # All tokens of the failure stand in the demonstration; its fourth and eighth are the tools'.
    assert found[1] == [2.0, 2.0, 2.0, 0.0, 2.0, 2.0, 2.0, 0.0]


def test_log_probabilities_that_are_none_stop_the_run():
    class Broken(CountingPolicy):
        def branches(self, sequences: Any) -> Any:
            return [[[math.nan] * len(b.ids) for b in branches] for _, branches in sequences]

    with pytest.raises(StageError, match="not finite"):
        sdpo(scored([written("ab", 1.0), written("cd", 0.0)]), Broken(), PLAIN)


# --- DRIFT -----------------------------------------------------------------------------------

GOOD, LONGER, BAD = written("ab", 1.0), written("abb", 1.0), written("acc", 0.0)


def made(warm_up: int = 0) -> Drift:
    return Drift(PLAIN, warm_up=warm_up)


def test_the_first_stage_is_sdpo():
    algorithm = made(warm_up=1)
    assert credited(GOOD, LONGER, BAD, rule=algorithm.credit) == credited(GOOD, LONGER, BAD)
    second = algorithm.credit(scored([GOOD, LONGER, BAD]), Copying())
    assert second.metrics["stage"] == 2
    assert second.advantages_BT[0].tolist() != [2.0, 2.0, 0.0]


def test_drift_by_hand():
    # 2 of 3 pass: raw 3/5, believed by 3/11.
    rate = 3 / 11 * 0.6 + 8 / 11 * 0.5
    assert pass_rate(2, 1) == pytest.approx(rate)
    hard, easy = (1 / (1 + math.exp(x / 0.08)) for x in (rate - 0.3, 0.7 - rate))
    medium = (1 - hard) * (1 - easy)
    hard, medium, easy = (gate / (hard + medium + easy) for gate in (hard, medium, easy))
    assert difficulties(torch.tensor([rate])).flatten().tolist() == pytest.approx(
        [hard, medium, easy]
    )
    reinforced = (0.3 * hard + medium + 0.05 * easy) * (1 - 2 / 3)
    distilled = hard + 0.35 * easy
    found = credited(GOOD, LONGER, BAD, rule=made().credit)
    assert found[0] == pytest.approx([reinforced] * 2)
    assert found[1] == pytest.approx([reinforced] * 3)
    assert found[2] == pytest.approx([2 * distilled, 0.0, 0.0])


def test_who_is_shown_nothing_is_reinforced():
    lone = credited(GOOD, BAD, rule=made().credit)[0]
    assert lone == pytest.approx([0.5] * 2)
    # Nobody succeeds: GRPO in the second stage, nothing in the first.
    failures = [written("ab", 0.5), written("cd", 0.1)]
    expected = [[0.2] * 2, [-0.2] * 2]
    for found, row in zip(credited(*failures, rule=made().credit), expected, strict=True):
        assert found == pytest.approx(row)
    assert credited(*failures, rule=made(warm_up=1).credit) == [[0.0] * 2] * 2


def test_exploration_by_hand():
    batch = scored([written("abcdef", 1.0, entropies=[0.5, 1.5, 2.0, 2.0, 0.0, 0.0])])
    # Mean entropy 1: gates 0, 0.5, 1, 1, 0, 0.
    difference_BT = torch.tensor([[-9.0, -0.5, -0.5, -9.0, -9.0, 1.0]])
    weight = math.exp(0.3) - 1
    expected = [0.0, 0.5 * weight, weight, 1.0, 0.0, 0.0]
    assert exploration_BT(difference_BT, batch)[0].tolist() == pytest.approx(expected)
    unknown = dataclasses.replace(batch, entropy_BT=batch.entropy_BT * math.nan)
    expected = [1.0, weight, weight, 1.0, 1.0, 0.0]
    assert exploration_BT(difference_BT, unknown)[0].tolist() == pytest.approx(expected)
    nothing = dataclasses.replace(batch, policy_mask_BT=torch.zeros_like(batch.policy_mask_BT))
    assert not exploration_BT(difference_BT, nothing).any()


def test_successes_that_disagree_with_the_teacher_weigh_more():
    class Doubting(CountingPolicy):
        """Takes every token for less likely, the more it has read."""

        def __init__(self) -> None:
            super().__init__(per_token=-1.0)

    surprising = written("ab", 1.0, entropies=[1.0, 0.0])
    batch = scored([surprising, GOOD, BAD])
    found = made().credit(batch, Doubting()).advantages_BT
    plain = made().credit(batch, Copying()).advantages_BT
    medium = float(difficulties(torch.tensor([pass_rate(2, 1)]))[1])
    assert found[0, 0] == pytest.approx(float(plain[0, 0]) * (1 + medium), rel=1e-5)
    assert found[0, 1] == pytest.approx(float(plain[0, 1]))


def test_difficulty_moves_the_signals():
    def weights(successes: int, failures: int) -> tuple[float, float]:
        algorithm = made()
        algorithm.load_state_dict(
            {"steps": 0, "counts": {"problem-0": [successes, failures, 0]}, "buffer": {}}
        )
        metrics = algorithm.credit(scored([GOOD, LONGER, BAD]), Copying()).metrics
        return metrics["distilled"], metrics["reinforced"]

    hard, medium, easy = weights(0, 500), weights(250, 250), weights(500, 0)
    # One failure of three is distilled, two successes are reinforced.
    assert hard == pytest.approx((1 / 3, 0.3 * 2 / 3), abs=0.02)
    assert medium == pytest.approx((0.0, 2 / 3), abs=0.09)
    assert easy == pytest.approx((0.35 / 3, 0.05 * 2 / 3), abs=0.02)


def test_pass_rates_forget():
    algorithm = made()
    algorithm.credit(scored([GOOD, BAD]), Copying())
    algorithm.credit(scored([written("x", 0.0, group=1)]), Copying())
    algorithm.credit(scored([GOOD]), Copying())
    counts = algorithm.state_dict()["counts"]
    assert counts["problem-0"] == pytest.approx([0.85**2 + 1, 0.85**2, 2])
    assert counts["problem-1"] == [0, 1, 1]
    assert pass_rate(0, 0) == 0.5


# --- the success buffer ----------------------------------------------------------------------


def test_a_group_without_a_success_is_shown_one_of_earlier_steps():
    algorithm = made(warm_up=9)
    failures = [BAD, written("dd", 0.0)]
    assert credited(*failures, rule=algorithm.credit) == [[0.0] * 3, [0.0] * 2]
    algorithm.credit(scored([GOOD, BAD]), Copying())
    # A run that goes on from a checkpoint has it, too.
    resumed = made(warm_up=9)
    resumed.load_state_dict(json.loads(json.dumps(algorithm.state_dict())))
    for each in (algorithm, resumed):
        assert credited(*failures, rule=each.credit) == [[2.0, 0.0, 0.0], [0.0] * 2]
    assert resumed.state_dict() == algorithm.state_dict()
    # Another task has none, and a rollout is not shown itself.
    other = dataclasses.replace(BAD, task="other")
    assert credited(other, rule=algorithm.credit) == [[0.0] * 3]
    assert credited(GOOD, rule=algorithm.credit) == [[0.0] * 2]
    assert credited(written("abc", 1.0), rule=algorithm.credit) == [[2.0, 2.0, 0.0]]


def test_the_buffer_holds_the_best_and_then_the_latest():
    algorithm = made()
    kept: list[Any] = []
    for episode in (written("a", 0.8), written("b", 0.9), written("c", 0.7), written("d", 0.9)):
        algorithm.credit(scored([episode]), Copying())
        kept.append(algorithm.state_dict()["buffer"]["problem-0"][1])
    assert kept == [[ord(letter)] for letter in "abbd"]
    # What earned more than the buffer's is not taught by it.
    assert algorithm.credit(scored([written("e", 1.0)]), Copying()).metrics["demonstrated"] == 0


def test_the_buffer_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drift, "TASKS", 2)
    algorithm = made()
    for group in (0, 1, 0, 2):
        algorithm.credit(scored([written("ab", 1.0, group=group)]), Copying())
    assert list(algorithm.state_dict()["buffer"]) == ["problem-0", "problem-2"]


@pytest.mark.parametrize(
    "state",
    [
        {"counts": {}, "buffer": {}},
        {"steps": 0, "counts": {"a": [1.0]}, "buffer": {}},
        {"steps": 0, "counts": {}, "buffer": {"a": [1.0, ["x"]]}},
    ],
)
def test_a_state_that_is_none_is_refused(state: dict[str, Any]):
    # The trainer names the checkpoint.
    with pytest.raises((KeyError, ValueError)):
        made().load_state_dict(state)
