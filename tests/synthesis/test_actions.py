"""Requests to do something are set aside, questions about such acts are not."""

from __future__ import annotations

from typing import Any

import pytest

from astra.arenas.synthesis.actions import asks_to_act
from astra.arenas.synthesis.decompose import checked_decomposition
from astra.arenas.synthesis.sources import SourceMaterial
from astra.errors import Rejected
from astra.runs.jsonl import FailureRow
from astra.teacher.prompts.arenas import Decomposition
from astra.testing.rule_teacher.arenas import RuleTeacher
from tests.synthesis.conftest import Meddler, item_of

REQUESTS = [
    "Book a flight from Larnaca to Athens on February 9.",
    "Can you help me purchase tickets for the show? Please say if they are sold out.",
    "Could you please pay my parking ticket online for me?",
    "I need to purchase running shoes, size 8.",
    "I'm trying to purchase hardwood dowels.",
    "Find and book tickets to a dinner show in Memphis.",
    "What is the price of a ticket for the park, and then try to book a ticket.",
    "Make a reservation at a Thai restaurant for a party of 3.",
    "Write a review giving the excursion 4 stars.",
    "register for the next open house of the institute",
    "Please cancel my order 8842.",
    "Send an e-mail to Ana that I am late.",
    "Add two cartons of milk to my cart.",
    "Order a large pizza from the place in Main Street.",
    "I need to get a room in Idaho Falls from January 18 through January 31.",
]
QUESTIONS = [
    "Who bought Twitter?",
    "How much did Microsoft pay for Activision Blizzard?",
    "Can you buy wine in Utah on Sundays?",
    "Book 3 of the Iliad has how many lines?",
    "Order the planets by mass: which comes third?",
    "Order of Merit: how many members has it?",
    "How do I book a table at Noma, and what does it cost?",
    "Reserve Bank of India: who was its first governor?",
    "In which year did Google buy YouTube and then sell Motorola?",
    "I'm looking to buy a home with 3 bedrooms. Can you find listings?",
    "Find the store that sells the cheapest tickets.",
    "Find three options of where to buy a kettle and list the prices.",
]
CHINESE_REQUESTS = [
    "帮我预订一张明天去上海的机票。",
    "请取消我的订单8842。",
    "我要买两张演唱会的门票。",
    "给妈妈发一条消息，说我晚点到。",
    "帮我在平台上订一份外卖。",
    "把这封邮件发给王经理。",
    "预订北京一家酒店的大床房，12月3日入住。",
]
CHINESE_QUESTIONS = [
    "谁收购了推特？",
    "买一张从北京到上海的高铁票要多少钱？",
    "我想知道故宫门票的价格是多少？",
    "购买力平价最高的国家是哪个？",
    "订单8842的状态是什么？",
    "哪家公司取消的航班最多？",
    "帮我查一下下周一去广州的机票价格。",
]


@pytest.mark.parametrize("question", REQUESTS)
def test_requests(question: str) -> None:
    assert asks_to_act(question, "en")


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions(question: str) -> None:
    assert not asks_to_act(question, "en")


@pytest.mark.parametrize("question", CHINESE_REQUESTS)
def test_requests_in_chinese(question: str) -> None:
    assert asks_to_act(question, "zh")


@pytest.mark.parametrize("question", CHINESE_QUESTIONS)
def test_questions_in_chinese(question: str) -> None:
    assert not asks_to_act(question, "zh")


def test_no_question_over_tables_is_a_request(rules: RuleTeacher) -> None:
    taken = [a.question for a in rules.catalogue.arenas if asks_to_act(a.question, a.language)]
    assert taken == []


async def test_a_request_is_set_aside_before_anything_is_paid(
    make: Any, rules: RuleTeacher
) -> None:
    teacher = Meddler(rules)
    material = [SourceMaterial("question", "flights", "en", REQUESTS[0], "q, 1")]
    folder, _ = await make(teacher, material, count=1)
    (failure,) = folder.rows("decompositions.failed", FailureRow)
    assert failure.check == "action" and "arenas keep no state" in failure.message
    assert teacher.asked == []


def test_the_teacher_sees_acts_that_words_do_not_show() -> None:
    item = item_of(
        SourceMaterial("question", "hotels", "en", "A double room in Oslo on Friday.", "q, 1")
    )
    said = Decomposition(answerable=False, acts=True, reason="it wants a room to be booked")
    with pytest.raises(Rejected, match="it wants a room to be booked") as caught:
        checked_decomposition(item, said, (1, 5), None)
    assert caught.value.check == "action"
