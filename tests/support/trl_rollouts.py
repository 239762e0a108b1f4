"""TRL's GRPOTrainer on published arenas, with a nano model or a reference policy in its place."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from transformers import AddedToken

from astra.models.policies import Policy, policy
from astra.protocols import Sampling
from astra.rollouts.user_tool import LEFT, has_user
from astra.types import Arena, Message
from tests.support.nano_models import byte_pair_tokenizer, qwen3
from tests.support.tokenizers import FAMILIES, tokenizer
from tests.support.user_calls import said_by_tool

LENGTH = 40_000
"""Tokens of a conversation."""


def exported_module(folder: Path) -> Any:
    """`astra_trl` of a published folder, imported anew."""
    sys.modules.pop("astra_trl", None)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("astra_trl")
    finally:
        sys.path.remove(str(folder))


def byte_pairs(texts: Iterable[str]) -> Any:
    """A tokenizer with the tokens and TRL's own template of Qwen3, short on these texts."""
    family = FAMILIES["qwen3-real"]
    made = byte_pair_tokenizer(
        texts,
        3000,
        special=[family.eos, *family.special],
        eos=family.eos,
        pad=family.special[0],
        template=str(tokenizer("qwen3-real").chat_template),
    )
    for token in family.plain:
        made.add_tokens(AddedToken(token, normalized=False))
    return made


def trained(
    folder: Path, out: Path, name: Policy | None, *, prompts: int = 4, steps: int = 1
) -> dict[str, float]:
    """Steps of GRPO over several arenas each, and the reward of each arena in them.

    `name`: the policy that writes the messages. None: the untrained model.
    """
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    module = exported_module(folder)
    letters = byte_pairs(json.dumps(row, ensure_ascii=False) for row in module.ARENAS.rows())
    rewards: dict[str, float] = {}

    def reward(completions: Any, environments: Any, **columns: Any) -> list[float]:
        values = module.reward(completions, environments, **columns)
        pairs = zip(environments, values, strict=True)
        rewards.update({environment._arena.id: value for environment, value in pairs})
        return values

    dataset = module.dataset()
    factories = module.factories()
    assert len(dataset) == len(factories)
    trainer = GRPOTrainer(
        model=qwen3(letters, width=8, layers=1, heads=1, length=LENGTH),
        reward_funcs=cast(Any, reward),
        args=GRPOConfig(
            output_dir=str(out),
            per_device_train_batch_size=2 * prompts,
            num_generations=2,
            max_steps=steps,
            max_completion_length=64 if name is None else LENGTH // 2,
            bf16=False,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
        ),
        train_dataset=dataset,
        processing_class=letters,
        environment_factory=factories,
    )
    if name is not None:
        replies = ScriptedReplies(name, list(module.ARENAS.arenas), letters)
        trainer._generate_single_turn = replies  # type: ignore[method-assign]
        # Rewards are what is looked at. The untrained model's step is whole.
        trainer.compute_loss = no_loss  # type: ignore[method-assign]
    trainer.train()
    trainer.save_state()
    dataset.to_json(out / "rows.jsonl")
    return rewards


def no_loss(model: Any, *_: Any, **__: Any) -> Any:
    return sum(0.0 * parameter.sum() for parameter in model.parameters())


class ScriptedReplies:
    """In place of TRL's generation: the tokens that a reference policy would have written."""

    def __init__(self, name: Policy, arenas: Sequence[Arena], letters: Any) -> None:
        self._name: Policy = name
        self._arenas = arenas
        self._letters = letters

    def __call__(self, prompt_ids: Any, *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        return [self._reply(self._letters.decode(ids)) for ids in prompt_ids], None

    def _reply(self, prompt: str) -> list[int]:
        (arena,) = (arena for arena in self._arenas if arena.question in prompt)
        turn = prompt.count("<|im_start|>assistant") - 1
        earlier = [Message(role="assistant")] * turn
        model = policy(self._name, arena)
        if has_user(arena):
            left = [Message(role="tool", content=LEFT)] * (LEFT in prompt)
            message = asyncio.run(said_by_tool(model, [*earlier, *left]))
        else:
            message = asyncio.run(model.generate(earlier, (), Sampling())).message
        calls = [
            {"name": call.tool, "arguments": json.loads(call.arguments)}
            for call in message.tool_calls
        ]
        blocks = [f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in calls]
        text = "\n".join([*filter(None, [message.content]), *blocks])
        return self._letters(f"{text}<|im_end|>")["input_ids"]
