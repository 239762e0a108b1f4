"""Rules that have the user asked for something first, and rules of so many in a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from astra.arenas.certificate.state import trials as trials_module
from astra.arenas.stateful.expected import ExpectedChanges
from astra.arenas.stateful.policy import sql
from astra.arenas.stateful.policy.probes import PolicyProbes
from astra.arenas.stateful.policy.sql import SqlVerdicts
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest
from astra.episodes import Score
from astra.models.policies import policy
from astra.records import canonical_json
from astra.rewards import score_trajectory
from astra.service_policies import AskedValue, ChoiceCondition, ServiceRule
from astra.states import HeldValue
from astra.targets import Matcher, Target
from astra.types import Arena
from astra.users.script import ScriptedUser
from tests.stateful.test_certificate import changed, examine, failed
from tests.stateful.test_policy_scores import (
    CANCEL,
    FIND,
    FORBIDDEN,
    LIST,
    MOVE,
    Step,
    play,
    played,
)
from tests.support.asking_desk import (
    ASK,
    LIMIT,
    NO_MATCH,
    NO_MORE,
    QUESTION,
    STORED,
    WRONG,
    asking_desk,
    limited_desk,
)
from tests.support.desk import DATABASE
from tests.support.ruled_desk import ADDRESS, CONFIRM, LEAVE, OTHERS, POLICY, STATUS, ruled_desk

ASKING, LYING, LIMITED = asking_desk(), asking_desk(wrong=True), limited_desk()
ARENAS = {"asking": ASKING, "lying": LYING, "limited": LIMITED}
DONE = "It is all done."
READS: list[Step] = [FIND, LIST]
# Messages, F1, strict, waste. n = 3 in each: a status after a yes, and an address after a
# question, which counts, too;
OF_ASKING: dict[str, tuple[list[Step], float, float, int]] = {
    "gold": ([*READS, QUESTION, LEAVE, FORBIDDEN, CANCEL, DONE], 1, 1, 0),
    "not asked": ([*READS, LEAVE, FORBIDDEN, CANCEL, DONE], 2 / 5, 0, 1),
    "asked after it was done": ([*READS, FORBIDDEN, QUESTION, LEAVE, CANCEL, DONE], 2 / 5, 0, 1),
    "asked, and nothing done": ([*READS, QUESTION, DONE], 0, 0, 0),
}
# or a refusal after a wrong answer;
OF_LYING: dict[str, tuple[list[Step], float, float, int]] = {
    "gold": ([*READS, QUESTION, LEAVE, CANCEL, NO_MATCH], 1, 1, 0),
    "refused without a question": ([*READS, LEAVE, CANCEL, NO_MATCH], 2 / 4, 0, 0),
    "refused without a look": ([LIST, QUESTION, LEAVE, CANCEL, NO_MATCH], 2 / 4, 0, 0),
    "refused before the answer": (
        [*READS, f"{NO_MATCH} {QUESTION}", LEAVE, CANCEL, DONE],
        2 / 4,
        0,
        0,
    ),
    "done all the same": ([*READS, QUESTION, LEAVE, FORBIDDEN, CANCEL, NO_MATCH], 0, 0, 1),
    "asked and refused, and nothing done": ([*READS, QUESTION, NO_MATCH], 0, 0, 0),
}
# or an address, and the refusal of one more.
OF_LIMITED: dict[str, tuple[list[Step], float, float, int]] = {
    "gold": ([*READS, LEAVE, MOVE, CANCEL, NO_MORE], 1, 1, 0),
    "refused before the first is done": (
        [*READS, f"{NO_MORE} {LEAVE}", MOVE, CANCEL, DONE],
        1,
        1,
        0,
    ),
    "refused without the first": ([*READS, LEAVE, CANCEL, NO_MORE], 2 / 4, 0, 0),
    "the other one in its place": ([*READS, LEAVE, FORBIDDEN, CANCEL, NO_MORE], 0, 0, 1),
    "both": ([*READS, LEAVE, MOVE, FORBIDDEN, CANCEL, NO_MORE], 0, 0, 1),
}
EPISODES: Mapping[str, dict[str, tuple[list[Step], float, float, int]]] = {
    "asking": OF_ASKING,
    "lying": OF_LYING,
    "limited": OF_LIMITED,
}


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, of in EPISODES.items() for kind in of]
)
def test_episodes(name: str, kind: str) -> None:
    arena, (steps, f1, strict, waste) = ARENAS[name], EPISODES[name][kind]
    trajectory = played(steps, arena)
    scored = score_trajectory(arena, trajectory)
    assert (scored.f1, scored.waste) == (pytest.approx(f1), waste)
    assert score_trajectory(arena, trajectory, "strict").reward == strict


@pytest.mark.parametrize("name", ARENAS)
def test_reference_policies(name: str) -> None:
    arena = ARENAS[name]
    for of in ("asker", "refuser", "careless"):
        assert score_trajectory(arena, play(policy(of, arena), arena)).f1 == 0, of


def test_the_user_knows_of_no_rule() -> None:
    assert ASKING.state is not None
    user = ScriptedUser(ASKING.state, "en")
    assert not user.open_values
    # Nothing that is said tells that a rule wants something asked.
    assert user.reply("Which customer is it?").kind == "unsure"
    assert user.reply("Everything is done.").kind == "end"


def test_a_leave_may_name_a_text_of_several_words() -> None:
    # The texts to be written are left out where a message is read for what it does, not for what
    # it is about.
    user = ScriptedUser(ruled_desk().state, "en")  # type: ignore[arg-type]
    assert user.reply("May I change the address of O-2001 to 9 Pier Walk?").kind == "agrees"


def test_what_was_stored_before_keeps_its_hash() -> None:
    text = canonical_json(ruled_desk().row().model_dump(mode="json"))
    assert not any(f'"{name}":' in text for name in ("asks", "most", 'after":["', 'value":"0'))
    again = Arena.model_validate(ASKING.model_dump(mode="json"))
    assert again.with_content_id().id == ASKING.id


@pytest.mark.parametrize(
    "wrong",
    [
        {"effect": "ask"},
        {"effect": "forbid", "most": 1},
        {"effect": "limit"},
        {"effect": "limit", "most": 0},
        {"effect": "limit", "most": 1, "when": OTHERS.when},
        {"effect": "confirm", "asks": AskedValue(column="phone")},
    ],
)
def test_rules_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"fit a rule of effect|limit has no conditions"):
        ServiceRule(operation=ADDRESS, **wrong)


def test_both_evaluators_count_and_compare() -> None:
    python = PythonVerdicts(DATABASE)
    other = SqlVerdicts(DATABASE, ExpectedChanges(DATABASE).connection)
    rows = DATABASE.table("orders").rows_by_key
    orders = [ServiceRequest(ADDRESS, rows[f"O-200{n}"]) for n in (1, 2, 3)]
    status = ServiceRequest(STATUS, rows["O-2001"])
    two = LIMIT.model_copy(update={"most": 2})
    rules = POLICY.model_copy(update={"rules": (LIMIT, OTHERS, two)})
    for evaluator in (python, other):
        beyond = evaluator.beyond_limits(rules, [orders[0], status, *orders[1:], status])
        assert beyond == [(), (), (1,), (1, 3), ()]
        assert [evaluator.is_stored(ASK, order, STORED) for order in orders] == [True, True, False]
        (verdict,) = evaluator.of(
            POLICY.model_copy(update={"rules": (ASK, LIMIT)}), orders[:1], POLICY.user,
            "2026-03-02 09:00",
        )  # fmt: skip
        assert verdict.ask_by == (1,) and not verdict.forbidden_by


def test_limits_that_nothing_meets_are_named() -> None:
    probes = PolicyProbes(DATABASE, "2026-03-02 09:00")

    def idle(*rules: ServiceRule) -> list[tuple[int, str]]:
        return list(probes.idle_parts(POLICY.model_copy(update={"rules": rules})))

    limits = [LIMIT.model_copy(update={"most": most}) for most in (3, 4)]  # there are four orders
    assert idle(limits[0]) == [] and (1, "itself") in idle(limits[1])
    assert (2, "itself, for rule 1 says the same") in idle(LIMIT, limits[0])
    assert idle(ASK, ASK.model_copy(update={"asks": AskedValue(column="status")})) == []
    assert (2, "itself, for rule 1 says the same") in idle(ASK, ASK)


# --- the certificate -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARENAS)
def test_they_are_certified(name: str) -> None:
    certificate = examine(ARENAS[name])
    assert certificate.certified, [check for check in certificate.checks if not check.passed]


def with_held(arena: Arena, **update: Any) -> Arena:
    assert arena.state is not None
    (turn,) = arena.state.turns
    held: HeldValue = turn.held[0].model_copy(update=update)
    return changed(arena, turns=(turn.model_copy(update={"held": (held,)}),))


def with_goal(arena: Arena, number: int, **update: Any) -> Arena:
    assert arena.state is not None
    goals = list(arena.state.goals)
    goals[number] = goals[number].model_copy(update=update)
    return changed(arena, goals=tuple(goals))


def with_refusal(arena: Arena, number: int, **update: Any) -> Arena:
    assert arena.state is not None
    refusal = arena.state.goals[number].refuses
    assert refusal is not None
    return with_goal(arena, number, refuses=refusal.model_copy(update=update))


def with_rules(arena: Arena, *rules: ServiceRule) -> Arena:
    return changed(arena, policy=POLICY.model_copy(update={"rules": rules}))


PHONE = Target(matcher=Matcher.exact, value=STORED, field="phone", key={"customer_id": "C-1002"})
LOOSE = LIMIT.model_copy(update={"most": 2})
UNASKED = ASK.model_copy(
    update={"asks": AskedValue(column="status"), "text": "Ask for the status before."}
)
PENDING = ASK.model_copy(update={"when": (ChoiceCondition(column="status", values=("pending",)),)})
DEFECTS: dict[str, tuple[Arena, str, str]] = {
    "what is told is wrong, and it is done": (
        with_held(ASKING, value=WRONG, told=f"The phone is {WRONG}."),
        "policy",
        "not what is stored",
    ),
    "what is told is right, and it is refused": (
        with_held(LYING, value=STORED, told=f"The phone is {STORED}."),
        "policy",
        "is what is stored",
    ),
    "told is something else": (with_held(ASKING, told="I don't know."), "policy", "told"),
    "asked by another rule": (with_held(ASKING, rule=3), "policy", "rule 3 asks for nothing"),
    "nobody has to ask": (with_rules(ASKING, OTHERS, PENDING, CONFIRM), "policy", "asked by"),
    "no rule asks": (with_rules(ASKING, OTHERS, LOOSE, CONFIRM), "policy", "asks for nothing"),
    "one more would have to be asked for": (
        with_rules(ASKING, OTHERS, ASK, CONFIRM, UNASKED),
        "policy",
        "want something asked before",
    ),
    "another fact than is asked for": (
        with_refusal(LYING, 0, fact=PHONE),
        "policy",
        "is not what rule 2 asks for",
    ),
    "the answer stands in the request": (
        changed(
            ASKING,
            turns=(
                ASKING.state.turns[0].model_copy(  # type: ignore[union-attr]
                    update={"text": f"{ASKING.question} My phone is {STORED}."}
                ),
            ),
        ),
        "script",
        "",
    ),
    "as many are allowed": (with_rules(LIMITED, OTHERS, LOOSE, CONFIRM), "policy", "beyond"),
    "another rule is named": (with_refusal(LIMITED, 2, rule=1), "policy", "refused by rule 1"),
    "nothing has to come first": (with_refusal(LIMITED, 2, after=()), "policy", "comes after"),
    "a fact where a limit decides": (with_refusal(LIMITED, 2, fact=PHONE), "policy", ""),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defects(name: str) -> None:
    arena, check, reason = DEFECTS[name]
    found = failed(arena)
    assert check in found and reason in found[check].reason, found


@pytest.mark.parametrize(("method", "arena"), [("is_stored", ASKING), ("beyond_limits", LIMITED)])
def test_evaluators_that_differ(method: str, arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(sql.SqlVerdicts, method)

    def wrong(*given: Any) -> Any:
        found = real(*given)
        return not found if isinstance(found, bool) else [()] * len(found)

    monkeypatch.setattr(sql.SqlVerdicts, method, wrong)
    assert "the evaluators differ about" in failed(arena)["policy"].reason


@pytest.mark.parametrize(
    ("arena", "said", "check"),
    [
        (ASKING, "The address is new", "ask"),
        (LYING, "rule 2", "refuse"),
        (LIMITED, "O-2002", "refuse"),
    ],
)
def test_a_reward_for_less_than_is_asked(
    arena: Arena, said: str, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trials_module.score_calls

    def kind(scored: Arena, *given: Any, **named: Any) -> Score:
        """A score that takes a last message for all that the rule is about."""
        score = real(scored, *given, **named)
        told = " ".join(message.content for message in named["messages"])
        if said in told:
            names = dict.fromkeys(("s1", "s3"), "message")
            return score.model_copy(update={"solved_by": {**names, **score.solved_by}})
        return score

    monkeypatch.setattr(trials_module, "score_calls", kind)
    assert check in failed(arena)
