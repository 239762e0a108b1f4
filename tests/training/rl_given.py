"""A small policy that half knows how to play toy arenas, and a trainer for it."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig

import recipes.nano
from astra.arenas.folder import ToolRow
from astra.arenas.sets import ArenaSet
from astra.chat.template import ChatTemplate
from astra.engines.transformers import TransformersEngine
from astra.hosts.arena import ArenaHost, arena_messages
from astra.models.policies import policy
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.training.rl.arenas import ArenaRollouts
from astra.training.rl.filling import BatchFilling
from astra.training.rl.grpo import GRPO
from astra.training.rl.prompts import ShuffledEpochs
from astra.training.rl.trainer import RolloutTrainer
from astra.types import Arena, Message, Trajectory
from tests.engines.given import SPECIAL
from tests.support.fakes import InProcessSandbox, toy_arena

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
    folder = RunFolder.create(path, {"count": 8})
    tested = [arena.model_copy(update={"split": "test"}) for arena in ARENAS]
    rows = [
        ToolRow(id=tool.id, tool=tool, arena=arena.id, split="train")
        for arena in ARENAS
        for tool in arena.tools
    ]
    with folder.lock(), folder.append("arenas") as arenas, folder.append("tools") as tools:
        arenas.append([to_line(arena) for arena in (*ARENAS, *tested)])
        tools.append([to_line(row) for row in rows])
    return path


def gold(arena: Arena) -> Trajectory:
    host = ArenaHost(arena, InProcessSandbox())
    task = RolloutTask(arena.id, arena_messages(arena))
    return asyncio.run(rollout(task, policy("gold", arena), host, RolloutLimits()))


def tokenizer() -> PreTrainedTokenizerFast:
    text = [message.content for arena in ARENAS for message in arena_messages(arena)]
    text += [str(tool.document.model_dump()) for arena in ARENAS for tool in arena.tools]
    text += [m.content + str(m.tool_calls) for arena in ARENAS for m in gold(arena).messages]
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    bare.train_from_iterator(text, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token="<|end|>", pad_token="<|end|>", padding_side="left"
    )
    folder = Path(recipes.nano.__file__).parent
    made.chat_template = (folder / "chat.jinja").read_text()
    return made


def taught(folder: Path, steps: int = 40) -> Path:
    """A model folder: tokenizer, and weights after a few steps on gold episodes."""
    words = tokenizer()
    chat = ChatTemplate(words)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    rows = [_row(chat, arena) for arena in ARENAS]
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rng = random.Random(0)
    for _ in range(steps):
        ids, labels = rng.choice(rows)
        loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _row(chat: ChatTemplate, arena: Arena) -> tuple[list[int], list[int]]:
    messages: list[Message] = list(gold(arena).messages)
    documents = ArenaHost(arena, InProcessSandbox()).tools()
    ids: list[int] = []
    labels: list[int] = []
    for piece in chat.pieces(messages, documents):
        new = chat.encode(piece.text)
        ids += new
        labels += new if piece.policy else [-100] * len(new)
    return ids, labels


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


def engine(trainer: Any) -> TransformersEngine:
    model = trainer.accelerator.unwrap_model(trainer.model)
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
