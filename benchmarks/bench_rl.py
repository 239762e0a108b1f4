"""Rollouts a second against TRL's own tool loop, and where the time of an RL step goes.

A nano model of Qwen3's architecture is first taught, by a few hundred steps on gold episodes, to
play arenas of seven turns. Both loops then sample from the same weights, with the same prompts,
tools and temperature. TRL's tools are plain functions in its process; ours run in the sandbox.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM
from transformers.utils import get_json_schema

from astra.arenas.sets import ArenaSet
from astra.chat.template import ChatTemplate
from astra.engines.transformers import TransformersEngine
from astra.hosts.arena import ArenaHost, arena_messages
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import open_sandbox
from astra.training.rl.arenas import ArenaRollouts
from astra.training.rl.filling import BatchFilling
from astra.training.rl.prompts import PromptDraw
from astra.training.rl.rollouts import GroupPlayer
from astra.types import Arena, Tool, ToolSchema
from tests.support.fakes import InProcessSandbox, toy_arena, toy_tool
from tests.support.nano_models import byte_pair_tokenizer, gold_episode, labelled, qwen3, teach
from tests.support.tokenizers import tokenizer as bytes_of

HOPS = 6
PROMPTS = GROUP = 8
TEMPERATURE = 0.5
MESSAGE_TOKENS = 48
COMPLETION_TOKENS = 700
LESSONS = 400
ROUNDS = 3
DATA = {"a": 1, "b": 2, "c": 3}


def _function(number: int) -> Callable[..., str]:
    def look(key: str) -> str:
        """Look a key up.

        Args:
            key: The key.
        """
        value = DATA.get(key)
        return json.dumps({"key": key, "value": value})

    look.__name__ = f"look_{number}"
    del look.__annotations__["return"]  # TRL would put it into the document
    return look


FUNCTIONS = [_function(number) for number in range(HOPS)]


def toy_arenas() -> list[Arena]:
    """Arenas of `HOPS` calls, one after the other."""
    tools: list[Tool] = []
    for function in FUNCTIONS:
        shown: dict[str, Any] = get_json_schema(function)["function"]
        document = {name: shown[name] for name in ("name", "description", "parameters")}
        tool = toy_tool(function.__name__)
        tools.append(tool.model_copy(update={"document": ToolSchema.model_validate(document)}))
    return [
        toy_arena(HOPS, question=f"Sum of row {i}?", tools=tuple(tools)) for i in range(PROMPTS)
    ]


class _ValidGroup:
    """Rewards with a variance."""

    rewards = tuple(0.1 * i for i in range(GROUP))
    step = 0


def measure() -> dict[str, dict[str, object]]:
    """Medians over rounds, after one that warms up."""
    torch.set_num_threads(1)
    arenas = toy_arenas()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, tokenizer = taught_on(arenas)
        ours, turns, tools = asyncio.run(_ours(model, tokenizer, arenas))
        if turns < HOPS:
            raise AssertionError(f"{turns:.1f} turns an episode; at least {HOPS} were to be played")
        theirs = _theirs(model, tokenizer, arenas, Path(folder))
    # What filling a batch takes when every group is valid.
    filling: BatchFilling[_ValidGroup] = BatchFilling(PROMPTS)
    start = time.perf_counter()
    for step in range(100):
        filling.add([_ValidGroup()] * PROMPTS)
        filling.take(step)
    filling_share = (time.perf_counter() - start) / 100 / (PROMPTS * GROUP / ours)
    return {
        "RL rollouts of 6 calls": _figure(ours, None, "per second", None),
        "RL rollouts against TRL's tool loop": _figure(
            ours / theirs, ">= 3", "× faster", ours / theirs >= 3
        ),
        "turns of these rollouts": _figure(turns, None, "", None),
        "waiting for the sandbox, share of rollout time": _figure(100 * tools, None, "%", None),
        "batch filling without zero-variance groups, share of rollout time": _figure(
            100 * filling_share, "<= 2", "%", filling_share <= 0.02
        ),
    }


def _figure(value: float, goal: str | None, unit: str, ok: bool | None) -> dict[str, object]:
    return {"value": value, "goal": goal, "unit": unit, "ok": ok}


# --- the policy -------------------------------------------------------------------------------


def taught_on(arenas: list[Arena]) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """A model that plays these arenas, after some hundred steps on gold episodes.

    Its tokenizer has Qwen3's special tokens and template over byte pairs of the episodes.
    """
    documents = {a.id: ArenaHost(a, InProcessSandbox()).tools() for a in arenas}
    family = bytes_of("qwen3-real")
    chat = ChatTemplate(family)
    episodes = {arena.id: gold_episode(arena).messages for arena in arenas}
    tokenizer = byte_pair_tokenizer(
        [chat.text(talk, documents[name], prompt=False) for name, talk in episodes.items()],
        800,
        special=[token.content for token in family.added_tokens_decoder.values()],
        eos=str(family.eos_token),
        pad=str(family.pad_token),
        template=str(family.chat_template),
    )
    chat = ChatTemplate(tokenizer)
    # TRL shows the tools in their own order, arenas in one of theirs: both are taught.
    plain = [tool.document for tool in arenas[0].tools]
    rows = [
        labelled(chat, talk, tools)
        for name, talk in episodes.items()
        for tools in (documents[name], plain)
    ]
    shape = {"width": 128, "inner": 384, "layers": 4, "heads": 4, "key_value_heads": 2}
    model = qwen3(tokenizer, length=4096, **shape)
    teach(model, rows, steps=LESSONS, rate=2e-3, max_norm=1.0)
    return model.eval(), tokenizer


# --- the two loops ----------------------------------------------------------------------------


async def _ours(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, arenas: list[Arena]
) -> tuple[float, float, float]:
    """Rollouts a second, turns of an episode, share of the time that waited for tools."""
    sampling = Sampling(temperature=TEMPERATURE, max_tokens=MESSAGE_TOKENS)
    limits = RolloutLimits(turns=HOPS + 2)
    engine = TransformersEngine(model, ChatTemplate(tokenizer))
    rates: list[float] = []
    shares: list[float] = []
    turns = 0.0
    async with ArenaRollouts(
        ArenaSet.of(arenas), lambda: open_sandbox(workers=2), limits
    ) as environment:
        player = GroupPlayer(environment, engine, group_size=GROUP, seed=0, sampling=sampling)
        for number in range(ROUNDS + 1):
            draws = [
                PromptDraw(arena.id, 0, number * PROMPTS + i) for i, arena in enumerate(arenas)
            ]
            engine.timings.reset()
            start = time.perf_counter()
            played = await player.play(draws, 0)
            seconds = time.perf_counter() - start
            if number:
                rates.append(PROMPTS * GROUP / seconds)
                shares.append(engine.timings.tools / seconds)
            episodes = [episode for group in played.groups for episode in group.episodes]
            turns = statistics.mean(e.trajectory.turns for e in episodes if e.trajectory)
    return statistics.median(rates), turns, statistics.median(shares)


def _theirs(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, arenas: list[Arena], out: Path
) -> float:
    """Rollouts a second of TRL's GRPOTrainer with the same tools."""
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    prompts = [
        [{"role": m.role, "content": m.content} for m in arena_messages(arena)]
        for arena in arenas
        for _ in range(GROUP)
    ]
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=lambda **rows: [0.0] * len(rows["prompts"]),
        args=GRPOConfig(
            output_dir=str(out),
            per_device_train_batch_size=PROMPTS * GROUP,
            num_generations=GROUP,
            max_completion_length=COMPLETION_TOKENS,
            max_tool_calling_iterations=HOPS + 1,
            temperature=TEMPERATURE,
            bf16=False,
            activation_checkpointing=False,
            use_cpu=True,
            report_to="none",
        ),
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=tokenizer,
        tools=FUNCTIONS,
    )
    inner: Any = trainer
    inner._sync_tool_dicts = [{f.__name__: f for f in FUNCTIONS} for _ in prompts]
    inner._async_tool_dicts = [{} for _ in prompts]
    trainer.model.train()
    rates: list[float] = []
    for number in range(2):
        start = time.perf_counter()
        inner._generate(prompts)
        if number:
            rates.append(len(prompts) / (time.perf_counter() - start))
    calls = inner._metrics["train"]["tools/call_frequency"][-1]
    if calls < HOPS - 1:
        raise AssertionError(f"TRL's loop made {calls:.1f} calls an episode, not {HOPS}")
    return statistics.median(rates)
