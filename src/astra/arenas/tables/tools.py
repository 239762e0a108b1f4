"""Writes the tools of a plan: documents, Python source, data, gold calls' targets and decoys.

Steps of one operation on one table share a tool over the union of the rows they need. A tool
holds other rows, too, all of one train/test split, and answers group questions only for groups
that it holds completely.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined

from astra.arenas.tables.planner import QuestionPlan
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.slices import TableSlice, TableSlicer
from astra.arenas.tables.steps import LONGEST_NOUN, PlanStep, StepBuilder, identifier
from astra.arenas.tables.tool_words import DESCRIPTIONS, PARAMETERS, VERBS
from astra.arenas.tables.units import UNITS, of_quantity, unit_name
from astra.arenas.tables.world import Attribute, World
from astra.types import Json, Language, Tool, ToolSchema

_TEMPLATES = {"filter": "list", "count_where": "count"}
_OPTIONS: dict[str, tuple[str, ...]] = {
    "lookup": ("unit", "language", "format", "decimals"),
    "find": ("match_case",),
    "list": ("limit", "list order", "format"),
    "filter": ("limit", "list order", "format"),
    "count": ("format",),
    "count_where": ("format",),
    "rank": ("position",),
    "aggregate": ("decimals",),
    "compare": ("absolute",),
    "difference": ("absolute",),
    "days_between": ("inclusive",),
    "convert": ("decimals",),
}


_LEAST = {"limit": 1, "position": 1, "decimals": 0}


@dataclass(frozen=True, slots=True)
class ToolParameter:
    """One parameter of a tool, as the document and the source need it."""

    name: str
    kind: str
    description: str
    choices: tuple[str, ...] | None = None
    default: Json = None
    required: bool = True

    def schema(self) -> dict[str, Json]:
        """Its JSON Schema."""
        schema: dict[str, Json] = {"type": self.kind, "description": self.description}
        if self.choices is not None:
            schema["enum"] = list(self.choices)
        if not self.required:
            schema["default"] = self.default
        if self.name in _LEAST:
            schema["minimum"] = _LEAST[self.name]
        return schema


@dataclass(slots=True)
class ToolJob:
    """The steps that one tool serves."""

    operation: str
    table: str
    steps: list[PlanStep] = field(default_factory=list)


def jobs_of(steps: Sequence[PlanStep]) -> list[ToolJob]:
    """Steps grouped by (table, operation), in order of appearance; conversions by quantity."""
    jobs: dict[tuple[str, str], ToolJob] = {}
    for step in steps:
        where = step.table
        if step.operation == "convert":
            where = UNITS[str(step.arguments["from_unit"])].quantity
        jobs.setdefault((step.operation, where), ToolJob(step.operation, where)).steps.append(step)
    return list(jobs.values())


class ToolWriter:
    """Writes tools over one world. `sisters`: the same world in other languages."""

    def __init__(self, world: World, sisters: dict[Language, World]) -> None:
        self.world = world
        self.slicer = TableSlicer(world, {k: v for k, v in sisters.items() if k != world.language})
        self.operations = StepBuilder(world)
        self._templates = Environment(
            loader=PackageLoader("astra.arenas.tables", "templates"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )
        self._templates.filters["py"] = repr

    def write(
        self, job: ToolJob, plan: QuestionPlan, rng: random.Random
    ) -> tuple[Tool, TableSlice] | None:
        """The tool of a job and the rows it holds; None when there are too few other rows."""
        slice_ = self.slicer.slice(job.operation, job.table, job.steps, plan.split, rng)
        if slice_ is None:
            return None
        options = self._options(job, slice_, rng)
        if any(step.operation == "convert" for step in plan.steps()):
            # A tool that converts by itself would make that call needless.
            options = [option for option in options if option != "unit"]
        parameters = self._parameters(job, slice_, options)
        name = self._name(job, rng)
        entity = self.entity_of(job)
        source = self._templates.get_template(
            f"{_TEMPLATES.get(job.operation, job.operation)}.py.j2"
        ).render(
            name=name,
            signature=", ".join(
                p.name if p.required else f"{p.name}={p.default!r}" for p in parameters
            ),
            parameters=parameters,
            options=[_parameter_name(option) for option in options],
            entity=entity,
            filtered=job.operation in ("filter", "count_where"),
            language=self.world.language,
        )
        document = ToolSchema(
            name=name,
            description=self._words(DESCRIPTIONS[job.operation], job),
            parameters={
                "type": "object",
                "properties": {p.name: p.schema() for p in parameters},
                "required": [p.name for p in parameters if p.required],
                "additionalProperties": False,
            },
        )
        tool = Tool(
            document=document,
            source=source,
            data=slice_.data(entity, options),
            domain=self._domain(job),
            language=self.world.language,
        )
        return tool, slice_

    def entity_of(self, job: ToolJob) -> str:
        """Name of the parameter and field that hold a row's name."""
        return self.operations.parameter(job.table) if job.table in self.world.views else ""

    def _domain(self, job: ToolJob) -> str:
        if job.table in self.world.views:
            return self.world.schema.table(job.table).domain
        return "units" if job.operation == "convert" else "arithmetic"

    def _name(self, job: ToolJob, rng: random.Random) -> str:
        singular, plural = job.table, job.table
        if job.table in self.world.views:
            singular = self.operations.noun(job.table)
            table = self.world.schema.table(job.table)
            plural = identifier(table.plural.get("en", ""))[:LONGEST_NOUN].rstrip("_")
            plural = plural or f"{singular}s"
        return rng.choice(VERBS[job.operation]).format(s=singular, p=plural, q=job.table)

    def _words(self, texts: dict[Language, str], job: ToolJob, choices: str = "") -> str:
        singular = plural = ""
        if job.table in self.world.views:
            table = self.world.schema.table(job.table)
            singular = table.singular.get(self.world.language) or table.name
            plural = table.plural.get(self.world.language) or table.name
        return texts[self.world.language].format(s=singular, p=plural, q=job.table, choices=choices)

    def _options(self, job: ToolJob, slice_: TableSlice, rng: random.Random) -> list[str]:
        """Optional parameters: a seeded choice of those that the data can serve."""
        able = list(_OPTIONS[job.operation])
        if "unit" in able and not any(a.unit in UNITS for a in slice_.attributes):
            able.remove("unit")
        if "language" in able and not slice_.translations:
            able.remove("language")
        fractions = any(a.kind is ColumnKind.number for a in slice_.attributes)
        if job.operation == "lookup" and not fractions:
            able.remove("decimals")
        return [option for option in able if rng.random() < 0.5]

    def _parameters(
        self, job: ToolJob, slice_: TableSlice, options: Sequence[str]
    ) -> list[ToolParameter]:
        found = [self._required(name, job, slice_) for name in _REQUIRED[job.operation]]
        return found + [self._optional(option, job, slice_) for option in options]

    def _required(self, name: str, job: ToolJob, slice_: TableSlice) -> ToolParameter:
        def words(key: str, choices: str = "") -> str:
            return self._words(PARAMETERS[key], job, choices)

        match name:
            case "entity":
                return ToolParameter(self.entity_of(job), "string", words("entity"))
            case "attribute":
                described = self._described(slice_.attributes)
                names = tuple(a.name for a in slice_.attributes)
                return ToolParameter("attribute", "string", words("attribute", described), names)
            case "by":
                described = self._described(slice_.by)
                return ToolParameter(
                    "by", "string", words("by", described), tuple(a.name for a in slice_.by)
                )
            case "find value":
                return ToolParameter("value", "string", words("find value"))
            case "number":
                return ToolParameter("value", "number", words("number"))
            case "threshold" | "minuend" | "subtrahend":
                return ToolParameter(name, "number", words(name))
            case "from_unit" | "to_unit":
                symbol = str(job.steps[0].arguments["from_unit"])
                return ToolParameter(name, "string", words(name), tuple(of_quantity(symbol)))
            case _:
                return ToolParameter(name, "string", words(name), _CHOICES.get(name))

    def _optional(self, name: str, job: ToolJob, slice_: TableSlice) -> ToolParameter:
        text = self._words(PARAMETERS[name], job)
        match name:
            case "unit":
                symbols = {
                    s for a in slice_.attributes if a.unit in UNITS for s in of_quantity(a.unit)
                }
                choices = ("native", *sorted(symbols))
                return ToolParameter("unit", "string", text, choices, "native", False)
            case "language":
                choices = tuple(sorted({self.world.language, *slice_.languages}))
                return ToolParameter(
                    "language", "string", text, choices, self.world.language, False
                )
            case "format":
                other = "numbered" if job.operation in ("list", "filter") else "detailed"
                return ToolParameter("format", "string", text, ("plain", other), "plain", False)
            case "list order":
                choices = ("given", "ascending", "descending")
                return ToolParameter("order", "string", text, choices, "given", False)
            case "limit":
                return ToolParameter("limit", "integer", text, None, 1000, False)
            case "decimals":
                return ToolParameter("decimals", "integer", text, None, 6, False)
            case "position":
                return ToolParameter("position", "integer", text, None, 1, False)
            case _:
                return ToolParameter(name, "boolean", text, None, False, False)

    def _described(self, attributes: Sequence[Attribute]) -> str:
        """Attributes with their labels and units."""
        return ", ".join(map(self._one_described, attributes))

    def _one_described(self, attribute: Attribute) -> str:
        words = [attribute.label] if attribute.label != attribute.name else []
        if attribute.unit in UNITS:
            unit = unit_name(attribute.unit, self.world.language)
            words.append(unit if self.world.language == "zh" else f"in {unit}")
        return f"{attribute.name} ({', '.join(words)})" if words else attribute.name


def _parameter_name(option: str) -> str:
    return "order" if option == "list order" else option


_CHOICES: dict[str, tuple[str, ...]] = {
    "comparison": ("above", "below"),
    "order": ("highest", "lowest"),
    "function": ("sum", "mean", "minimum", "maximum"),
}

_REQUIRED: dict[str, tuple[str, ...]] = {
    "lookup": ("entity", "attribute"),
    "find": ("attribute", "find value"),
    "list": ("by", "value"),
    "filter": ("by", "value", "attribute", "comparison", "threshold"),
    "count": ("by", "value"),
    "count_where": ("by", "value", "attribute", "comparison", "threshold"),
    "rank": ("by", "value", "attribute", "order"),
    "aggregate": ("by", "value", "attribute", "function"),
    "compare": ("first", "second", "attribute"),
    "difference": ("minuend", "subtrahend"),
    "days_between": ("start", "end"),
    "convert": ("number", "from_unit", "to_unit"),
}
