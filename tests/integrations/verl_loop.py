"""Runs verl's agent loop over published arenas with a scripted client. Run by verl's own Python.

Arguments: the published folder, the folder of a tokenizer, the policy. Prints JSON: id -> reward,
and writes what the loop hands to the trainer to `outputs/`, its tokens as text.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])
import astra_verl  # type: ignore[import-not-found]
from omegaconf import OmegaConf  # type: ignore[import-not-found]
from transformers import AutoTokenizer
from verl.experimental.agent_loop.agent_loop import DictConfigWrap  # type: ignore
from verl.workers.rollout.replica import TokenOutput  # type: ignore

from astra.models.policies import policy
from astra.protocols import Sampling
from astra.types import Message

LENGTH = 60_000
CONFIG = OmegaConf.create(
    {
        "actor_rollout_ref": {
            "rollout": {
                "prompt_length": LENGTH,
                "response_length": LENGTH,
                "multi_turn": {"format": "hermes", "max_assistant_turns": None},
            }
        },
        "data": {},
    }
)


class ScriptedClient:
    """The tokens that a reference policy would have written."""

    def __init__(self, model: Any, letters: Any) -> None:
        self._model, self._letters, self._turn = model, letters, 0

    async def generate(self, **_: Any) -> Any:
        earlier = [Message(role="assistant")] * self._turn
        self._turn += 1
        message = (await self._model.generate(earlier, (), Sampling())).message
        blocks = [
            "<tool_call>\n"
            + json.dumps({"name": call.tool, "arguments": json.loads(call.arguments)})
            + "\n</tool_call>"
            for call in message.tool_calls
        ]
        text = "\n".join([*filter(None, [message.content]), *blocks])
        return TokenOutput(token_ids=self._letters(f"{text}<|im_end|>")["input_ids"])


async def main() -> None:
    letters = AutoTokenizer.from_pretrained(sys.argv[2])
    published = astra_verl.published()
    rewards = {}
    outputs = Path("outputs")
    outputs.mkdir()
    for row in published.rows():
        loop = astra_verl.ArenaAgentLoop(
            trainer_config=DictConfigWrap(CONFIG),
            server_manager=ScriptedClient(policy(sys.argv[3], published[row["id"]]), letters),
            tokenizer=letters,
            processor=None,
            dataset_cls=None,
            data_config=DictConfigWrap(CONFIG.data),
            hf_model_type="qwen3",
        )
        about = json.dumps({"arena": row["id"]})
        output = await loop.run({}, raw_prompt=row["messages"], extra_info=about)
        assert len(output.response_ids) == len(output.response_mask)
        rewards[row["id"]] = output.reward_score
        fields = output.model_dump()
        tokens = {name: fields.pop(name) for name in ("prompt_ids", "response_ids")}
        texts = [letters.decode(ids) for ids in tokens.values()]
        for mask in ("response_mask", "response_logprobs"):
            fields.pop(mask, None)
        (outputs / f"{row['id']}.txt").write_text(f"{texts}\n{fields}", "utf-8")
    sys.stdout.write(f"rewards: {json.dumps(rewards)}\n")


asyncio.run(main())
