"""`find`: the row with a value that only one row has."""

from __future__ import annotations

from astra.arenas.tables.operations.base import RowOperation, StepSource
from astra.arenas.tables.operations.parameters import ATTRIBUTE, OperationParameter
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.slices import TableSlice
from astra.arenas.tables.steps import PlanStep, StepInput, argument_value
from astra.arenas.tables.views import Attribute, RowEntity
from astra.arenas.tables.world import World
from astra.types import Json


class FindEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        wordings = ["the {s} whose {l} is {v}"]
        if " " not in phrase.nouns["value"]:
            wordings.append("the {s} with the {l} {v}")
        return phrase.rng.choice(wordings).format(
            s=phrase.singular,
            l=english.labelled(phrase, unit=unit),
            v=phrase.nouns["value"],
        )

    def questions(self, phrase: StepPhrase) -> list[str]:
        value, singular, label = phrase.nouns["value"], phrase.singular, phrase.label
        return [
            f"Which {singular} has the {label} {value}?",
            f"Which {singular} has {value} as its {label}?",
            f"{value} is the {label} of which {singular}?"
            if value[:1].isupper()
            else f"Of which {singular} is {value} the {label}?",
            f"Identify the {singular} whose {label} is {value}.",
        ] * 2

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        return [frame.format(noun) for frame in english.FRAMES.ask if not frame.startswith("What")]


class FindChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        verb = phrase.rng.choice("为是")
        return f"{phrase.label}{verb}{phrase.nouns['value']}的{phrase.singular}"

    def questions(self, phrase: StepPhrase) -> list[str]:
        value, singular, label = phrase.nouns["value"], phrase.singular, phrase.label
        return [
            f"哪个{singular}的{label}是{value}？",
            f"哪个{singular}以{value}为{label}？",
            f"{value}是哪个{singular}的{label}？",
        ] * 3


class Find(RowOperation):
    name = "find"
    words = {"en": FindEnglish(), "zh": FindChinese()}
    nesting = 1.5
    in_row = True
    tool_names = ("find_{s}", "search_{s}", "identify_{s}")
    description = {
        "en": "Finds the {s} that has a given value of an identifying attribute.",
        "zh": "根据某项唯一属性的取值反查对应的{s}。",
    }
    parameters = (
        ATTRIBUTE,
        OperationParameter(
            "value", "The value that the attribute must have.", "该属性必须等于的取值。"
        ),
    )
    options = (
        OperationParameter(
            "match_case",
            "Whether upper and lower case must agree.",
            "是否区分大小写。",
            "boolean",
            default=False,
        ),
    )
    result_field = "{entity}"
    body = """\
    {% if "match_case" in options %}
    fold = (lambda text: " ".join(str(text).split())) if match_case else _fold
    {% else %}
    fold = _fold
    {% endif %}
    held = [r for r in DATA["rows"] if r.get(attribute) is not None]
    rows = [r for r in held if fold(r[attribute]) == fold(value)]
    if len(rows) != 1:
        return _error("not_found", "value", "no single record has this value")
    return {
        "attribute": attribute,
        "value": rows[0][attribute],
        {{ entity | py }}: rows[0][{{ entity | py }}],
    }
"""

    def weight(self, depth: int) -> int:
        return 1 if depth == 1 else 0

    def draw(self, source: StepSource, depth: int) -> PlanStep | None:
        view = source.view()
        # Only a value of one row alone has one right answer.
        unique = [a for a in view.attributes if a.unique]
        if not unique:
            return None
        return source.row_by_value(view.table.name, source.rng.choice(unique), 1)

    def step(
        self, world: World, attribute: Attribute, entity: RowEntity, value: StepInput
    ) -> PlanStep | None:
        """The row with a value. None if the entity's row has another value."""
        if world.row(entity.table, entity.row)[attribute.name] != argument_value(value):
            return None
        return PlanStep(
            self.name,
            entity.table,
            {"attribute": attribute.name, "value": value},
            entity.name,
            "entity",
            attribute=attribute,
            entity=entity,
            subjects=(world.cluster(entity.table, entity.row),),
            rows=(entity.row,),
        )

    def fits(self, attribute: Attribute) -> bool:
        return attribute.unique

    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        gold = step.call_arguments()
        values = [row[gold["attribute"]] for row in slice_.rows]
        return [gold | {"value": v} for v in values if v is not None and v != gold["value"]]


FIND = Find()
