"""The goals, the user's script and the gold episode of turns that were planned."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Literal

from astra.arenas.rounding import TOOL_ROUNDING
from astra.arenas.stateful.conversations import PlannedTurn
from astra.arenas.stateful.expected import ExpectedChanges, SqlStatement
from astra.arenas.stateful.mentions import TaskCall
from astra.arenas.stateful.policy.facts import operation_of
from astra.arenas.stateful.words import STATEMENT, WORDS, RequestWords
from astra.databases import Database, RowChange
from astra.errors import Rejected
from astra.models.closings import goals_text
from astra.models.policies import goal_turns
from astra.service_policies import ServiceOperation
from astra.states import GoldStep, ScriptTurn, StateGoal
from astra.types import (
    Goal,
    GoldCall,
    Json,
    Language,
    Matcher,
    Target,
    canonical_json,
    content_hash,
)


def state_goals(
    turns: Sequence[PlannedTurn], expected: ExpectedChanges, words: RequestWords
) -> list[StateGoal]:
    """What each turn has to bring about, as it stands when the turns before are done.

    Raises Rejected if a part changes nothing, or if parts of a turn meet in one row.
    """
    goals: list[StateGoal] = []
    done_by: dict[str, ServiceOperation] = {}
    before: list[SqlStatement] = []
    for number, turn in enumerate(turns):
        until = number + 1 if number + 1 < len(turns) and turns[number + 1].overrides else None
        apart: list[RowChange] = []
        made: list[SqlStatement] = []
        for task in turn.tasks:
            named_by = task.named_by or [()] * len(task.goals)
            writes = [call for call in task.calls if call.tool.writes]
            own: list[str] = []
            # A task that is refused has no goal of its write, and one write may need several calls.
            for (question, statements), names in zip(task.goals, named_by, strict=False):
                changes = expected.of(statements, before)
                if not changes:
                    raise Rejected("already", "the rows are as they are asked for")
                apart += changes
                made += statements
                goals.append(
                    StateGoal(
                        id=f"s{len(goals) + 1}",
                        question=question.removeprefix(STATEMENT),
                        turn=number,
                        until=until,
                        changes=changes,
                        named_by=names,
                        confirm=task.confirm,
                    )
                )
                of = goals[-1].id
                # Only tasks under rules, which are over tables, name what they do.
                if task.named_by and len(writes) == len(task.goals):
                    done_by[of] = operation_of(writes[len(own)])
                own.append(of)
                if turn.held is not None:
                    goals.append(_spoken("ask", f"s{len(goals) + 1}", turn.ask, number, of))
                elif turn.brings:
                    said = turns[number - 1].cannot
                    goals.append(_spoken("cannot", f"s{len(goals) + 1}", said, number - 1, of))
            if task.says is not None:
                text, target = task.says
                name = f"s{len(goals) + 1}"
                goals.append(
                    StateGoal(
                        id=name,
                        question=text,
                        kind="say",
                        turn=number,
                        says=target,
                        told=task.told,
                    )
                )
            if task.refusal is not None:
                after = [name for name, by in done_by.items() if by == task.refusal.after]
                goals.append(
                    StateGoal(
                        id=f"s{len(goals) + 1}",
                        question=task.text.removeprefix(STATEMENT),
                        kind="refuse",
                        turn=number,
                        refuses=task.refusal.refusal.model_copy(update={"after": tuple(after)}),
                        named_by=task.named_by[0],
                    )
                )
            if task.asks:
                of = goals[-1].id if task.refusal is not None else own[-1]
                for asked in task.asks:
                    name = f"s{len(goals) + 1}"
                    goals.append(_spoken("ask", name, asked.text, number, of))
        if _rows(apart) != _rows(expected.of(made, before)):
            raise Rejected("unique", "the parts of the request meet in one row")
        before += made
    return goals


def _spoken(kind: Literal["ask", "cannot"], name: str, text: str, turn: int, of: str) -> StateGoal:
    return StateGoal(id=name, question=text, kind=kind, turn=turn, of=of)


def _rows(changes: Sequence[RowChange]) -> list[str]:
    return sorted(canonical_json(change.model_dump(mode="json")) for change in changes)


def user_turns(turns: Sequence[PlannedTurn], goals: Sequence[StateGoal]) -> tuple[ScriptTurn, ...]:
    """The user's script."""
    asks = [goal for goal in goals if goal.kind == "ask"]
    script: list[ScriptTurn] = []
    for number, turn in enumerate(turns):
        # In the order of their goals.
        held = [] if turn.held is None else [turn.held]
        held += [asked.held for task in turn.tasks for asked in task.asks]
        own = [goal.id for goal in asks if goal.turn == number]
        values = [
            value.model_copy(update={"goal": goal}) for value, goal in zip(held, own, strict=True)
        ]
        script.append(ScriptTurn(text=turn.text, held=tuple(values), brings=turn.brings))
    return tuple(script)


def gold_plan(
    turns: Sequence[PlannedTurn],
    goals: Sequence[StateGoal],
    steps: Sequence[Goal],
    calls: Sequence[Sequence[TaskCall]],
    writes: Container[str],
    database: Database,
    language: Language,
    *,
    presses: bool = False,
) -> tuple[GoldStep, ...]:
    """The gold episode: at each turn what is to be read, asked, written and said.

    `presses`: the user asks for an exception when something is refused, and is refused again.
    """
    words = WORDS[language]
    plan: list[GoldStep] = []
    at = 0
    for number, (turn, made) in enumerate(zip(turns, calls, strict=True)):
        own = steps[at : at + len(made)]
        at += len(made)
        by_id = {goal.id: goal for goal in own}
        refused = [
            words.refuse.format(
                number=planned.refusal.rule,
                fact=planned.fact,
                what=task.text.removeprefix(STATEMENT),
            )
            for task in turn.tasks
            if (planned := task.refusal) is not None
        ]
        asked = [
            *([turn.ask] if turn.ask else ()),
            *(asked.text for task in turn.tasks for asked in task.asks),
            *(
                words.confirm.format(what=task.text.removeprefix(STATEMENT))
                for task in turn.tasks
                if task.confirm
            ),
        ]
        for together in goal_turns(own, writes):
            call = by_id[together[0]].call
            if call is not None and call.tool in writes:
                plan += [GoldStep(text=text) for text in asked]
                asked.clear()
            plan.append(GoldStep(goals=tuple(together)))
        plan += [GoldStep(text=text) for text in asked]  # before what is refused
        done = [goal for goal in goals if goal.turn == number and goal.kind != "refuse"]
        said = [turn.cannot or goals_text(done, database, language)] if done or not refused else []
        plan.append(GoldStep(text=" ".join([*said, *refused])))
        if refused and presses:
            plan.append(GoldStep(text=" ".join(refused)))
    return tuple(plan)


def call_goals(calls: Sequence[TaskCall]) -> list[Goal]:
    """The gold calls as goals: a call depends on those that found what it is about."""
    goals: list[Goal] = []
    found: dict[str, str] = {}
    for number, call in enumerate(calls, start=1):
        identity = f"g{number}"
        depends_on = {
            found[content_hash(value)]
            for value in call.arguments.values()
            if content_hash(value) in found
        }
        if call.tool.writes:
            # Writes keep the order of the request.
            depends_on |= {goal.id for goal in goals[-1:]}
        goals.append(
            Goal(
                id=identity,
                question=call.question.removeprefix(STATEMENT),
                answer=call.answer,
                call=GoldCall(tool=call.tool.tool.name, arguments=call.tool.named(call.arguments)),
                target=Target(
                    matcher=_matcher(call.answer),
                    value=call.answer,
                    field=call.result_field,
                    key=call.key,
                    relative=TOOL_ROUNDING,
                ),
                depends_on=tuple(sorted(depends_on, key=lambda name: int(name[1:]))),
                operation=call.tool.operation,
            )
        )
        if not call.tool.writes:
            found.setdefault(content_hash(call.answer), identity)
    return goals


def _matcher(answer: Json) -> Matcher:
    number = isinstance(answer, int | float) and not isinstance(answer, bool)
    return Matcher.number if number else Matcher.exact
