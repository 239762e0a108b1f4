"""Small models of Qwen3's architecture with tokenizers of their own, taught by gold episodes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from astra.chat.template import ChatTemplate
from astra.hosts.arena import ArenaHost, arena_messages
from astra.models.policies import policy
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import Arena, Message, ToolSchema, Trajectory
from tests.support.fakes import InProcessSandbox

LabelledRow = tuple[list[int], list[int]]
"""Token ids, and labels: -100 for what the model does not write."""


def gold_episode(arena: Arena) -> Trajectory:
    """The gold policy's episode, with tools that run in this process."""
    host = ArenaHost(arena, InProcessSandbox())
    task = RolloutTask(arena.id, arena_messages(arena))
    return asyncio.run(rollout(task, policy("gold", arena), host, RolloutLimits()))


def byte_pair_tokenizer(
    texts: Iterable[str], size: int, *, special: Sequence[str], eos: str, pad: str, template: str
) -> PreTrainedTokenizerFast:
    """A tokenizer of `size` byte pairs, learned from the texts."""
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bare.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token=eos, pad_token=pad, padding_side="left"
    )
    tokenizer.chat_template = template
    return tokenizer


def qwen3(
    tokenizer: PreTrainedTokenizerFast,
    *,
    width: int,
    layers: int,
    heads: int,
    length: int,
    key_value_heads: int = 1,
    inner: int | None = None,
) -> Qwen3ForCausalLM:
    """An untrained model, the same each time. `length`: maximum tokens. `inner`: of the MLPs."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=inner or 2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        head_dim=width // heads,
        max_position_embeddings=length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=cast("int", tokenizer.eos_token_id),
        pad_token_id=cast("int", tokenizer.pad_token_id),
    )
    return Qwen3ForCausalLM(config)


def labelled(
    chat: ChatTemplate, messages: Sequence[Message], tools: Sequence[ToolSchema]
) -> LabelledRow:
    """A conversation as a row to learn from."""
    ids: list[int] = []
    labels: list[int] = []
    for piece in chat.pieces(messages, tools):
        new = chat.encode(piece.text)
        ids += new
        labels += new if piece.policy else [-100] * len(new)
    return ids, labels


def teach(
    model: Qwen3ForCausalLM,
    rows: Sequence[LabelledRow],
    *,
    steps: int,
    rate: float,
    max_norm: float = float("inf"),
) -> None:
    """Train on one random row a step. `max_norm`: of the gradient."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    rng = random.Random(0)
    for _ in range(steps):
        ids, labels = rng.choice(rows)
        model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss.backward()
        if max_norm < float("inf"):
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        optimizer.zero_grad()
