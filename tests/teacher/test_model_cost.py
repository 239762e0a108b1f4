"""Prices, budgets and estimates; the record of answers as a file."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as given_values
from hypothesis import strategies as st

from astra.errors import BudgetExceeded, ConfigError, StoreError
from astra.runs.folder import RunFolder
from astra.teacher.cache import AnswerCache, RecordedAnswer
from astra.teacher.cost import (
    Budget,
    Cost,
    CostTotals,
    Estimator,
    Price,
    estimated_tokens,
    read_prices,
)
from astra.teacher.prompts import arenas
from astra.teacher.render import PromptTemplates
from astra.types import Usage, content_hash

from .model_given import given

COUNTS = st.integers(min_value=0, max_value=10**9)


# --- prices -----------------------------------------------------------------------------------


def written(path: Path, text: str) -> Path:
    file = path / "prices.toml"
    file.write_text(text)
    return file


def test_a_table_of_prices(tmp_path: Path):
    text = """
    [prices."vendor/big-1.5"]
    input = 0.15
    output = 0.60
    cached = 0.075
    [prices.small]
    input = 0
    output = 1
    """
    prices = read_prices(written(tmp_path, text))
    assert prices == {
        "vendor/big-1.5": Price(input=0.15, output=0.60, cached=0.075),
        "small": Price(input=0, output=1),
    }
    usage = Usage(prompt_tokens=2_000_000, completion_tokens=1_000_000, cached_tokens=1_000_000)
    assert prices["vendor/big-1.5"].of(usage) == pytest.approx(0.15 + 0.075 + 0.60)
    assert prices["small"].of(usage) == 1.0


def test_no_prices_are_none(tmp_path: Path):
    assert read_prices(written(tmp_path, "count = 5")) == {}


@pytest.mark.parametrize(
    "text",
    [
        "[prices.m]\ninput = 1",
        "[prices.m]\ninput = -1\noutput = 1",
        "[prices.m]\ninput = nan\noutput = 1",
        "[prices.m]\ninput = inf\noutput = 1",
        "[prices.m]\ninput = 1\noutput = 1\nout = 2",
        "prices = 5",
        "[prices]\nm = 3",
        "[prices.m\n",
    ],
)
def test_wrong_prices_name_the_file(tmp_path: Path, text: str):
    with pytest.raises(ConfigError, match=r"prices\.toml"):
        read_prices(written(tmp_path, text))
    with pytest.raises(ConfigError, match="none"):
        read_prices(tmp_path / "none")


@given_values(COUNTS, COUNTS, COUNTS)
def test_money_is_bounded_by_the_dearest_token(prompt: int, completion: int, cached: int):
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    price = Price(input=3, output=15, cached=0.3)
    assert 0 <= price.of(usage) <= 15 * (prompt + completion) / 1e6 * (1 + 1e-9)


# --- adding up --------------------------------------------------------------------------------


def test_costs_add_up_to_the_total():
    costs = CostTotals(Price(input=1, output=1))
    for name in ("a", "b", "a"):
        costs.request(name, Usage(prompt_tokens=500_000), 0.5)
        costs.answered(name)
    costs.failed("b")
    costs.replayed("c")
    total = sum(costs.prompts.values(), start=Cost(money=0.0))
    assert total == costs.total
    assert (total.answers, total.failed, total.replayed, total.requests) == (3, 1, 1, 3)
    assert total.money == pytest.approx(1.5) and total.seconds == 1.5


def test_unknown_money_stays_unknown():
    assert CostTotals().total.money is None
    assert (Cost(money=1.0) + Cost(money=None)).money is None


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        (Budget(), True),
        (Budget(tokens=11), True),
        (Budget(tokens=10), False),
        (Budget(tokens=0), False),
        (Budget(tokens=20, spent_tokens=10), False),
        (Budget(money=1.01), True),
        (Budget(money=1.0), False),
        (Budget(money=2.0, spent=1.0), False),
    ],
)
def test_a_budget_is_used_up(budget: Budget, left: bool):
    cost = Cost(usage=Usage(prompt_tokens=4, completion_tokens=6), money=1.0)
    if left:
        budget.check(cost)
    else:
        with pytest.raises(BudgetExceeded, match="used up"):
            budget.check(cost)


# --- estimates --------------------------------------------------------------------------------


def test_a_budget_that_can_not_be_kept_stops():
    """Fail closed: an endpoint that counts nothing must not spend without end."""
    costs = CostTotals(Price(input=1, output=1), Budget(money=1.0))
    costs.check()
    costs.request("p", Usage(), 0.1)
    with pytest.raises(BudgetExceeded, match="reports no tokens"):
        costs.check()
    costs.request("p", Usage(prompt_tokens=1), 0.1)
    costs.check()
    free = CostTotals()
    free.request("p", Usage(), 0.1)
    free.check()


def test_an_estimate_says_so():
    estimator = Estimator(PromptTemplates(), Price(input=1, output=1))
    estimator.add(arenas.COMPLETENESS, given(arenas.COMPLETENESS, "en"), times=3, reply_tokens=50)
    one = estimator.result()
    assert one.requests == 3 and one.usage.completion_tokens == 150
    assert "estimate" in one.note
    assert one.money == pytest.approx((one.usage.prompt_tokens + 150) / 1e6)
    estimator.add(arenas.COMPLETENESS, given(arenas.COMPLETENESS, "zh"))
    assert estimator.result().usage.prompt_tokens > one.usage.prompt_tokens
    assert Estimator(PromptTemplates()).result().money is None


def test_tokens_are_guessed_by_script():
    assert estimated_tokens("") == 0
    assert estimated_tokens("abcd" * 10) == 10
    assert estimated_tokens("中文文字") == 4
    assert estimated_tokens("ab中") == 2


# --- the record -------------------------------------------------------------------------------


def row(number: int) -> RecordedAnswer:
    return RecordedAnswer(
        key=content_hash(number),
        prompt="p",
        version=1,
        model="m",
        index=0,
        answer={"number": number, "float": 1.0, "text": "x" * number},
        requests=1,
        usage=Usage(),
        seconds=0.5,
    )


def test_what_is_added_is_found_now_and_later(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", {})
    for turn in range(3):
        with AnswerCache(folder) as cache:
            assert len(cache) == 50 * turn
            for number in range(50 * turn, 50 * turn + 50):
                assert cache.find(row(number).key) is None
                cache.add(row(number))
            for number in range(50 * turn + 50):
                assert cache.find(row(number).key) == row(number)


def test_types_survive_the_record(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", {})
    with AnswerCache(folder) as cache:
        cache.add(row(1))
    with AnswerCache(folder) as cache:
        found = cache.find(row(1).key)
        assert found is not None
        assert type(found.answer["float"]) is float and type(found.answer["number"]) is int


def test_one_process_writes(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", {})
    told = pytest.raises(StoreError, match="another process")
    with AnswerCache(folder), told, AnswerCache(RunFolder.open(folder.path)):
        pass
    with AnswerCache(RunFolder.open(folder.path)):
        pass


def test_what_is_on_record_says_what_it_took(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", {})
    # An answer that looks like the end of a row, or holds one.
    odd = {"usage": {"prompt_tokens": 7, "completion_tokens": 7, "cached_tokens": 7}, "seconds": 1}
    answers: list[Any] = [odd, str(odd).replace("'", '"') + "}\n", "x" * 1000, "x"]
    with AnswerCache(folder) as cache:
        assert cache.stage_usage == {}
        for number, answer in enumerate(answers):
            usage = Usage(prompt_tokens=10, completion_tokens=number, cached_tokens=2)
            stage = "a" if number % 2 else "b"
            changes = {"answer": answer, "usage": usage, "stage": stage}
            cache.add(row(number).model_copy(update=changes))
    with AnswerCache(folder) as cache:
        a, b = cache.stage_usage["a"], cache.stage_usage["b"]
    assert a == Usage(prompt_tokens=20, completion_tokens=4, cached_tokens=4)
    assert b == Usage(prompt_tokens=20, completion_tokens=2, cached_tokens=4)


@pytest.mark.parametrize(
    "line",
    [
        *(b"{}\n", b"nonsense\n", b'{"key":"zz"}\n'),
        b'{"key":"0123456789abcdef","prompt":"p","version":1}\n',
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, line: bytes):
    folder = RunFolder.create(tmp_path / "run", {})
    (folder.path / "teacher.jsonl").write_bytes(line)
    with pytest.raises(StoreError, match="restore"), AnswerCache(folder):
        pass
    with folder.lock():
        pass
