"""Checks `script`, `ask`, `cannot`: the user of a conversation, and what has to be said to them.

Not covered: messages in other words than those tried. How well the user reads real messages is
measured apart, on labelled ones (tests/users).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from astra.arenas.certificate.arena_under_test import CheckFinding, NamedCall, call_evidence
from astra.arenas.certificate.state.trials import Said, StateTrials, TrialStep
from astra.core.text import scalars
from astra.models.policies import policy_text
from astra.rewards import same_scalar
from astra.states import HeldValue, StateGoal
from astra.types import Json, Language
from astra.users.script import MAX_EXTRA, ScriptedUser

_ASKING: Mapping[Language, tuple[str, ...]] = MappingProxyType(
    {
        "en": (
            "What should the {} be?",
            "Could you tell me the new {}?",
            "Which {} would you like?",
            "Please specify the {}.",
            "I found it. What {} do you want me to set?",
            "To go on I need to know which {} you want.",
            "Before I change anything: can you give me the {}?",
            "What would you like the {} to be changed to?",
        ),
        "zh": (
            "{}应该是什么？",
            "请告诉我新的{}。",
            "您想要什么{}？",
            "请提供{}。",
            "已经找到了。{}要改成什么？",
            "请问{}应设为多少？",
            "修改之前请先说明{}。",
            "您希望把{}改为什么？",
        ),
    }
)
_NOT_ASKING: Mapping[Language, tuple[str, ...]] = MappingProxyType(
    {
        "en": (
            "All is done.",
            "I have looked at it.",
            "I can't do that.",
            "It has been changed. Is there anything else?",
            "Let me know if you need more.",
            "",
            "Shall I go ahead?",
            "Done. How can I help you further?",
        ),
        "zh": (
            "全部办好了。",
            "我看过了。",
            "我无法办理。",
            "已修改。还有什么需要？",
            "如有需要请随时告诉我。",
            "",
            "可以办理吗？",
            "已完成，还有其他问题吗？",
        ),
    }
)
_MOST_GUESSES = 20


def check_script(trials: StateTrials) -> dict[str, Json]:
    """The user begins with the question, tells nothing early, and always comes to an end."""
    state, language = trials.state, trials.arena.language
    if not state.turns:
        if state.plan or any(goal.turn or goal.kind in ("ask", "cannot") for goal in state.goals):
            raise CheckFinding("there are goals or a plan of a conversation, but no turns")
        return {"turns": 0}
    if state.turns[0].text != trials.arena.question:
        raise CheckFinding("the first turn of the user is not the question of the arena")
    for goal in state.goals:
        if not 0 <= goal.turn < len(state.turns):
            raise CheckFinding(f"goal {goal.id!r} belongs to turn {goal.turn}, which is not there")
        if goal.kind in ("ask", "cannot"):
            _led_to(trials, goal)
    if missing := sorted(state.withheld - trials.tools.keys()):
        raise CheckFinding(f"the user brings {missing[0]!r}, which is not a tool of the arena")
    for number, turn in enumerate(state.turns):
        for held in turn.held:
            before = " ".join(earlier.text for earlier in state.turns[: number + 1])
            values = (
                _values(trials, _goal(trials, held.goal)) if held.rule is None else [held.value]
            )
            for value in values:
                if value in before:
                    raise CheckFinding(f"the user says {value!r} before being asked for it")
    most = (MAX_EXTRA + 1) * len(state.turns)
    for message in (*_NOT_ASKING[language], *(text.format("x") for text in _ASKING[language])):
        script = ScriptedUser(state, language)
        if all(script.reply(message).kind != "end" for _ in range(most)):
            raise CheckFinding(f"the user does not come to an end if {message!r} is said again")
    script = ScriptedUser(state, language)
    moves = [script.reply(step.text) for step in trials.gold if isinstance(step, Said)]
    if not moves or moves[-1].kind != "end" or any(move.kind == "end" for move in moves[:-1]):
        raise CheckFinding("the gold episode does not end when the conversation does")
    return {"turns": len(state.turns), "held_back": sum(len(turn.held) for turn in state.turns)}


async def check_ask(trials: StateTrials) -> dict[str, Json]:
    """What is held back has to be asked for: no guess is right, and questions are understood."""
    guessed = 0
    for turn in trials.state.turns:
        for held in turn.held:
            _check_questions(trials, held)
            goal = _goal(trials, held.goal)
            place = _place_of_question(trials, goal)
            if held.rule is None:
                await _check_hidden(trials, goal, place)
                plans = _guesses(trials, held, place)
            else:
                plans = [[*trials.gold[:place], *trials.gold[place + 1 :]]]
            for played in await trials.play(plans):
                if played.strict or {goal.id, goal.of} & played.score.solved_by.keys():
                    raise CheckFinding(
                        f"goal {goal.id!r} is solved though nobody asked before writing",
                        written=played.calls[-1].arguments if played.calls else {},
                    )
            guessed += len(plans)
    return {"guesses": guessed}


async def _check_hidden(trials: StateTrials, goal: StateGoal, place: int) -> None:
    """No gold call before the question returns the value, unless it is one of a few choices."""
    change = _led_to(trials, goal)
    columns = {
        name
        for row in change.changes
        for name in row.after or {}
        if not trials.database.table(row.table).column(name).choices
    }
    write = _write_after(trials, place)
    values = [value for name, value in write.arguments.items() if name in columns]
    (played,) = await trials.play([trials.gold[:place]])
    for call, outcome in zip(played.calls, played.outcomes, strict=True):
        if any(same_scalar(value, leaf) for value in values for leaf in scalars(outcome.value)):
            raise CheckFinding(
                f"{call.description} returns what goal {goal.id!r} has to ask for",
                call=call_evidence(call),
            )


def _write_after(trials: StateTrials, place: int) -> NamedCall:
    """The first gold call after a place that may change something."""
    for found, call in trials.gold_writes:
        if found > place:
            return call
    raise CheckFinding("nothing is written after the question of the gold episode")


def _check_questions(trials: StateTrials, held: HeldValue) -> None:
    language, number = trials.arena.language, _goal(trials, held.goal).turn
    for text in (form.format(held.labels[0]) for form in _ASKING[language]):
        script = ScriptedUser(trials.state, language, turn=number)
        if held.goal not in script.reply(text).asked:
            raise CheckFinding(f"the user does not understand {text!r}")
    for text in _NOT_ASKING[language]:
        script = ScriptedUser(trials.state, language, turn=number)
        if script.reply(text).asked:
            raise CheckFinding(f"the user takes {text!r} for a question for {held.labels[0]!r}")


def _guesses(trials: StateTrials, held: HeldValue, place: int) -> list[list[TrialStep]]:
    """The gold episode without the question, with every value that could be guessed."""
    gold, done = trials.gold, Said(policy_text("reader", trials.arena))
    write = _write_after(trials, place)
    plans: list[list[TrialStep]] = [[*gold[:place], *gold[place + 1 :]]]
    properties = trials.tools[write.tool].document.parameters["properties"]
    for name, schema in properties.items():
        for value in schema.get("enum", ())[:_MOST_GUESSES]:
            guess = NamedCall(write.tool, {**write.arguments, name: value}, f"a guess of {name}")
            plans.append([*gold[:place], guess, done, *gold[place + 1 :]])
    return plans


def _place_of_question(trials: StateTrials, goal: StateGoal) -> int:
    """Where in the gold episode the value is asked for."""
    script = ScriptedUser(trials.state, trials.arena.language)
    for place, step in enumerate(trials.gold):
        if isinstance(step, Said) and goal.id in script.reply(step.text).asked:
            return place
    raise CheckFinding(f"the gold episode never asks for what goal {goal.id!r} is about")


async def check_cannot(trials: StateTrials) -> dict[str, Json]:
    """Where a tool is missing it has to be said; to claim that all is done is not enough."""
    state, plans = trials.state, list[list[TrialStep]]()
    missing = [goal for goal in state.goals if goal.kind == "cannot"]
    for goal in missing:
        if goal.turn + 1 >= len(state.turns) or not state.turns[goal.turn + 1].brings:
            raise CheckFinding(f"goal {goal.id!r}: the user brings no tool at the next turn")
        script = ScriptedUser(state, trials.arena.language)
        for place, step in enumerate(trials.gold):
            if not isinstance(step, Said):
                continue
            if script.turn == goal.turn:
                done = Said(policy_text("reader", trials.arena))
                plans.append([*trials.gold[:place], done, *trials.gold[place + 1 :]])
                break
            script.reply(step.text)
        else:
            raise CheckFinding(f"the gold episode never comes to the turn of goal {goal.id!r}")
    for goal, played in zip(missing, await trials.play(plans), strict=True):
        if played.strict or goal.id in played.score.solved_by:
            raise CheckFinding(f"goal {goal.id!r} is solved by a claim that all is done")
    return {"missing": len(missing)}


def _goal(trials: StateTrials, name: str) -> StateGoal:
    for goal in trials.state.goals:
        if goal.id == name and goal.kind == "ask":
            return goal
    raise CheckFinding(f"a value is held back for goal {name!r}, which asks for nothing")


def _led_to(trials: StateTrials, goal: StateGoal) -> StateGoal:
    """The change that an `ask` or `cannot` goal leads to, or the refusal, by what is told."""
    rules = [h.rule for turn in trials.state.turns for h in turn.held if h.goal == goal.id]
    for other in trials.state.goals:
        refused = other.refuses is not None and other.refuses.rule in rules
        if other.id == goal.of and (other.kind == "change" or refused):
            return other
    raise CheckFinding(f"goal {goal.id!r} leads to {goal.of!r}, which is not a change")


def _values(trials: StateTrials, goal: StateGoal) -> list[str]:
    """The texts that the change of a goal writes."""
    return [
        value
        for row in _led_to(trials, goal).changes
        for value in (row.after or {}).values()
        if isinstance(value, str)
    ]
