"""Sampling one step ahead of training: whose weights, how old, resumed, failed, interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen3ForCausalLM

from astra.engines.engine import EngineTimings
from astra.errors import ConfigError
from astra.protocols import Sampling
from astra.training.algorithm import SampledEpisode
from astra.training.environment import RolloutOutcome
from astra.training.event_loop import ThreadLoop
from astra.training.final_model import adding_adapters
from astra.training.rl.batch import RolloutGroup
from astra.training.rl.filling import BatchFilling
from astra.training.rl.policy_copy import PolicyCopy
from astra.training.rl.prompts import PromptDraw, ShuffledEpochs
from astra.training.rl.rollouts import PlayedRound
from astra.training.rl.sampling import BatchSampler
from astra.training.rl.supported import require_one_step_ahead
from astra.types import Message
from tests.training import rl_given
from tests.training.test_rl_trainer import Watching, picky, train, weights

SAVED = {
    "max_steps": 3,
    "save_strategy": "steps",
    "save_steps": 1,
    "learning_rate": 3e-3,
    "per_device_train_batch_size": 12,
}


def gap(model: Qwen3ForCausalLM, episode: SampledEpisode) -> float:
    """How far the log-probabilities of a model are from those that were recorded in sampling."""
    ids = torch.tensor([episode.prompt_ids + episode.completion_ids])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(episode.prompt_ids) - 1 : -1].log_softmax(-1)
    own = torch.tensor(episode.policy_mask)
    written = logits.gather(1, torch.tensor(episode.completion_ids)[:, None])[:, 0]
    return float((written - torch.tensor(episode.logprobs))[own].abs().max())


def test_a_batch_is_sampled_with_the_weights_of_one_step_before(
    model: Path, tmp_path: Path
) -> None:
    watching = Watching()
    trainer = rl_given.trainer(model, tmp_path, args=SAVED, algorithm=watching, max_staleness=1)
    rows = train(trainer)
    assert [row["filling/age_max"] for row in rows] == [0, 1, 1]
    # What is trained on refers to what sampled: the ratio of the loss is not 1.
    assert rows[0]["clip_ratio/region_mean"] == 0 < rows[2]["clip_ratio/region_mean"]
    folders = [model, tmp_path / "checkpoint-1", tmp_path / "checkpoint-2"]
    trained = [Qwen3ForCausalLM.from_pretrained(folder).eval() for folder in folders]
    for step, batch in enumerate(watching.batches):
        gaps = [[gap(policy, episode) for policy in trained] for episode in batch.episodes]
        assert all(row[max(0, step - 1)] < 1e-4 for row in gaps)
        assert not step or all(row[step] > 1e-3 for row in gaps)


def episode(task: str, reward: float) -> SampledEpisode:
    return SampledEpisode(task, (1,), (2,), (True,), (-0.5,), (0.5,), (0,), reward)


class Player:
    """Plays nothing. The rewards of three groups in four differ."""

    def __init__(self) -> None:
        self.engine = SimpleNamespace(timings=EngineTimings())

    async def play(self, draws: Sequence[PromptDraw], step: int) -> PlayedRound:
        groups = [
            RolloutGroup((episode(d.task, 0.0), episode(d.task, float(d.number % 4))), step)
            for d in draws
        ]
        return PlayedRound(groups)


@pytest.mark.parametrize(
    ("bound", "ahead", "oldest", "dropped"),
    [(None, 0, 1, 0), (0, 0, 0, 28), (1, 1, 1, 24), (2, 1, 2, 0)],
)
async def test_no_group_is_older_than_the_bound(
    bound: int | None, ahead: int, oldest: int, dropped: int
) -> None:
    filling: BatchFilling[RolloutGroup] = BatchFilling(3, max_rounds=5)
    prompts = ShuffledEpochs({"one": 1, "two": 1}, seed=5)
    player: Any = Player()
    sampler = BatchSampler(player, prompts, filling, size=3, max_staleness=bound)
    batches = [await sampler.sample(0, 0)]
    ages = list(filling.take(0).ages)
    for step in range(1, 20):
        batches.append(await sampler.sample(step, step - ahead))
        # Groups that filling leaves over grow one step older.
        ages += filling.take(step).ages
    assert max(ages) == oldest
    assert sum(batch.dropped for batch in batches) == dropped


def test_a_resumed_run_is_the_same_to_the_bit(model: Path, tmp_path: Path) -> None:
    whole, resumed = (
        rl_given.trainer(model, tmp_path / name, args=SAVED, filling=picky(), max_staleness=2)
        for name in ("whole", "resumed")
    )
    rows = train(whole)
    assert train(resumed, tmp_path / "whole" / "checkpoint-1") == rows
    for name, parameter in weights(resumed).items():
        assert torch.equal(parameter, weights(whole)[name])
    assert resumed.prompts.state_dict() == whole.prompts.state_dict()


class Failing:
    """An environment that is itself until something happens in the second batch."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.played = 0
        self.cancelled = 0
        self.left = False

    async def __aenter__(self) -> Failing:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.left = True

    def tasks(self) -> list[str]:
        return ["one", "two"]

    async def play(self, task: str, model: Any, *, seed: int, epoch: int) -> RolloutOutcome:
        self.played += 1
        if self.played > 8:
            if self.error is not None:
                raise self.error
            if self.played == 9:
                os.kill(os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(3600)
            finally:
                self.cancelled += 1
        await model.generate([Message(role="user", content=task)], [], Sampling(max_tokens=3))
        return RolloutOutcome(float(seed % 7))


def failing(model: Path, out: Path, error: BaseException | None) -> tuple[Any, Failing]:
    world = Failing(error)
    prompts = ShuffledEpochs({"one": 1, "two": 1}, seed=5)
    one_round: BatchFilling[Any] = BatchFilling(2, active=False)
    more = {"environment": world, "prompts": prompts, "filling": one_round}
    return rl_given.trainer(model, out, max_staleness=1, **more), world


@pytest.mark.parametrize("error", [ZeroDivisionError("of the environment"), SystemExit(7)])
def test_what_breaks_the_sampling_ends_the_training(
    model: Path, tmp_path: Path, error: BaseException
) -> None:
    trainer, world = failing(model, tmp_path, error)
    with pytest.raises(type(error)) as raised:
        train(trainer)
    assert raised.value is error
    assert trainer.state.global_step == 1 and world.left


def test_ctrl_c_ends_what_is_being_sampled(model: Path, tmp_path: Path) -> None:
    trainer, world = failing(model, tmp_path, None)
    with pytest.raises(KeyboardInterrupt):
        train(trainer)
    assert world.left and world.cancelled == world.played - 8 > 0


def test_a_loop_that_is_closed_has_cancelled_its_tasks() -> None:
    loop = ThreadLoop()
    future = loop.start(asyncio.sleep(3600))
    loop.close()
    assert future.cancelled()


def test_the_copy_of_a_model_with_adapters_shares_what_is_frozen(model: Path) -> None:
    config: Any = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    bare = Qwen3ForCausalLM.from_pretrained(model)
    copy = PolicyCopy(bare)
    with adding_adapters():
        policy: Any = get_peft_model(bare, config)
        copy.add_adapters(config)
    ids = torch.arange(5, 25)[None]

    def logits(of: Any) -> torch.Tensor:
        with torch.no_grad():
            return of.eval()(input_ids=ids).logits

    trained = [p for p in policy.parameters() if p.requires_grad]
    for parameter in trained:
        torch.nn.init.normal_(parameter)
    copy.update(policy)
    before = logits(policy)
    assert torch.equal(logits(copy.model), before)
    torch.nn.init.normal_(trained[0])
    assert not torch.equal(logits(policy), before) and torch.equal(logits(copy.model), before)
    of_copy = dict(copy.model.named_parameters())
    for name, parameter in policy.named_parameters():
        shared = of_copy[name].data_ptr() == parameter.data_ptr()
        assert shared is not parameter.requires_grad


def test_what_can_not_run_ahead_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one optimizer step per batch"):
        require_one_step_ahead(rl_given.config(tmp_path, num_iterations=2))
    with pytest.raises(ConfigError, match="the engine transformers"):
        require_one_step_ahead(rl_given.config(tmp_path, use_vllm=True))
    require_one_step_ahead(rl_given.config(tmp_path))
