"""The uses that README and docs/extend.md show, as a script and inside a running loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from openai import OpenAI

import astra
from astra.models.scripted import calling
from astra.types import GoldCall, Message
from tests.support.arenas import good_arenas
from tests.support.model_server import ModelServer


def by_hand(tmp_path: Path) -> None:
    """One's own loop with the client of openai."""
    arena = _first()
    call = arena.goals[0].call
    assert call is not None
    answers = [calling(call), _said("Done.")]
    with (
        ModelServer(answers) as server,
        astra.ArenaEnvironment(arena) as env,
    ):
        client = OpenAI(base_url=server.url, api_key="none", max_retries=0)
        state = env.reset()
        while not state.done:
            reply = client.chat.completions.create(
                model="qwen", messages=state.messages, tools=state.tools
            )
            state = env.step(reply.choices[0].message)
        client.close()
        assert env.score().f1 == 1 and state.stop == "answered"


def _said(text: str) -> Message:
    return Message(role="assistant", content=text)


def _first() -> astra.Arena:
    return next(arena for arena in good_arenas().values() if arena.hops == 1)


def own_tools(tmp_path: Path) -> None:
    """Functions as tools, an endpoint as the model."""

    def list_events(day: str) -> list[str]:
        """Titles of a day's events.

        Args:
            day: ISO date, e.g. 2026-11-28.
        """
        return ["Dentist"]

    call = GoldCall(tool="list_events", arguments={"day": "2026-11-28"})
    answers = [calling(call), _said("Dentist.")]
    with ModelServer(answers) as server:
        model = astra.OpenAIModel("gpt", server.url, api_key="none")
        episode = astra.rollout("What is on today?", model, astra.FunctionHost([list_events]))
    assert episode.trajectory.answer == "Dentist."
    assert episode.trajectory.calls[0].result == ["Dentist"]


def own_reward(tmp_path: Path) -> None:
    """A reward that charges for calls."""

    def concise(arena: astra.Arena, trajectory: astra.Trajectory) -> float:
        wasted = len(trajectory.calls) - len(arena.goals)
        return astra.score(arena, trajectory).f1 - 0.02 * max(0, wasted)

    arena = _first()
    episode = astra.rollout(arena, astra.reference_policy("shuffled", arena), reward=concise)
    assert episode.reward == pytest.approx(2 / 3 - 0.02)


def sets_of_arenas(tmp_path: Path) -> None:
    """Certify, choose, export."""
    arenas = astra.ArenaSet.of(good_arenas().values(), tmp_path / "run")
    assert astra.certify(arenas[0]).certified
    assert arenas.filter(lambda arena: arena.hops >= 2)[0].hops >= 2
    rows = arenas.export(tmp_path / "sft.jsonl", format="sft")
    assert len(rows.read_text().splitlines()) == len(arenas)
    assert arenas.export(tmp_path / "rows.jsonl", format="astra-rl").exists()


USES = [by_hand, own_tools, own_reward, sets_of_arenas]


@pytest.mark.parametrize("use", USES)
def test_as_a_script(use: Callable[[Path], None], tmp_path: Path) -> None:
    use(tmp_path)


@pytest.mark.parametrize("use", USES)
async def test_inside_a_running_loop(use: Callable[[Path], None], tmp_path: Path) -> None:
    assert asyncio.get_running_loop().is_running()
    use(tmp_path)
