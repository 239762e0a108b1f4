"""Tasks of Harbor: what the agent's container is made from holds nothing of the arena."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from astra.arenas.sets import ArenaSet
from astra.exports.harbor import HARBOR
from astra.exports.publish import publish
from astra.rollouts.user_tool import USER_TOOL, has_user
from tests.support.hidden_values import hidden_values


@pytest.fixture(scope="module")
def tasks(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return (
        publish(arenas, tmp_path_factory.mktemp("harbor") / "out", "harbor", HARBOR).path / "tasks"
    )


def test_a_task_holds_its_arena_where_the_agent_is_not(arenas: ArenaSet, tasks: Path) -> None:
    for task in tasks.iterdir():
        arena = arenas[task.name]
        # The build context of the agent's container is `environment/`, of which it copies nothing.
        assert "COPY" not in (task / "environment/Dockerfile").read_text()
        seen = [task / "instruction.md", task / "task.toml", *task.glob("environment/*.*")]
        text = "".join(path.read_text("utf-8") for path in seen)
        assert arena.question in text
        assert not [value for value in hidden_values(arena) if value in text]
        stored = ArenaSet(task / "environment/arena/run", uncertified=True)
        assert stored.ids == [arena.id] and stored[0] == arena
        solution = json.loads((task / "solution/solution.json").read_text("utf-8"))
        tools = {tool.name for tool in arena.tools} | (
            {USER_TOOL.name} if has_user(arena) else set()
        )
        assert {call["tool"] for call in solution["calls"]} <= tools
        assert solution["calls"] and solution["answer"]


def test_the_score_is_given_for_a_token_of_its_own(arenas: ArenaSet, tasks: Path) -> None:
    tokens: set[str] = set()
    for task in tasks.iterdir():
        config = tomllib.loads((task / "task.toml").read_text("utf-8"))
        compose = yaml.safe_load((task / "environment/docker-compose.yaml").read_text("utf-8"))
        token = config["verifier"]["env"]["ASTRA_SCORE_TOKEN"]
        assert compose["services"]["arena"]["environment"] == {"ASTRA_SCORE_TOKEN": token}
        assert config["task"]["name"] == f"astra/{task.name}"
        # The agent's environment does not have it.
        assert token not in json.dumps(config["environment"])
        tokens.add(token)
    assert len(tokens) == len(list(tasks.iterdir())) == len(arenas) - 1


def test_arenas_whose_tools_come_later_are_left_out(arenas: ArenaSet, tmp_path: Path) -> None:
    written = publish(arenas, tmp_path / "out", "harbor", HARBOR)
    assert [each.count for each in written.left_out] == [1]
    assert "brings tools" in written.left_out[0].reason
