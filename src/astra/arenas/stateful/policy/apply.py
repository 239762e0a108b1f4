"""Puts turns that were planned under a policy: what it forbids is refused, what it wants confirmed
is asked for first, and what its rules depend on is looked up.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

from astra.arenas.stateful.conversations import PlannedTurn
from astra.arenas.stateful.mentions import Mentions, TaskCall
from astra.arenas.stateful.operations.base import PlannedRefusal, Task
from astra.arenas.stateful.policy.conditions import ConditionDrawer
from astra.arenas.stateful.policy.draw import DrawnPolicy, PolicyDrawer
from astra.arenas.stateful.policy.facts import RuleFact, fact_of, request_of
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest
from astra.databases import Cell
from astra.service_policies import (
    AmountCondition,
    ChoiceCondition,
    CountCondition,
    DaysCondition,
    NotOwnerCondition,
    ServicePolicy,
    ServiceRule,
)
from astra.states import Refusal
from astra.types import Scalar, Target

FEWEST_GOALS = 3
"""Of an arena with a policy, so that at most a third of them is refused."""
_FOCAL_KINDS = ("update", "create", "transfer")
"""Kinds of tasks with one write, which can be refused."""


class RuledTurns(NamedTuple):
    """Turns under a policy."""

    turns: list[PlannedTurn]
    policy: ServicePolicy


class _Place(NamedTuple):
    turn: int
    task: int


class PoliciesOfDatabase:
    """Puts planned turns over one database under policies."""

    def __init__(self, mentions: Mentions) -> None:
        self._mentions = mentions
        self._drawer = PolicyDrawer(mentions)
        self._conditions = ConditionDrawer(mentions)
        self._verdicts = PythonVerdicts(mentions.cut.database)

    def draw(
        self, turns: Sequence[PlannedTurn], rng: random.Random, *, forbid: bool
    ) -> RuledTurns | None:
        """The turns under a policy that forbids one part of them, or just allows it. None if this
        draw led to none."""
        tasks = {
            _Place(number, index): task
            for number, turn in enumerate(turns)
            for index, task in enumerate(turn.tasks)
        }
        goals = sum(len(task.goals) + (task.says is not None) for task in tasks.values())
        focal = [place for place, task in tasks.items() if self._is_focal(turns, place, task)]
        changing = sum(bool(task.goals) for task in tasks.values())
        if not focal or goals < FEWEST_GOALS or changing < 2:
            return None
        chosen = rng.choice(focal)
        writes = [
            (place, call) for place, t in tasks.items() for call in t.calls if call.tool.writes
        ]
        writes.sort(key=lambda write: write[0] != chosen)
        requests = [request_of(self._mentions, call) for _, call in writes]
        drawn = self._drawer.draw(requests, tasks[chosen].relies_on, rng, forbid=forbid)
        if drawn is None:
            return None
        policy = drawn.policy
        for place, task in tasks.items():
            made = self._under(policy, task)
            if made is None:
                return None
            tasks[place] = made
        if forbid:
            tasks[chosen] = self._refused(drawn, tasks[chosen])
        for (a, one), (b, other) in combinations(tasks.items(), 2):
            again = b.turn == a.turn + 1 and turns[b.turn].overrides
            if not again and not one.apart_from(other):
                return None
        ruled = [
            replace(turn, tasks=tuple(tasks[_Place(n, i)] for i in range(len(turn.tasks))))
            for n, turn in enumerate(turns)
        ]
        return RuledTurns(ruled, policy)

    def _is_focal(self, turns: Sequence[PlannedTurn], place: _Place, task: Task) -> bool:
        turn = turns[place.turn]
        special = turn.held is not None or turn.brings or turn.cannot or turn.overrides
        following = place.turn + 1 < len(turns) and turns[place.turn + 1].overrides
        return task.kind in _FOCAL_KINDS and not special and not following

    def _under(self, policy: ServicePolicy, task: Task) -> Task | None:
        """The task with the reads that show which rules hold, and whether it needs a yes."""
        calls: list[TaskCall] = []
        relies_on = set(task.relies_on)
        confirm = False
        for call in task.calls:
            if call.tool.writes:
                request = request_of(self._mentions, call)
                confirm |= any(
                    rule.effect == "confirm" and self._holds(policy, rule, request)
                    for rule in policy.rules
                )
                for fact in self._facts(policy, request, [*task.calls, *calls]):
                    relies_on |= fact.relies_on
                    if fact.call not in (*task.calls, *calls):
                        calls.append(fact.call)
            calls.append(call)
        if confirm and task.kind not in _FOCAL_KINDS:
            return None
        return replace(
            task, calls=tuple(calls), relies_on=frozenset(relies_on), named_by=self._names(task),
            confirm=confirm,
        )  # fmt: skip

    def _holds(self, policy: ServicePolicy, rule: ServiceRule, request: ServiceRequest) -> bool:
        return self._verdicts.holds(rule, request, policy.user, self._mentions.cut.now)

    def _facts(
        self, policy: ServicePolicy, request: ServiceRequest, known: Sequence[TaskCall]
    ) -> Iterator[RuleFact]:
        """Facts of the rules that may hold for a request, given the user and the time."""
        now = self._mentions.cut.now
        for rule in policy.rules:
            if rule.operation != request.operation:
                continue
            standing = [c for c in rule.when if c.kind in ("role", "weekday", "hour")]
            if not all(
                self._verdicts.condition_holds(c, request, policy.user, now) for c in standing
            ):
                continue
            for condition in rule.when:
                fact = fact_of(self._mentions, request, condition, known)
                if fact is not None:
                    known = [*known, fact.call]
                    yield fact

    def _refused(self, drawn: DrawnPolicy, task: Task) -> Task:
        """The task as one that is refused: without its write."""
        (write,) = (call for call in task.calls if call.tool.writes)
        reads = tuple(call for call in task.calls if not call.tool.writes)
        request = request_of(self._mentions, write)
        rule = drawn.policy.rules[drawn.deciding - 1]
        facts = [f for c in rule.when if (f := fact_of(self._mentions, request, c, reads))]
        # The last condition of a rule is one on rows.
        fact = facts[-1].shown
        refusal = Refusal(
            rule=drawn.deciding,
            reasons=tuple(dict.fromkeys(self._reasons(rule, request))),
            fact=fact,
            tool=write.tool.tool.name,
            arguments=write.arguments,
        )
        return replace(
            task, kind="refused", calls=reads, goals=(), also=(write.tool,), rows=frozenset(),
            refusal=PlannedRefusal(refusal, self._fact(rule, request, fact)), confirm=False,
        )  # fmt: skip

    def _reasons(self, rule: ServiceRule, request: ServiceRequest) -> Iterator[str]:
        """Words for what decides: the column, and its value where that is a text."""
        for condition in rule.when:
            if isinstance(condition, ChoiceCondition | DaysCondition | AmountCondition):
                table = self._conditions.table(request.operation, condition.path)
                column = table.column(condition.column)
                if condition.kind == "choice":
                    row = self._verdicts.row_at(request, condition.path)
                    if row is not None:
                        yield str(row[column.name])
                yield self._mentions.writer.label(column)

    def _fact(self, rule: ServiceRule, request: ServiceRequest, fact: Target) -> str:
        """What a rule holds by, as the agent says it."""
        *_, condition = rule.when
        if isinstance(condition, CountCondition):
            plural = self._mentions.writer.plural(self._mentions.tables[condition.table])
            row = self._verdicts.row_at(request, condition.path) or {}
            key = self._conditions.table(rule.operation, condition.path).key
            return f"{plural}: {self._verdicts.count(condition, row[key])}"
        path: tuple[str, ...] = ()
        if isinstance(condition, NotOwnerCondition):
            path = condition.path[:-1]
        elif isinstance(condition, ChoiceCondition | DaysCondition | AmountCondition):
            path = condition.path
        column = self._conditions.table(rule.operation, path).column(fact.field or "")
        return f"{self._mentions.writer.label(column)}: {fact.value}"

    def _names(self, task: Task) -> tuple[tuple[tuple[Scalar, ...], ...], ...]:
        """Of each write of a task: groups of texts, one of each of which says what is done."""
        return tuple(tuple(self._groups(call, task)) for call in task.calls if call.tool.writes)

    def _groups(self, call: TaskCall, task: Task) -> Iterator[tuple[Scalar, ...]]:
        mentions = self._mentions
        table = mentions.tables[call.tool.table]
        for name, value in call.arguments.items():
            plain = name.removeprefix("from_").removeprefix("to_")
            target = table.name if plain == table.key else table.references.get(plain)
            if target is not None:
                names = [str(value), *self._names_of_row(target, value)]
                mention = task.update.mention.text if task.update is not None else ""
                yield tuple(dict.fromkeys([*names, mention] if mention else names))
            elif isinstance(value, bool):
                column = table.column(name)
                yield (mentions.writer.label(column), name.replace("_", " "))
            elif isinstance(value, str | int | float):
                yield (value,)

    def _names_of_row(self, table: str, key: Cell) -> list[str]:
        """What a row is called, or else what it belongs to."""
        found = self._mentions.tables[table]
        row = self._mentions.row(table, key)
        if found.naming is not None:
            return [str(row[found.naming])]
        parents = [(self._mentions.tables[of], row[name]) for name, of in found.references.items()]
        return [
            str(self._mentions.row(parent.name, parent_key)[parent.naming])
            for parent, parent_key in parents
            if parent.naming is not None and parent_key is not None
        ]
