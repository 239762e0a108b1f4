"""The dial of other units, and conditions that decide which row is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from astra.arenas.certificate import certify
from astra.arenas.certificates import Certificate
from astra.arenas.difficulty import ActionDials
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.stateful.source import StateSource
from astra.arenas.tables.load.tables import Tables, load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Schema, TablesOptions
from astra.core.text import numbers_in
from astra.errors import Rejected
from astra.hosts.arena import ArenaHost, arena_messages
from astra.models.policies import gold_steps, policy
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Model
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import Arena, GoldCall
from tests.stateful.conftest import draw
from tests.support.sandboxes import run_with_sandbox, shared_sandbox


def played(arena: Arena, model: Model) -> float:
    async def play() -> float:
        async with shared_sandbox() as sandbox:
            host, limits = ArenaHost(arena, sandbox), RolloutLimits(turns=30)
            task = RolloutTask(arena.id, arena_messages(arena))
            return score_trajectory(arena, await rollout(task, model, host, limits)).f1

    return run_with_sandbox(play())


def examined(arena: Arena) -> Certificate:
    async def check() -> Certificate:
        async with shared_sandbox() as sandbox:
            return await certify(arena, sandbox)

    return run_with_sandbox(check())


def first(
    shop: tuple[Tables, Schema], options: StateSourceOptions, fits: Callable[[Arena], bool]
) -> Arena:
    """The first arena of a source that fits."""
    outcomes = (candidate.outcome for candidate in StateSource(*shop, options).candidates())
    return next(o for o in outcomes if not isinstance(o, Rejected) and fits(o))


def priced(shop: tuple[Tables, Schema], kind: str, **dials: bool) -> Arena:
    """The first arena of one task that is about a price."""
    options = StateSourceOptions(
        hops=(1, 4), seed=6, kinds=frozenset({kind}), dials=ActionDials(other_units=True, **dials)
    )

    def fits(arena: Arena) -> bool:
        return len(arena.provenance["kinds"]) == 1 and "the price of" in arena.question

    return first(shop, options, fits)


def untold(arena: Arena) -> Arena:
    """The arena with documents that say nothing of cents."""
    tools = [
        tool.model_copy(
            update={
                "document": tool.document.model_validate_json(
                    tool.document.model_dump_json().replace("in cents, 100 to the EUR", "EUR")
                )
            }
        )
        for tool in arena.tools
    ]
    return arena.model_copy(update={"tools": tuple(tools)}).with_content_id()


def test_a_price_is_written_in_cents(shop: tuple[Tables, Schema]) -> None:
    arena = priced(shop, "update", terse_documents=True)
    call = arena.goals[-1].call
    assert call is not None
    name, cents = list(call.arguments.items())[-1]
    assert isinstance(cents, int) and cents / 100 in numbers_in(arena.question)
    schema = arena.tool(call.tool).document.parameters["properties"][name]
    assert schema["type"] == "integer" and "in cents, 100 to the EUR" in schema["description"]
    assert played(arena, policy("gold", arena)) == 1
    # Who writes what the request says sets a price of a hundredth.
    euros = call.model_copy(update={"arguments": {**call.arguments, name: round(cents / 100)}})
    steps = [c for step in gold_steps(arena) for c in step.calls][:-1]
    assert played(arena, ScriptedModel([calling(*steps, euros), "Done."])) == 0
    certificate = examined(arena)
    assert certificate.certified, [check for check in certificate.checks if not check.passed]
    failed = {c.check: c.reason for c in examined(untold(arena)).checks if not c.passed}
    assert "no document says how many" in failed["unique"]


def test_a_price_is_told_in_euros(shop: tuple[Tables, Schema]) -> None:
    options = StateSourceOptions(
        hops=(1, 5), seed=6, kinds=frozenset({"tell", "update"}),
        dials=ActionDials(other_units=True),
    )  # fmt: skip

    def fits(arena: Arena) -> bool:
        assert arena.state is not None
        return any(goal.told is not None for goal in arena.state.goals)

    arena = first(shop, options, fits)
    assert arena.state is not None
    goal = next(goal for goal in arena.state.goals if goal.told is not None)
    assert goal.says is not None and goal.told is not None
    assert goal.says.value == round(goal.told.value * 100)  # type: ignore[operator]
    assert played(arena, policy("gold", arena)) == 1
    calls: list[GoldCall] = [call for step in gold_steps(arena) for call in step.calls]
    assert played(arena, ScriptedModel([calling(*calls), f"It is {goal.says.value}."])) < 1
    failed = {c.check: c.reason for c in examined(untold(arena)).checks if not c.passed}
    assert "no document says how many" in failed["unique"]


def test_a_whole_number_of_kilograms_is_written_in_grams(tmp_path: Path) -> None:
    lines = ["box_id,name,capacity"]
    lines += [f"B-{n},Box {chr(65 + n // 26)}{chr(65 + n % 26)},{20 + n}" for n in range(60)]
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (tmp_path / "tables.toml").write_text('[tables.boxes.columns]\ncapacity = { unit = "kg" }\n')
    options = StateSourceOptions(
        hops=(1, 3), kinds=frozenset({"update"}), dials=ActionDials(other_units=True)
    )
    with load([tmp_path], TablesOptions()) as tables:
        source = StateSource(tables, profile(tables, TablesOptions()), options)
        outcomes = (candidate.outcome for candidate in source.candidates())
        arena = next(
            o for o in outcomes if not isinstance(o, Rejected) and "capacity" in o.question
        )
    call = arena.goals[-1].call
    assert call is not None
    name, grams = list(call.arguments.items())[-1]
    assert grams / 1000 in numbers_in(arena.question)
    assert played(arena, policy("gold", arena)) == 1
    split = call.model_copy(update={"arguments": {**call.arguments, name: grams + 1}})
    steps = [c for step in gold_steps(arena) for c in step.calls][:-1]
    assert played(arena, ScriptedModel([calling(*steps, split), "Done."])) == 0


# --- conditions that decide which row is changed --------------------------------------------------


@pytest.fixture(scope="module")
def branching(shop: tuple[Tables, Schema]) -> list[Arena]:
    options = StateSourceOptions(hops=(2, 6), seed=4, kinds=frozenset({"branch"}))
    return [arena for arena in draw(shop, options, 36) if len(arena.provenance["kinds"]) == 1]


def test_the_condition_decides_which_row_is_looked_up(branching: list[Arena]) -> None:
    first = 0
    for arena in branching:
        assert arena.state is not None
        (goal,) = arena.state.goals
        (change,) = goal.changes
        call = arena.goals[-1].call
        assert call is not None and change.key in call.arguments.values()
        text = arena.question.replace("If not", "otherwise").replace("if not", "otherwise")
        before, _, after = text.partition("otherwise")
        value = str(list(call.arguments.values())[-1])
        found = (value in before, value in after)
        if found[0] != found[1]:
            first += found[0]
    # Whoever takes the first branch without a look is right as often as not.
    assert len(branching) // 4 <= first <= 3 * len(branching) // 4


def test_only_the_branch_that_holds_is_rewarded(branching: list[Arena]) -> None:
    arena = branching[0]
    certificate = examined(arena)
    assert certificate.certified, [check for check in certificate.checks if not check.passed]
    assert played(arena, policy("gold", arena)) == 1
    assert played(arena, policy("reader", arena)) == 0
