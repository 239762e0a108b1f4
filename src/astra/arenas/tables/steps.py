"""One atomic sub-question over tables, computed by DuckDB: the operations that questions are
made of.

A `PlanStep` knows its arguments (from the question, or from an earlier step), its one right answer,
and which rows its tool needs. Every builder returns None when the data do not give exactly one
right answer: ties, nulls, names that stand twice, lists that are too long.
"""

from __future__ import annotations

import builtins
import keyword
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.units import UNITS, of_quantity
from astra.arenas.tables.world import Attribute, RowEntity, RowGroup, World, fold, quote
from astra.types import Json, Scalar, canonical_json

Operation = Literal[
    "lookup",
    "find",
    "list",
    "filter",
    "count",
    "count_where",
    "rank",
    "aggregate",
    "compare",
    "difference",
    "days_between",
    "convert",
]

LONGEST_LIST = 10
"""Most members of an answer that is a list."""
LONGEST_NOUN = 32
"""Characters of a table's name within the names of tools and parameters."""
SHORTEST_TEXT = 2
"""Characters: a single one, of Chinese in particular, stands in many texts by chance."""
SMALLEST_NUMBER = 3
"""Counts below are guessed too easily, and stand in many texts by chance."""


@dataclass(frozen=True, slots=True)
class QuestionValue:
    """A value that stands in the question."""

    text: str
    entity: RowEntity | None = None
    shared: bool = False
    """Rows of other tables have this name, too: the question says which one is meant."""


@dataclass(eq=False, slots=True)
class PlanStep:
    """One atomic call and its answer. Compared by identity: a plan is a graph of steps."""

    operation: Operation
    table: str
    """Table whose rows the tool holds; "" for arithmetic."""
    arguments: dict[str, StepInput | Scalar]
    answer: Scalar | tuple[Scalar, ...]
    kind: Literal["entity", "text", "number", "date", "list"]
    attribute: Attribute | None = None
    by: Attribute | None = None
    unit: str | None = None
    entity: RowEntity | None = None
    """The row that the answer names, when it names one."""
    subjects: tuple[str, ...] = ()
    """What the train/test split is decided on."""
    rows: tuple[int, ...] = ()
    """Rows that the tool must hold."""
    groups: tuple[RowGroup, ...] = ()
    """Groups that the tool must hold completely."""
    words: dict[str, str] = field(default_factory=dict)
    """Order, function, comparison …, for the phrasing."""

    @property
    def parents(self) -> list[PlanStep]:
        """Steps whose answers this one needs, in argument order, each once."""
        found: list[PlanStep] = []
        for value in self.arguments.values():
            if isinstance(value, PlanStep) and value not in found:
                found.append(value)
        return found

    def walk(self) -> Iterator[PlanStep]:
        """Ancestors first, each once, itself last."""
        seen: list[PlanStep] = []
        for parent in self.parents:
            for step in parent.walk():
                if step not in seen:
                    seen.append(step)
                    yield step
        yield self

    def call_key(self) -> str:
        """What is called, whatever the tool's name: for duplicates and the split."""
        return canonical_json([self.operation, self.table, self.call_arguments()])

    def call_arguments(self) -> dict[str, Json]:
        """The gold arguments: answers of earlier steps filled in."""
        return {name: value_of(source) for name, source in self.arguments.items()}


StepInput = QuestionValue | PlanStep


def value_of(source: StepInput | Scalar) -> Json:
    """The value an argument takes in the gold call."""
    if isinstance(source, QuestionValue):
        return source.text
    if isinstance(source, PlanStep):
        return source.answer
    return source


def _entity_of(source: StepInput) -> RowEntity | None:
    return source.entity


def _number(value: Json) -> int | float | None:
    """A finite number, floats rounded to 6 decimals; None otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else round(value, 6)


class StepBuilder:
    """Builds steps over one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._names = lru_cache(maxsize=16_384)(self._group_names)
        self.parameter = lru_cache(maxsize=None)(self._parameter)

    def lookup(self, attribute: Attribute, subject: StepInput) -> PlanStep | None:
        """The attribute of a named row."""
        entity = _entity_of(subject)
        if entity is None:
            return None
        row = self.world.row(entity.table, entity.row)
        value = row[attribute.name]
        found = None
        if attribute.references is not None:
            reference = row[f"__ref_{attribute.name}"]
            if reference is None:
                return None
            found = self.world.entity(attribute.references, reference)
            if found is None:
                return None
        if attribute.numeric:
            value = _number(value)
        if value is None or (isinstance(value, str) and len(value) < SHORTEST_TEXT):
            return None
        if isinstance(subject, PlanStep) and self._is_detour(subject, attribute):
            return None
        return PlanStep(
            "lookup",
            entity.table,
            {self.parameter(entity.table): subject, "attribute": attribute.name},
            value,
            _kind(attribute, found),
            attribute=attribute,
            unit=attribute.unit,
            entity=found,
            subjects=(self.world.cluster(entity.table, entity.row),),
            rows=(entity.row,),
        )

    def _is_detour(self, subject: PlanStep, attribute: Attribute) -> bool:
        """Whether the row was picked from a group whose rows all have the same value: then the
        step that picked it need not be taken."""
        if subject.operation != "rank":
            return False
        values = {row[attribute.name] for g in subject.groups for row in self.world.members(g)}
        return len(values) == 1

    def find(
        self, table: str, attribute: Attribute, entity: RowEntity, subject: StepInput
    ) -> PlanStep | None:
        """The row that has the given value of a unique attribute."""
        row = self.world.row(table, entity.row)
        if row[attribute.name] != value_of(subject):
            return None
        return PlanStep(
            "find",
            table,
            {"attribute": attribute.name, "value": subject},
            entity.name,
            "entity",
            attribute=attribute,
            entity=entity,
            subjects=(self.world.cluster(table, entity.row),),
            rows=(entity.row,),
        )

    def names(self, group: RowGroup) -> tuple[str, ...] | None:
        """Names of a group's rows; None unless each is there and stands once."""
        return self._names(group)

    def _group_names(self, group: RowGroup) -> tuple[str, ...] | None:
        names = [row["__name"] for row in self.world.members(group)]
        if any(name is None for name in names):
            return None
        folded = {fold(name) for name in names}
        return tuple(names) if len(folded) == len(names) else None

    def list(self, group: RowGroup, subject: StepInput) -> PlanStep | None:
        """All rows of a group."""
        names = self.names(group)
        if names is None or not 2 <= len(names) <= LONGEST_LIST:
            return None
        return self._grouped("list", group, subject, {}, names, "list")

    def filter(
        self, group: RowGroup, subject: StepInput, attribute: Attribute, rng: random.Random
    ) -> PlanStep | None:
        """The rows of a group above or below a threshold."""
        if self.names(group) is None:
            return None
        cut = self._threshold(group, attribute, rng)
        if cut is None:
            return None
        comparison, threshold = cut
        sign = ">" if comparison == "above" else "<"
        found = self.world.ask(
            f"SELECT __name FROM {self.world.quoted(group.table)} "
            f"WHERE {quote(group.attribute)} = ? AND {quote(attribute.name)} {sign} ? "
            "ORDER BY __row",
            [group.value, threshold],
        )
        names = tuple(str(name) for (name,) in found)
        if not 2 <= len(names) <= LONGEST_LIST:
            return None
        arguments = {
            "attribute": attribute.name,
            "comparison": comparison,
            "threshold": threshold,
        }
        return self._grouped("filter", group, subject, arguments, names, "list", attribute)

    def count(
        self, group: RowGroup, subject: StepInput, attribute: Attribute | None, rng: random.Random
    ) -> PlanStep | None:
        """How many rows a group has, by option above or below a threshold."""
        where, arguments, values = "", dict[str, Scalar](), list[Scalar]([group.value])
        if attribute is not None:
            cut = self._threshold(group, attribute, rng)
            if cut is None:
                return None
            comparison, threshold = cut
            where = f" AND {quote(attribute.name)} {'>' if comparison == 'above' else '<'} ?"
            values.append(threshold)
            arguments = {
                "attribute": attribute.name,
                "comparison": comparison,
                "threshold": threshold,
            }
        ((number,),) = self.world.ask(
            f"SELECT count(*) FROM {self.world.quoted(group.table)} "
            f"WHERE {quote(group.attribute)} = ?{where}",
            values,
        )
        if number < SMALLEST_NUMBER:
            return None
        operation = "count" if attribute is None else "count_where"
        return self._grouped(operation, group, subject, arguments, number, "number", attribute)

    def rank(
        self, group: RowGroup, subject: StepInput, attribute: Attribute, order: str
    ) -> PlanStep | None:
        """The one row of a group with the highest or lowest value."""
        row = self.world.extreme(group, attribute.name, order)
        entity = None if row is None else self.world.entity(group.table, row)
        if entity is None or self.names(group) is None:
            return None
        arguments: dict[str, StepInput | Scalar] = {"attribute": attribute.name, "order": order}
        step = self._grouped("rank", group, subject, arguments, entity.name, "entity", attribute)
        step.entity = entity
        return step

    def aggregate(
        self, group: RowGroup, subject: StepInput, attribute: Attribute, function: str
    ) -> PlanStep | None:
        """Sum, mean, minimum or maximum over a group."""
        values = [row[attribute.name] for row in self.world.members(group)]
        if len(values) < 3 or None in values or len(set(values)) == 1:
            return None
        call = {"sum": "sum", "mean": "avg", "minimum": "min", "maximum": "max"}[function]
        number = _number(self.world.aggregate(group, attribute.name, call))
        if number is None:
            return None
        arguments: dict[str, StepInput | Scalar] = {
            "attribute": attribute.name,
            "function": function,
        }
        return self._grouped(
            "aggregate", group, subject, arguments, number, "number", attribute, attribute.unit
        )

    def compare(self, attribute: Attribute, first: StepInput, second: StepInput) -> PlanStep | None:
        """By how much the first row's attribute exceeds the second's; always positive."""
        a, b = _entity_of(first), _entity_of(second)
        if a is None or b is None or a == b or a.table != b.table:
            return None
        rows = [self.world.row(entity.table, entity.row) for entity in (a, b)]
        x, y = (_number(row[attribute.name]) for row in rows)
        if x is None or y is None or x == y:
            return None
        if x < y:
            return self.compare(attribute, second, first)
        ((value,),) = self.world.ask("SELECT ? - ?", [x, y])
        number = _number(value)
        if number is None:
            return None
        return PlanStep(
            "compare",
            a.table,
            {"first": first, "second": second, "attribute": attribute.name},
            number,
            "number",
            attribute=attribute,
            unit=attribute.unit,
            subjects=tuple(self.world.cluster(e.table, e.row) for e in (a, b)),
            rows=(a.row, b.row),
        )

    def difference(self, first: PlanStep, second: PlanStep) -> PlanStep | None:
        """The first number minus the second; always positive."""
        x, y = _number(first.answer), _number(second.answer)
        if x is None or y is None or x == y or first.unit != second.unit:
            return None
        if x < y:
            first, second, x, y = second, first, y, x
        ((value,),) = self.world.ask("SELECT ? - ?", [x, y])
        number = _number(value)
        if number is None:
            return None
        arguments: dict[str, StepInput | Scalar] = {"minuend": first, "subtrahend": second}
        return PlanStep("difference", "", arguments, number, "number", unit=first.unit)

    def days_between(self, first: PlanStep, second: PlanStep) -> PlanStep | None:
        """Days from the earlier to the later date."""
        if first.kind != "date" or second.kind != "date" or first.answer == second.answer:
            return None
        if str(first.answer) > str(second.answer):
            first, second = second, first
        ((days,),) = self.world.ask(
            "SELECT date_diff('day', CAST(? AS DATE), CAST(? AS DATE))",
            [str(first.answer), str(second.answer)],
        )
        if days < SMALLEST_NUMBER:
            return None
        arguments: dict[str, StepInput | Scalar] = {"start": first, "end": second}
        return PlanStep("days_between", "", arguments, days, "number")

    def convert(self, value: PlanStep, unit: str) -> PlanStep | None:
        """A number in another unit of the same quantity."""
        number = _number(value.answer)
        if number is None or value.unit not in UNITS or unit == value.unit:
            return None
        factors = of_quantity(value.unit)
        ((found,),) = self.world.ask(
            "SELECT CAST(? AS DOUBLE) * ? / ?", [number, factors[value.unit], factors[unit]]
        )
        answer = _number(found)
        if not answer or abs(answer) < 0.01:
            return None
        arguments: dict[str, StepInput | Scalar] = {
            "value": value,
            "from_unit": value.unit,
            "to_unit": unit,
        }
        return PlanStep("convert", "", arguments, answer, "number", unit=unit)

    # --- shared ------------------------------------------------------------------------------

    def _parameter(self, table: str) -> str:
        """The parameter that names a row of the table: no other field of its rows or results."""
        view = self.world.views[table]
        name = parameter_name(self.noun(table))
        while name in view.by_name:
            name += "_name"
        return name

    def noun(self, table: str) -> str:
        """An ASCII identifier for one row of the table, another one for each table."""
        found = self.world.schema.table(table)
        name = identifier(found.singular.get("en", "")) or identifier(found.name)
        if name:
            return name[:LONGEST_NOUN].rstrip("_")
        number = [other.name for other in self.world.schema.tables].index(table)
        return "record_" + "".join(chr(ord("a") + int(digit)) for digit in str(number))

    def _grouped(
        self,
        operation: Operation,
        group: RowGroup,
        subject: StepInput,
        arguments: Mapping[str, StepInput | Scalar],
        answer: Scalar | tuple[Scalar, ...],
        kind: Literal["entity", "number", "list"],
        attribute: Attribute | None = None,
        unit: str | None = None,
    ) -> PlanStep:
        by = self.world.views[group.table].by_name[group.attribute]
        words = {name: str(value_of(value)) for name, value in arguments.items()}
        return PlanStep(
            operation,
            group.table,
            {"by": group.attribute, "value": subject, **arguments},
            answer,
            kind,
            attribute=attribute,
            by=by,
            unit=unit,
            subjects=(group.subject,),
            groups=(group,),
            words=words,
        )

    def _threshold(
        self, group: RowGroup, attribute: Attribute, rng: random.Random
    ) -> tuple[str, int | float] | None:
        """A round number strictly between two values of the group, and a side of it."""
        values = [row[attribute.name] for row in self.world.members(group)]
        if any(_number(value) is None for value in values):
            return None
        distinct = sorted(set(values))
        if len(distinct) < 4:
            return None
        at = rng.randrange(1, len(distinct) - 2)
        low, high = distinct[at], distinct[at + 1]
        threshold = round_between(low, high)
        return None if threshold is None else (rng.choice(("above", "below")), threshold)


def round_between(low: float, high: float) -> int | float | None:
    """The number with the fewest digits strictly between two numbers; None if none is short."""
    middle = (low + high) / 2
    for digits in range(1, 8):
        rounded = float(f"{middle:.{digits - 1}e}")
        if low < rounded < high:
            return int(rounded) if rounded == int(rounded) else rounded
    return None


def parameter_name(noun: str) -> str:
    """The noun, or one that no keyword, builtin, local name or field of a result is."""
    taken = noun in _TAKEN or keyword.iskeyword(noun) or hasattr(builtins, noun)
    return f"{noun}_name" if taken else noun


_TAKEN = frozenset(
    "absolute answer attribute by comparison count data datetime day days decimals details "
    "difference end error factors fields first fold format from_unit function group inclusive "
    "items label language limit match_case math minuend number numeric one order own parameter "
    "parameters position problem result row rows second start subtrahend text threshold to_unit "
    "two unicodedata unit units value values".split()
)


def identifier(text: str) -> str:
    """ASCII snake case; "" when nothing is left."""
    kept = "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower())
    kept = "_".join(part for part in kept.split("_") if part)
    return "" if not kept else kept if kept[0].isalpha() else f"t_{kept}"


def _kind(
    attribute: Attribute, entity: RowEntity | None
) -> Literal["entity", "text", "number", "date"]:
    if entity is not None:
        return "entity"
    if attribute.numeric:
        return "number"
    return "date" if attribute.kind is ColumnKind.date else "text"
