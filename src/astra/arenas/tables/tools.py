"""Writes the tools of a plan: documents, Python sources and data.

Steps of one operation on one table share a tool over the union of the rows they need. A tool
holds other rows, too, all of one train/test split, and answers group questions only for groups
that it holds completely.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from jinja2 import Template

from astra.arenas.difficulty import UNSET, DialSettings
from astra.arenas.distractors import ARITHMETIC
from astra.arenas.tables.naming import LONGEST_NOUN, ascii_identifier
from astra.arenas.tables.operations import OPERATIONS
from astra.arenas.tables.operations.base import TableOperation
from astra.arenas.tables.operations.parameters import (
    OperationParameter,
    ToolParameter,
    ToolTexts,
)
from astra.arenas.tables.planner import QuestionPlan
from astra.arenas.tables.slices import MAX_OTHER_ATTRIBUTES, TableSlice, TableSlicer
from astra.arenas.tables.steps import PlanStep
from astra.arenas.tables.terse import TERSE_DESCRIPTIONS
from astra.arenas.tables.world import World
from astra.arenas.tool_templates import tool_templates
from astra.types import Json, Language, Tool, ToolSchema

MAX_DECOYS = 6
_BESIDE: dict[Language, tuple[str, str]] = {
    "en": (" Other attributes are returned with it.", ", among others"),
    "zh": ("同时返回其他属性。", "，同时返回其他属性"),
}
"""What a document says of attributes that are returned with the one that is asked for; the second
if it is terse."""


@dataclass(slots=True)
class ToolJob:
    """The steps that one tool serves."""

    operation: TableOperation
    scope: str
    """The table; the quantity for conversions; empty for other arithmetic."""
    steps: list[PlanStep] = field(default_factory=list[PlanStep])

    @property
    def table(self) -> str:
        """The table that the steps ask about. Empty for arithmetic."""
        return self.steps[0].table


def jobs_of(steps: Sequence[PlanStep]) -> list[ToolJob]:
    """Steps grouped by operation and scope, in order of appearance."""
    jobs: dict[tuple[str, str], ToolJob] = {}
    for step in steps:
        operation = OPERATIONS[step.operation]
        scope = operation.scope(step)
        jobs.setdefault((step.operation, scope), ToolJob(operation, scope)).steps.append(step)
    return list(jobs.values())


class ToolWriter:
    """Writes tools over one world. `worlds`: the same tables in all languages of the run."""

    def __init__(self, world: World, worlds: dict[Language, World]) -> None:
        self.world = world
        others = (other for other in worlds.values() if other.language != world.language)
        self._translated = next(others, None)

    def write(
        self,
        job: ToolJob,
        plan: QuestionPlan,
        rng: random.Random,
        *,
        dials: DialSettings = UNSET,
    ) -> tuple[Tool, TableSlice] | None:
        """The tool of a job and the rows it holds. None if there are too few other rows."""
        # Attributes that the tool does not have are left for the tools that are called alike.
        most = MAX_OTHER_ATTRIBUTES if not dials.near_tools else max(1, dials.other_values)
        slicer = TableSlicer(self.world, self._translated, plan.split, rng, most)
        slice_ = job.operation.slice(slicer, job.steps)
        if slice_ is None:
            return None
        options = self.options(job, plan, slice_, rng)
        name = rng.choice(self.names(job))
        beside = self.beside(job, plan, slice_, dials)
        terse = dials.terse_documents
        return self.tool(job, slice_, options, name, terse=terse, beside=beside), slice_

    def beside(
        self, job: ToolJob, plan: QuestionPlan, slice_: TableSlice, dials: DialSettings
    ) -> list[str]:
        """Attributes that a tool of the job returns with every other: none that the plan asks for,
        else one call would answer two sub-questions."""
        if not job.operation.returns_others:
            return []
        asked = {a for s in plan.steps() if s.table == job.table for a in (s.attribute, s.by) if a}
        return [a.name for a in slice_.attributes if a not in asked][: dials.other_values]

    def options(
        self, job: ToolJob, plan: QuestionPlan, slice_: TableSlice, rng: random.Random
    ) -> list[OperationParameter]:
        """The optional parameters that a tool of the job gets."""
        options = [p for p in job.operation.options if p.served(slice_) and rng.random() < 0.5]
        if any(step.operation == "convert" for step in plan.steps()):
            # A tool that converts by itself would make that call needless.
            options = [option for option in options if option.name != "unit"]
        return options

    def names(self, job: ToolJob) -> list[str]:
        """The names that a tool of the job may have."""
        noun = plural = job.scope
        if job.table:
            table, noun = self.world.schema.table(job.table), self.world.views[job.table].noun
            plural = ascii_identifier(table.plural.get("en", ""))[:LONGEST_NOUN].rstrip("_")
            plural = plural or f"{noun}s"
        return [name.format(s=noun, p=plural, q=job.scope) for name in job.operation.tool_names]

    def slicer(self, plan: QuestionPlan, rng: random.Random) -> TableSlicer:
        """A slicer for further tools of a plan."""
        return TableSlicer(self.world, self._translated, plan.split, rng)

    def tool(
        self,
        job: ToolJob,
        slice_: TableSlice,
        options: Sequence[OperationParameter],
        name: str,
        *,
        terse: bool,
        beside: Sequence[str] = (),
    ) -> Tool:
        """The tool of a job over a slice. `terse`: its document says as little as it can.
        `beside`: attributes that it returns with every other."""
        operation, language = job.operation, self.world.language
        singular = plural = ""
        domain = "units" if job.scope else ARITHMETIC
        numbered, number = False, ""
        if job.table:
            table = self.world.schema.table(job.table)
            singular = table.singular.get(language) or table.name
            plural = table.plural.get(language) or table.name
            domain = table.domain
            numbered = table.numbered
            if numbered and table.naming is not None:
                number = table.column(table.naming).labels.get(language) or table.naming
        texts = ToolTexts(
            language, self.entity_of(job), singular, plural, job.scope, number, terse=terse
        )
        parameters = [p.of_tool(slice_, texts) for p in (*operation.parameters, *options)]
        described = operation.description
        if terse:
            described = TERSE_DESCRIPTIONS.get(operation.name, described)
        description = texts.fill(described)
        if beside:
            description += _BESIDE[language][terse]
        return Tool(
            document=ToolSchema(
                name=name,
                description=description,
                parameters={
                    "type": "object",
                    "properties": {p.name: p.schema() for p in parameters},
                    "required": [p.name for p in parameters if p.required],
                    "additionalProperties": False,
                },
            ),
            source=tool_source(
                operation, name, parameters, texts.entity, language, beside=bool(beside)
            ),
            data=slice_.data(
                texts.entity,
                [option.name for option in options],
                whole=operation.filtered,
                numbered=numbered,
                beside=beside,
            ),
            domain=domain,
            language=language,
        )

    def decoys(
        self, step: PlanStep, slice_: TableSlice, rng: random.Random
    ) -> tuple[dict[str, Json], ...] | None:
        """Arguments of other calls that the tool answers. None if none has another answer."""
        gold = step.call_arguments()
        calls = [c for c in OPERATIONS[step.operation].decoys(step, slice_) if c != gold]
        unique = list({str(sorted(call.items())): call for call in calls}.values())
        if not unique:
            return None
        # The first is known to have another answer, so it always stays.
        rest = rng.sample(unique[1:], k=min(len(unique) - 1, MAX_DECOYS - 1))
        return (unique[0], *rest)

    def entity_of(self, job: ToolJob) -> str:
        """Parameter and field that hold a row's name. Empty for arithmetic."""
        return self.world.views[job.table].parameter if job.table else ""


def tool_source(
    operation: TableOperation,
    name: str,
    parameters: Sequence[ToolParameter],
    entity: str,
    language: Language,
    *,
    beside: bool = False,
) -> str:
    """The Python source of a tool. `entity`: field that holds a row's name. `beside`: whether other
    attributes are returned with the one that is asked for."""
    return _template(operation).render(
        name=name,
        signature=", ".join(
            p.name if p.required else f"{p.name}={p.default!r}" for p in parameters
        ),
        parameters=parameters,
        options=[p.name for p in parameters if not p.required],
        entity=entity,
        filtered=operation.filtered,
        language=language,
        beside=beside,
    )


_ENVIRONMENT = tool_templates("astra.arenas.tables", "operations")
_HEAD = """\
{{ shared.prelude() }}


def {{ name }}({{ signature }}):
    {{ shared.check(parameters) }}
"""


@cache
def _template(operation: TableOperation) -> Template:
    # Compiled once per operation: compiling costs more than all the rest of an arena.
    imports = "".join(f"import {module}\n" for module in operation.imports)
    head = f"{imports}\n{_HEAD}" if imports else _HEAD
    start = '{% import "shared.py.j2" as shared %}\n'
    return _ENVIRONMENT.from_string(f"{start}{head}{operation.body}")
