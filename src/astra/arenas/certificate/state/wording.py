"""Part of the check `unique`: other readings of a request that would come to another state.

Not covered: readings that no rule here knows. Whoever draws a request knows what it means; this
looks at the words alone, as an agent does.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence, Set

from astra.arenas.certificate.arena_under_test import CheckFinding, NamedCall, is_answered
from astra.arenas.certificate.state.trials import Said, StateTrials, Trial
from astra.core.text import numbers_in
from astra.databases import Cell, RowChange
from astra.types import Json

_LIMIT = re.compile(
    r"(?:\b(?:above|below|over|under|exceeds?|(?:more|less|higher|lower|greater|fewer) than)"
    r"|高于|低于|大于|小于|超过|不到)\s*(?P<limit>-?\d+(?:[.,]\d+)?)"
)
_BY = re.compile(
    r"(?:\bby|增加|减少|提高|降低|上调|下调)\s*(?P<value>-?\d+(?:\.\d+)?)(?!\d|\s*(?:%|percent))"
)


def requests(trials: StateTrials) -> str:
    """All that the user asks for."""
    return "\n".join([trials.arena.question, *(turn.text for turn in trials.state.turns)])


async def check_boundary(trials: StateTrials) -> None:
    """A limit that a row lies on exactly is read in two ways."""
    limits = {
        number
        for match in _LIMIT.finditer(requests(trials))
        for number in numbers_in(match["limit"])
    }
    reads = [call for call in trials.gold_calls if not trials.writes(call)]
    names = {"total"} | {
        name for table in trials.database.tables for name in (table.key, *table.references)
    }
    for played in await trials.play([[call] for call in reads] if limits else []):
        for outcome in filter(is_answered, played.outcomes):
            for value in _numbers(outcome.value, names):
                if value in limits:
                    raise CheckFinding(
                        f"the request speaks of more or less than {value:g}, and a row that has to "
                        "be read has exactly that: say whether it counts"
                    )


def check_to_or_by(trials: StateTrials) -> None:
    """A number that is set is not said as one by which something changes."""
    text = requests(trials)
    said = {number for match in _BY.finditer(text) for number in numbers_in(match["value"])}
    said -= set(numbers_in(_BY.sub(" ", text)))  # such as those of other parts of the request
    for _, call in trials.gold_writes:
        if len(call.arguments) != 2:
            continue  # a quantity that is moved, or one of a new row's values
        for name, value in call.arguments.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and value in said:
                raise CheckFinding(
                    f"{call.description} sets {name} to {value!r}, and the request says by"
                )


def check_determined(trials: StateTrials) -> None:
    """All values of a new row are given, known or said by the tool's document."""
    for call, change in _creations(trials):
        document = trials.tools[call.tool].document
        told = f"{document.description} {document.parameters}"
        given = {str(value) for value in call.arguments.values()}
        table = trials.database.table(change.table)
        free = (table.key, *trials.state.free.get(change.table, ()))
        for name, value in (change.after or {}).items():
            column = table.column(name)
            if value is None or name in free or column.type in ("decimal", "boolean"):
                continue
            if str(value) not in given and str(value) not in told:
                raise CheckFinding(
                    f"a new row of {change.table!r} gets {name} {value!r}, which neither the call "
                    f"nor the document of {call.tool!r} says"
                )


def check_units(trials: StateTrials) -> None:
    """Where a tool takes or returns another number than the request means, its document says how
    many of the one are one of the other."""
    changes = [change for goal in trials.state.goals for change in goal.changes]
    created = [*_creations(trials)]
    for _, call in trials.gold_writes:
        document = trials.tools[call.tool].document
        own = [c for c in changes if c.before is not None and c.key in call.arguments.values()]
        own += [change for other, change in created if other is call]
        for name, given in call.arguments.items():
            # Of one row that is changed twice, some change is what the call is for.
            meant = [
                cell / 10 ** trials.database.table(change.table).column(name).scale
                for change in own
                if isinstance(cell := (change.after or {}).get(name), int)
            ]
            ratios = [_ratio(given, value) for value in meant]
            said = f"{document.description} {document.parameters}"
            _check_ratios(ratios, said, f"{call.description} sets {name} to {given!r}")
    for goal in trials.state.goals:
        if goal.says is None or goal.told is None:
            continue
        reads = [trials.tools[call.tool] for call in trials.gold_calls if not trials.writes(call)]
        told = " ".join(tool.document.description for tool in reads)
        ratios = [_ratio(goal.says.value, goal.told.value)]
        _check_ratios(
            ratios, told, f"what goal {goal.id!r} tells is {goal.says.value!r} in a result"
        )


def _ratio(given: Json, meant: Json) -> float:
    numbers = isinstance(given, int | float) and isinstance(meant, int | float)
    return given / meant if numbers and meant else 1


def _check_ratios(ratios: Sequence[float], document: str, what: str) -> None:
    """Raise CheckFinding if a number is a multiple of what is meant, and no document says so."""
    if not ratios or any(math.isclose(ratio, 1) for ratio in ratios):
        return
    if not any(round(ratio) in numbers_in(document) for ratio in ratios):
        raise CheckFinding(f"{what}, and no document says how many are one of what is meant")


async def check_orders(trials: StateTrials) -> None:
    """Any two writes of one turn come to the same in either order."""
    if any(isinstance(step, Said) for step in trials.gold[:-1]):
        return  # the turns order them
    pairs = list(itertools.combinations([call for _, call in trials.gold_writes], 2))
    plans = [order for first, second in pairs for order in ([first, second], [second, first])]
    played = await trials.play(plans)
    for one, other in zip(played[::2], played[1::2], strict=True):
        if _ends(trials, one) != _ends(trials, other):
            first, second = one.calls
            raise CheckFinding(
                f"{first.description} and {second.description} come to something else in the other "
                "order: say the order"
            )


def _ends(trials: StateTrials, trial: Trial) -> dict[tuple[str, Cell], dict[str, Cell] | None]:
    """The rows that a trial has changed, as they are in the end, without what tools choose."""
    rows: dict[tuple[str, Cell], dict[str, Cell] | None] = {}
    for outcome in trial.outcomes:
        for change in outcome.effect.changes if outcome.effect is not None else ():
            place = (change.table, change.key)
            after = trials.compared(change.table, change.after)
            rows[place] = None if after is None else {**(rows.get(place) or {}), **after}
    return rows


def _creations(trials: StateTrials) -> Iterator[tuple[NamedCall, RowChange]]:
    changes = [c for goal in trials.state.goals for c in goal.changes if c.before is None]
    for _, call in trials.gold_writes:
        for change in changes:
            # A call that names a row of the table does not make one.
            named = [trials.key_table(call.tool, *each) for each in call.arguments.items()]
            if any(table is not None and table.name == change.table for table in named):
                continue
            values = {str(value) for value in (change.after or {}).values()}
            if (
                all(
                    str(value) in values
                    for value in call.arguments.values()
                    if isinstance(value, str)
                )
                and change.table in trials.state.writes[call.tool]
            ):
                yield call, change


def _numbers(value: Json, left_out: Set[str]) -> Iterator[float]:
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in left_out:
                yield from _numbers(part, left_out)
    elif isinstance(value, list):
        for part in value:
            yield from _numbers(part, left_out)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)
