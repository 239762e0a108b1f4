"""An engine over a back end that continues ids: the same tokens as with a cache of our own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from astra.engines.prompts import Continuation, ContinuationRequest, PromptEngine, vllm_continue
from astra.engines.transformers import TransformersEngine
from astra.errors import ConfigError, ModelUnavailable
from astra.protocols import Sampling
from astra.training.rl.vllm import trl_continue
from tests.engines import given
from tests.engines.test_transformers import CHAT, talk_all


def plain(wanted: Sequence[ContinuationRequest]) -> list[Continuation]:
    """Greedy, one at a time, without any cache across calls."""
    model = given.model()
    found: list[Continuation] = []
    for asked in wanted:
        ids = list(asked.prompt_ids)
        logprobs: list[float] = []
        while len(logprobs) < asked.max_tokens:
            with torch.no_grad():
                logits_V = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            ids.append(int(logits_V.argmax()))
            logprobs.append(float(logits_V.max()))
            if ids[-1] in CHAT.stop_ids:
                break
        found.append(Continuation(ids[len(asked.prompt_ids) :], logprobs))
    return found


async def test_both_engines_record_the_same() -> None:
    sampling = Sampling(temperature=0, max_tokens=6)
    ours = await talk_all(TransformersEngine(given.model(), CHAT), sampling)
    engine = PromptEngine(plain, CHAT, max_length=1024)
    theirs = await talk_all(engine, sampling)
    for a, b in zip(ours, theirs, strict=True):
        told, other = a.recorded(), b.recorded()
        assert told.completion_ids == other.completion_ids
        assert told.policy_mask == other.policy_mask and told.steps == other.steps
        assert other.logprobs == pytest.approx(told.logprobs, abs=2e-5)
        assert all(
            math.isnan(x) if mine else x == 0
            for x, mine in zip(other.entropies, other.policy_mask, strict=True)
        )


async def test_a_back_end_that_gives_nothing_is_broken() -> None:
    engine = PromptEngine(
        lambda wanted: [Continuation([], []) for _ in wanted], CHAT, max_length=512
    )
    with pytest.raises(ModelUnavailable, match="at least one"):
        await asyncio.wait_for(
            engine.open(0).generate(given.question("Hi"), given.TOOLS, Sampling()), 5
        )


def test_without_vllm_the_error_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match="pip install vllm"):
        vllm_continue("model", [0])


def test_trls_vllm_ends_a_message_where_the_template_does() -> None:
    class Generation:
        def sync_weights(self) -> None:
            self.synced = True

        def generate(self, prompts: list[list[int]], **_: Any) -> Any:
            ids = [[7, 8, 3, 9], [7, 8, 9, 9], [3]]
            return None, ids, [[[-float(token)] for token in row] for row in ids], None

    trainer = SimpleNamespace(
        vllm_mode="colocate",
        args=SimpleNamespace(vllm_tensor_parallel_size=1),
        accelerator=SimpleNamespace(num_processes=1),
        state=SimpleNamespace(global_step=1),
        _last_loaded_step=0,
        vllm_generation=Generation(),
    )
    wanted = [ContinuationRequest([1], Sampling(), 3, 0) for _ in range(3)]
    found = trl_continue(trainer, [3, 4])(wanted)
    assert [list(reply.ids) for reply in found] == [[7, 8, 3], [7, 8, 9], [3]]
    assert list(found[0].logprobs) == [-7.0, -8.0, -3.0]
    assert trainer.vllm_generation.synced and trainer._last_loaded_step == 1
