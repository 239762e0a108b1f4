"""`astra train rl --engine vllm` through TRL's server mode, against a stand-in for vLLM."""

from __future__ import annotations

import copy
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback
from trl.generation.vllm_generation import VLLMGeneration

from astra.configs.training import TrainRLConfig
from astra.engines.loading import load_engine
from astra.testing.vllm_server import ServedCompletion, VllmServer
from astra.training.rl.train import train_rl
from tests.support.trl_vllm import reply, without_vllm


class Policies(TrainerCallback):
    """Copies of the policy as each step begins, by the number of updates before it."""

    def __init__(self) -> None:
        self.at: list[Any] = []

    def on_step_begin(self, *_: Any, model: Any = None, **__: Any) -> None:
        policy = copy.deepcopy(model)
        for module in policy.modules():
            # What a trainer wraps around a forward pass refers to the original, which is trained.
            module.__dict__.pop("forward", None)
        self.at.append(policy)


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def trained(
    world: Path, model: Path, out: Path, **options: Any
) -> tuple[list[list[ServedCompletion]], list[Any]]:
    """Two steps: what the server sampled for each, and the policy of each."""
    policies, sampled = Policies(), list[list[ServedCompletion]]()
    engine = load_engine(str(model), device="cpu", max_length=400)
    with VllmServer(engine) as server:
        where = {"vllm_server_base_url": server.url, "vllm_group_port": free_port()}
        config = TrainRLConfig(
            arenas=world,
            model=model,
            out=out,
            preset="nano",
            engine="vllm",
            batch_size=2,
            group_size=4,
            max_turns=2,
            max_tokens=12,
            max_length=400,
            max_steps=2,
            warmup=0,
            learning_rate=0.02,
            distractors="none",
            progress=False,
            trl={"use_cpu": True, "vllm_mode": "server", **where},
            **options,
        )
        steps = [0]

        class Boundaries(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                sampled.append(server.served[steps[-1] :])
                steps.append(len(server.served))

        train_rl(config, callbacks=[policies, Boundaries()])
    return sampled, policies.at


def distance(policy: Any, rows: Sequence[ServedCompletion]) -> float:
    """How far the server's log-probabilities are, at most, from a policy's own."""
    differences: list[float] = []
    for row in rows:
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        with torch.no_grad():
            logits = policy.eval()(input_ids=ids).logits[0, len(row.prompt_ids) - 1 : -1]
        own = logits.log_softmax(-1).gather(1, torch.tensor(row.completion_ids)[:, None])[:, 0]
        differences.append(float((own - torch.tensor(row.logprobs)).abs().max()))
    return max(differences)


@pytest.mark.parametrize("lora_rank", [0, pytest.param(4, marks=pytest.mark.slow)])
def test_each_step_is_sampled_with_the_weights_of_that_step(
    lora_rank: int, world: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_vllm(monkeypatch)
    sampled, policies = trained(world, model, tmp_path / "rl", lora_rank=lora_rank)
    assert [{row.updates for row in rows} for rows in sampled] == [{1}, {2}]
    for step, rows in enumerate(sampled):
        assert distance(policies[step], rows) < 1e-4
        assert distance(policies[1 - step], rows) > 0.01


def test_weights_that_are_not_sent_are_noticed(
    world: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_vllm(monkeypatch)
    monkeypatch.setattr(VLLMGeneration, "sync_weights", lambda self: None)
    sampled, policies = trained(world, model, tmp_path / "rl")
    assert {row.updates for rows in sampled for row in rows} == {0}
    assert distance(policies[0], sampled[0]) < 1e-4
    assert distance(policies[1], sampled[1]) > 0.01


def test_the_server_refuses_what_it_does_not_do(model: Path) -> None:
    asked = {"prompt": [[5]], "n": 1, "temperature": 1.0, "top_p": 1.0, "max_tokens": 1}
    plain = {"repetition_penalty": 1.0, "top_k": 0, "min_p": 0.0, "logprobs": 0}
    weights = {"names": ["model.norm.weight"], "dtype_names": ["float32"], "shapes": [[64]]}
    with VllmServer(load_engine(str(model), device="cpu", max_length=8)) as server:
        assert reply(f"{server.url}/v1/completions", asked | plain).status_code == 200
        for path, body, said in (
            ("/v1/completions", asked | plain | {"min_p": 0.5}, "min_p 0.5 is not supported"),
            ("/v1/completions", asked | plain | {"prompt": [[5] * 8]}, "leaves no room"),
            ("/update_weights", {"update_info": weights}, "between start and finish"),
            ("/v1/chat/completions", {}, "there is no"),
        ):
            answer = reply(f"{server.url}{path}", body)
            assert answer.status_code == 400 and said in answer.text
        # A refused request leaves nothing behind that the next one would wait for.
        assert reply(f"{server.url}/v1/completions", asked | plain).status_code == 200
