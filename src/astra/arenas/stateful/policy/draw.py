"""Draws the rules for a request that was drawn already, so that they allow or forbid it.

The request comes first and the verdict is drawn apart from it, so that its words do not tell
whether it is refused. A rule that decides holds for other rows of the same operation and not for
this one, or the other way round, well off every threshold. The other rules each matter for some
row, and forbid none of the arena's requests.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from astra.arenas.stateful.mentions import Mentions
from astra.arenas.stateful.policy.conditions import ConditionDrawer, rule_is_sure
from astra.arenas.stateful.policy.probes import PolicyProbes
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest
from astra.arenas.stateful.policy.words import ROLES, WORDINGS, RuleWords
from astra.arenas.stateful.roles import is_final
from astra.service_policies import (
    Condition,
    RuleEffect,
    ServiceOperation,
    ServicePolicy,
    ServiceRule,
    ServiceUser,
)

RULES = (3, 5)
"""Fewest and most rules of a policy."""
DECIDERS: Mapping[RuleEffect, int] = {"forbid": 3, "ask": 1, "limit": 1}
"""What the rule that decides about a request may be, and how often it is."""
_LIMITS = (1, 2, 3)
_OTHER_LIMITS, _OTHER_QUESTIONS = 0.1, 0.1
"""Shares of the other rules."""
_TRIES = 40


class DrawnPolicy(NamedTuple):
    """A policy, and the rule that decides about the first of its requests."""

    policy: ServicePolicy
    deciding: int
    """Its number."""


class PolicyDrawer:
    """Draws policies over one database."""

    def __init__(self, mentions: Mentions) -> None:
        self._mentions = mentions
        self._database = mentions.cut.database
        self._now = mentions.cut.now
        self._verdicts = PythonVerdicts(self._database)
        self._probes = PolicyProbes(self._database, self._now)
        self._conditions = ConditionDrawer(mentions)
        self.words = RuleWords(mentions.writer)
        self._operations = [
            ServiceOperation.model_validate(
                {"kind": tool.operation, "table": tool.table, "column": tool.column}
            )
            for tool in mentions.tools.values()
            if tool.writes
        ]

    def draw(
        self,
        requests: Sequence[ServiceRequest],
        told: frozenset[tuple[str, str]],
        rng: random.Random,
        *,
        forbid: bool,
        decider: RuleEffect = "forbid",
    ) -> DrawnPolicy | None:
        """Rules under which the first request is forbidden, or just allowed, and all others are
        allowed. None if this draw led to none.

        `told`: table and column of what the words of the first request tell; the rule that decides
        is about none of it. `decider`: what that rule is. Of a limit the first request is the last
        one of its operation; a question is answered wrongly where it is to `forbid`.
        """
        user = self._user(requests, rng, forbid=forbid)
        deciding = self._decider(decider, requests, user, told, rng, forbid=forbid)
        others = requests[1:]
        if deciding is None or any(self._holds_back(deciding, user, each) for each in others):
            return None
        if not all(rule_is_sure(self._conditions, deciding, each) for each in others):
            return None
        rules, size = [deciding], rng.randint(*RULES)
        asked = [request.operation for request in requests]
        for _ in range(_TRIES):
            if len(rules) == size:
                break
            # Half of the other rules are about what is asked for too: all have to be read.
            operations = self._operations if rng.random() < 0.5 else asked
            rule = self._other(rng.choice(operations), user, rng)
            if rule is None or any(self._forbids(rule, user, request) for request in requests):
                continue
            if not self._beside(rule, rules, requests):
                continue
            if not all(rule_is_sure(self._conditions, rule, request) for request in requests):
                continue
            if self._matters(user, [*rules, rule]):
                rules.append(rule)
        if len(rules) < RULES[0]:
            return None
        rng.shuffle(rules)
        written = [
            rule.model_copy(update={"text": self.words.rule(rule, rng.randrange(WORDINGS))})
            for rule in rules
        ]
        row = self._mentions.row(user.table, user.key) if user.table else None
        user = user.model_copy(update={"text": self.words.user(user, row)})
        policy = ServicePolicy(user=user, rules=tuple(written), presses=rng.random() < 0.5)
        return DrawnPolicy(policy, rules.index(deciding) + 1)

    def _holds_back(self, rule: ServiceRule, user: ServiceUser, request: ServiceRequest) -> bool:
        """Whether a rule that decides about another request is about this one, too."""
        held = self._verdicts.holds(rule, request, user, self._now)
        return rule.effect in ("forbid", "ask") and held

    def _beside(
        self, rule: ServiceRule, rules: Sequence[ServiceRule], requests: Sequence[ServiceRequest]
    ) -> bool:
        """Whether a rule may stand beside others: of questions and limits there is one each, and a
        limit is met by what is asked for."""
        if rule.effect in ("ask", "limit") and any(rule.effect == r.effect for r in rules):
            return False
        asked = sum(request.operation == rule.operation for request in requests)
        return rule.most is None or asked <= rule.most

    def _forbids(self, rule: ServiceRule, user: ServiceUser, request: ServiceRequest) -> bool:
        held = self._verdicts.holds(rule, request, user, self._now)
        return rule.effect == "forbid" and held

    def _matters(self, user: ServiceUser, rules: Sequence[ServiceRule]) -> bool:
        """Whether no part of the rules could be left out, and no two read alike."""
        texts = {self.words.rule(rule, 0) for rule in rules}
        policy = ServicePolicy(user=user, rules=tuple(rules))
        return len(texts) == len(rules) and not any(self._probes.idle_parts(policy))

    def _user(
        self, requests: Sequence[ServiceRequest], rng: random.Random, *, forbid: bool
    ) -> ServiceUser:
        """Somebody with a role, or a person that what is asked for belongs to, or seems to."""
        focal = requests[0]
        people = [
            path
            for path in self._conditions.paths(focal.operation)
            if self._conditions.may_own(focal.operation, path)
            and all(self._concerns(request, focal, path) for request in requests)
        ]
        if people:
            path = rng.choice(people)
            table = self._conditions.table(focal.operation, path)
            row = self._verdicts.row_at(focal, path)
            keys = list(self._database.table(table.name).rows_by_key)
            own = None if row is None else row[table.key]
            # Mostly so that a rule on the owner can decide, which takes a look at the row.
            others = forbid == (rng.random() < 0.8)
            key = rng.choice(keys) if own is None or others else own
            return ServiceUser(table=table.name, key=key)
        return ServiceUser(role=rng.choice(ROLES[self._mentions.writer.language]))

    def _concerns(
        self, request: ServiceRequest, focal: ServiceRequest, path: Sequence[str]
    ) -> bool:
        """Whether a request is about what people of a kind have: no customer changes a price."""
        people = self._conditions.table(focal.operation, path).name
        return request.operation.table == people or any(
            self._conditions.table(request.operation, other).name == people
            for other in self._conditions.paths(request.operation)
        )

    def _decider(
        self,
        effect: RuleEffect,
        requests: Sequence[ServiceRequest],
        user: ServiceUser,
        told: frozenset[tuple[str, str]],
        rng: random.Random,
        *,
        forbid: bool,
    ) -> ServiceRule | None:
        focal = requests[0]
        if effect == "limit":
            asked = sum(request.operation == focal.operation for request in requests)
            most = asked - forbid
            rule = ServiceRule(effect="limit", operation=focal.operation, most=max(1, most))
            return rule if most >= 1 and self._matters(user, [rule]) else None
        if effect == "ask":
            return self._asking(focal, user, told, rng)
        return self._deciding(focal, user, told, rng, forbid=forbid)

    def _asking(
        self,
        focal: ServiceRequest,
        user: ServiceUser,
        told: frozenset[tuple[str, str]],
        rng: random.Random,
    ) -> ServiceRule | None:
        """A rule that asks the user for a value before a request, which does not tell it."""
        asks = self._conditions.asked(focal, rng)
        if asks is None:
            return None
        if (self._conditions.table(focal.operation, asks.path).name, asks.column) in told:
            return None
        when: tuple[Condition, ...] = ()
        if rng.random() < 0.5:
            # Where it depends on the row, too, whether there is anything to ask.
            condition = self._deciding(focal, user, told, rng, forbid=True)
            when = () if condition is None else condition.when
        rule = ServiceRule(effect="ask", operation=focal.operation, when=when, asks=asks)
        return rule if self._matters(user, [rule]) else None

    def _deciding(
        self,
        focal: ServiceRequest,
        user: ServiceUser,
        told: frozenset[tuple[str, str]],
        rng: random.Random,
        *,
        forbid: bool,
    ) -> ServiceRule | None:
        operation = focal.operation
        requests = self._possible(operation)
        rows = [request.row for request in requests]
        if focal.row not in rows:
            requests, rows = [*requests, focal], [*rows, focal.row]
        position = rows.index(focal.row)
        for _ in range(_TRIES):
            drawn = [
                self._conditions.row(requests, user, rng) for _ in range(rng.choice((1, 1, 2)))
            ]
            conditions = [condition for condition in drawn if condition is not None]
            kinds = {each.condition.kind for each in conditions}
            if not conditions or len(kinds) < len(conditions):
                continue
            if any(self._conditions.about(operation, c.condition) & told for c in conditions):
                continue
            holds = frozenset[int].intersection(*(each.holds for each in conditions))
            sure = frozenset[int].intersection(*(each.sure for each in conditions))
            # The twin: another row for which the verdict is the opposite.
            twins = sure - holds if forbid else sure & holds
            if position not in sure or (position in holds) != forbid or not twins:
                continue
            when = [each.condition for each in conditions]
            if rng.random() < 0.35:
                when.insert(0, self._conditions.standing(user, rng, holds=True))
            rule = ServiceRule(effect="forbid", operation=operation, when=tuple(when))
            if self._matters(user, [rule]):
                return rule
        return None

    def _other(
        self, operation: ServiceOperation, user: ServiceUser, rng: random.Random
    ) -> ServiceRule | None:
        """A rule about an operation, whatever it holds for."""
        requests = self._possible(operation)
        if not requests:
            return None
        condition = self._conditions.row(requests, user, rng)
        when = [] if condition is None else [condition.condition]
        kind = rng.random()
        if kind < _OTHER_LIMITS:
            return ServiceRule(effect="limit", operation=operation, most=rng.choice(_LIMITS))
        asks = None
        if kind < _OTHER_LIMITS + _OTHER_QUESTIONS:
            asks = self._conditions.asked(rng.choice(requests), rng)
        confirm = asks is None and rng.random() < 0.25
        if (confirm or asks is not None) and rng.random() < 0.6:
            when = []
        elif rng.random() < 0.4:
            when.insert(0, self._conditions.standing(user, rng, holds=rng.random() < 0.3))
        if asks is not None:
            return ServiceRule(effect="ask", operation=operation, when=tuple(when), asks=asks)
        if not confirm and not when:
            return None
        effect = "confirm" if confirm else "forbid"
        return ServiceRule(effect=effect, operation=operation, when=tuple(when))

    def _possible(self, operation: ServiceOperation) -> list[ServiceRequest]:
        """Requests of an operation that its tool would carry out."""
        requests = self._probes.requests(operation)
        status = self._mentions.tables[operation.table].status
        if operation.kind == "create" or status is None:
            return requests
        return [each for each in requests if not is_final(str(each.row[status.name]))]
