"""The factorised advantage: by hand, and its properties for any batch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from astra.errors import ConfigError
from astra.training.credit.factor import (
    factored_advantages,
    standardized_BK,
    standardized_by_state_BK,
)
from astra.training.credit.steps import tokens_BK

torch.set_num_threads(1)


def test_standardised_by_hand():
    contribution_BK = torch.tensor([[1.0, 3.0, math.nan], [2.0, 2.0, 2.0], [1.0, math.nan, 0.0]])
    exists_BK = torch.tensor([[True, True, False], [True, True, True], [True, True, True]])
    found = standardized_BK(contribution_BK, exists_BK)
    assert found[0].tolist() == pytest.approx([-1.0, 1.0, 0.0], abs=1e-5)
    assert found[1].tolist() == [0.0, 0.0, 0.0]
    assert found[2].tolist() == [0.0, 0.0, 0.0]  # not known for a step that exists: credited evenly


def test_unusual_by_hand():
    nan = torch.nan
    contribution_BK = torch.tensor([[1.0, 0.5], [0.0, 0.5], [0.0, nan], [2.0, 3.0]])
    state_BK = torch.tensor([[0, 1], [0, 1], [0, 2], [3, -1]])
    z_BK = standardized_by_state_BK(contribution_BK, state_BK)
    # Of 1, 0, 0 in state 0: the mean is a third, the deviation (n - 1) the root of a third.
    assert z_BK[:3, 0].tolist() == pytest.approx([1.1547, -0.5774, -0.5774], abs=1e-3)
    # Equal in state 1; unknown in 2; alone in 3; none.
    assert z_BK[:, 1].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert float(z_BK[3, 0]) == 0.0


def test_factorised_by_hand():
    # A success of two steps of 1 and 3 tokens; z = (1, -1): raw weights 1 ± tanh(1)/2.
    step_BT = torch.tensor([[0, 1, 1, 1, -1]])
    mask_BT = torch.tensor([[True, True, True, True, False]])
    z_BK = torch.tensor([[1.0, -1.0]])
    high, low = 1 + math.tanh(1) / 2, 1 - math.tanh(1) / 2
    mean = (high + 3 * low) / 4
    found = factored_advantages(torch.tensor([2.0]), z_BK, step_BT, mask_BT, 0.5)
    expected = [2 * high / mean, *[2 * low / mean] * 3, 0.0]
    assert found.advantages_BT[0].tolist() == pytest.approx(expected)
    blamed = factored_advantages(torch.tensor([-2.0]), z_BK, step_BT, mask_BT, 0.5).advantages_BT[0]
    mean = (low + 3 * high) / 4
    assert blamed.tolist() == pytest.approx([-2 * low / mean, *[-2 * high / mean] * 3, 0.0])
    assert abs(blamed[0]) < abs(blamed[1])  # the helpful step is blamed less


@pytest.mark.parametrize("alpha", [1.0, -1.0, 2.0, math.nan])
def test_an_alpha_that_could_turn_a_sign_is_refused(alpha: float):
    one = torch.ones(1, 1)
    with pytest.raises(ConfigError, match="alpha"):
        factored_advantages(torch.ones(1), one, one.long() * 0, one.bool(), alpha)


@st.composite
def batches(draw: st.DrawFn):
    """advantages_B, contribution_BK, step_BT, mask_BT with steps of any length, none too."""
    rows = draw(st.integers(1, 4))
    length = draw(st.integers(1, 24))
    step_BT = torch.tensor(
        draw(
            st.lists(
                st.lists(st.integers(-1, 4), min_size=length, max_size=length),
                min_size=rows,
                max_size=rows,
            )
        )
    )
    mask_BT = torch.tensor(
        draw(
            st.lists(
                st.lists(st.booleans(), min_size=length, max_size=length),
                min_size=rows,
                max_size=rows,
            )
        )
    )
    steps = max(int(step_BT.max()) + 1, 1)
    number = st.floats(-1e3, 1e3, width=32) | st.sampled_from([math.nan, math.inf, -math.inf])
    contribution_BK = torch.tensor(
        [draw(st.lists(number, min_size=steps, max_size=steps)) for _ in range(rows)]
    )
    advantages_B = torch.tensor(
        draw(st.lists(st.floats(-10, 10, width=32), min_size=rows, max_size=rows))
    )
    return advantages_B, contribution_BK, step_BT, mask_BT


@settings(deadline=None, max_examples=200)
@given(batches(), st.floats(-0.95, 0.95))
def test_sum_sign_and_bounds(given_batch, alpha):  # type: ignore[no-untyped-def]
    advantages_B, contribution_BK, step_BT, mask_BT = given_batch
    z_BK = standardized_BK(contribution_BK, tokens_BK(step_BT, mask_BT) > 0)
    assert z_BK.isfinite().all()
    found_BT, weights_BK = factored_advantages(advantages_B, z_BK, step_BT, mask_BT, alpha)
    plain_BT = advantages_B.unsqueeze(1) * mask_BT
    size_B = plain_BT.abs().sum(1)
    assert ((found_BT.sum(1) - plain_BT.sum(1)).abs() <= 1e-5 * size_B + 1e-7).all()
    large_BT = plain_BT.abs() > 1e-30  # smaller ones may vanish in floats
    assert (found_BT.sign() == plain_BT.sign())[large_BT].all()
    assert (found_BT[~mask_BT] == 0).all()
    lowest = (1 - abs(alpha)) / (1 + abs(alpha))
    assert (weights_BK >= lowest * (1 - 1e-5)).all()
    assert (weights_BK <= (1 + 1e-5) / lowest).all()


@settings(deadline=None, max_examples=100)
@given(batches())
def test_without_alpha_it_is_the_plain_advantage(given_batch):  # type: ignore[no-untyped-def]
    advantages_B, contribution_BK, step_BT, mask_BT = given_batch
    z_BK = standardized_BK(contribution_BK, tokens_BK(step_BT, mask_BT) > 0)
    found = factored_advantages(advantages_B, z_BK, step_BT, mask_BT, 0.0)
    assert torch.equal(found.advantages_BT, advantages_B.unsqueeze(1) * mask_BT)


@settings(deadline=None, max_examples=100)
@given(batches(), st.floats(0.05, 0.95))
def test_more_contribution_is_never_worth_less(given_batch, alpha):  # type: ignore[no-untyped-def]
    _, contribution_BK, step_BT, mask_BT = given_batch
    exists_BK = tokens_BK(step_BT, mask_BT) > 0
    z_BK = standardized_BK(contribution_BK, exists_BK)
    ones_B = torch.ones(len(step_BT))
    rewarded_BK = factored_advantages(ones_B, z_BK, step_BT, mask_BT, alpha).weights_BK
    blamed_BK = factored_advantages(-ones_B, z_BK, step_BT, mask_BT, alpha).weights_BK
    for z_K, up_K, down_K, exists_K in zip(z_BK, rewarded_BK, blamed_BK, exists_BK, strict=True):
        order = z_K[exists_K].argsort()
        assert (up_K[exists_K][order].diff() >= -1e-6).all()
        assert (down_K[exists_K][order].diff() <= 1e-6).all()
