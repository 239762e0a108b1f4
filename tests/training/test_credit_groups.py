"""Group-relative advantages, anchor states and GiGPO, against numbers computed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from astra.databases import Effect
from astra.errors import ConfigError
from astra.training.algorithm import group_mean_B
from astra.training.credit.anchors import anchor_states
from astra.training.credit.gigpo import discounted, gigpo, step_advantages
from astra.training.credit.steps import pad_BK, spread_BT, sum_BK, tokens_BK
from astra.training.credit.stepwise import StepSettings
from astra.training.rl.grpo import group_advantages
from astra.types import Message
from tests.training.made import CountingPolicy, played, scored, trajectory, written


def test_group_relative_by_hand():
    rewards_B = torch.tensor([1.0, 5.0, 0.0, 5.0, 2.0])
    group_B = torch.tensor([7, 3, 7, 3, 9])
    # Group 7: mean 1/2, deviation 1/sqrt(2). Group 3 is flat, group 9 has one member.
    expected = [0.5 * math.sqrt(2), 0.0, -0.5 * math.sqrt(2), 0.0, 0.0]
    assert group_advantages(rewards_B, group_B).tolist() == pytest.approx(expected, abs=1e-3)
    plain = group_advantages(rewards_B, group_B, scale=False).tolist()
    assert plain == pytest.approx([0.5, 0.0, -0.5, 0.0, 0.0])


def test_group_mean_with_weights():
    values_B = torch.tensor([1.0, 3.0, 8.0])
    weights_B = torch.tensor([1.0, 3.0, 0.0])
    found = group_mean_B(values_B, torch.tensor([0, 0, 1]), weights_B)
    assert found.tolist() == pytest.approx([2.5, 2.5, 0.0])


def test_sums_over_steps_and_back():
    step_BT = torch.tensor([[0, 0, -1, 1], [2, 2, 2, -1]])
    mask_BT = torch.tensor([[True, False, True, True], [True, True, True, True]])
    values_BT = torch.tensor([[1.0, 2.0, 4.0, 8.0], [1.0, 2.0, 4.0, 8.0]])
    assert sum_BK(values_BT, step_BT, mask_BT).tolist() == [[1, 8, 0], [0, 0, 7]]
    assert tokens_BK(step_BT, mask_BT).tolist() == [[1, 1, 0], [0, 0, 3]]
    values_BK = torch.tensor([[5.0, 6.0, 7.0], [5.0, 6.0, 7.0]])
    assert spread_BT(values_BK, step_BT, -9.0).tolist() == [[5, 5, -9, 6], [7, 7, 7, -9]]
    padded = pad_BK([[1.0], [1.0, 2.0, 3.0]], 2, step_BT.device)
    assert padded[0, 1].isnan()
    assert padded[1].tolist() == [1, 2]


# --- anchors ---------------------------------------------------------------------------------


def test_states_are_sets_of_what_was_found_out():
    one = anchor_states(trajectory("t", [["a"], ["b"], []]))
    other = anchor_states(trajectory("t", [["b"], ["a"], []]))
    at_once = anchor_states(trajectory("t", [["a", "b"], []]))
    again = anchor_states(trajectory("t", [["a"], ["a"], ["b"], []]))
    assert one[0] == other[0] == at_once[0]
    assert one[1] != other[1]
    assert one[2] == other[2] == at_once[1]
    assert again[1] == again[2] == one[1]
    assert len(one) == 3


def test_a_state_knows_results_and_arguments():
    made = trajectory("t", [["a"], []])
    changed = made.model_copy(
        update={"calls": (made.calls[0].model_copy(update={"result": {"value": "Z"}}),)}
    )
    assert anchor_states(made)[1] != anchor_states(changed)[1]


def test_a_state_knows_the_rows_of_a_database_and_its_clock():
    def changed(keys: Sequence[str], *states: str | None) -> str:
        made = trajectory("t", [keys, []])
        calls = (
            call.model_copy(update={"effect": state and Effect(changes=(), state=state)})
            for call, state in zip(made.calls, states, strict=True)
        )
        return anchor_states(made.model_copy(update={"calls": tuple(calls)}))[1]

    # The same calls with the same results: the later of two writes to a cell stays.
    assert changed(["a", "b"], "A", "B") != changed(["b", "a"], "B", "A")
    # Of two cells the order does not matter, nor where between them something is read.
    assert changed(["a", "b"], "A", "AB") == changed(["b", "a"], "B", "AB")
    assert changed(["a", "b", "c"], "A", "AB", None) == changed(["c", "b", "a"], None, "B", "AB")
    # There and back again: the rows are the same, and it is two minutes later.
    assert changed(["a", "b"], "A", "start") != changed(["a", "b"], "start", None)


def test_a_state_knows_what_the_user_has_said():
    made = trajectory("t", [[], [], []])

    def told(*said: str) -> list[str]:
        talk = [Message(role="user", content="Please cancel it.")]
        for text in said:
            talk += [Message(role="assistant", content=text + "?")]
            talk += [Message(role="user", content=text)]
        return anchor_states(made.model_copy(update={"messages": tuple(talk)}))

    one, other = told("today", "yes"), told("tomorrow", "yes")
    assert one[0] == other[0]
    assert one[1] != other[1] and one[2] != other[2]


# --- GiGPO -----------------------------------------------------------------------------------


def test_discounted_returns_by_hand():
    assert discounted([1.0, 0.0, 4.0], 0.5) == [2.0, 2.0, 4.0]
    assert discounted([], 0.5) == []


def test_step_advantages_by_hand():
    returns_BK = torch.tensor([[3.0, 2.0], [1.0, float("nan")], [8.0, 5.0]])
    state_BK = torch.tensor([[0, 1], [0, -1], [2, 3]])
    found = step_advantages(returns_BK, state_BK, scale=False)
    assert found.tolist() == [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]
    scaled = step_advantages(returns_BK, state_BK, scale=True)
    assert scaled[0, 0].item() == pytest.approx(math.sqrt(0.5), abs=1e-3)


def test_gigpo_by_hand():
    # Two episodes that part after the same first call: one finds b, the other looks at a again.
    good = played([["a"], ["b"], []])
    bad = played([["a"], ["a"], []])
    batch = scored([good, bad])
    # F1 of three goals: after a 2·1·(1/3)/(4/3) = 1/2; with b 4/5; with a again 2/5.
    assert good.score is not None
    assert good.score.increments == pytest.approx((0.5, 0.3, 0.0))
    assert good.reward == pytest.approx(0.8)
    assert bad.reward == pytest.approx(0.4)
    settings = StepSettings(step_weight=2.0, discount=0.5, scale=False)
    found = gigpo(batch, CountingPolicy(), settings).advantages_BT
    # A^E: ±0.2. Returns: good 0.65, 0.3, 0; bad 0.45, -0.1, 0. The first steps share the empty
    # state (mean 0.55); good's second and bad's second and third share {a} (mean 1/15).
    expected = [
        [0.2 + 2 * 0.1, 0.2 + 2 * (0.3 - 1 / 15), 0.2],
        [-0.2 - 2 * 0.1, -0.2 + 2 * (-0.1 - 1 / 15), -0.2 + 2 * (0.0 - 1 / 15)],
    ]
    for b, values in enumerate(expected):
        for k, value in enumerate(values):
            assert found[b, 4 * k : 4 * k + 3].tolist() == pytest.approx([value] * 3, abs=1e-6)
    assert (found[:, 3::4] == 0).all()


def test_states_of_different_groups_are_different():
    batch = scored(
        [
            played([["a"], []], group=0),
            played([["b"], ["a"], []], group=1, task="other"),
        ]
    )
    credit = gigpo(batch, CountingPolicy(), StepSettings())
    assert (credit.advantages_BT == 0).all()
    assert credit.metrics["shared_steps"] == 0.0


def test_gigpo_without_trajectories_is_group_relative():
    batch = scored([written("right", 1.0), written("wrong.", 0.0)])
    found = gigpo(batch, CountingPolicy(), StepSettings()).advantages_BT
    expected = group_advantages(batch.rewards_B, batch.group_B)
    assert torch.equal(found, expected.unsqueeze(1) * batch.policy_mask_BT)


def test_settings_that_are_none_are_refused():
    with pytest.raises(ConfigError, match=r"1\.5"):
        StepSettings(discount=1.5)
    with pytest.raises(ConfigError, match="-1"):
        StepSettings(history=-1)
