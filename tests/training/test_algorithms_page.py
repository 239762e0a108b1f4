"""The worked example of docs/algorithms.md, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from astra.training.algorithm import Algorithm
from tests.training.made import CountingPolicy, played, scored

PAGE = Path(__file__).parents[2] / "docs" / "algorithms.md"


@pytest.fixture(scope="module")
def example() -> Any:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(block.splitlines()) < 60
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, str(PAGE), "exec"), names)
    return names["DiscountedRLOO"]


def test_it_gives_what_it_says(example: Any):
    algorithm: Algorithm = example(discount=0.5, warm_up=2)
    batch = scored([played([["a"], ["b"], []]), played([["a"], []]), played([["z"], []])])
    first = algorithm.credit(batch, CountingPolicy()).advantages_BT
    # Rewards 0.8, 0.5 and 0: the first's baseline is 0.25; half of it while warming up.
    for turn, discount in enumerate((1.0, 0.5, 0.25)):
        expected = pytest.approx([0.5 * 0.55 * discount] * 3)
        assert first[0, 4 * turn : 4 * turn + 3].tolist() == expected
    assert (first[~batch.policy_mask_BT] == 0).all()


def test_it_resumes(example: Any):
    batch = scored([played([["a"], []]), played([["z"], []])])
    whole, resumed = example(), example()
    for _ in range(3):
        whole.credit(batch, CountingPolicy())
    resumed.load_state_dict(whole.state_dict())
    again = resumed.credit(batch, CountingPolicy())
    assert torch.equal(again.advantages_BT, whole.credit(batch, CountingPolicy()).advantages_BT)


def test_one_rollout_has_nothing_to_be_compared_with(example: Any):
    credit = example().credit(scored([played([["a"], []])]), CountingPolicy())
    assert not credit.advantages_BT.any()
