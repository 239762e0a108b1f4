"""Tokens drawn by inverting the distribution function."""

from __future__ import annotations

import pytest
import torch

from astra.engines.sampling import draw

LOGITS_V = torch.tensor([2.0, 0.5, -1.0, float("-inf"), 1.0])


def drawn(uniform: torch.Tensor, temperature: float, **options: object) -> torch.Tensor:
    count = len(uniform)
    warm_B = torch.full((count,), temperature)
    return draw(LOGITS_V.expand(count, -1), uniform, warm_B, **options).tokens_B  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_they_are_likely(temperature: float) -> None:
    uniform_B = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    shares_V = drawn(uniform_B, temperature).bincount(minlength=5) / 20_000
    assert torch.allclose(shares_V, (LOGITS_V / temperature).softmax(-1), atol=1e-3)


def test_temperature_zero_takes_the_most_likely() -> None:
    assert drawn(torch.tensor([0.0, 0.5, 0.999]), 0.0).tolist() == [0, 0, 0]


def test_what_is_impossible_is_never_drawn() -> None:
    uniform_B = torch.tensor([0.0, 1 - 1e-9, 1.0], dtype=torch.float64)
    assert 3 not in drawn(uniform_B, 1.0).tolist()


def test_narrowing_leaves_out_the_unlikely() -> None:
    uniform_B = (torch.arange(1000) + 0.5) / 1000
    assert set(drawn(uniform_B, 1.0, top_k=2).tolist()) == {0, 4}
    nucleus_B = torch.full((1000,), 0.7)
    assert set(drawn(uniform_B, 1.0, top_p_B=nucleus_B).tolist()) == {0, 4}
    shares = drawn(uniform_B, 1.0, top_k=2).bincount(minlength=5) / 1000
    wanted = torch.tensor([2.0, 1.0]).softmax(-1)
    assert shares[[0, 4]].tolist() == pytest.approx(wanted.tolist(), abs=2e-3)


def test_what_is_recorded_is_of_the_whole_distribution() -> None:
    one_B = torch.tensor([0.1])
    found = draw(LOGITS_V[None], one_B, torch.tensor([2.0]), top_k=1)
    logprobs_V = (LOGITS_V / 2).log_softmax(-1)
    assert float(found.logprobs_B) == pytest.approx(float(logprobs_V[0]))
    probs_V = logprobs_V.exp()
    entropy = -sum(float(p * q) for p, q in zip(probs_V, logprobs_V, strict=True) if p > 0)
    assert float(found.entropies_B) == pytest.approx(entropy)
