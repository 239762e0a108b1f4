"""Rules of service policies: applied by two evaluators, written out, drawn so that each matters."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from astra.arenas.stateful.cut import TableRows
from astra.arenas.stateful.expected import ExpectedChanges
from astra.arenas.stateful.mentions import Mentions
from astra.arenas.stateful.operations import TASK_KINDS
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.policy.conditions import ConditionDrawer, rule_is_sure
from astra.arenas.stateful.policy.draw import RULES, DrawnPolicy, PolicyDrawer
from astra.arenas.stateful.policy.facts import fact_of, request_of
from astra.arenas.stateful.policy.probes import PolicyProbes, requests_of
from astra.arenas.stateful.policy.sql import SqlVerdicts
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest, ServiceVerdict
from astra.arenas.stateful.policy.words import WORDINGS, RuleWords
from astra.arenas.stateful.role_finding import writable_tables
from astra.arenas.stateful.tools import DatabaseToolWriter
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.databases import Database, DatabaseColumn, DatabaseTable
from astra.service_policies import (
    AmountCondition,
    ChoiceCondition,
    Condition,
    CountCondition,
    DaysCondition,
    HourCondition,
    NotOwnerCondition,
    RoleCondition,
    ServiceOperation,
    ServicePolicy,
    ServiceRule,
    ServiceUser,
    WeekdayCondition,
)
from astra.types import Language
from tests.support.desk import DATABASE as DESK

NOW = "2026-03-02 09:00"  # a Monday
ADDRESS = ServiceOperation(kind="set", table="orders", column="address")
CLERK = ServiceUser(role="clerk")
ADA = ServiceUser(table="customers", key="C-1001")
O_2002 = DESK.table("orders").rows_by_key["O-2002"]  # Ada Brook's, shipped


def policy_of(*rules: ServiceRule, user: ServiceUser = CLERK) -> ServicePolicy:
    return ServicePolicy(user=user, rules=rules)


def forbid(*when: Condition, operation: ServiceOperation = ADDRESS) -> ServiceRule:
    return ServiceRule(effect="forbid", operation=operation, when=when)


@pytest.mark.parametrize(
    ("condition", "user", "holds"),
    [
        (RoleCondition(roles=("clerk", "trainee")), CLERK, True),
        (RoleCondition(roles=("trainee",)), CLERK, False),
        (NotOwnerCondition(path=("customer_id",)), ADA, False),
        (
            NotOwnerCondition(path=("customer_id",)),
            ServiceUser(table="customers", key="C-1002"),
            True,
        ),
        (ChoiceCondition(column="status", values=("shipped",)), CLERK, True),
        (ChoiceCondition(column="status", values=("pending", "cancelled")), CLERK, False),
        (ChoiceCondition(path=("customer_id",), column="name", values=("Ada Brook",)), CLERK, True),
        (CountCondition(path=("customer_id",), table="orders", reference="customer_id",
                        comparison="above", count=1), CLERK, True),
        (CountCondition(path=("customer_id",), table="orders", reference="customer_id",
                        comparison="above", count=2), CLERK, False),
        (CountCondition(path=("customer_id",), table="orders", reference="customer_id",
                        column="status", values=("pending",), comparison="below", count=2),
         CLERK, True),
        (WeekdayCondition(days=(1,)), CLERK, True),
        (WeekdayCondition(days=(7,)), CLERK, False),
        (HourCondition(comparison="below", hour=10), CLERK, True),
        (HourCondition(comparison="below", hour=9), CLERK, False),
        (HourCondition(comparison="above", hour=9), CLERK, True),
        (HourCondition(comparison="above", hour=10), CLERK, False),
    ],
)  # fmt: skip
def test_both_evaluators_know_a_condition(
    condition: Condition, user: ServiceUser, holds: bool
) -> None:
    expected = [ServiceVerdict((1,) if holds else (), ())]
    policy = policy_of(forbid(condition), user=user)
    requests = [ServiceRequest(ADDRESS, O_2002)]
    assert PythonVerdicts(DESK).of(policy, requests, user, NOW) == expected
    changes = ExpectedChanges(DESK)
    assert SqlVerdicts(DESK, changes.connection).of(policy, requests, user, NOW) == expected


@pytest.mark.parametrize(
    ("date", "total", "condition", "holds"),
    [
        ("2026-02-20", 100, DaysCondition(column="made", comparison="above", days=9), True),
        ("2026-02-20", 100, DaysCondition(column="made", comparison="above", days=10), False),
        ("2026-02-20", 100, DaysCondition(column="made", comparison="below", days=11), True),
        ("2026-02-20", 100, DaysCondition(column="made", comparison="below", days=10), False),
        (None, 100, DaysCondition(column="made", comparison="below", days=10), False),
        ("2026-02-20", 100, AmountCondition(column="sum", comparison="above", amount=99), True),
        ("2026-02-20", 100, AmountCondition(column="sum", comparison="above", amount=100), False),
        ("2026-02-20", 100, AmountCondition(column="sum", comparison="below", amount=101), True),
        ("2026-02-20", None, AmountCondition(column="sum", comparison="below", amount=9), False),
    ],
)
def test_dates_and_numbers(
    date: str | None, total: int | None, condition: Condition, holds: bool
) -> None:
    columns = (
        DatabaseColumn(name="id", type="integer"),
        DatabaseColumn(name="made", type="date"),
        DatabaseColumn(name="sum", type="decimal", scale=2),
    )
    table = DatabaseTable(name="bills", key="id", columns=columns, rows=((1, date, total),))
    database = Database(tables=(table,))
    operation = ServiceOperation(kind="set", table="bills", column="note")
    policy = policy_of(forbid(condition, operation=operation))
    requests = requests_of(database, operation)
    expected = [ServiceVerdict((1,) if holds else (), ())]
    assert PythonVerdicts(database).of(policy, requests, CLERK, NOW) == expected
    connection = ExpectedChanges(database).connection
    assert SqlVerdicts(database, connection).of(policy, requests, CLERK, NOW) == expected


def test_what_says_nothing_is_named() -> None:
    probes = PolicyProbes(DESK, NOW)

    def idle(*rules: ServiceRule) -> list[tuple[int, str]]:
        return list(probes.idle_parts(policy_of(*rules)))

    shipped = ChoiceCondition(column="status", values=("shipped",))
    pending = ChoiceCondition(column="status", values=("pending",))
    lost = ChoiceCondition(column="status", values=("lost",))
    clerk = RoleCondition(roles=("clerk",))
    assert idle(forbid(shipped)) == []
    assert idle(forbid(clerk, shipped), forbid(pending)) == []
    assert idle(forbid(lost)) == [(1, "itself")]
    assert (2, "itself, for rule 1 says the same") in idle(forbid(shipped), forbid(shipped))
    # Only Lin Marsh's order is cancelled.
    name = ChoiceCondition(path=("customer_id",), column="name", values=("Lin Marsh",))
    cancelled = ChoiceCondition(column="status", values=("cancelled",))
    assert (1, "the condition 'choice'") in idle(forbid(cancelled, name))
    two = ChoiceCondition(column="status", values=("lost", "shipped"))
    assert idle(forbid(two)) == [(1, "the value 'lost'")]
    assert (2, "itself") in idle(forbid(shipped), forbid(clerk, shipped))
    confirm = ServiceRule(effect="confirm", operation=ADDRESS, when=(clerk, shipped))
    assert (2, "itself") in idle(forbid(shipped), confirm)
    assert idle(forbid(shipped), confirm.model_copy(update={"when": ()})) == []


# --- over the shop -------------------------------------------------------------------------------


class Drawn:
    """Requests with policies over one database."""

    def __init__(self, parts: TaskParts) -> None:
        self.parts = parts
        self.mentions: Mentions = parts.mentions
        self.drawer = PolicyDrawer(parts.mentions)
        self.conditions = ConditionDrawer(parts.mentions)
        self.verdicts = PythonVerdicts(parts.cut.database)

    def request(self, rng: random.Random) -> Task:
        while True:
            task = TASK_KINDS[rng.choice(("update", "create", "transfer"))](self.parts, rng)
            if task is not None:
                return task

    def policy(
        self, task: Task, rng: random.Random, forbidden: bool
    ) -> tuple[ServiceRequest, DrawnPolicy] | None:
        request = request_of(self.mentions, task.calls[-1])
        drawn = self.drawer.draw([request], task.relies_on, rng, forbid=forbidden)
        return None if drawn is None else (request, drawn)


def over(shop: tuple[Tables, Schema], language: Language, numbers: range) -> Iterator[Drawn]:
    tables, schema = shop
    writable = writable_tables(tables.connection, schema, language)
    rows = TableRows.read(tables.connection, writable, language)
    writer = DatabaseToolWriter(schema, writable, language)
    for number in numbers:
        cut = rows.cut(random.Random(number), "train", 0, 0.2)
        yield Drawn(TaskParts(Mentions(cut, writer, writer.all())))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_drawn_policies(shop: tuple[Tables, Schema], language: Language) -> None:
    rng = random.Random(4)
    kinds: Counter[str] = Counter()
    for drawn in over(shop, language, range(2)):
        database, now = drawn.parts.cut.database, drawn.parts.cut.now
        sql = SqlVerdicts(database, ExpectedChanges(database).connection)
        for _ in range(10):
            task, forbidden = drawn.request(rng), rng.random() < 0.5
            found = drawn.policy(task, rng, forbidden)
            if found is None:
                continue
            request, (policy, deciding) = found
            kinds["forbidden" if forbidden else "allowed"] += 1
            kinds.update(c.kind for rule in policy.rules for c in rule.when)
            assert RULES[0] <= len(policy.rules) <= RULES[1]
            assert not list(PolicyProbes(database, now).idle_parts(policy))
            (verdict,) = drawn.verdicts.of(policy, [request], policy.user, now)
            assert verdict.forbidden_by == ((deciding,) if forbidden else ())
            assert all(rule_is_sure(drawn.conditions, rule, request) for rule in policy.rules)
            twins = requests_of(database, request.operation)
            others = drawn.verdicts.of(policy, twins, policy.user, now)
            assert any((deciding in other.forbidden_by) != forbidden for other in others)
            # Both evaluators, over all that the policy tells apart.
            probes = PolicyProbes(database, now).all_of(policy)
            for probe in rng.sample(probes, min(15, len(probes))):
                one = [probe.request], probe.user, probe.now
                assert sql.of(policy, *one) == drawn.verdicts.of(policy, *one)
            about = drawn.conditions
            reads = [
                fact
                for condition in policy.rules[deciding - 1].when
                if about.about(request.operation, condition)
                if (fact := fact_of(drawn.mentions, request, condition, task.calls[:-1]))
            ]
            assert reads
            assert all(not read.call.tool.writes for read in reads)
    assert min(kinds["forbidden"], kinds["allowed"]) >= 5
    expected = {"role", "choice", "days", "amount", "count", "weekday", "hour", "not_owner"}
    assert len(expected & kinds.keys()) >= 7


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_two_rules_share_a_text(shop: tuple[Tables, Schema], language: Language) -> None:
    rng = random.Random(7)
    meaning: dict[str, ServiceRule] = {}
    (drawn,) = over(shop, language, range(1))
    words = RuleWords(drawn.mentions.writer)
    for _ in range(80):
        found = drawn.policy(drawn.request(rng), rng, forbidden=True)
        for rule in () if found is None else found[1].policy.rules:
            texts = {words.rule(rule, wording) for wording in range(WORDINGS)}
            assert len(texts) == WORDINGS and rule.text in texts
            for text in texts:
                bare = rule.model_copy(update={"text": ""})
                assert meaning.setdefault(text, bare) == bare, text
    assert len(meaning) > 250


# --- whether requests tell their verdict ---------------------------------------------------------


def area_under_curve(scores: Sequence[float], labels: Sequence[bool]) -> float:
    positive = [s for s, label in zip(scores, labels, strict=True) if label]
    negative = [s for s, label in zip(scores, labels, strict=True) if not label]
    wins = sum((p > n) + (p == n) / 2 for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def bag_of_words_scores(texts: Sequence[str], labels: Sequence[bool], folds: int) -> list[float]:
    """Log-odds by naive Bayes, each text by a model that has not seen its fold."""
    bags = [set(re.findall(r"[a-z]+|[0-9]+|[\u4e00-\u9fff]", text.lower())) for text in texts]
    scores = [0.0] * len(texts)
    for fold in range(folds):
        counts = {True: Counter[str](), False: Counter[str]()}
        totals = Counter[bool]()
        for n, bag in enumerate(bags):
            if n % folds != fold:
                counts[labels[n]].update(bag)
                totals[labels[n]] += 1
        for n in range(fold, len(bags), folds):
            scores[n] = sum(
                math.log((counts[True][word] + 1) / (totals[True] + 2))
                - math.log((counts[False][word] + 1) / (totals[False] + 2))
                for word in bags[n]
            )
    return scores


def test_the_model_of_words_finds_a_word_that_tells() -> None:
    texts = [f"cancel order {n}" + (" please" if n % 2 else "") for n in range(60)]
    labels = [n % 2 == 1 for n in range(60)]
    assert area_under_curve(bag_of_words_scores(texts, labels, 5), labels) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_of_requests_do_not_tell_refusals(
    shop: tuple[Tables, Schema], language: Language
) -> None:
    rng = random.Random(1)
    texts: list[str] = []
    labels: list[bool] = []
    for drawn in over(shop, language, range(60)):
        for _ in range(10):
            task, forbidden = drawn.request(rng), rng.random() < 0.5
            if drawn.policy(task, rng, forbidden) is not None:
                texts.append(task.text)
                labels.append(forbidden)
    assert len(texts) >= 400
    assert 0.4 < sum(labels) / len(labels) < 0.6
    area = area_under_curve(bag_of_words_scores(texts, labels, 10), labels)
    assert 0.4 < area <= 0.6
