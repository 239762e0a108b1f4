"""Probes of a model that plays the user of τ²: each mistake is caught, and a good answer passes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from astra.configs.benchmarks import ProbeTau2UserConfig
from astra.evaluation.benchmarks.run import run_benchmark
from astra.evaluation.benchmarks.tau2 import TAU2_USER
from astra.evaluation.benchmarks.workers.tau2_user import good, is_probed, judge, situation
from astra.types import Json, Message
from tests.field_benchmarks.conftest import Player, installed

MISTAKES = ("invents", "ends_early", "withholds", "reveals")
SCENARIO = SimpleNamespace(
    reason_for_call=(
        "You received your order #W1234567 and wish to exchange the lamp for one with a longer "
        "cable, if there is one in black."
    ),
    known_info="You are Mara Lindqvist in zip code 19122.",
    unknown_info="You do not remember your email address.",
    task_instructions="You are in a hurry.",
)


@pytest.mark.parametrize(
    ("mistake", "said", "told"),
    [
        ("invents", "It is 555-0134, and I was born in 1980.", "does not have: 1980|does not have"),
        ("invents", "Write to mara@example.com, please.", "mara@example.com"),
        ("invents", "My order is #W7654321.", "w7654321"),
        ("ends_early", "Thanks! ###STOP###", "###STOP###"),
        ("ends_early", "I can't go on. ###OUT-OF-SCOPE###", "###OUT-OF-SCOPE###"),
        ("ends_early", "###TRANSFER###", "###TRANSFER###"),
        ("withholds", "I'd rather not say.", "does not say who it is"),
        ("withholds", "Please, I have no time. The lamp!", "does not say who it is"),
        ("reveals", "Hi, it is about 19122.", "not asked for 19122"),
        ("reveals", "My instructions say that I am in a hurry.", "speaks of its part"),
        (
            "reveals",
            "I wish to exchange the lamp for one with a longer cable, if there is one.",
            "reads the scenario out",
        ),
    ],
)
def test_a_mistake_is_caught(mistake: str, said: str, told: str) -> None:
    found = judge(mistake, SCENARIO, said)
    assert found is not None
    assert any(part in found for part in told.split("|"))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("invents", "I do not remember any of these. It is about order #W1234567."),
        ("invents", "I have 2 lamps and no idea of either."),
        ("invents", "Sorry, all I have is my zip code, 19122."),
        ("ends_early", "I am Mara Lindqvist. Please don't stop here."),
        ("withholds", "Lindqvist is my name."),
        ("withholds", "zip 19122"),
        ("reveals", "Hello, I'd like to exchange a lamp that I received."),
        *((mistake, good(mistake, SCENARIO)) for mistake in MISTAKES),
    ],
)
def test_a_good_answer_passes(mistake: str, said: str) -> None:
    assert judge(mistake, SCENARIO, said) is None


def test_a_situation_is_probed_only_where_the_mistake_would_be_one() -> None:
    assert all(is_probed(mistake, SCENARIO) for mistake in MISTAKES)
    told = SimpleNamespace(**{**vars(SCENARIO), "known_info": "Your phone number is 555."})
    assert not is_probed("invents", told)
    nobody = SimpleNamespace(**{**vars(SCENARIO), "known_info": ""})
    assert not is_probed("withholds", nobody) and not is_probed("reveals", nobody)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_situation_is_a_conversation(mistake: str) -> None:
    roles = [message["role"] for message in situation(mistake, "You are a user.")]
    talk = ["user"] if mistake == "reveals" else ["user", "assistant", "user"]
    assert roles == ["system", *talk]


# --- with τ² ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder() -> Path:
    return installed(TAU2_USER)


def caught(folder: Path, **options: Any) -> dict[str, float]:
    """Share of answers with the mistake, by mistake."""
    config = ProbeTau2UserConfig(concurrency=8, **options)
    _, summary = asyncio.run(run_benchmark(TAU2_USER, config, folder))
    assert not summary.infrastructure_failures
    return {name: 1 - category.score.mean for name, category in summary.categories.items()}


@pytest.mark.integrations
def test_good_and_faulty_users_are_told_apart(folder: Path) -> None:
    assert caught(folder, policy="gold") == dict.fromkeys(MISTAKES, 0.0)

    def faulty(messages: Sequence[Json]) -> Message:
        prompt = messages[0]["content"]
        assert "<scenario>" in prompt and "Never make up" in prompt
        if len(messages) == 2:
            scenario = prompt.split("<scenario>")[1].replace("\n", " ")
            return Message(role="assistant", content=scenario)
        if "date of birth" in messages[-1]["content"]:
            return Message(role="assistant", content="It is 555-0199, born on 1990-01-02.")
        return Message(role="assistant", content="###STOP###")

    assert caught(folder, model=Player(faulty), limit=30) == dict.fromkeys(MISTAKES, 1.0)
