"""A teacher inside of a stage: a budget ends it cleanly, and a resume pays for nothing twice."""

from operator import itemgetter
from pathlib import Path

import pytest

from astra.errors import BudgetExceeded
from astra.models.openai import OpenAIModel
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.runner import run
from astra.runs.stage import Stage
from astra.teacher.cache import AnswerCache
from astra.teacher.cost import Budget, CostTotals
from astra.teacher.model import ModelTeacher
from astra.teacher.prompts import arenas
from astra.types import Message, Record
from tests.support.model_server import ModelServer

from .model_given import given


class Row(Record):
    """An item with its two verdicts."""

    id: str
    first: bool
    second: bool


GOOD = Message(role="assistant", content='{"reason": "x", "holds": true}')


async def judged(server: ModelServer, folder: RunFolder, budget: Budget, items: int) -> None:
    async def work(item: int) -> Row:
        asked = given(arenas.COMPLETENESS, "en", f"Question {item}?")
        first = await teacher.ask(arenas.COMPLETENESS, asked)
        second = await teacher.ask(arenas.COMPLETENESS, asked, index=1)
        return Row(id=str(item), first=first.holds, second=second.holds)

    stage = Stage("judged", work, key=str, stored_key=itemgetter("id"))
    costs = CostTotals(None, budget)
    async with OpenAIModel("m", server.url) as model:
        with AnswerCache(folder) as cache:
            teacher = ModelTeacher(model, cache=cache, costs=costs)
            await run(stage, range(items), folder, concurrency=3)


async def test_a_budget_ends_the_stage_and_nothing_is_paid_for_twice(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", {})
    tries = 0
    with ModelServer([GOOD]) as server:
        while True:
            tries += 1
            before = len(server.seen)
            try:
                await judged(server, folder, Budget(tokens=100), items=10)
                break
            except BudgetExceeded:
                # 15 tokens a reply, and three at once may go beyond.
                assert 7 <= len(server.seen) - before <= 10
                assert list(folder.rows("judged.failed", FailureRow)) == []
                assert sum(1 for _ in folder.lines("teacher")) == len(server.seen)
        assert len(server.seen) == 20
    assert tries > 1
    assert [row.id for row in folder.rows("judged", Row)] == [str(i) for i in range(10)]
    usage = folder.manifest().stages["judged"].usage
    assert usage.prompt_tokens + usage.completion_tokens == 20 * 15


async def test_whatever_is_on_record_costs_nothing(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", {})
    with ModelServer([GOOD]) as server:
        await judged(server, folder, Budget(), items=5)
        (folder.path / "judged.jsonl").unlink()
        await judged(server, folder, Budget(tokens=1), items=5)
        assert len(server.seen) == 10
    with ModelServer([GOOD]) as server, pytest.raises(BudgetExceeded):
        await judged(server, folder, Budget(tokens=0), items=6)
