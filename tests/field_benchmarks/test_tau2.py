"""τ² through the whole harness. Needs its packages, which are installed once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from astra.configs.benchmarks import Tau2Config
from astra.evaluation.benchmarks.environments import WORKERS, environment_of
from astra.evaluation.benchmarks.process import BenchmarkProcess
from astra.evaluation.benchmarks.run import episodes_of, run_benchmark
from astra.evaluation.benchmarks.tau2 import TAU2
from astra.models.scripted import calling
from astra.types import Json, Message, ToolCallRequest
from tests.field_benchmarks.conftest import Player, installed

pytestmark = pytest.mark.integrations


@pytest.fixture(scope="module")
def folder() -> Path:
    """The environments, that of τ² among them."""
    return installed(TAU2)


def read(folder: Path, **options: Any) -> tuple[Any, dict[str, int]]:
    """Summary, and solved tasks by domain."""
    config = Tau2Config(concurrency=8, **options)
    run, summary = asyncio.run(run_benchmark(TAU2, config, folder))
    solved: dict[str, int] = {}
    for episode in episodes_of(run):
        solved[episode.category] = solved.get(episode.category, 0) + (episode.score == 1)
    return summary, solved


def test_gold_null_and_the_floor(folder: Path) -> None:
    domains = ["telecom", "retail", "airline"]
    gold, solved = read(folder, categories=domains, policy="gold")
    assert solved == {"telecom": 114, "retail": 114, "airline": 50}
    assert gold.floors == {"always transfer (telecom)": 20 / 114}
    null, solved = read(folder, categories=domains, policy="null")
    assert solved == {"telecom": 0, "retail": 7, "airline": 19}
    assert null.errors["agent_error"] == 114  # a text, where there is nobody to read it


async def verdicts(folder: Path, *episodes: Sequence[Message], task: int = 0) -> list[Any]:
    """Verdicts on a telecom task, by what the agent writes."""
    python, _ = environment_of(TAU2, folder)
    options = {"domains": ["telecom"], "user": "script", "gold": True, "seconds": 30}
    results: list[Any] = []
    async with BenchmarkProcess(python, WORKERS / TAU2.script, options) as process:
        gold = list(process.tasks[task].gold or ())
        for episode in [gold, *episodes]:
            said = iter(episode)
            asked: list[Sequence[Message]] = []

            async def ask(
                messages: Any,
                *_: Any,
                said: Any = said,
                asked: list[Sequence[Message]] = asked,
            ) -> Message:
                asked.append(tuple(messages))
                return next(said, Message(role="assistant", content="I give up."))

            verdict = await process.play(process.tasks[task].id, 0, ask)
            results.append((verdict, asked))
    return results


def test_what_the_solo_agent_may_write(folder: Path) -> None:
    bad = ToolCallRequest(id="x", tool="done", arguments="{")
    broken = Message(role="assistant", tool_calls=(bad,))
    text = Message(role="assistant", content="Hello?")
    empty = Message(role="assistant")
    stop = Message(role="assistant", content="###STOP###")
    done = calling(("transfer_to_human_agents", {"summary": "s"}), ("done", {}))
    unknown = calling(("absent", {}))
    results = asyncio.run(
        verdicts(folder, [text], [empty], [broken], [stop], [done], [unknown] * 20)
    )
    (gold, _), *others = results
    assert gold["score"] == 1
    assert [(verdict["score"], verdict["error"]) for verdict, _ in others] == [
        (0, "agent_error"),
        (0, "agent_error"),
        (0, "agent_error"),
        (0, "wrong_end"),
        (0, "wrong_end"),
        (0, "too_many_errors"),
    ]
    # The transfer beside `done` is dropped: the agent is not asked again.
    assert len(others[4][1]) == 1
    assert len(others[5][1]) == 10


def test_a_model_plays_the_user(folder: Path) -> None:
    def want(messages: Sequence[Json]) -> Message:
        assert messages[0]["role"] == "system" and "<scenario>" in messages[0]["content"]
        first = sum(m["role"] == "assistant" for m in messages) == 0
        return Message(role="assistant", content="Please help." if first else "###STOP###")

    def refuse(messages: Sequence[Json]) -> Message:
        assert [m["role"] for m in messages] == ["system", "assistant", "user"]
        return Message(role="assistant", content="I can't do that.", reasoning="Hidden.")

    user = Player(want)
    options: dict[str, Any] = {"model": Player(refuse), "user_model": user, "limit": 10}
    summary, _ = read(folder, categories=["airline"], **options)
    assert summary.episodes == 10 and len(user.asked) == 20
    assert not any("Hidden" in m.content for asked in user.asked for m in asked)
