"""A small policy that half knows how to play toy arenas, and a trainer for it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM
from trl import GRPOConfig

import recipes.nano
from astra.arenas.sets import ArenaSet
from astra.chat.template import ChatTemplate
from astra.engines.transformers import TransformersEngine
from astra.hosts.arena import ArenaHost, arena_messages
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits
from astra.training.rl.arenas import ArenaRollouts
from astra.training.rl.filling import BatchFilling
from astra.training.rl.grpo import GRPO
from astra.training.rl.prompts import ShuffledEpochs
from astra.training.rl.trainer import RolloutTrainer
from tests.engines.given import SPECIAL
from tests.support.arenas import changed, write_arena_run
from tests.support.fakes import InProcessSandbox, toy_arena
from tests.support.nano_models import byte_pair_tokenizer, gold_episode, labelled, qwen3, teach

torch.set_num_threads(1)
LIMITS = RolloutLimits(turns=4)
SAMPLING = Sampling(temperature=1.0, max_tokens=24)
ARENAS = [
    toy_arena(hops, question=f"Sum {name}?", domain=name, split="train")
    for hops, name in ((1, "p"), (2, "q"), (2, "r"), (1, "s"))
]
SHOWN = ArenaSet.of(ARENAS)


def world(path: Path) -> Path:
    """A run folder of four arenas to train in and as many to be tested in."""
    # Arenas of their own: one that stands in both splits would be left out of the second.
    tested = [
        changed(arena, split="test", provenance={**arena.provenance, "key": f"{number} tested"})
        for number, arena in enumerate(ARENAS)
    ]
    return write_arena_run(path, [*ARENAS, *tested], tools_of=ARENAS)


def tokenizer() -> PreTrainedTokenizerFast:
    text = [message.content for arena in ARENAS for message in arena_messages(arena)]
    text += [str(tool.document.model_dump()) for arena in ARENAS for tool in arena.tools]
    text += [m.content + str(m.tool_calls) for a in ARENAS for m in gold_episode(a).messages]
    template = (Path(recipes.nano.__file__).parent / "chat.jinja").read_text()
    end = "<|end|>"
    return byte_pair_tokenizer(text, 700, special=SPECIAL, eos=end, pad=end, template=template)


def taught(folder: Path, steps: int = 40) -> Path:
    """A model folder: tokenizer, and weights after a few steps on gold episodes."""
    words = tokenizer()
    chat = ChatTemplate(words)
    model = qwen3(words, width=64, layers=2, heads=2, length=512)
    rows = [
        labelled(chat, gold_episode(arena).messages, ArenaHost(arena, InProcessSandbox()).tools())
        for arena in ARENAS
    ]
    teach(model, rows, steps=steps, rate=5e-3)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def config(folder: Path, **options: Any) -> GRPOConfig:
    plain: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_steps": 3,
        "learning_rate": 1e-3,
        "loss_type": "dapo",
        "beta": 0.0,
        "bf16": False,
        "activation_checkpointing": False,
        "use_cpu": True,
        "report_to": "none",
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "seed": 5,
    }
    return GRPOConfig(**(plain | options))


def environment(sandbox: Any = None) -> ArenaRollouts:
    @asynccontextmanager
    async def opened() -> Any:
        yield sandbox or InProcessSandbox()

    return ArenaRollouts(SHOWN, opened, LIMITS)


def engine(trainer: Any, model: Any) -> TransformersEngine:
    return TransformersEngine(model, ChatTemplate(trainer.processing_class), max_length=400)


def trainer(model: Path, out: Path, **options: Any) -> RolloutTrainer:
    args = config(out, **options.pop("args", {}))
    places = args.generation_batch_size // args.num_generations
    parts: dict[str, Any] = {
        "environment": environment(),
        "open_engine": engine,
        "sampling": SAMPLING,
        "prompts": ShuffledEpochs({arena.id: arena.hops for arena in ARENAS}, seed=5),
        "filling": BatchFilling(places, max_rounds=3),
        "algorithm": GRPO(),
    }
    words = PreTrainedTokenizerFast.from_pretrained(model)
    policy = Qwen3ForCausalLM.from_pretrained(model)
    return RolloutTrainer(policy, args, words, **(parts | options))
