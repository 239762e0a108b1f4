"""A model asked for log-probabilities: branches that share a prefix, and rows of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from astra.training.algorithm import Branch
from astra.training.policy import ModelPolicy, tree

torch.set_num_threads(1)
SEQUENCE = [3, 14, 15, 9, 2, 6, 5, 35, 8, 9]


class Characters:
    """A tokenizer of single characters; id 0 is special."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        assert not add_special_tokens
        return [ord(character) for character in text]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        assert skip_special_tokens
        return "".join(chr(number) for number in ids if number)


def nano(attention: str = "sdpa") -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    config._attn_implementation = attention
    return Qwen3ForCausalLM(config)


@pytest.fixture(scope="module")
def model() -> Qwen3ForCausalLM:
    return nano()


def by_hand(model: Qwen3ForCausalLM, ids: Sequence[int], start: int) -> list[float]:
    """Log-probabilities of the tokens from `start`, in a row without padding or branches."""
    with torch.no_grad():
        logits_LV = model(input_ids=torch.tensor([ids])).logits[0]
    told = logits_LV.log_softmax(-1)
    return [float(told[i - 1, ids[i]]) for i in range(start, len(ids))]


def test_logprobs_are_those_of_a_row_of_its_own(model: Qwen3ForCausalLM):
    policy = ModelPolicy(model, Characters())
    rows = [SEQUENCE, SEQUENCE[:4], [7], []]
    found = policy.logprobs(rows)
    assert [len(row) for row in found] == [10, 4, 1, 0]
    assert found[0] == pytest.approx([0.0, *by_hand(model, SEQUENCE, 1)], abs=1e-5)
    assert found[1] == pytest.approx([0.0, *by_hand(model, SEQUENCE[:4], 1)], abs=1e-5)
    assert found[2] == [0.0]


def test_logits_are_normalized_in_parts(model: Qwen3ForCausalLM, monkeypatch: pytest.MonkeyPatch):
    rows = [SEQUENCE, SEQUENCE[:4]]
    whole = ModelPolicy(model, Characters()).logprobs(rows)
    monkeypatch.setattr("astra.training.policy.ROWS", 3)
    sizes: list[int] = []
    softmax = torch.Tensor.log_softmax

    def seen(logits: torch.Tensor, dim: int) -> torch.Tensor:
        sizes.append(len(logits))
        return softmax(logits, dim)

    monkeypatch.setattr(torch.Tensor, "log_softmax", seen)
    assert ModelPolicy(model, Characters()).logprobs(rows) == whole
    assert sizes == [3, 3, 3, 3]  # nine tokens after the first one, and three


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("tokens", [1, 8192])
def test_branches_are_those_of_rows_of_their_own(attention: str, tokens: int):
    model = nano(attention)
    policy = ModelPolicy(model, Characters(), tokens=tokens)
    branches = [Branch(1, (5, 6)), Branch(4, (7,)), Branch(10, (1, 2, 3)), Branch(4, (7,))]
    short = [Branch(2, (9, 9))]
    found = policy.branches([(SEQUENCE, branches), (SEQUENCE[:3], short)])
    for (cut, ids), told in zip(branches, found[0], strict=True):
        assert told == pytest.approx(by_hand(model, [*SEQUENCE[:cut], *ids], cut), abs=1e-5)
    assert found[1][0] == pytest.approx(by_hand(model, [*SEQUENCE[:2], 9, 9], 2), abs=1e-5)
    assert found[0][1] == pytest.approx(found[0][3], abs=1e-6)


def test_attention_without_masks_gets_a_row_per_branch(monkeypatch: pytest.MonkeyPatch):
    model = nano()
    policy = ModelPolicy(model, Characters())
    sequences = [(SEQUENCE, [Branch(3, (5, 6)), Branch(9, (4,))])]
    shared = policy.branches(sequences)
    monkeypatch.setattr("astra.training.policy._MASKED", ())
    shapes: list[int] = []
    model.register_forward_pre_hook(
        lambda _module, _given, named: shapes.append(named["attention_mask"].dim()),
        with_kwargs=True,
    )
    apart = policy.branches(sequences)
    assert set(shapes) == {2}
    for one, other in zip(shared[0], apart[0], strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_gradients_and_mode_are_left_alone(model: Qwen3ForCausalLM):
    model.train()
    ModelPolicy(model, Characters()).logprobs([SEQUENCE])
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_probabilities_sum_to_one(model: Qwen3ForCausalLM):
    policy = ModelPolicy(model, Characters())
    found = policy.branches([(SEQUENCE, [Branch(5, (token,)) for token in range(64)])])
    assert math.fsum(math.exp(told[0]) for told in found[0]) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("tokens", [14, 8192])
def test_sequences_with_one_prompt_share_it(attention: str, tokens: int):
    model = nano(attention)
    policy = ModelPolicy(model, Characters(), tokens=tokens)
    group = [
        (SEQUENCE, [Branch(3, (5, 6)), Branch(7, (5, 6)), Branch(10, (5, 6))]),
        ([*SEQUENCE[:3], 40, 41], [Branch(3, (7,)), Branch(5, (8, 9, 9))]),
        ([1, *SEQUENCE[1:]], [Branch(3, (5, 6)), Branch(4, ())]),
        (SEQUENCE[:3], [Branch(3, (5, 6))]),
    ]
    sizes: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _module, _given, named: sizes.append(named["input_ids"].numel()), with_kwargs=True
    )
    found = policy.branches(group)
    handle.remove()
    for (sequence, branches), told in zip(group, found, strict=True):
        for (cut, ids), values in zip(branches, told, strict=True):
            alone = by_hand(model, [*sequence[:cut], *ids], cut)
            assert values == pytest.approx(alone, abs=1e-5)
    # Three of them begin alike: their first three tokens are worked through once a pass.
    assert sum(sizes) == (3 + 13 + 6 + 2 if tokens > 14 else 3 + 13 + 3 + 6 + 2) + 12


def test_the_tree_hides_branches_from_each_other():
    packed = tree([([1, 2, 3], [Branch(2, (8, 9)), Branch(3, (7,))]), ([1, 2], [Branch(2, (6,))])])
    assert packed.ids_S.tolist() == [1, 2, 3, 8, 9, 7, 6]
    assert packed.positions_S.tolist() == [0, 1, 2, 2, 3, 3, 2]
    assert packed.lengths == [2, 4, 1]
    assert packed.sources == [1, 3, 2, 1]
    assert packed.visible_SS.int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 1, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 0],
        [1, 1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 0, 1],
    ]


def test_text_goes_both_ways():
    policy = ModelPolicy(nano(), Characters())
    assert policy.encode("ab") == [97, 98]
    assert policy.decode([97, 0, 98]) == "ab"
