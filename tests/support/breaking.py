"""Operators that break a certified arena, each with the check that is meant to find it.

`python -m tests.support.breaking` prints how many arenas of `examples/world` each check finds
broken, as a table.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import astra
from astra.arenas.certificate import certify
from astra.arenas.certificate.results import is_distinct
from astra.protocols import Sandbox
from astra.sandbox import open_sandbox
from astra.types import Arena, Distractor, Goal, GoldCall, Target, members_of
from tests.support.arenas import changed, with_goal, with_tool

Breaking = Callable[[Arena], Arena | None]


class Operator(NamedTuple):
    """A way to break an arena."""

    name: str
    check: str
    """The check that is meant to find it."""
    apply: Breaking
    """The broken arena. None where the operator does not apply."""


OPERATORS: list[Operator] = []


def operator(check: str) -> Callable[[Breaking], Breaking]:
    """Register an operator under its function's name, in words."""

    def register(apply: Breaking) -> Breaking:
        OPERATORS.append(Operator(apply.__name__.replace("_", " "), check, apply))
        return apply

    return register


def last_step(arena: Arena) -> tuple[Goal, GoldCall, Target]:
    """The last goal that a call solves."""
    goal = [goal for goal in arena.goals if goal.call is not None][-1]
    assert goal.call is not None and goal.target is not None
    return goal, goal.call, goal.target


def wrapped(arena: Arena, body: str) -> Arena:
    """The arena with the last goal's tool behind a function with this body, in which `inner` is
    the tool, `given` its arguments, `GOLD` the gold arguments."""
    _, call, _ = last_step(arena)
    tool = arena.tool(call.tool)
    parameters = tool.document.parameters
    required = [n for n in parameters["properties"] if n in parameters.get("required", [])]
    optional = [n for n in parameters["properties"] if n not in required]
    defaults = {n: parameters["properties"][n].get("default") for n in optional}
    head = ", ".join([*required, *(f"{n}={defaults[n]!r}" for n in optional)])
    given = ", ".join(f"{n!r}: {n}" for n in [*required, *optional])
    inner = tool.source.replace(f"def {tool.name}(", "def inner(")
    source = (
        f"{inner}\n\nGOLD = {call.arguments!r}\n\n\ndef {tool.name}({head}):\n"
        f"    given = {{{given}}}\n" + "".join(f"    {line}\n" for line in body.splitlines())
    )
    return with_tool(arena, tool.model_copy(update={"source": source}))


def serves_two_goals(arena: Arena) -> bool:
    """Whether another goal asks the last goal's tool: its gold call would fail first."""
    _, call, _ = last_step(arena)
    return sum(goal.call is not None and goal.call.tool == call.tool for goal in arena.goals) > 1


@operator("mutants")
def constant_tool(arena: Arena) -> Arena | None:
    if serves_two_goals(arena):
        return None
    return wrapped(
        arena, "found = inner(**given)\nreturn found if 'error' in found else inner(**GOLD)"
    )


@operator("mutants")
def null_for_all_others(arena: Arena) -> Arena | None:
    if serves_two_goals(arena):
        return None
    return wrapped(
        arena,
        "found = inner(**given)\n"
        "return found if 'error' in found or given == {**given, **GOLD} else None",
    )


@operator("leak")
def answer_in_the_question(arena: Arena) -> Arena | None:
    goal, _, _ = last_step(arena)
    if isinstance(goal.answer, bool | tuple):
        return None
    return changed(arena, question=f"{arena.question} (It is {goal.answer}.)")


@operator("replay")
def wrong_gold_argument(arena: Arena) -> Arena | None:
    # Of a goal that depends on none: elsewhere the dependency would be missed first.
    goal = next(goal for goal in arena.goals if goal.call is not None and not goal.depends_on)
    assert goal.call is not None
    decoys = [decoy for decoy in goal.decoys if decoy != goal.call.arguments]
    if not decoys:
        return None
    wrong = GoldCall(tool=goal.call.tool, arguments=decoys[0])
    return with_goal(arena, goal.id, call=wrong, decoys=tuple(decoys[1:]))


@operator("gold")
def wrong_answer(arena: Arena) -> Arena:
    goal, _, _ = last_step(arena)
    return with_goal(arena, goal.id, answer="Qxzjkv")


@operator("ablation")
def dropped_dependency(arena: Arena) -> Arena | None:
    goal, _, _ = last_step(arena)
    return with_goal(arena, goal.id, depends_on=()) if goal.depends_on else None


@operator("replay")
def random_output(arena: Arena) -> Arena:
    return wrapped(arena, "import random\nreturn {**inner(**given), 'r': random.random()}")


@operator("order")
def state_between_calls(arena: Arena) -> Arena:
    return wrapped(
        arena,
        "import sys\nsys.calls = getattr(sys, 'calls', 0) + 1\n"
        "return {**inner(**given), 'calls': sys.calls}",
    )


@operator("replay")
def clock_dependence(arena: Arena) -> Arena:
    return wrapped(arena, "import time\nreturn {**inner(**given), 'year': time.gmtime().tm_year}")


@operator("replay")
def hash_seed_dependence(arena: Arena) -> Arena:
    return wrapped(arena, "return {**inner(**given), 'h': hash('a') % 1000003}")


@operator("robust")
def crash_on_odd_input(arena: Arena) -> Arena:
    return wrapped(
        arena,
        "import os\nif any(isinstance(v, (list, dict)) for v in given.values()):\n"
        "    os._exit(3)\nreturn inner(**given)",
    )


@operator("general")
def error_that_states_the_answer(arena: Arena) -> Arena | None:
    goal, _, _ = last_step(arena)
    # Short answers stand in any text by chance.
    if not all(map(is_distinct, members_of(goal.answer))):
        return None
    return wrapped(
        arena,
        "found = inner(**given)\nif 'error' in found:\n"
        "    found['error']['message'] += f' Did you mean {inner(**GOLD)}?'\nreturn found",
    )


@operator("mutants")
def distractor_that_solves_it(arena: Arena) -> Arena:
    _, call, _ = last_step(arena)
    tool = arena.tool(call.tool)
    document = tool.document.model_copy(update={"name": "other_tool"})
    source = tool.source.replace(f"def {tool.name}(", "def other_tool(")
    twin = tool.model_copy(update={"document": document, "source": source, "domain": "other"})
    return changed(arena, distractors=(Distractor.of(twin, "low"),))


@operator("schema")
def missing_description(arena: Arena) -> Arena:
    _, call, _ = last_step(arena)
    tool = arena.tool(call.tool)
    properties = {
        name: {k: v for k, v in schema.items() if k != "description"}
        for name, schema in tool.document.parameters["properties"].items()
    }
    parameters = {**tool.document.parameters, "properties": properties}
    document = tool.document.model_copy(update={"parameters": parameters})
    return with_tool(arena, tool.model_copy(update={"document": document}))


class OperatorCounts(NamedTuple):
    """What became of the arenas that an operator broke."""

    operator: Operator
    failed: Counter[str]
    """Check that failed -> arenas. `none`: certified all the same. `n/a`: it does not apply."""


async def count(arenas: Sequence[Arena], sandbox: Sandbox) -> list[OperatorCounts]:
    """Break every arena by every operator, and certify."""
    counts: list[OperatorCounts] = []
    for each in OPERATORS:
        failed: Counter[str] = Counter()
        for arena in arenas:
            broken = each.apply(arena)
            if broken is None:
                failed["n/a"] += 1
                continue
            certificate = await certify(broken, sandbox, seed=7)
            checks = [result.check for result in certificate.checks if not result.passed]
            failed[checks[0] if checks else "none"] += 1
        counts.append(OperatorCounts(each, failed))
    return counts


def table(counts: Sequence[OperatorCounts]) -> str:
    """The counts in markdown."""
    lines = [
        "| operator | meant check | applied | by the meant check | by another | not found |",
        "|---|---|---|---|---|---|",
    ]
    for each, failed in counts:
        applied = failed.total() - failed["n/a"]
        meant, missed = failed[each.check], failed["none"]
        cells = [applied, meant, applied - meant - missed, missed]
        lines.append(f"| {each.name} | `{each.check}` | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def world_arenas(number: int) -> list[Arena]:
    """Certified arenas without distractors, made from `examples/world`."""
    with tempfile.TemporaryDirectory() as folder:
        production = astra.make_arenas(
            "examples/world", count=number, seed=7, out=Path(folder) / "run"
        )
        arenas = list(getattr(production, "arenas", production))
    return [changed(arena, distractors=()) for arena in arenas]


async def main(number: int = 60) -> None:
    arenas = await asyncio.to_thread(world_arenas, number)
    async with open_sandbox(workers=2) as sandbox:
        counts = await count(arenas, sandbox)
    print(table(counts))  # noqa: T201
    for each, failed in counts:
        print(each.name, dict(failed), file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
