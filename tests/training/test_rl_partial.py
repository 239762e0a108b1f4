"""Batches that are taken before every group is whole, and groups that go on under new weights."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest
import torch
from transformers import Qwen3ForCausalLM

from astra.chat.template import ChatTemplate
from astra.engines.engine import EngineTimings
from astra.engines.transformers import TransformersEngine
from astra.errors import ConfigError, StageError
from astra.protocols import Sampling
from astra.training.algorithm import SampledEpisode
from astra.training.environment import RolloutOutcome
from astra.training.rl.batch import RolloutGroup
from astra.training.rl.filling import BatchFilling
from astra.training.rl.partial import PartialSampler
from astra.training.rl.prompts import PromptDraw, ShuffledEpochs
from astra.training.rl.rollouts import PlayedRound
from astra.training.rl.sampling import TRIES
from astra.types import Message
from tests.training import rl_given
from tests.training.test_rl_trainer import Watching, train

# --- which groups a batch takes, with a player that plays nothing --------------------------------


def episode(draw: PromptDraw, reward: float) -> SampledEpisode:
    named = f"{draw.number}"
    return SampledEpisode(named, (1,), (2,), (True,), (-0.5,), (0.5,), (0,), reward)


class Player:
    """Plays nothing. How long a group takes and how it ends depends on its number."""

    def __init__(self, turns: Callable[[int], int], kind: Callable[[PromptDraw], str]) -> None:
        self.timings = EngineTimings()
        self.engine = self
        self.turns, self.kind = turns, kind
        self.held: dict[int, asyncio.Event] = {}
        self.paused = False
        self.running = self.most = 0

    def open(self, seed: int, sampling: Sampling = Sampling()) -> Any:
        raise NotImplementedError

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    async def play(self, draws: Sequence[PromptDraw], step: int) -> PlayedRound:
        self.running += 1
        self.most = max(self.most, self.running)
        (draw,) = draws
        if draw.number in self.held:
            await self.held[draw.number].wait()
        for _ in range(self.turns(draw.number)):
            await asyncio.sleep(0)
        self.running -= 1
        kind = self.kind(draw)
        if kind == "broken":
            again = replace(draw, tries=draw.tries + 1)
            return PlayedRound(incomplete=[again], failures=3, error="the sandbox died")
        best = 0.0 if kind == "flat" else 1.0
        group = RolloutGroup((episode(draw, 0.0), episode(draw, best)), step)
        return PlayedRound([group], completed=2)


def sampler(
    player: Player, filling: BatchFilling[RolloutGroup], size: int, bound: int
) -> PartialSampler:
    prompts = ShuffledEpochs({"one": 1, "two": 1}, seed=5)
    playing: Any = player
    return PartialSampler(playing, prompts, filling, size=size, max_staleness=bound)


def plain(player_kind: str = "good") -> Callable[[PromptDraw], str]:
    return lambda _: player_kind


async def test_a_slow_group_holds_up_no_batch_and_is_in_the_next() -> None:
    player = Player(lambda _: 1, plain())
    player.held[0] = asyncio.Event()
    filling: BatchFilling[RolloutGroup] = BatchFilling(2)
    sampling = sampler(player, filling, 2, bound=2)
    first = await asyncio.wait_for(sampling.sample(0, 0), 5)
    assert [group.episodes[0].task for group in filling.take(0).groups] == ["1", "2"]
    assert [draw.number for draw in sampling.unfinished] == [0]
    assert first.metrics["filling/unfinished"] == 1 == player.running
    await sampling.pause()
    assert player.paused
    player.held[0].set()
    await sampling.sample(1, 1)
    assert not player.paused
    taken = filling.take(1)
    assert taken.groups[0].episodes[0].task == "0"
    assert taken.ages == (1, 0)


async def test_what_would_be_too_old_for_the_step_after_is_waited_for() -> None:
    player = Player(lambda _: 1, plain())
    player.held[0] = asyncio.Event()
    filling: BatchFilling[RolloutGroup] = BatchFilling(2)
    sampling = sampler(player, filling, 2, bound=3)
    for step in range(3):
        await asyncio.wait_for(sampling.sample(step, max(0, step - 1)), 5)
        filling.take(step)
        assert [draw.number for draw in sampling.unfinished] == [0]
    last = asyncio.create_task(sampling.sample(3, 2))
    await asyncio.wait([last], timeout=0.05)
    # Another of this batch is whole, but the first place is kept.
    assert not last.done()
    player.held[0].set()
    await asyncio.wait_for(last, 5)
    assert max(filling.take(3).ages) == 3


@pytest.mark.parametrize(("bound", "active"), [(2, True), (4, True), (2, False)])
async def test_no_group_is_too_old_and_none_is_lost(bound: int, active: bool) -> None:
    chance = random.Random(3)
    turns = [chance.choice([1, 2, 3, 60, 200]) for _ in range(2000)]
    kinds = chance.choices(["good", "flat", "broken"], [6, 3, 1], k=2000)
    player = Player(
        turns.__getitem__, lambda draw: kinds[draw.number] if draw.tries < 1 else "good"
    )
    filling: BatchFilling[RolloutGroup] = BatchFilling(4, max_rounds=3, active=active)
    sampling = sampler(player, filling, 4, bound)
    sampled: list[int] = []
    ages: list[int] = []
    for step in range(40):
        batch = await sampling.sample(step, max(0, step - 1))
        sampled += [int(group.episodes[0].task) for group in batch.groups]
        taken = filling.take(step)
        ages += taken.ages
        assert batch.dropped == taken.waiting == 0
        assert len(sampling.unfinished) <= 2
        # Between two batches what runs on goes on.
        for _ in range(chance.choice([0, 30])):
            await asyncio.sleep(0)
    assert max(ages) == bound
    everything = sampled + [draw.number for draw in sampling.unfinished]
    assert sorted(everything) == list(range(len(everything)))
    assert player.most <= 4 + 2


async def test_groups_without_a_difference_fill_the_batch_when_the_rounds_are_used_up() -> None:
    player = Player(lambda number: number % 7, plain("flat"))
    filling: BatchFilling[RolloutGroup] = BatchFilling(4, max_rounds=2)
    sampling = sampler(player, filling, 4, bound=2)
    for step in range(5):
        batch = await sampling.sample(step, max(0, step - 1))
        assert [len(groups) for groups in batch.rounds] == [4, 4]
        taken = filling.take(step)
        assert taken.zero_variance == 4 and max(taken.ages) <= 2
        assert len(sampling.unfinished) == 2


async def test_a_batch_of_which_most_fails_ends_the_run() -> None:
    player = Player(lambda _: 1, plain("broken"))
    sampling = sampler(player, BatchFilling(2), 2, bound=2)
    with pytest.raises(StageError, match=r"3 groups of rollouts failed and 0 did not.*sandbox"):
        await asyncio.wait_for(sampling.sample(0, 0), 5)
    # One that always fails is begun no more often than in turns.
    tries = 0

    def kind(draw: PromptDraw) -> str:
        nonlocal tries
        tries += draw.number == 1
        return "broken" if draw.number == 1 else "good"

    filling: BatchFilling[RolloutGroup] = BatchFilling(4)
    sampling = sampler(Player(lambda _: 1, kind), filling, 4, bound=2)
    for step in range(4):
        await sampling.sample(step, max(0, step - 1))
        filling.take(step)
    assert tries == TRIES


def test_an_engine_that_can_not_pause_is_refused() -> None:
    player: Any = SimpleNamespace(engine=SimpleNamespace())
    filling: BatchFilling[RolloutGroup] = BatchFilling(2)
    with pytest.raises(ConfigError, match="SimpleNamespace can't pause"):
        PartialSampler(player, ShuffledEpochs({"a": 1}, seed=0), filling, size=2, max_staleness=2)


# --- whose weights, with a model that trains ------------------------------------------------------

ARGS = {
    "max_steps": 3,
    "save_strategy": "steps",
    "save_steps": 1,
    "learning_rate": 3e-3,
    "per_device_train_batch_size": 8,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that knows nothing, for episodes that need not make sense."""
    return rl_given.taught(tmp_path_factory.mktemp("model"), steps=1)


class World:
    """Two messages an episode. Between those of the first group something is waited for."""

    def __init__(self, between: Callable[[World], Any]) -> None:
        self.between = between
        self.begun: list[tuple[str, int]] = []
        self.copy: Any = None
        self.stopped = 0
        self.left = False

    async def __aenter__(self) -> World:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.left = True

    def tasks(self) -> list[str]:
        return ["one", "two", "three", "four", "five", "six"]

    async def play(self, task: str, model: Any, *, seed: int, epoch: int) -> RolloutOutcome:
        first = len(self.begun) < 4
        self.begun.append((task, seed))
        question = Message(role="user", content=task)
        reply = await model.generate([question], [], Sampling(max_tokens=6))
        if first:
            try:
                await self.between(self)
            except asyncio.CancelledError:
                self.stopped += 1
                raise
        again = Message(role="user", content="again")
        await model.generate([question, reply.message, again], [], Sampling(max_tokens=6))
        return RolloutOutcome(float(seed % 7))


async def new_weights(world: World) -> None:
    def weight() -> float:
        return float(next(world.copy.model.parameters()).sum())

    before = weight()
    while weight() == before:
        await asyncio.sleep(0.001)


async def for_ever(_: World) -> None:
    await asyncio.sleep(3600)


async def nothing(_: World) -> None:
    return


def engine(trainer: Any, model: Any) -> TransformersEngine:
    chat = ChatTemplate(trainer.processing_class)
    return TransformersEngine(model, chat, max_length=400, deterministic=False)


def partial(model: Path, out: Path, world: World, staleness: int = 2, **options: Any) -> Any:
    parts: dict[str, Any] = {
        "environment": world,
        "open_engine": engine,
        "prompts": ShuffledEpochs(dict.fromkeys(world.tasks(), 1), seed=5),
        "filling": BatchFilling(2, active=False),
        "args": ARGS,
        "max_staleness": staleness,
        "partial_rollouts": True,
    }
    trainer = rl_given.trainer(model, out, **(parts | options))
    world.copy = trainer._copy
    return trainer


def gap(model: Qwen3ForCausalLM, episode: SampledEpisode, turn: int) -> float:
    """How far a model's log-probabilities of a message are from those of sampling."""
    ids = torch.tensor([episode.prompt_ids + episode.completion_ids])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(episode.prompt_ids) - 1 : -1].log_softmax(-1)
    own = torch.tensor(episode.steps) == turn
    written = logits.gather(1, torch.tensor(episode.completion_ids)[:, None])[:, 0]
    return float((written - torch.tensor(episode.logprobs))[own].abs().max())


def test_each_message_of_an_episode_has_the_logprobs_of_the_weights_that_wrote_it(
    model: Path, tmp_path: Path
) -> None:
    watching = Watching()
    world = World(new_weights)
    trainer = partial(model, tmp_path, world, algorithm=watching)
    rows = train(trainer)
    # The first group is two steps old in the third batch; the loss sees that it is.
    assert [row["filling/age_max"] for row in rows] == [0, 1, 2]
    assert rows[2]["clip_ratio/region_mean"] > 0 and world.left
    spanning = [e for e in watching.batches[2].episodes if e.task == world.begun[0][0]]
    assert len(spanning) == 4 and all(max(e.steps) == 1 for e in spanning)
    began, later = (
        Qwen3ForCausalLM.from_pretrained(folder).eval()
        for folder in (model, tmp_path / "checkpoint-1")
    )
    for played in spanning:
        assert gap(began, played, 0) < 1e-4 < 1e-3 < gap(later, played, 0)
        assert gap(later, played, 1) < 1e-4 < 1e-3 < gap(began, played, 1)


def test_a_run_ends_with_what_is_unfinished_and_a_resumed_one_plays_it(
    model: Path, tmp_path: Path
) -> None:
    world = World(for_ever)
    rows = train(partial(model, tmp_path, world, staleness=9))
    assert len(rows) == 3 and world.left and world.stopped == 4
    lost = world.begun[:4]
    state = json.loads((tmp_path / "checkpoint-1" / "rl_state.json").read_text())
    assert [draw["task"] for draw in state["unfinished"]] == [lost[0][0]]
    again = World(nothing)
    resumed = partial(model, tmp_path / "resumed", again, staleness=9)
    rows = train(resumed, tmp_path / "checkpoint-1")
    assert [row["step"] for row in rows][-2:] == [2, 3]
    assert again.begun[:4] == lost
    # Before the checkpoint, three groups and two more had begun. Of these no other is begun anew.
    assert again.begun[4:] == world.begun[20:] != []


def test_what_breaks_after_its_batch_was_taken_ends_the_training(
    model: Path, tmp_path: Path
) -> None:
    error = ZeroDivisionError("of the environment")

    async def broken(world: World) -> None:
        await new_weights(world)
        raise error

    world = World(broken)
    trainer = partial(model, tmp_path, world)
    with pytest.raises(ZeroDivisionError) as raised:
        train(trainer)
    assert raised.value is error and trainer.state.global_step == 2 and world.left
