"""Plays published arenas over OpenEnv's client and in its process. Run by OpenEnv's own Python.

Arguments: the published folder, the address of its server. Writes `rewards.json` (id -> way ->
reward) and `told.json`, which holds all that a client was told.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])
import arena_environment  # type: ignore[import-not-found]
from openenv.core.generic_client import GenericEnvClient  # type: ignore[import-not-found]

from astra.exports.published import PublishedArenas
from astra.hosts.arena import arena_messages
from astra.models.policies import Policy, policy
from astra.protocols import Sampling
from astra.types import Arena, Message


async def served(arena: Arena, name: Policy) -> tuple[float, Any]:
    """The reward over the server, and everything that was told on the way."""
    async with GenericEnvClient(base_url=sys.argv[2]) as env:
        result = await env.reset(arena=arena.id)
        told, total = [vars(result)], 0.0
        model, messages = policy(name, arena), list(arena_messages(arena))

        async def step(action: dict[str, Any]) -> Any:
            nonlocal total
            result = await env.step(action)
            total += result.reward
            told.append(vars(result))
            return result

        while not result.done:
            message = (await model.generate(messages, (), Sampling())).message
            messages.append(message)
            for call in message.tool_calls:
                action = {"type": "call_tool", "tool_name": call.tool}
                result = await step(action | {"arguments": json.loads(call.arguments)})
                text = result.observation["result"]["content"][0]["text"]
                messages.append(Message(role="tool", content=text, tool_call_id=call.id))
            if not message.tool_calls:
                result = await step({"type": "message", "content": message.content})
                if not result.done:
                    messages.append(Message(role="user", content=result.observation["user"]))
        return round(total, 9), [told, str(await env.state())]


async def in_process(arena: Arena, name: Policy) -> float:
    """The reward of a session of this process."""
    session = arena_environment.ArenaSessionFactory().create(arena.id)
    model, messages = policy(name, arena), list(arena_messages(arena))
    while True:
        message = (await model.generate(messages, (), Sampling())).message
        messages.append(message)
        for call in message.tool_calls:
            data = session.call_tool(call.tool, json.loads(call.arguments)).data
            messages.append(Message(role="tool", content=data, tool_call_id=call.id))
        if not message.tool_calls:
            break
    last = {"role": "assistant", "content": messages[-1].content}
    reward = session.verify([last]).env_reward
    session.close()
    return reward


async def main() -> None:
    rewards: dict[str, dict[str, float]] = {}
    told: dict[str, list[Any]] = {"gold": [], "null": []}
    for arena in PublishedArenas(sys.argv[1]).arenas:
        ways = rewards[arena.id] = {}
        for name in ("gold", "null"):
            ways[name], seen = await served(arena, name)
            told[name].append(seen)
            # A harness has no turns of a user.
            if arena.state is None or not arena.state.turns:
                ways[f"{name}, in process"] = await in_process(arena, name)
    Path("rewards.json").write_text(json.dumps(rewards))
    Path("told.json").write_text(json.dumps(told, default=str, ensure_ascii=False), "utf-8")


asyncio.run(main())
