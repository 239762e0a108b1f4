"""`lookup`: an attribute of a named row."""

from __future__ import annotations

from collections.abc import Sequence

from astra.arenas.tables.operations.base import RowOperation, StepSource
from astra.arenas.tables.operations.parameters import (
    ATTRIBUTE,
    DECIMALS_OF_ATTRIBUTES,
    DETAILED,
    ENTITY,
    LANGUAGE,
    UNIT,
)
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.measures import is_year
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.slices import TableSlice, TableSlicer
from astra.arenas.tables.steps import AnswerKind, PlanStep, StepInput, finite_number
from astra.arenas.tables.units import unit_name
from astra.arenas.tables.views import Attribute
from astra.arenas.tables.world import World
from astra.types import Json

SHORTEST_TEXT = 2
"""Characters: a single one, of Chinese in particular, occurs in many texts by chance."""


class LookupEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        (subject,) = phrase.nouns.values()
        return f"the {english.labelled(phrase, unit=unit)} of {subject}"

    def questions(self, phrase: StepPhrase) -> list[str]:
        (subject,) = phrase.nouns.values()
        step, label, kind = phrase.step, phrase.label, phrase.answer
        if label in english.PLACE_LABELS:
            preposition = "On" if label == "continent" else "In"
            return [
                f"{preposition} which {label} is {subject}?",
                f"Which {label} is {subject} {preposition.lower()}?",
                f"{preposition} which {label} is {subject} located?",
            ] * 3
        if kind is not None:
            return [f"Which {kind} is the {label} of {subject}?"] * 2 if label != kind else []
        if step.kind == "date":
            return [f"Which day is the {label} of {subject}?"]
        plain_number = step.kind == "number" and not step.unit and not is_year(phrase.attribute)
        if plain_number or (step.kind == "text" and " " in label):
            return [f"What {label} does {subject} have?"] * 2
        return []


class LookupChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        (subject,) = phrase.nouns.values()
        size = chinese.unit_in_brackets(phrase, unit=unit)
        return chinese.of_subject(subject, phrase.label) + size

    def questions(self, phrase: StepPhrase) -> list[str]:
        (subject,) = phrase.nouns.values()
        label, thing = phrase.label, chinese.without_relation(phrase.label)
        noun = chinese.of_subject(subject, label)
        if label != thing and label.startswith("所在"):
            return [
                f"{subject}位于哪个{thing}？",
                f"{subject}在哪个{thing}？",
                f"哪个{thing}是{noun}？",
            ] * 3
        if label != thing:
            return [f"{subject}属于哪个{thing}？"] * 4
        unit = unit_name(phrase.step.unit, "zh")
        return [f"{noun}是多少{unit}？"] * 4 if unit else []


class Lookup(RowOperation):
    name = "lookup"
    words = {"en": LookupEnglish(), "zh": LookupChinese()}
    nesting = 1.0
    in_row = True
    names_kind = True
    returns_others = True
    tool_names = ("get_{s}", "lookup_{s}", "fetch_{s}_info", "{s}_attribute")
    description = {
        "en": "Returns one attribute of one {s}, found by its name.",
        "zh": "按名称查询某个{s}的一项属性。",
    }
    parameters = (ENTITY, ATTRIBUTE)
    options = (UNIT, LANGUAGE, DETAILED, DECIMALS_OF_ATTRIBUTES)
    result_field = "value"
    body = """\
    {% if "decimals" in options %}
    if decimals < 0:
        return _error("invalid_value", "decimals", "decimals must not be negative")
    {% endif %}
    {{ shared.find_row(entity, "row", entity) }}
    result = row.get(attribute)
    if result is None:
        return _error("no_value", "attribute", "this record has no value for the attribute")
    {% if "decimals" in options or "unit" in options %}
    numeric = isinstance(result, (int, float))
    {% endif %}
    {% if "unit" in options %}
    own = DATA["units"].get(attribute)
    if unit != "native":
        factors = DATA["factors"]
        if not numeric or own not in factors or factors[own][0] != factors[unit][0]:
            return _error("invalid_choice", "unit", "this attribute can't be given in that unit")
        if own != unit:
            result = round(result * factors[own][1] / factors[unit][1], 6)
        own = unit
    {% endif %}
    {% if "decimals" in options %}
    if numeric and decimals < 6:
        result = round(result, decimals) if decimals > 0 else math.floor(result + 0.5)
    {% endif %}
    {% if "language" in options %}
    if language != {{ language | py }} and isinstance(result, str):
        result = DATA["translations"].get(result, result)
    {% endif %}
    answer = { {{ entity | py }}: row[{{ entity | py }}], "attribute": attribute, "value": result}
    {% if "unit" in options %}
    if own:
        answer["unit"] = own
    {% else %}
    if DATA["units"].get(attribute):
        answer["unit"] = DATA["units"][attribute]
    {% endif %}
    {% if "format" in options %}
    if format == "detailed":
        answer["label"] = DATA["labels"].get(attribute, attribute)
    {% endif %}
    {% if beside %}
    own = {{ entity | py }}
    values = []
    for each in DATA["order"]:
        if each == attribute:
            values.append({field: answer[field] for field in answer if field != own})
        elif each in DATA["beside"] and row.get(each) is not None:
            fields = {"attribute": each, "value": row[each]}
            values.append(fields | ({"unit": DATA["units"][each]} if each in DATA["units"] else {}))
    return {own: row[own], "values": values}
    {% else %}
    return answer
    {% endif %}
"""

    def weight(self, depth: int) -> int:
        return 4

    def draw(self, source: StepSource, depth: int) -> PlanStep | None:
        view = source.view()
        if not view.attributes:
            return None
        return source.fact(view.table.name, source.rng.choice(view.attributes), depth)

    def step(self, world: World, attribute: Attribute, subject: StepInput) -> PlanStep | None:
        """The attribute of a row. None if it has no value that can be asked for."""
        entity = subject.entity
        if entity is None or attribute.surrogate:
            return None
        row = world.row(entity.table, entity.row)
        value = row[attribute.name]
        if attribute.numeric:
            value = finite_number(value)
        if value is None or (isinstance(value, str) and len(value) < SHORTEST_TEXT):
            return None
        kind: AnswerKind = "date" if attribute.kind is ColumnKind.date else "text"
        referenced = None
        if attribute.references is not None:
            reference = row[f"__ref_{attribute.name}"]
            referenced = (
                None if reference is None else world.entity(attribute.references, reference)
            )
            if referenced is None:
                return None
            kind = "entity"
        elif attribute.numeric:
            kind = "number"
        if isinstance(subject, PlanStep) and subject.operation == "rank":
            # Where all rows of the group agree, the call that picked one would be needless.
            ranked = (row for group in subject.groups for row in world.members(group))
            if len({row[attribute.name] for row in ranked}) == 1:
                return None
        return PlanStep(
            self.name,
            entity.table,
            {world.views[entity.table].parameter: subject, "attribute": attribute.name},
            value,
            kind,
            attribute=attribute,
            unit=attribute.unit,
            entity=referenced,
            subjects=(world.cluster(entity.table, entity.row),),
            rows=(entity.row,),
        )

    def slice(self, slicer: TableSlicer, steps: Sequence[PlanStep]) -> TableSlice | None:
        slice_ = super().slice(slicer, steps)
        if slice_ is not None:
            slicer.translate(slice_, steps[0].table)
        return slice_

    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        gold = step.call_arguments()
        parameter = next(iter(gold))
        name = step.attribute.name if step.attribute else ""
        rows = [r for r in slice_.rows if r[name] is not None and r["__name"] != gold[parameter]]
        rows.sort(key=lambda row: row[name] == step.answer)
        if not rows or rows[0][name] == step.answer:
            return []
        return [gold | {parameter: row["__name"]} for row in rows]


LOOKUP = Lookup()
