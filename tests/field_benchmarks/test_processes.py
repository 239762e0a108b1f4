"""The process of a benchmark: what it keeps between episodes, and what it does not make twice."""

from __future__ import annotations

import os
import selectors
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from astra.errors import HostError
from astra.evaluation.benchmarks.environments import environment_of
from astra.evaluation.benchmarks.process import TIME_LIMIT, BenchmarkProcess
from astra.evaluation.benchmarks.workers import episode_server
from astra.evaluation.benchmarks.workers.tau2 import same_work_once, schema_of
from astra.models.scripted import calling
from astra.types import Message
from tests.field_benchmarks.conftest import SCRIPT, TOY


async def told(process: BenchmarkProcess, number: int, tool: str) -> str:
    """What a tool gives in an episode, which then ends."""
    replies = iter([calling((tool, {})), Message(role="assistant", content="Done.")])
    results: list[str] = []

    async def ask(messages: Any, *_: Any) -> Message:
        results.append(messages[-1].content)
        return next(replies)

    verdict = await process.play(f"sum_{number}", 0, ask)
    return verdict["error"] if verdict["error"] == TIME_LIMIT else results[-1]


@pytest.mark.parametrize("kept", [False, True])
async def test_a_process_plays_another_episode_only_where_nothing_is_left(
    environments: Path, kept: bool
) -> None:
    python, _ = environment_of(TOY, environments)
    options = {"tasks": 8, "gold": True, "seconds": 1, "kept": kept}
    async with BenchmarkProcess(python, SCRIPT, options) as process:
        counts = [await told(process, number, "played") for number in range(3)]
        assert counts == (["1", "2", "3"] if kept else ["1", "1", "1"])
        # One that hangs, breaks or ends plays no more.
        assert await told(process, 3, "hang") == TIME_LIMIT
        assert await told(process, 4, "played") == "1"
        for tool in ("raise", "die"):
            with pytest.raises(HostError):
                await told(process, 5, tool)
            assert await told(process, 6, "played") == "1"


class Kit:
    """Stands for the official class of toolkits."""

    made = 0

    def __init__(self, json: str, plain: str) -> None:
        self.db = SimpleNamespace(model_dump_json=lambda: json)
        self.plain = plain

    def get_tools(self) -> dict[str, object]:
        Kit.made += 1
        return {"tool": object()}

    def get_db_hash(self) -> str:
        return self.plain


@pytest.fixture
def kit() -> type[Kit]:
    class Own(Kit):
        pass

    same_work_once(Own)
    return Own


def test_databases_are_equal_where_the_official_hashes_are(kit: type[Kit]) -> None:
    first = kit('{"a": 1, "b": 2}', "one").get_db_hash()
    assert first == kit('{"a": 1, "b": 2}', "one").get_db_hash()
    assert first == kit('{"b": 2, "a": 1}', "one").get_db_hash()  # in another order
    assert first != kit('{"a": 1, "b": 3}', "other").get_db_hash()
    assert first == "one" and first != "other" and first != None  # noqa: E711 - as official code


def test_tools_are_made_once_for_each_toolkit(kit: type[Kit]) -> None:
    before = Kit.made
    one, other = kit("{}", ""), kit("{}", "")
    tools = one.get_tools()
    assert one.get_tools() == tools and other.get_tools() != tools
    tools.clear()  # what a caller does with it changes nothing
    assert list(one.get_tools()) == ["tool"]
    assert Kit.made - before == 2


def test_documents_of_tools_are_made_once() -> None:
    class Tool:
        made = 0

        @property
        def openai_schema(self) -> dict[str, Any]:
            Tool.made += 1
            return {"number": Tool.made}

    tools = [Tool(), Tool()]
    assert [schema_of(tool)["number"] for tool in tools * 2] == [1, 2, 1, 2]


def test_an_episode_that_is_closed_as_it_ends_is_ended_once() -> None:
    """Both stand in one round of the selector: its descriptor is gone, or is another child's."""
    (lines, to_server), (back, its_end) = os.pipe(), os.pipe()
    child = episode_server._Child(os.posix_spawnp("true", ["true"], {}), os.dup(its_end), back)
    child.number = 1
    pipes = episode_server._Pipes(lines, os.open(os.devnull, os.O_WRONLY))
    server = episode_server._Server(pipes, lambda *_: {}, None, 9.0, bytearray())
    server._children[1] = child
    server._selector.register(back, selectors.EVENT_READ, child)
    select = server._selector.select
    server._selector.select = lambda wait: sorted(select(wait), key=lambda e: e[0].data is child)
    os.close(its_end)
    os.close(child.to)
    child.to = os.open(os.devnull, os.O_WRONLY)
    os.write(to_server, b'{"close": 1}\n')
    os.close(to_server)
    server.run()
    assert not server._children
