"""Environments of arenas as TRL sees them; its trainer runs in `tests/integrations`."""

from __future__ import annotations

from pathlib import Path

import pytest

from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.exports.published import PublishedArenas
from astra.hosts.arena import shown_tools
from tests.support.trl_rollouts import exported_module

pytest.importorskip("trl")


@pytest.fixture(scope="module")
def folder(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trl") / "published"
    assert run(["arenas", "export", str(arenas.path), "--format", "trl", "--out", str(out)]) == 0
    return out


def test_documents_reach_the_chat_template_whole(folder: Path) -> None:
    module = exported_module(folder)
    for row in (published := PublishedArenas(folder)).rows():
        environment = module.factory(row["id"])()
        documents = [tool.openai() for tool in shown_tools(published[row["id"]])]
        assert [getattr(environment, d["function"]["name"]) for d in documents] == documents


def test_calls_to_unknown_tools_count(folder: Path) -> None:
    """TRL answers them by itself, so no environment sees them."""
    module = exported_module(folder)
    row = next(iter(PublishedArenas(folder).rows()))
    rewards: list[float] = []
    for unknown in (0, 2):
        environment = module.factory(row["id"])()
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


def test_what_trl_cannot_play_is_left_out(arenas: ArenaSet, folder: Path) -> None:
    left_out = PublishedArenas(folder).manifest.left_out
    conversations = [a for a in arenas if a.state is not None and a.state.turns]
    assert [each.count for each in left_out] == [len(conversations)]
    assert "user answers" in left_out[0].reason
