"""What an operation is: one kind of sub-question over tables, wholly described in one file.

A file of this package says how its operation is planned and answered (`draw`, and a method that
builds the step), which part of a table its tool holds (`slice`), which other calls the tool must
answer otherwise (`decoys`), and how tool and questions are worded. `OPERATIONS` lists them all.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Protocol

from astra.arenas.tables.operations.parameters import OperationParameter
from astra.arenas.tables.questions.phrases import OperationWords
from astra.arenas.tables.slices import TableSlice, TableSlicer
from astra.arenas.tables.steps import (
    AnswerKind,
    PlanStep,
    QuestionValue,
    StepInput,
    argument_value,
)
from astra.arenas.tables.views import Attribute, RowEntity, RowGroup, TableView
from astra.arenas.tables.world import World
from astra.types import Json, Language, Scalar

TableAttribute = tuple[str, Attribute]
"""A table with named rows, and one of its attributes."""


class StepSource(Protocol):
    """What operations ask of the planner: rows, facts and attributes to build steps on.

    All draws of one plan share its generator and its split. `depth` is the number of calls that
    lead to the answer.
    """

    world: World
    rng: random.Random
    numeric: Sequence[TableAttribute]
    convertible: Sequence[TableAttribute]
    """Those whose unit has partners to convert to."""

    def view(self) -> TableView:
        """A table with named rows."""
        ...

    def known_entity(self, table: str) -> QuestionValue | None:
        """A row that the question names."""
        ...

    def row_by_value(self, table: str, attribute: Attribute, depth: int) -> PlanStep | None:
        """The row with a given value of a unique attribute."""
        ...

    def fact(self, table: str, attribute: Attribute, depth: int) -> PlanStep | None:
        """An attribute of a row of the table."""
        ...


class TableOperation(ABC):
    """Base class of operations. An instance has no state."""

    name: ClassVar[str]
    words: ClassVar[Mapping[Language, OperationWords]]
    nesting: ClassVar[float] = 1.75
    """How much a phrase of the operation adds to the depth of the phrase around it."""
    in_row: ClassVar[bool] = False
    """Whether its noun phrase is plain enough to stand in a row with others."""
    names_kind: ClassVar[bool] = False
    """Whether a row that it is asked about may be called by its kind, too ("the river X")."""

    # The tool. Descriptions hold no digits: a number there could pass for a leaked answer.
    # In names and descriptions {s} and {p} are a row and several rows, {q} is the tool's scope.
    tool_names: ClassVar[tuple[str, ...]]
    description: ClassVar[Mapping[Language, str]]
    parameters: ClassVar[tuple[OperationParameter, ...]]
    options: ClassVar[tuple[OperationParameter, ...]] = ()
    """Optional parameters; a tool gets some of those that its data can serve."""
    body: ClassVar[str]
    """Jinja template of the tool's function, after its checks of types and choices."""
    imports: ClassVar[tuple[str, ...]] = ()
    filtered: ClassVar[bool] = False
    """Whether the tool keeps only rows above or below a threshold."""
    returns_others: ClassVar[bool] = False
    """Whether its tool can return other attributes with the one that is asked for."""
    result_field: ClassVar[str]
    """Field of the result that holds the answer; `{entity}` is the one with the row's name."""
    echoed: ClassVar[Mapping[str, Scalar]] = {}
    """Fields of the result, besides the arguments, that say what was asked."""

    def weight(self, depth: int) -> int:
        """How often the planner draws it as the last of `depth` calls, relative to others."""
        del depth
        return 0

    def draw(self, source: StepSource, depth: int) -> PlanStep | None:
        """A step at the end of exactly `depth` calls. None if the draw led nowhere."""
        raise NotImplementedError(f"{self.name} has no weight, so it is never drawn")

    def target_key(self, step: PlanStep) -> Mapping[str, Scalar]:
        """Fields that the tool gives back in one spelling, whatever spelling a call uses."""
        del step
        return {}

    def scope(self, step: PlanStep) -> str:
        """Steps of one operation and one scope share a tool."""
        return step.table

    def fits(self, attribute: Attribute) -> bool:
        """Whether its tool can take the attribute."""
        del attribute
        return True

    @abstractmethod
    def slice(self, slicer: TableSlicer, steps: Sequence[PlanStep]) -> TableSlice | None:
        """The data of a tool for the steps. None if there are too few other rows or groups."""

    @abstractmethod
    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        """Arguments of other calls that the tool answers; the first has another answer."""


class ArithmeticOperation(TableOperation):
    """An operation on earlier answers, whose tool holds no table."""

    def slice(self, slicer: TableSlicer, steps: Sequence[PlanStep]) -> TableSlice | None:
        return TableSlice()


class RowOperation(TableOperation):
    """An operation on single rows."""

    def slice(self, slicer: TableSlicer, steps: Sequence[PlanStep]) -> TableSlice | None:
        return slicer.of_rows(steps, self.fits)


class GroupOperation(TableOperation):
    """An operation on all rows with one value of an attribute."""

    def group_weight(self, view: TableView) -> int:
        """How often the planner draws it for a group of the table, relative to others."""
        del view
        return 1

    @abstractmethod
    def of_group(self, source: StepSource, group: RowGroup, value: StepInput) -> PlanStep | None:
        """A step over the group, whose value is known from `value`."""

    def step(
        self,
        world: World,
        group: RowGroup,
        value: StepInput,
        answer: Scalar | tuple[Scalar, ...],
        *,
        attribute: Attribute | None = None,
        unit: str | None = None,
        entity: RowEntity | None = None,
        arguments: Mapping[str, Scalar] = MappingProxyType({}),
    ) -> PlanStep:
        """A step over a group. `arguments` are those besides `by` and `value`."""
        kind: AnswerKind = "number"
        if entity is not None or isinstance(answer, tuple):
            kind = "list" if entity is None else "entity"
        return PlanStep(
            self.name,
            group.table,
            {"by": group.attribute, "value": value, **arguments},
            answer,
            kind,
            attribute=attribute,
            by=world.views[group.table].by_name[group.attribute],
            unit=unit,
            entity=entity,
            subjects=(group.subject,),
            groups=(group,),
            words={name: str(argument) for name, argument in arguments.items()},
        )

    def slice(self, slicer: TableSlicer, steps: Sequence[PlanStep]) -> TableSlice | None:
        return slicer.of_groups(steps, self.fits)

    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        gold = step.call_arguments()
        flipped = [
            gold | {name: _OPPOSITES[value]}
            for name, value in gold.items()
            if name in ("order", "comparison", "function") and value in _OPPOSITES
        ]
        others = [gold | {"value": group.value} for group in other_groups(step, slice_)]
        attributes = [
            gold | {"attribute": attribute.name}
            for attribute in slice_.attributes
            if "attribute" in gold and attribute.name != gold["attribute"]
        ]
        return [*flipped, *others, *attributes]


_OPPOSITE_PAIRS = (
    ("highest", "lowest"),
    ("above", "below"),
    ("sum", "mean"),
    ("minimum", "maximum"),
)
_OPPOSITES = dict(_OPPOSITE_PAIRS) | {second: first for first, second in _OPPOSITE_PAIRS}


def other_groups(step: PlanStep, slice_: TableSlice) -> list[RowGroup]:
    """Groups of the slice by the step's attribute, but for its own."""
    by, value = step.arguments["by"], argument_value(step.arguments["value"])
    return [group for group in slice_.groups if group.attribute == by and group.value != value]
