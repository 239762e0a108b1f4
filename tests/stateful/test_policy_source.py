"""Arenas under a generated service policy: half of them refuse a part of the request."""

from __future__ import annotations

from collections import Counter

import pytest

from astra.arenas.certificate import certify
from astra.arenas.sets import ArenaSet
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.cli.main import run
from astra.configs.arenas import ConversationKind
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.models.policies import Policy, policy
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.service_policies import ServicePolicy
from astra.states import ArenaState
from astra.types import Arena
from tests.stateful.conftest import draw
from tests.support.sandboxes import run_with_sandbox, shared_sandbox


@pytest.fixture(scope="module")
def ruled(shop: tuple[Tables, Schema]) -> list[Arena]:
    options = StateSourceOptions(
        hops=(1, 10), languages={"en": 0.5, "zh": 0.5}, seed=21, service_policy=True
    )
    return draw(shop, options, 10)


def state_of(arena: Arena) -> ArenaState:
    assert arena.state is not None
    return arena.state


def policy_of(arena: Arena) -> ServicePolicy:
    found = state_of(arena).policy
    assert found is not None
    return found


def test_about_half_of_them_refuse_something(ruled: list[Arena]) -> None:
    kinds = Counter(sum(goal.kind == "refuse" for goal in state_of(arena).goals) for arena in ruled)
    assert set(kinds) == {0, 1}
    assert 2 <= kinds[1] <= 8
    assert any(goal.confirm for arena in ruled for goal in state_of(arena).goals)
    for arena in ruled:
        goals = state_of(arena).goals
        assert len(goals) >= 3 and any(goal.kind == "change" for goal in goals)
        assert 3 <= len(policy_of(arena).rules) <= 5


def test_prompts_hold_the_rules_in_the_language_of_the_request(ruled: list[Arena]) -> None:
    for arena in ruled:
        prompt = arena_messages(arena)[0].content
        assert policy_of(arena).user.text in prompt
        for number, rule in enumerate(policy_of(arena).rules, 1):
            assert f"\n{number}. {rule.text}" in prompt
            assert any("一" <= sign <= "鿿" for sign in rule.text) is (arena.language == "zh")


def worth(arenas: list[Arena], name: Policy) -> list[float]:
    async def play() -> list[float]:
        scores: list[float] = []
        async with shared_sandbox() as sandbox:
            for arena in arenas:
                host = ArenaHost(arena, sandbox)
                trajectory = await rollout(
                    RolloutTask(arena.id, arena_messages(arena)),
                    policy(name, arena),
                    host,
                    RolloutLimits(turns=64),
                    arena_user(arena, host),
                )
                scores.append(score_trajectory(arena, trajectory).f1)
        return scores

    return run_with_sandbox(play())


def test_reference_policies(ruled: list[Arena]) -> None:
    assert worth(ruled, "gold") == [1.0] * len(ruled)
    refusing = [a for a in ruled if any(g.kind == "refuse" for g in state_of(a).goals)]
    for name in ("refuser", "asker", "reader"):
        assert not any(worth(ruled[:4], name))
    assert not any(worth(refusing, "careless"))


def test_they_are_certified(ruled: list[Arena]) -> None:
    async def check() -> None:
        async with shared_sandbox() as sandbox:
            for arena in ruled[:2]:
                certificate = await certify(arena, sandbox)
                assert certificate.certified, [c for c in certificate.checks if not c.passed]

    run_with_sandbox(check())


@pytest.mark.slow
def test_conversations_under_policies(shop: tuple[Tables, Schema]) -> None:
    options = StateSourceOptions(
        hops=(1, 10),
        languages={"en": 0.5, "zh": 0.5},
        seed=5,
        service_policy=True,
        user_turns=(1, 3),
        conversations=("missing_parameter", "missing_tool", "revision"),
    )
    made = draw(shop, options, 25)
    assert worth(made, "gold") == [1.0] * len(made)
    for name in ("refuser", "asker", "reader", "null"):
        assert not any(worth(made, name))


@pytest.mark.parametrize("kind", ["missing_parameter", "missing_tool", "revision"])
def test_each_kind_of_conversation_is_drawn_under_a_policy_without_more_turns(
    kind: ConversationKind, shop: tuple[Tables, Schema]
) -> None:
    options = StateSourceOptions(seed=5, service_policy=True, conversations=(kind,))
    talks = [arena.provenance["conversation"] for arena in draw(shop, options, 6)]
    assert kind in talks


def test_show_holds_the_rules(ruled: list[Arena], capsys: pytest.CaptureFixture[str]) -> None:
    arena = next(a for a in ruled if any(g.kind == "refuse" for g in state_of(a).goals))
    folder = ArenaSet.of([arena])  # temporary
    assert run(["arenas", "show", str(folder.path), arena.id]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "refuse it by rule" in text
    assert "policy" in text
