"""Environments of arenas as TRL sees them; its trainer runs in `tests/integrations`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import astra
from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.exports.published import PublishedArenas
from astra.hosts.arena import arena_messages, shown_tools
from astra.models.policies import Policy
from astra.rollouts.user_tool import USER_TOOL, has_user, user_tool_problem
from astra.types import Message
from tests.support.trl_rollouts import exported_module
from tests.support.user_calls import said_by_tool

pytest.importorskip("trl")


@pytest.fixture(scope="module")
def folder(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trl") / "published"
    assert run(["arenas", "export", str(arenas.path), "--format", "trl", "--out", str(out)]) == 0
    return out


def test_documents_reach_the_chat_template_whole(folder: Path) -> None:
    module = exported_module(folder)
    for row in (published := PublishedArenas(folder)).rows():
        environment = module.factory(row)()
        arena = published[row["id"]]
        shown = [*shown_tools(arena), *([USER_TOOL] if has_user(arena) else [])]
        documents = [tool.openai() for tool in shown]
        assert [getattr(environment, d["function"]["name"]) for d in documents] == documents


def test_calls_to_unknown_tools_count(folder: Path) -> None:
    """TRL answers them by itself, so no environment sees them."""
    module = exported_module(folder)
    row = next(iter(PublishedArenas(folder).rows()))
    rewards: list[float] = []
    for unknown in (0, 2):
        environment = module.factory(row)()
        environment.reset()
        gold = next(g.call for g in environment._arena.goals if g.call is not None)
        getattr(environment, gold.tool)(**gold.arguments)
        call = {"type": "function", "function": {"name": "no_such_tool", "arguments": {}}}
        completion = [
            {"role": "assistant", "tool_calls": [call] * unknown},
            {"role": "assistant", "content": "Done."},
        ]
        rewards += module.reward([completion], [environment])
    assert rewards == [1.0, 0.5]


def test_the_user_is_a_tool(folder: Path) -> None:
    """What gold says, said by calls, has the score of a conversation."""
    module = exported_module(folder)
    (row,) = [r for r in PublishedArenas(folder).rows() if has_user(module.ARENAS[r["id"]])]
    assert with_the_user(module.factory(row)(), "gold") == 1.0
    assert with_the_user(module.factory(row)(), "null") == 0.0


def with_the_user(environment: Any, name: Policy) -> float:
    """The reward of a policy, with all its messages as calls."""
    environment.reset()
    model = astra.reference_policy(name, environment._arena)
    messages = list(arena_messages(environment._arena))
    while (message := asyncio.run(said_by_tool(model, messages))).tool_calls:
        messages.append(message)
        for call in message.tool_calls:
            text = getattr(environment, call.tool)(**json.loads(call.arguments))
            messages.append(Message(role="tool", content=text, tool_call_id=call.id))
    return environment._score([{"role": "assistant", "content": message.content}])


def test_what_trl_cannot_play_is_left_out(arenas: ArenaSet, folder: Path) -> None:
    left_out = PublishedArenas(folder).manifest.left_out
    bringing = [a for a in arenas if a.state is not None and a.state.withheld]
    assert [each.count for each in left_out] == [len(bringing)] == [1]
    assert "brings tools" in left_out[0].reason
    (ruled,) = [a for a in arenas if has_user(a) and a not in bringing]
    taken = ruled.tools[0].model_copy(update={"document": USER_TOOL})
    assert not user_tool_problem(ruled)
    named = ruled.model_copy(update={"tools": (*ruled.tools, taken)})
    assert "has the name" in user_tool_problem(named)
