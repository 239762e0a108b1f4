"""Prompts worked through once per group give the numbers of separate rows, and the gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM
from trl.trainer.utils import add_fused_lm_head

from astra.training.rl.shared import shared_logprobs, zero_advantage_rows_B


def model(temperature: float = 1.0) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}
    net = Qwen3ForCausalLM(
        Qwen3Config(
            **sizes,
            vocab_size=50,
            num_attention_heads=4,
            num_key_value_heads=2,
            initializer_range=0.3,
        )
    )
    add_fused_lm_head(net, temperature=temperature, outputs=("log_probs", "entropy"))
    return net


def rows(sizes: list[tuple[int, int, int]]) -> tuple[Any, Any, int]:
    """Ids and mask_BT of (which prompt, its length, length of the completion), and the width."""
    rng = torch.Generator().manual_seed(1)
    longest, width = max(p for _, p, _ in sizes), max(c for *_, c in sizes)
    ids = torch.zeros(len(sizes), longest + width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, (which, prompt, completion) in enumerate(sizes):
        own = torch.Generator().manual_seed(100 + which)
        ids[row, longest - prompt : longest] = torch.randint(1, 50, (prompt,), generator=own)
        ids[row, longest : longest + completion] = torch.randint(
            1, 50, (completion,), generator=rng
        )
        mask[row, longest - prompt : longest + completion] = 1
    return ids, mask, width


def apart(net: Any, ids: Any, mask: Any, width: int, temperature: float) -> tuple[Any, Any]:
    """One row at a time, without padding."""
    logprobs, entropies = torch.zeros(len(ids), width), torch.zeros(len(ids), width)
    for row, kept in zip(range(len(ids)), mask.bool(), strict=True):
        own = ids[row][kept]
        n = int(kept[-width:].sum())
        logits = net(input_ids=own[None]).logits[0, -n - 1 : -1] / temperature
        logp = logits.log_softmax(-1)
        logprobs[row, :n] = logp.gather(1, own[-n:, None])[:, 0]
        entropies[row, :n] = -(logp.exp() * logp).sum(-1)
    return logprobs, entropies


SIZES = [(0, 7, 5), (0, 7, 9), (0, 7, 1), (1, 4, 6), (2, 7, 3), (2, 7, 3), (0, 7, 2), (3, 1, 4)]


@pytest.mark.parametrize("kind", ["sdpa", "eager", "sdpa, checkpointed"])
def test_numbers_and_gradients_are_those_of_rows_apart(kind: str) -> None:
    net = model(0.7)
    net.set_attn_implementation(kind.split(",")[0])
    if "checkpointed" in kind:
        net.train()
        net.activation_checkpointing_enable()
    ids, mask, width = rows(SIZES)
    found = shared_logprobs(net, ids, mask, width)
    wanted = apart(net, ids, mask, width, 0.7)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    weights = torch.randn(found[0].shape, generator=torch.Generator().manual_seed(3))
    gradients: list[Any] = []
    for logprobs, entropies in (found, wanted):
        net.zero_grad()
        (weights * (logprobs + 0.5 * entropies)).sum().backward()
        gradients.append([p.grad.clone() for p in net.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_hidden_pairs_are_not_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: list[int] = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def counted(query: Any, key: Any, *rest: Any, **more: Any) -> Any:
        pairs.append(query.shape[2] * key.shape[2])
        return attention(query, key, *rest, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    net = model()
    shared_logprobs(net, *rows([(0, 7, 5), (0, 7, 9)]))
    assert sum(pairs) == 2 * (6 * 6 + 5 * 11 + 9 * 15)  # two layers; under a mask 20 * 20 each
    assert net.config._attn_implementation == "sdpa"  # as it was
    pairs.clear()
    shared_logprobs(net, *rows([(0, 7, 5), (1, 4, 6), (0, 7, 9)]))
    assert sum(pairs) == 2 * (6 * 6 + 5 * 11 + 9 * 15 + 3 * 3 + 6 * 9)  # not neighbours


def test_a_completion_sees_no_other_of_its_group() -> None:
    net = model()
    ids, mask, width = rows([(0, 7, 5), (0, 7, 5)])
    before, _ = shared_logprobs(net, ids, mask, width)
    ids[0, -width:] = 3
    after, _ = shared_logprobs(net, ids, mask, width)
    torch.testing.assert_close(after[1], before[1])
    assert not torch.allclose(after[0], before[0])


def test_groups_that_stand_still_keep_their_numbers_and_need_no_gradient() -> None:
    net = model()
    ids, mask, width = rows(SIZES)
    still_B = torch.tensor(
        [False, True, True, True, True, True, False, False]
    )  # rows 3 to 5: all of two
    whole = shared_logprobs(net, ids, mask, width)
    found = shared_logprobs(net, ids, mask, width, zero_advantage_rows_B=still_B)
    for ours, theirs in zip(found, whole, strict=True):
        assert torch.equal(ours, theirs)
    gradients: list[Any] = []
    for logprobs, _ in (found, whole):
        net.zero_grad()
        (logprobs * ~still_B[:, None]).sum().backward()
        gradients.append([p.grad.clone() for p in net.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.equal(ours, theirs)
    net.zero_grad()
    shared_logprobs(net, ids, mask, width, zero_advantage_rows_B=still_B)[0][3:6].sum().backward()
    assert all(not p.grad.any() for p in net.parameters())


def test_rows_without_advantages_stand_still_unless_all_do() -> None:
    advantages_BT = torch.tensor([[0.0, 0.0], [0.0, -0.5], [0.0, 0.0]])
    still_B = zero_advantage_rows_B(advantages_BT)
    assert still_B is not None
    assert still_B.tolist() == [True, False, True]
    assert zero_advantage_rows_B(advantages_BT[:1]) is None
