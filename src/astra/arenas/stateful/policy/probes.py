"""Whether each part of a policy matters: the requests that it is tried on, and their verdicts.

A rule, a condition or a value of one that could be left out without any verdict changing says
nothing, and an agent that overlooks it is no worse. Not covered: whether a rule matters for rows
that the database does not hold.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, islice, product
from typing import NamedTuple

from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest
from astra.databases import Cell, Database
from astra.service_policies import (
    ChoiceCondition,
    Condition,
    HourCondition,
    NotOwnerCondition,
    RoleCondition,
    ServiceOperation,
    ServicePolicy,
    ServiceRule,
    ServiceUser,
    WeekdayCondition,
)

_OTHER_USERS = 3


class PolicyProbe(NamedTuple):
    """A request by a user at a time."""

    request: ServiceRequest
    user: ServiceUser
    now: str


def requests_of(database: Database, operation: ServiceOperation) -> list[ServiceRequest]:
    """Requests of an operation for each row of the database that it can be about."""
    table = database.table(operation.table)
    rows = list(table.rows_by_key.values())
    if operation.kind != "create":
        return [ServiceRequest(operation, row) for row in rows]
    found: dict[tuple[Cell, ...], dict[str, Cell]] = {}
    parents = {name: list(database.table(of).rows_by_key) for name, of in table.references.items()}
    if not all(parents.values()):
        return []
    first = {name: keys[0] for name, keys in parents.items()}
    for name, keys in parents.items():
        for key in keys:
            row = {**first, name: key}
            found[tuple(row.values())] = row
    return [ServiceRequest(operation, row) for row in found.values()]


def users_of(policy: ServicePolicy, database: Database) -> list[ServiceUser]:
    """The user of a policy, and others that its rules tell apart."""
    user = policy.user
    conditions = [condition for rule in policy.rules for condition in rule.when]
    roles = {r for c in conditions if isinstance(c, RoleCondition) for r in c.roles}
    others = sorted({*roles, ""} - {user.role}) if roles else []
    users = [user, *(user.model_copy(update={"role": role}) for role in others)]
    if user.table and any(isinstance(c, NotOwnerCondition) for c in conditions):
        keys = (key for key in database.table(user.table).rows_by_key if key != user.key)
        people = islice(keys, _OTHER_USERS)
        users += [user.model_copy(update={"key": key}) for key in people]
    return users


def times_of(policy: ServicePolicy, now: str) -> list[str]:
    """The time of an arena, and others that rules tell apart."""
    time = datetime.datetime.fromisoformat(now)
    conditions = [condition for rule in policy.rules for condition in rule.when]
    times = [time]
    if any(isinstance(condition, WeekdayCondition) for condition in conditions):
        times += [time + datetime.timedelta(days=days) for days in range(1, 7)]
    for condition in conditions:
        if isinstance(condition, HourCondition):
            hour = condition.hour if time.hour < condition.hour else condition.hour - 1
            times.append(time.replace(hour=hour))
    return [each.isoformat(" ", "minutes") for each in dict.fromkeys(times)]


class PolicyProbes:
    """What policies over one database are tried on: every row, by users and at times of all kinds.

    Whether a condition holds for a row is computed once.
    """

    def __init__(self, database: Database, now: str) -> None:
        self._database = database
        self._now = now
        self._verdicts = PythonVerdicts(database)
        self._requests: dict[ServiceOperation, list[ServiceRequest]] = {}
        self._held: dict[tuple[object, ...], frozenset[int]] = {}

    def requests(self, operation: ServiceOperation) -> list[ServiceRequest]:
        """Requests of an operation for every row."""
        if operation not in self._requests:
            self._requests[operation] = requests_of(self._database, operation)
        return self._requests[operation]

    def all_of(self, policy: ServicePolicy) -> list[PolicyProbe]:
        """Everything that a policy is tried on."""
        return [
            PolicyProbe(request, user, time)
            for user, time in self._settings(policy)
            for operation in dict.fromkeys(rule.operation for rule in policy.rules)
            for request in self.requests(operation)
        ]

    def _settings(self, policy: ServicePolicy) -> list[tuple[ServiceUser, str]]:
        return list(product(users_of(policy, self._database), times_of(policy, self._now)))

    def holding(
        self, operation: ServiceOperation, condition: Condition, user: ServiceUser, now: str
    ) -> frozenset[int]:
        """Positions of the requests for which a condition holds."""
        # The day of a date's age is that of the arena in all probes but those on other weekdays.
        key = (operation, condition, user.role, user.key, now)
        if key not in self._held:
            requests = self.requests(operation)
            standing = isinstance(condition, RoleCondition | WeekdayCondition | HourCondition)
            if standing:
                tried = requests[:1]
                holds = [self._verdicts.condition_holds(condition, r, user, now) for r in tried]
                positions = range(len(requests)) if any(holds) else ()
            else:
                positions = (
                    n
                    for n, request in enumerate(requests)
                    if self._verdicts.condition_holds(condition, request, user, now)
                )
            self._held[key] = frozenset(positions)
        return self._held[key]

    def _rule(self, rule: ServiceRule, settings: Sequence[tuple[ServiceUser, str]]) -> _Held:
        found: set[tuple[int, int]] = set()
        for number, (user, now) in enumerate(settings):
            positions = frozenset(range(len(self.requests(rule.operation))))
            for condition in rule.when:
                positions &= self.holding(rule.operation, condition, user, now)
            found |= {(number, position) for position in positions}
        return found

    def _most_at_once(self, held: _Held) -> int:
        """For how many requests something holds, in the setting where it holds for most."""
        return max(Counter(setting for setting, _ in held).values(), default=0)

    def idle_parts(self, policy: ServicePolicy) -> Iterator[tuple[int, str]]:
        """Number of a rule, and what of it could be left out without any verdict changing."""
        settings = self._settings(policy)
        held = [self._rule(rule, settings) for rule in policy.rules]
        rules = list(enumerate(policy.rules))
        for (first, one), (second, other) in combinations(rules, 2):
            same = one.operation == other.operation and one.effect == other.effect
            if same and one.asks == other.asks and held[first] == held[second]:
                yield second + 1, f"itself, for rule {first + 1} says the same"
        for index, rule in rules:
            covered: _Held = set()
            for number, other in enumerate(policy.rules):
                if number == index or other.operation != rule.operation:
                    continue
                # What is forbidden anyway needs no question.
                same = other.effect == rule.effect and other.asks == rule.asks
                if same or other.effect == "forbid":
                    covered |= held[number]
            if rule.most is not None:
                # So many can be asked for that the limit is met, and none is stricter.
                if self._most_at_once(held[index] - covered) <= rule.most:
                    yield index + 1, "itself"
                continue
            if not held[index] - covered:
                yield index + 1, "itself"
                continue
            for at, condition in enumerate(rule.when):
                for name, other in _without(rule, at, condition):
                    if not (self._rule(other, settings) ^ held[index]) - covered:
                        yield index + 1, name


_Held = set[tuple[int, int]]
"""Numbers of a setting and a request."""


def _without(rule: ServiceRule, at: int, condition: Condition) -> Iterator[tuple[str, ServiceRule]]:
    """The rule without one condition, and without one value of it."""

    def put(*conditions: Condition) -> ServiceRule:
        when: Sequence[Condition] = (*rule.when[:at], *conditions, *rule.when[at + 1 :])
        return rule.model_copy(update={"when": tuple(when)})

    yield f"the condition {condition.kind!r}", put()
    if isinstance(condition, ChoiceCondition) and len(condition.values) > 1:
        for value in condition.values:
            left = tuple(other for other in condition.values if other != value)
            yield f"the value {value!r}", put(condition.model_copy(update={"values": left}))
