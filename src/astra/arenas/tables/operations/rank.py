"""`rank`: the one row of a group with the highest or lowest value."""

from __future__ import annotations

from typing import Literal

from astra.arenas.tables.operations.base import GroupOperation, StepSource
from astra.arenas.tables.operations.parameters import ATTRIBUTE, BY, VALUE, OperationParameter
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.measures import measure_of
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.steps import PlanStep, QuestionValue, StepInput
from astra.arenas.tables.views import Attribute, RowGroup, TableView


class RankEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        members, label, singular = english.members(phrase), phrase.label, phrase.singular
        word, place = _superlative(phrase), english.inside(phrase.group_value)
        wordings = [
            f"the {singular} with the {word} {label} among the {members}",
            f"the {singular} with the {word} {label} of all {members}",
        ]
        if singular != phrase.plural:
            wordings.append(f"the {singular} that has the {word} {label} among the {members}")
        if direct := _direct(phrase, singular):
            group = place if english.in_place(phrase) else f"among the {members}"
            wordings.append(f"the {direct} {group}")
        stated = isinstance(phrase.step.arguments["value"], QuestionValue)
        if english.in_place(phrase) and stated:
            wordings += [f"the {singular} {place} with the {word} {label}"] * 2
        return phrase.rng.choice(wordings)

    def questions(self, phrase: StepPhrase) -> list[str]:
        members, label, singular = english.members(phrase), phrase.label, phrase.singular
        word, place = _superlative(phrase), english.inside(phrase.group_value)
        questions = [
            f"Among the {members}, which has the {word} {label}?",
            f"Of all {members}, which one has the {word} {label}?",
            f"Which of the {members} has the {word} {label}?",
            f"Identify the {singular} with the {word} {label} among the {members}.",
            f"Look at all {members}: which has the {word} {label}?",
        ]
        if english.in_place(phrase):
            questions += [f"Which {singular} {place} has the {word} {label}?"] * 3
        if direct := _direct(phrase, ""):
            # "the largest by area" needs a noun before "by".
            if " by" not in direct:
                questions += [f"Which of the {members} is the {direct.strip()}?"] * 2
            if english.in_place(phrase):
                questions += [f"Which is the {_direct(phrase, f'{singular} {place}')}?"] * 2
        return questions * 2

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        return [frame.format(noun) for frame in english.FRAMES.ask if not frame.startswith("What")]


def _superlative(phrase: StepPhrase) -> str:
    return english.superlative(phrase, phrase.step.words["order"])


def _direct(phrase: StepPhrase, noun: str) -> str:
    """ "longest river", "largest country by area". Empty if the attribute must be named."""
    measure = measure_of(phrase.attribute)
    if measure.en_of_row is None or phrase.label not in measure.plain:
        return ""
    return measure.en_of_row.of(phrase.step.words["order"]).format(noun)


class RankChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        members, singular = chinese.members(phrase), phrase.singular
        superlative = _chinese_superlative(phrase)
        return phrase.rng.choice(
            (
                f"{members}中{superlative}的{singular}",
                f"{members}里{superlative}的{singular}",
                f"{members}当中{superlative}的那个{singular}",
            )
        )

    def questions(self, phrase: StepPhrase) -> list[str]:
        members, superlative = chinese.members(phrase), _chinese_superlative(phrase)
        return [
            f"{members}中，哪个{superlative}？",
            f"在{members}里，哪个{superlative}？",
            f"{members}当中，{superlative}的是哪个？",
            f"请找出{members}中{superlative}的那个。",
            f"所有{members}里，{superlative}的{phrase.singular}是哪个？",
        ] * 3


def _chinese_superlative(phrase: StepPhrase) -> str:
    """The attribute at its highest or lowest, as a predicate: 人口最多."""
    measure, side = measure_of(phrase.attribute), phrase.step.words["order"]
    if measure.name == "depth" and measure.zh_of_row and phrase.label in measure.plain:
        return measure.zh_of_row.of(side)
    return f"{phrase.label}{measure.zh.of(side)}"


class Rank(GroupOperation):
    name = "rank"
    words = {"en": RankEnglish(), "zh": RankChinese()}
    in_row = True
    tool_names = ("rank_{p}", "top_{s}", "extreme_{s}")
    description = {
        "en": "Returns the {s} with the highest or lowest attribute among the {p} of a group. "
        "For dates and years, highest means latest.",
        "zh": "在一组{p}中找出某项属性最高或最低的{s}。对日期和年份而言，highest 表示最晚。",
    }
    parameters = (
        BY,
        VALUE,
        ATTRIBUTE,
        OperationParameter(
            "order",
            "highest or lowest value first.",
            "取最高（highest）还是最低（lowest）。",
            choices=("highest", "lowest"),
        ),
    )
    options = (
        OperationParameter(
            "position",
            "Place in the ranking, counted from the top.",
            "名次，从首位开始计数。",
            "integer",
            default=1,
        ),
    )
    result_field = "{entity}"
    echoed = {"position": 1}
    body = """\
    {{ shared.find_group() }}
    rows = [row for row in rows if row.get(attribute) is not None]
    {% if "position" in options %}
    if not 1 <= position <= len(rows):
        return _error("invalid_value", "position", "there is no record at this position")
    {% else %}
    if not rows:
        return _error("no_value", "attribute", "these records have no value for the attribute")
    {% endif %}
    rows = sorted(rows, key=lambda row: row[attribute], reverse=order == "highest")
    {% if "position" not in options %}
    position = 1
    {% endif %}
    return {
        "by": by,
        "value": group,
        "attribute": attribute,
        "order": order,
        "position": position,
        {{ entity | py }}: rows[position - 1][{{ entity | py }}],
    }
"""

    def group_weight(self, view: TableView) -> int:
        return 3 if view.named and view.rankable else 0

    def of_group(self, source: StepSource, group: RowGroup, value: StepInput) -> PlanStep | None:
        world, rng = source.world, source.rng
        order: Literal["highest", "lowest"] = rng.choice(("highest", "lowest"))
        attribute = rng.choice(world.views[group.table].rankable)
        row = world.extreme(group, attribute.name, order)
        entity = None if row is None else world.entity(group.table, row)
        if entity is None or world.member_names(group) is None:
            return None
        return self.step(
            world,
            group,
            value,
            entity.name,
            attribute=attribute,
            entity=entity,
            arguments={"attribute": attribute.name, "order": order},
        )

    def fits(self, attribute: Attribute) -> bool:
        return attribute.numeric or attribute.kind is ColumnKind.date


RANK = Rank()
