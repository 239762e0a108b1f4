"""`list`: all rows of a group."""

from __future__ import annotations

from astra.arenas.tables.operations.base import GroupOperation, StepSource
from astra.arenas.tables.operations.parameters import BY, NUMBERED, VALUE, OperationParameter
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.steps import PlanStep, StepInput
from astra.arenas.tables.views import Attribute, RowGroup, TableView

LONGEST_LIST = 10
"""Most members of an answer that is a list."""

_ENGLISH = (
    "Which are the {}?",
    "What are the names of all {}?",
    "List all {}.",
    "Name all {}.",
    "Give me the names of the {}.",
    "Please list the {}.",
    "I need a list of all {}.",
    "Can you name all {}?",
    "Find all {}.",
    "Enumerate the {}.",
)
_CHINESE = (
    "{}有哪些？",
    "请列出所有{}。",
    "列出全部{}。",
    "有哪些{}？",
    "请把{}全部列出来。",
    "我需要所有{}的名单。",
    "请逐一说出{}。",
    "帮我找出全部{}。",
    "查一下有哪些{}。",
)


class ListEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return f"the {english.members(phrase)}"

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        return [frame.format(noun.removeprefix("the ")) for frame in _ENGLISH]


class ListChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return chinese.members(phrase)

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        return [frame.format(noun) for frame in _CHINESE]


class ListRows(GroupOperation):
    name = "list"
    words = {"en": ListEnglish(), "zh": ListChinese()}
    tool_names = ("list_{p}", "browse_{p}", "show_{p}")
    description = {
        "en": "Lists the names of all {p} that share a given value of an attribute.",
        "zh": "列出某项属性为给定取值的所有{p}的名称。",
    }
    parameters = (BY, VALUE)
    options = (
        OperationParameter(
            "limit", "Most names to return.", "最多返回的名称数量。", "integer", default=1000
        ),
        OperationParameter(
            "order",
            "How the names are sorted.",
            "名称的排序方式。",
            choices=("given", "ascending", "descending"),
            default="given",
        ),
        NUMBERED,
    )
    result_field = "items"
    body = """\
    {% if "limit" in options %}
    if limit < 1:
        return _error("invalid_value", "limit", "limit must be positive")
    {% endif %}
    {{ shared.find_group() }}
    {% if filtered %}
    {{ shared.keep_rows() }}
    {% endif %}
    {% if "order" in options %}
    if order != "given":
        rows = sorted(rows, key=lambda row: row[{{ entity | py }}], reverse=order == "descending")
    {% endif %}
    {% if "limit" in options %}
    rows = rows[:limit]
    {% endif %}
    answer = {"by": by, "value": group}
    {% if filtered %}
    answer.update({"attribute": attribute, "comparison": comparison, "threshold": threshold})
    {% endif %}
    answer["items"] = [row[{{ entity | py }}] for row in rows]
    {% if "format" in options %}
    if format == "numbered":
        answer["text"] = "; ".join(
            str(i) + ". " + str(row[{{ entity | py }}]) for i, row in enumerate(rows, start=1)
        )
    {% endif %}
    return answer
"""

    def group_weight(self, view: TableView) -> int:
        return 1 if view.named else 0

    def of_group(self, source: StepSource, group: RowGroup, value: StepInput) -> PlanStep | None:
        world = source.world
        names = world.member_names(group)
        if names is None or not 2 <= len(names) <= LONGEST_LIST:
            return None
        return self.step(world, group, value, names)

    def fits(self, attribute: Attribute) -> bool:
        return False
