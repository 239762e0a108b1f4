"""`count`: how many rows a group has."""

from __future__ import annotations

from astra.arenas.tables.operations.base import GroupOperation, StepSource, other_groups
from astra.arenas.tables.operations.parameters import BY, DETAILED, VALUE
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.slices import TableSlice
from astra.arenas.tables.sql import quoted
from astra.arenas.tables.steps import SMALLEST_COUNT, PlanStep, StepInput
from astra.arenas.tables.views import Attribute, RowGroup
from astra.types import Json

_ENGLISH = (
    "How many {} are there?",
    "How many {} are there?",
    "How many {} are on record?",
    "What is the number of {}?",
    "Count the {}.",
    "Tell me how many {} there are.",
    "I need the number of {}.",
    "Find the number of {}.",
    "Can you count the {}?",
    "Work out how many {} there are.",
)
_ENGLISH_LONG = (
    "What is the number of {}?",
    "Count the {}.",
    "I need the number of {}.",
    "Find the number of {}.",
    "Can you count the {}?",
    "How many are the {}?",
    "Determine the number of {}.",
)
"""Frames that a long phrase does not tear apart."""
_CHINESE = (
    "{}有多少个？",
    "{}一共有多少个？",
    "{}共有几个？",
    "一共有多少个{}？",
    "请数一数{}有多少个。",
    "请给出{}的数量。",
    "{}的数量是多少？",
    "统计一下{}的个数。",
    "我想知道{}有多少个。",
)


class CountEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return f"the number of {english.members(phrase)}"

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        members = noun.removeprefix("the number of ")
        frames = _ENGLISH if len(members.split()) <= 6 else _ENGLISH_LONG
        return [frame.format(members) for frame in frames]


class CountChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return f"{chinese.members(phrase)}的数量"

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        return [frame.format(noun.removesuffix("的数量")) for frame in _CHINESE]


class Count(GroupOperation):
    name = "count"
    words = {"en": CountEnglish(), "zh": CountChinese()}
    tool_names = ("count_{p}", "number_of_{p}")
    description = {
        "en": "Counts the {p} that share a given value of an attribute.",
        "zh": "统计某项属性为给定取值的{p}数量。",
    }
    parameters = (BY, VALUE)
    options = (DETAILED,)
    result_field = "count"
    body = """\
    {{ shared.find_group() }}
    answer = {"by": by, "value": group}
    {% if filtered %}
    {{ shared.keep_rows() }}
    answer.update({"attribute": attribute, "comparison": comparison, "threshold": threshold})
    {% endif %}
    answer["count"] = len(rows)
    {% if "format" in options %}
    if format == "detailed":
        answer["label"] = DATA["labels"].get(by, by)
    {% endif %}
    return answer
"""

    def of_group(self, source: StepSource, group: RowGroup, value: StepInput) -> PlanStep | None:
        world = source.world
        ((number,),) = world.query(
            f"SELECT count(*) FROM {world.quoted(group.table)} WHERE {quoted(group.attribute)} = ?",
            (group.value,),
        )
        return None if number < SMALLEST_COUNT else self.step(world, group, value, number)

    def fits(self, attribute: Attribute) -> bool:
        return False

    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        if self.filtered:
            return super().decoys(step, slice_)
        groups = sorted(other_groups(step, slice_), key=lambda group: group.size == step.answer)
        if not groups or groups[0].size == step.answer:
            return []
        return [step.call_arguments() | {"value": group.value} for group in groups]
