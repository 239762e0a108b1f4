"""Check `general`: the tool answers many questions, and nothing but what it is asked.

The mistakes that language models make when they write a tool for one question: its answer is
written into the code, and nonsense around it; an optional parameter changes nothing; a wildcard,
a part of a name, an option or an error message shows the whole table; a later tool takes the
first one's input, so that a step can be skipped. Not covered: nonsense that is as regular as an
answer, and inputs that were not tried.
"""

from __future__ import annotations

from astra.arenas.certificate.arena_under_test import (
    ArenaUnderTest,
    CheckFinding,
    GoalStep,
    NamedCall,
    call_evidence,
)
from astra.arenas.certificate.parameter_use import is_used
from astra.arenas.certificate.parameters import accepts, parameters_of, required_of
from astra.arenas.certificate.results import (
    error_shows,
    is_distinct,
    is_served,
    shows_answer,
    stands_among,
    values_shown,
    without_arguments,
)
from astra.arenas.certificate.source_reading import (
    constants,
    default_literals,
    equated_literals,
)
from astra.arenas.certificate.wrong_calls import (
    WrongCall,
    canonical_call,
    is_made_up,
    shortcut_calls,
)
from astra.core.text import as_number, normalise, scalars
from astra.protocols import CallOutcome
from astra.rewards import same_scalar, solves
from astra.types import Json, Matcher, Target, Tool, members_of

MOST_CHARACTERS = 10_000
"""Longest result of any call, as it is written out: about 2,500 tokens of a policy's context."""
SMALL_COUNT = 10
"""Whole numbers up to here are guessed too easily to stand without a key."""
LEAST_TRIED = 4
"""Answered calls from which one can say that a tool has only two answers."""


async def check_general(under_test: ArenaUnderTest, outputs: dict[str, Json]) -> dict[str, Json]:
    """No shortcut, option or error shows an answer; tools are not written around one question.

    `outputs`: what the gold calls returned, by goal id.
    """
    trials: list[tuple[GoalStep, WrongCall]] = []
    for step in under_test.steps:
        trials += [(step, probe) for probe in shortcut_calls(under_test, step)]
        trials += [(step, probe) for probe in _earlier_inputs(under_test, step)]
    # Goals that share a tool share most probes.
    keys = [
        f"{step.call.tool}:{canonical_call(under_test.tools[step.call.tool], probe.arguments)}"
        for step, probe in trials
    ]
    calls = {
        key: NamedCall(step.call.tool, probe.arguments, f"a probe ({probe.kind})")
        for key, (step, probe) in zip(keys, trials, strict=True)
    }
    made = await under_test.run("plain", list(calls.values()))
    outcomes = dict(zip(calls, made, strict=True))
    for call, outcome in zip(calls.values(), made, strict=True):
        _check_length(call, outcome)
    for step in under_test.steps:
        _check_length(step.gold_call, CallOutcome(value=outputs.get(step.goal.id)))
        tool = under_test.tools[step.call.tool]
        probes = [
            (probe, outcomes[key])
            for key, (own, probe) in zip(keys, trials, strict=True)
            if own is step
        ]
        _check_probes(under_test, step, probes)
        _check_earlier_outputs(under_test, step, outputs)
        _check_trials(under_test, step)
        _check_options(under_test, tool, step, probes)
    return {"probes": len(calls)}


def _check_length(call: NamedCall, outcome: CallOutcome) -> None:
    length = len(str(outcome.value))
    if length > MOST_CHARACTERS:
        raise CheckFinding(
            f"{call.description} returned {length} characters, at most {MOST_CHARACTERS}: return "
            "what was asked for",
            call=call_evidence(call),
        )


def _dependencies(under_test: ArenaUnderTest, step: GoalStep) -> list[GoalStep]:
    """The steps that a goal depends on, directly or through others."""
    by_id = {other.goal.id: other for other in under_test.steps}
    pending, found = list(step.goal.depends_on), dict[str, GoalStep]()
    while pending:
        name = pending.pop()
        if name not in found and name in by_id:
            found[name] = by_id[name]
            pending += by_id[name].goal.depends_on
    return list(found.values())


def _earlier_inputs(under_test: ArenaUnderTest, step: GoalStep) -> list[WrongCall]:
    """The goal's call with what an earlier goal was asked in the place of what it found out."""
    schemas = parameters_of(under_test.tools[step.call.tool])
    probes: list[WrongCall] = []
    for earlier in _dependencies(under_test, step):
        for parameter, argument in step.call.arguments.items():
            if not any(same_scalar(argument, leaf) for leaf in scalars(earlier.goal.answer)):
                continue
            for value in earlier.call.arguments.values():
                if accepts(schemas[parameter], value) and not same_scalar(value, argument):
                    probes.append(
                        WrongCall("earlier_input", step.call.arguments | {parameter: value})
                    )
                # A second way to ask, beside the entity of a decoy.
                probes += [
                    WrongCall("earlier_input", _base(step) | {name: value})
                    for name, schema in schemas.items()
                    if name not in step.call.arguments and accepts(schema, value)
                ]
    return probes


def _check_earlier_outputs(
    under_test: ArenaUnderTest, step: GoalStep, outputs: dict[str, Json]
) -> None:
    """No goal that this one depends on has this one's answer in its output already."""
    answer = step.target.value
    for other in _dependencies(under_test, step):
        leaves = list(scalars(outputs.get(other.goal.id)))
        own = [*scalars(other.goal.answer), *scalars(other.call.arguments)]
        for member in members_of(answer):
            if not is_distinct(member) or any(same_scalar(member, value) for value in own):
                continue
            if any(same_scalar(member, leaf) for leaf in leaves):
                raise CheckFinding(
                    f"{other.gold_call.description} already returns the answer of goal "
                    f"{step.goal.id!r}, so that a step can be skipped: return what was asked for",
                    call=call_evidence(other.gold_call),
                )


def _check_probes(
    under_test: ArenaUnderTest, step: GoalStep, probes: list[tuple[WrongCall, CallOutcome]]
) -> None:
    goal, target = step.goal, step.target
    keyless = target.model_copy(update={"key": {}})
    trials = under_test.trials.get(goal.id, [])
    plain = next(
        (o for kind, arguments, o in trials if kind == "decoy" and arguments == _base(step)), None
    )
    plain_values = list(scalars(values_shown(target, plain))) if plain else []
    for probe, outcome in probes:
        call = call_evidence(NamedCall(step.call.tool, probe.arguments, ""))
        if error_shows(target, outcome, probe.arguments):
            raise CheckFinding(
                f"an error message of the tool of goal {goal.id!r} states its answer", call=call
            )
        if not is_served(outcome):
            continue
        if probe.kind == "earlier_input":
            if solves(keyless, outcome.value):
                raise CheckFinding(
                    f"goal {goal.id!r} is solved with the input of an earlier goal, so that a step "
                    "can be skipped",
                    call=call,
                )
            continue
        # An option may ask for another entity, as the second place of a ranking does, and a word
        # may be another name of this one. A list shows the answer beside that of a decoy.
        given = list(scalars(probe.arguments))
        leaves = [
            leaf
            for leaf in scalars(outcome.value)
            if not any(same_scalar(leaf, argument) for argument in given)
        ]
        listed = probe.kind not in ("option", "options", "choice", "word") or (
            all(stands_among(value, leaves) for value in plain_values)
            and not (plain and shows_answer(target, plain.value, _base(step)))
        )
        if solves(target, outcome.value) and (listed or probe.kind != "word"):
            raise CheckFinding(
                f"goal {goal.id!r} is solved by a wrong call ({probe.kind})", call=call
            )
        if listed and shows_answer(target, outcome.value, probe.arguments):
            raise CheckFinding(
                f"a wrong call ({probe.kind}) shows the answer of goal {goal.id!r}", call=call
            )
        if probe.kind == "option":
            echoes = any(
                solves(Target(matcher=Matcher.text, value=value, field=target.field), outcome.value)
                for value in probe.arguments.values()
                if is_made_up(value)
            )
            if echoes and (not target.key or target.field is not None):
                raise CheckFinding(
                    f"the tool of goal {goal.id!r} gives back an argument where its answer is "
                    "looked for, so that an agent that passes guesses solves it",
                    call=call,
                )
    for _, arguments, outcome in trials:
        call = NamedCall(step.call.tool, arguments, f"a wrong call for {goal.id!r}")
        _check_length(call, outcome)
        if error_shows(target, outcome, arguments):
            raise CheckFinding(
                f"an error message of the tool of goal {goal.id!r} states its answer",
                call=call_evidence(call),
            )


def _base(step: GoalStep) -> dict[str, Json]:
    return step.goal.decoys[0] if step.goal.decoys else {}


def _check_trials(under_test: ArenaUnderTest, step: GoalStep) -> None:
    """A tool whose code holds one answer, or that has only two."""
    goal, target = step.goal, step.target
    tool = under_test.tools[step.call.tool]
    trials = under_test.trials.get(goal.id, [])
    keyless = target.model_copy(update={"key": {}})
    answered = [
        (kind, arguments, shown, solves(keyless, outcome.value))
        for kind, arguments, outcome in trials
        if (shown := values_shown(target, outcome))
    ]
    answer = goal.answer
    # Entities that do not exist, or numbers nobody listed, are answered each in another way, and
    # the right answer is a special case of the code: the rest is nonsense around it.
    if target.field is not None or isinstance(answer, str):
        made_up = {
            without_arguments([*shown], {})
            for kind, _, shown, _ in answered
            if kind in ("unknown", "number")
        }
        if len(made_up) > 1 and _holds_answer(
            tool, step, unknown=any(kind == "unknown" for kind, *_ in answered)
        ):
            raise CheckFinding(
                f"hard-coded: the tool of goal {goal.id!r} holds its answer, and makes up one for "
                "whatever else it is asked"
            )
    decoys = [
        (arguments, shown, same) for kind, arguments, shown, same in answered if kind == "decoy"
    ]
    others = {str(shown) for _, shown, same in decoys if not same}
    odd = [arguments for arguments, _, same in decoys if not same]
    same = len(decoys) - len(odd)
    if (
        same >= LEAST_TRIED - 1
        and len(odd) == 1
        and (_is_number(answer) or _is_fallback(tool, answer, odd[0], same))
    ):
        raise CheckFinding(
            f"constant: all decoys of goal {goal.id!r} but one have the goal's answer"
        )
    if target.key:
        return
    required = required_of(tool)
    texts = [name for name in required if isinstance(step.call.arguments.get(name), str)]
    number = None if isinstance(answer, bool) else as_number(answer)
    if number is not None and number == int(number) and abs(number) <= SMALL_COUNT and texts:
        raise CheckFinding(
            f"goal {goal.id!r} has the small number {answer!r} as its answer and no key beside it, "
            "so that other calls solve it by chance: name the key of what is asked about"
        )
    if len(answered) >= LEAST_TRIED and len(others) > 0:
        values = {
            # A sentence names what was asked about.
            without_arguments(shown, {} if target.field is not None else arguments)
            for _, arguments, shown, right in answered
            if not right
        }
        if len(values) == 1:
            raise CheckFinding(
                f"the tool of goal {goal.id!r} has two answers and no key beside them, so that "
                "half of all other calls solve it: name the key of what is asked about"
            )


def _holds_answer(tool: Tool, step: GoalStep, *, unknown: bool) -> bool:
    """Whether the source or the data holds the goal's answer, and it is a special case there."""
    answer = step.goal.answer
    stored = [*constants(tool.source), *scalars(tool.data)]
    if not any(same_scalar(answer, value) for value in stored):
        return False
    equated = equated_literals(tool.source)
    schemas = parameters_of(tool)
    return (unknown and is_distinct(answer)) or any(
        same_scalar(leaf, literal)
        for name, value in step.call.arguments.items()
        if "enum" not in schemas[name]
        for leaf in scalars(value)
        for literal in equated
    )


def _is_fallback(tool: Tool, answer: Json, odd: dict[str, Json], same: int) -> bool:
    """Whether a text is what the code falls back to, and only one entity is a special case."""
    if not isinstance(answer, str):
        return False
    leaves = [normalise(v) for v in constants(tool.source) if isinstance(v, str)]
    leaves += [normalise(v) for v in scalars(tool.data) if isinstance(v, str)]
    # A table of entities holds the answer once for each.
    if sum(leaf.count(normalise(answer)) for leaf in leaves) > same:
        return False
    special = equated_literals(tool.source)
    return any(same_scalar(answer, value) for value in default_literals(tool.source)) or any(
        same_scalar(leaf, value) for leaf in scalars(odd) for value in special
    )


def _is_number(answer: object) -> bool:
    return isinstance(answer, int | float) and not isinstance(answer, bool) and is_distinct(answer)


def _check_options(
    under_test: ArenaUnderTest,
    tool: Tool,
    step: GoalStep,
    probes: list[tuple[WrongCall, CallOutcome]],
) -> None:
    base = _base(step)
    plain = next(
        (
            outcome
            for kind, arguments, outcome in under_test.trials.get(step.goal.id, [])
            if kind == "decoy" and arguments == base
        ),
        None,
    )
    if plain is None or not is_served(plain):
        return
    required = required_of(tool)
    for name in parameters_of(tool):
        if name in required or is_used(tool.source, tool.name, name):
            continue
        changes = [
            outcome
            for probe, outcome in probes
            if probe.kind == "option" and probe.arguments.get(name) != base.get(name)
        ]
        if not any(is_served(o) and str(o.value) != str(plain.value) for o in changes):
            raise CheckFinding(
                f"the optional parameter {name!r} of tool {tool.name!r} has no effect: use it, or "
                "drop it"
            )
