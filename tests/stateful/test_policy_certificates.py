"""The certificate under a service policy: the desk passes, each check rejects its defects."""

from __future__ import annotations

from typing import Any

import pytest

from astra.arenas.certificate.state import trials as trials_module
from astra.arenas.stateful.policy import sql
from astra.episodes import Score
from astra.service_policies import ChoiceCondition, RoleCondition, ServiceRule
from astra.targets import Matcher, Target
from astra.types import Arena
from tests.stateful.test_certificate import changed, examine, failed
from tests.support.ruled_desk import CONFIRM, OTHERS, POLICY, SHIPPED, ruled_desk


def with_rules(*rules: ServiceRule) -> Arena:
    return changed(ruled_desk(), policy=POLICY.model_copy(update={"rules": rules}))


def with_goal(number: int, **changes: Any) -> Arena:
    arena = ruled_desk()
    assert arena.state is not None
    goals = list(arena.state.goals)
    goals[number] = goals[number].model_copy(update=changes)
    return changed(arena, goals=tuple(goals))


def with_refusal(**changes: Any) -> Arena:
    return with_goal(2, refuses=refusal_of(ruled_desk()).model_copy(update=changes))


def refusal_of(arena: Arena) -> Any:
    assert arena.state is not None
    return arena.state.goals[2].refuses


def address_rule(*statuses: str, **changes: Any) -> ServiceRule:
    condition = ChoiceCondition(column="status", values=statuses)
    return SHIPPED.model_copy(update={"when": (condition,), **changes})


@pytest.mark.parametrize("presses", [False, True])
def test_the_ruled_desk_is_certified(presses: bool) -> None:
    certificate = examine(ruled_desk(presses=presses))
    assert certificate.certified, [check for check in certificate.checks if not check.passed]
    evidence = {check.check: check.evidence for check in certificate.checks}
    assert evidence["policy"]["rules"] == 3 and evidence["policy"]["refused"] == 1
    assert evidence["refuse"]["refused"] == 1 and evidence["refuse"]["episodes"] >= 6


def test_what_is_asked_for_is_forbidden() -> None:
    found = failed(with_rules(OTHERS, address_rule("shipped", "pending"), CONFIRM))
    assert "rule 2 forbids what goal 's1' asks for" in found["policy"].reason


@pytest.mark.parametrize(
    "rule",
    [
        address_rule("lost", text="Do not change it if it is lost."),
        SHIPPED.model_copy(
            update={
                "when": (RoleCondition(roles=("clerk",)), *SHIPPED.when),
                "text": "Clerks do not change the address of shipped orders.",
            }
        ),
    ],
)
def test_a_rule_that_says_nothing(rule: ServiceRule) -> None:
    assert "could do without" in failed(with_rules(OTHERS, SHIPPED, CONFIRM, rule))["policy"].reason


def test_a_value_that_no_row_has() -> None:
    found = failed(with_rules(OTHERS, address_rule("shipped", "lost"), CONFIRM))
    assert "'lost'" in found["policy"].reason


def test_two_rules_that_say_the_same() -> None:
    twin = SHIPPED.model_copy(update={"text": "Shipped orders keep their address."})
    assert "says the same" in failed(with_rules(OTHERS, SHIPPED, CONFIRM, twin))["policy"].reason


def test_two_rules_that_read_alike() -> None:
    other = address_rule("cancelled")
    assert "read alike" in failed(with_rules(OTHERS, SHIPPED, CONFIRM, other))["policy"].reason


def test_evaluators_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql.SqlVerdicts, "_value", lambda *_: "'pending'")
    assert "the evaluators differ" in failed(ruled_desk())["policy"].reason


def test_what_is_refused_is_allowed() -> None:
    found = failed(with_rules(OTHERS, address_rule("cancelled"), CONFIRM))
    assert "refused by rule 2" in found["policy"].reason


def test_the_wrong_rule_is_named() -> None:
    assert "refused by rule 1" in failed(with_refusal(rule=1))["policy"].reason


def test_a_rule_that_forbids_it_for_every_row() -> None:
    rule = address_rule("pending", "shipped", "cancelled")
    assert "policy" in failed(with_rules(OTHERS, rule, CONFIRM))


@pytest.mark.parametrize(
    "fact",
    [
        Target(matcher=Matcher.exact, value="Ada Brook", field="name"),
        Target(matcher=Matcher.exact, value="pending", field="status", key={"order_id": "O-2001"}),
    ],
)
def test_a_fact_that_decides_nothing(fact: Target) -> None:
    assert "is not what rule 2 holds by" in failed(with_refusal(fact=fact))["policy"].reason


def test_a_yes_that_no_rule_asks_for() -> None:
    assert "needs a yes" in failed(with_goal(0, confirm=True))["policy"].reason


def test_a_yes_that_is_not_asked_for() -> None:
    assert "needs no yes" in failed(with_goal(1, confirm=False))["policy"].reason


def test_refusals_without_rules() -> None:
    assert "there are no rules" in failed(changed(ruled_desk(), policy=None))["policy"].reason


def test_most_of_it_is_refused() -> None:
    arena = ruled_desk()
    assert arena.state is not None
    again = arena.state.goals[2].model_copy(update={"id": "s4"})
    found = failed(changed(arena, goals=(*arena.state.goals, again)))
    assert "at most a third" in found["refuse"].reason


def test_what_is_refused_changes_nothing() -> None:
    arguments = {"order_id": "O-2002", "address": "1 Quay Road"}
    assert "refuse" in failed(with_refusal(arguments=arguments))


def test_a_reward_for_refusing_without_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    real = trials_module.score_calls

    def kind(arena: Arena, *given: Any, **named: Any) -> Score:
        """A score that takes any refusal for read."""
        score = real(arena, *given, **named)
        said = " ".join(message.content for message in named["messages"])
        if "rule 2 forbids it" in said and "s3" not in score.solved_by:
            return score.model_copy(update={"solved_by": {**score.solved_by, "s3": "message"}})
        return score

    monkeypatch.setattr(trials_module, "score_calls", kind)
    assert "without a look" in failed(ruled_desk())["refuse"].reason


def test_leave_that_names_nothing() -> None:
    found = failed(with_goal(1, named_by=(("O-2001", "go ahead"),)))
    assert "leave" in found["refuse"].reason
