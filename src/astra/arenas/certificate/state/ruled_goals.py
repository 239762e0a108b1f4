"""What the rules of an arena ask of the user, and how often they let something be done: both
evaluators agree about each, and the goals say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from astra.arenas.certificate.arena_under_test import CheckFinding
from astra.arenas.certificate.state.trials import Rows, StateTrials, apply_changes
from astra.arenas.stateful.policy.sql import SqlVerdicts
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest, ServiceVerdict
from astra.databases import Cell, RowChange
from astra.service_policies import ServiceOperation, ServicePolicy
from astra.states import ArenaState, HeldValue, Refusal, StateGoal

Evaluators = tuple[PythonVerdicts, SqlVerdicts]


def check_limits(trials: StateTrials, policy: ServicePolicy, evaluators: Evaluators) -> None:
    """What goes beyond a limit is refused by it after all that comes first, and nothing else is."""
    rows = trials.first_rows()
    asked: list[tuple[StateGoal, ServiceRequest]] = []
    for goal in trials.state.goals:
        if goal.refuses is not None:
            # What another rule forbids is not done, so that it counts for no limit.
            if goal.refuses.fact is None:
                asked.append((goal, refused_request(trials, policy, goal.refuses)))
            continue
        asked += [(goal, each) for each in requests_of_goal(trials, policy, goal, rows)]
        apply_changes(rows, goal.changes if goal.kind == "change" else ())
    requests = [request for _, request in asked]
    one, other = (evaluator.beyond_limits(policy, requests) for evaluator in evaluators)
    if one != other:
        raise CheckFinding(f"the evaluators differ about limits: {one!r} and {other!r}")
    for (goal, request), beyond in zip(asked, one, strict=True):
        refusal = goal.refuses
        if beyond != (() if refusal is None else (refusal.rule,)):
            raise CheckFinding(
                f"goal {goal.id!r} is beyond the limits {beyond!r}, and is "
                f"{'not refused' if refusal is None else f'refused by rule {refusal.rule}'}"
            )
        first = {g.id for g, r in asked if r.operation == request.operation and g is not goal}
        if refusal is not None and first != {*refusal.after}:
            raise CheckFinding(
                f"goal {goal.id!r} comes after {refusal.after!r}, but before it come "
                f"{sorted(first)!r}"
            )


def check_answers(trials: StateTrials, policy: ServicePolicy, evaluators: Evaluators) -> None:
    """What the user tells is what is stored where something is done then, and only there."""
    state = trials.state
    goals = {goal.id: goal for goal in state.goals}
    rows = trials.first_rows()
    for held in (held for turn in state.turns for held in turn.held if held.rule is not None):
        ask = goals.get(held.goal)
        goal = None if ask is None else goals.get(ask.of)
        number = held.rule or 0
        if goal is None or not 1 <= number <= len(policy.rules):
            raise CheckFinding(f"nothing is asked by rule {number} for goal {held.goal!r}")
        rule = policy.rules[number - 1]
        if rule.asks is None or held.value not in held.told:
            raise CheckFinding(f"goal {held.goal!r}: rule {number} asks for nothing that is told")
        if goal.refuses is None:
            requests = [*requests_of_goal(trials, policy, goal, rows)]
        else:
            requests = [refused_request(trials, policy, goal.refuses)]
        for request in (each for each in requests if each.operation == rule.operation):
            one, other = (each.is_stored(rule, request, held.value) for each in evaluators)
            if one != other:
                raise CheckFinding(f"the evaluators differ about the answer {held.value!r}")
            refused = goal.refuses is not None and goal.refuses.rule == number
            if one == refused:
                raise CheckFinding(
                    f"goal {goal.id!r}: {held.value!r} is {'' if one else 'not '}what is stored, "
                    f"and it is {'' if refused else 'not '}refused for it"
                )


def check_asked(state: ArenaState, goal: StateGoal, verdict: ServiceVerdict) -> None:
    """Raise CheckFinding unless exactly what rules want asked is asked for."""
    asked = {held.rule for held in held_for(state, goal.id)}
    if asked != {*verdict.ask_by}:
        raise CheckFinding(
            f"goal {goal.id!r}: the rules {verdict.ask_by!r} want something asked before, and "
            f"{sorted(filter(None, asked))!r} are asked by"
        )


def held_for(state: ArenaState, name: str) -> list[HeldValue]:
    """What rules have the agent ask before a goal."""
    asks = {goal.id for goal in state.goals if goal.kind == "ask" and goal.of == name}
    held = [value for turn in state.turns for value in turn.held]
    return [value for value in held if value.rule is not None and value.goal in asks]


def requests_of_goal(
    trials: StateTrials, policy: ServicePolicy, goal: StateGoal, rows: Rows
) -> Iterator[ServiceRequest]:
    """What a change is, as rules see it. Rules that speak of no such operation are left out."""
    operations = dict.fromkeys(rule.operation for rule in policy.rules)
    for change in goal.changes if goal.kind == "change" else ():
        for operation in operations:
            if operation.table == change.table and _is(operation, change, _cancelled(trials)):
                row = rows[change.table].get(change.key) or change.after
                if row is not None:
                    yield ServiceRequest(operation, row)


def _cancelled(trials: StateTrials) -> set[tuple[str, Cell]]:
    """Table and key of the rows that the gold episode cancels by a tool for that."""
    calls = [g.call for g in trials.arena.goals if g.operation == "cancel" and g.call is not None]
    return {
        (table, value)
        for call in calls
        for table in trials.state.writes.get(call.tool, ())
        for value in call.arguments.values()
    }


def _is(operation: ServiceOperation, change: RowChange, cancelled: Set[tuple[str, Cell]]) -> bool:
    if change.before is None or change.after is None:
        return operation.kind == ("create" if change.before is None else "delete")
    if operation.kind == "transfer":
        # The rules of a transfer are about the place that it starts from.
        return any(
            isinstance(value, int) and value < (change.before[name] or 0)  # pyright: ignore[reportOperatorIssue] # a stock is a number
            for name, value in change.after.items()
        )
    if (change.table, change.key) in cancelled:
        return operation.kind == "cancel"
    return operation.kind == "set" and operation.column in change.after


def refused_request(trials: StateTrials, policy: ServicePolicy, refusal: Refusal) -> ServiceRequest:
    """What is refused, as rules see it. Raises CheckFinding for a rule or row that is not there."""
    if not 1 <= refusal.rule <= len(policy.rules):
        raise CheckFinding(f"rule {refusal.rule} is not there")
    operation = policy.rules[refusal.rule - 1].operation
    table = trials.database.table(operation.table)
    arguments = refusal.arguments
    if operation.kind == "create":
        row = {name: arguments.get(name) for name in table.references}
        return ServiceRequest(operation, row)
    if operation.kind in ("set", "cancel", "delete"):
        found = [table.rows_by_key.get(arguments.get(table.key))]
    else:
        wanted = {name.removeprefix("from_"): value for name, value in arguments.items()}
        found = [
            row
            for row in table.rows_by_key.values()
            if all(row[name] == wanted.get(name) for name in table.references)
        ]
    if len(found) != 1 or found[0] is None:
        raise CheckFinding(f"there is no row that {refusal.tool!r} would change")
    return ServiceRequest(operation, found[0])
