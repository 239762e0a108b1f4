"""Puts turns that were planned under a policy: what it forbids is refused, what it wants confirmed
is asked for first, and what its rules depend on is looked up.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import NamedTuple

from astra.arenas.stateful.conversations import PlannedTurn
from astra.arenas.stateful.mentions import Mentions, TaskCall
from astra.arenas.stateful.operations.base import PlannedQuestion, PlannedRefusal, Task
from astra.arenas.stateful.policy.conditions import ConditionDrawer
from astra.arenas.stateful.policy.draw import DrawnPolicy, PolicyDrawer
from astra.arenas.stateful.policy.facts import (
    RuleFact,
    asked_fact,
    fact_of,
    operation_of,
    operation_of_tool,
    request_of,
)
from astra.arenas.stateful.policy.questions import RuleQuestion
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest
from astra.arenas.stateful.roles import WritableTable
from astra.databases import Cell
from astra.service_policies import (
    AmountCondition,
    ChoiceCondition,
    CountCondition,
    DaysCondition,
    NotOwnerCondition,
    RuleEffect,
    ServiceOperation,
    ServicePolicy,
    ServiceRule,
)
from astra.states import Refusal
from astra.types import Json, Scalar, Target

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
        self,
        turns: Sequence[PlannedTurn],
        rng: random.Random,
        *,
        forbid: bool,
        decider: RuleEffect = "forbid",
    ) -> RuledTurns | None:
        """The turns under a policy that forbids one part of them, or just allows it, by a rule of
        the effect `decider`. None if this draw led to none."""
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
        if decider == "limit":
            focal = self._last_of_several(tasks, focal)
            if not focal:
                return None
        chosen = rng.choice(focal)
        writes = [
            (place, call) for place, t in tasks.items() for call in t.calls if call.tool.writes
        ]
        writes.sort(key=lambda write: write[0] != chosen)
        requests = [request_of(self._mentions, call) for _, call in writes]
        relies_on = tasks[chosen].relies_on
        drawn = self._drawer.draw(requests, relies_on, rng, forbid=forbid, decider=decider)
        if drawn is None or not self._counts_plainly(drawn.policy, turns):
            return None
        policy = drawn.policy
        question = RuleQuestion(self._mentions, self._drawer.words, turns, rng)
        for place, task in tasks.items():
            wrong = forbid and place == chosen
            made = self._under(policy, task, partial(question.ask, place.turn, wrong=wrong))
            if made is None:
                return None
            tasks[place] = made
        if forbid:
            if tasks[chosen].asks and decider != "ask":
                return None  # nobody need ask for what another rule forbids
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

    def _last_of_several(
        self, tasks: Mapping[_Place, Task], focal: Sequence[_Place]
    ) -> list[_Place]:
        """Those of the places at which something is done again that was done before, and not after.

        Only of what every task does in one write: how many requests a group is can be argued.
        """
        places: dict[ServiceOperation, list[_Place]] = defaultdict(list)
        unclear: set[ServiceOperation] = set()
        for place, task in tasks.items():
            operations = [operation_of(call) for call in task.calls if call.tool.writes]
            if len(operations) > 1:
                unclear.update(operations)
            for operation in operations:
                places[operation].append(place)
        return [
            found[-1]
            for operation, found in places.items()
            if len(found) > 1 and found[-1] in focal and operation not in unclear
        ]

    def _counts_plainly(self, policy: ServicePolicy, turns: Sequence[PlannedTurn]) -> bool:
        """Whether it is plain how often each limited operation is asked for: not where one of
        several is done by a condition, a group is changed, or a wish is overridden."""
        limited = [rule.operation for rule in policy.rules if rule.effect == "limit"]
        for turn in turns:
            for task in turn.tasks:
                operations = [operation_of(call) for call in task.calls if call.tool.writes]
                unclear = len(operations) > 1 or bool(task.also) or turn.overrides
                writing = [tool for tool in task.also if tool.writes]
                might = [*map(operation_of_tool, writing), *operations]
                if unclear and any(operation in limited for operation in might):
                    return False
        return True

    def _under(
        self,
        policy: ServicePolicy,
        task: Task,
        asking: Callable[[int, ServiceRule, ServiceRequest], PlannedQuestion | None],
    ) -> Task | None:
        """The task with the reads that show which rules hold, what is to be asked before, and
        whether it needs a yes. None where that can't be asked plainly."""
        calls: list[TaskCall] = []
        relies_on = set(task.relies_on)
        confirm = False
        asks: list[PlannedQuestion] = []
        for call in task.calls:
            if call.tool.writes:
                request = request_of(self._mentions, call)
                for number, rule in enumerate(policy.rules, start=1):
                    if rule.effect in ("forbid", "limit"):
                        continue
                    if not self._holds(policy, rule, request):
                        continue
                    confirm |= rule.effect == "confirm"
                    if rule.effect == "ask":
                        question = asking(number, rule, request)
                        if question is None:
                            return None
                        asks.append(question)
                for fact in self._facts(policy, request, [*task.calls, *calls]):
                    relies_on |= fact.relies_on
                    if fact.call not in (*task.calls, *calls):
                        calls.append(fact.call)
            calls.append(call)
        if (confirm or asks) and task.kind not in _FOCAL_KINDS:
            return None
        return replace(
            task, calls=tuple(calls), relies_on=frozenset(relies_on), named_by=self._names(task),
            confirm=confirm, asks=tuple(asks),
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
            found = [fact_of(self._mentions, request, each, known) for each in rule.when]
            if rule.asks is not None and self._holds(policy, rule, request):
                found.append(asked_fact(self._mentions, request, rule.asks, known))
            for fact in found:
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
        if rule.asks is not None and (f := asked_fact(self._mentions, request, rule.asks, reads)):
            facts.append(f)
        # The last condition of a rule is one on rows.
        fact = facts[-1].shown if facts else None
        refusal = Refusal(
            rule=drawn.deciding,
            reasons=tuple(dict.fromkeys(self._reasons(rule, request))),
            fact=fact,
            tool=write.tool.tool.name,
            arguments=write.arguments,
        )
        limited = rule.operation if rule.effect == "limit" else None
        planned = PlannedRefusal(refusal, self._fact(rule, request, fact), limited)
        return replace(
            task, kind="refused", calls=reads, goals=(), also=(write.tool,), rows=frozenset(),
            refusal=planned, confirm=False,
        )  # fmt: skip

    def _reasons(self, rule: ServiceRule, request: ServiceRequest) -> Iterator[str]:
        """Words for what decides: the column, and its value where that is a text."""
        if rule.asks is not None:
            table = self._conditions.table(request.operation, rule.asks.path)
            yield self._mentions.writer.label(table.column(rule.asks.column))
            return
        for condition in rule.when:
            if isinstance(condition, ChoiceCondition | DaysCondition | AmountCondition):
                table = self._conditions.table(request.operation, condition.path)
                column = table.column(condition.column)
                if condition.kind == "choice":
                    row = self._verdicts.row_at(request, condition.path)
                    if row is not None:
                        yield str(row[column.name])
                yield self._mentions.writer.label(column)

    def _fact(self, rule: ServiceRule, request: ServiceRequest, fact: Target | None) -> str:
        """What a rule holds by, as the agent says it."""
        words = self._mentions.words
        if fact is None:
            return words.most.format(most=rule.most)
        if rule.asks is not None:
            return words.not_stored.format(
                field=self._drawer.words.field(rule.operation, rule.asks)
            )
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
                yield (value, *self._spoken(table, name, value))

    def _spoken(self, table: WritableTable, name: str, value: Json) -> Iterator[float]:
        """A number as people say it, where tools take it in another unit."""
        for column in table.columns:
            if column.name == name and column.other_unit is not None and isinstance(value, int):
                yield value / column.other_unit.each

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
