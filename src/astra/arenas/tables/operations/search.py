"""`search`: the row that is called by a part of its name."""

from __future__ import annotations

from astra.arenas.tables.operations.base import RowOperation
from astra.arenas.tables.operations.parameters import OperationParameter
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.slices import TableSlice
from astra.arenas.tables.sql import fold
from astra.arenas.tables.steps import PlanStep, QuestionValue
from astra.arenas.tables.views import Attribute, RowEntity
from astra.arenas.tables.world import World
from astra.types import Json

SHORTEST_PART = 4
"""Characters of a part of a name: fewer stand in many names by chance."""


class SearchEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return f"the {phrase.singular} called {phrase.nouns['query']} for short"

    def questions(self, phrase: StepPhrase) -> list[str]:
        return [f"Which {phrase.singular} is called {phrase.nouns['query']} for short?"]

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        return [f"What is the full name of {noun}?"]


class SearchChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return f"简称{phrase.nouns['query']}的{phrase.singular}"

    def questions(self, phrase: StepPhrase) -> list[str]:
        return [f"哪个{phrase.singular}简称{phrase.nouns['query']}？"]


class Search(RowOperation):
    name = "search"
    words = {"en": SearchEnglish(), "zh": SearchChinese()}
    nesting = 1.5
    in_row = True
    tool_names = ("search_{p}", "resolve_{s}", "full_{s}_name")
    description = {
        "en": "Finds the full name of the one {s} whose name has the given words in a row.",
        "zh": "查找名称中含有给定词语的唯一一个{s}的全名。",
    }
    parameters = (
        OperationParameter(
            "query",
            "Whole words of the name of the {s}, or all of it.",
            "{s}名称中的完整词语，或全名。",
        ),
    )
    result_field = "{entity}"
    body = """\
    wanted = " " + _fold(query) + " "
    rows = [row for row in DATA["rows"] if wanted in " " + _fold(row[{{ entity | py }}]) + " "]
    if len(rows) != 1:
        return _error("not_found", "query", "no single record has this in its name")
    return {"query": query, {{ entity | py }}: rows[0][{{ entity | py }}]}
"""

    def step(self, world: World, entity: RowEntity, part: str) -> PlanStep:
        """The row whose name alone holds a text."""
        return PlanStep(
            self.name,
            entity.table,
            {"query": QuestionValue(part)},
            entity.name,
            "entity",
            entity=entity,
            subjects=(world.cluster(entity.table, entity.row),),
            rows=(entity.row,),
        )

    def fits(self, attribute: Attribute) -> bool:
        return False

    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        return [{"query": row["__name"]} for row in slice_.rows if row["__name"] != step.answer]


SEARCH = Search()


def short_names(world: World, entity: RowEntity) -> list[str]:
    """Parts of a row's name that no other row of its table has in its name: some of its words in a
    row, from one that is written with a capital to another.
    """
    words = entity.name.split()
    parts = [
        " ".join(words[start:end])
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
        if end - start < len(words) and words[start][0].isupper() and words[end - 1][0].isupper()
    ]
    names = world.query(
        f"SELECT __name FROM {world.quoted(entity.table)} WHERE __name IS NOT NULL ORDER BY __row",
        (),
    )
    folded = [fold(str(name)) for (name,) in names]
    return [
        part
        for part in parts
        if len(part) >= SHORTEST_PART and sum(fold(part) in name for name in folded) == 1
    ]
