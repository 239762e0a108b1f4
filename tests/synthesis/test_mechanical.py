"""Each mechanical check, with a case that it must reject and one that it must not."""

from __future__ import annotations

from typing import Any

import pytest

from astra.arenas.synthesis.decompose import checked_decomposition
from astra.arenas.synthesis.duplicates import DuplicateQuestions
from astra.arenas.synthesis.records import DecomposedItem, SynthesisItem
from astra.arenas.synthesis.rule_checks import (
    check_ends,
    check_leaks,
    check_tool_need,
    typed_answer,
)
from astra.errors import Rejected
from astra.teacher.prompts.arenas import Decomposition, DecompositionStep
from astra.types import Scenario


def step(name: str, question: str, answer: Any, *needs: str, **more: Any) -> DecompositionStep:
    kind = "number" if isinstance(answer, int) else "list" if isinstance(answer, tuple) else "text"
    fields = {"kind": kind, **more}
    return DecompositionStep(id=name, question=question, answer=answer, depends_on=needs, **fields)


ITEM = SynthesisItem(key="k", mode="domain", domain="geography", language="en", origin="o")
CHAIN = (
    step("s1", "In which country is Keio University?", "Japan"),
    step("s2", "What is the currency of that country?", "yen", "s1"),
)
GOOD = Decomposition(
    answerable=True,
    question="What is the currency of the country of Keio University?",
    answer="yen",
    steps=CHAIN,
)


def rejected(
    found: Decomposition, hops: tuple[int, int] = (1, 5), item: SynthesisItem = ITEM
) -> str:
    """The check that rejects it; "" when none does."""
    try:
        instance = checked_decomposition(item, found, hops, None)
        check_tool_need(instance.steps)
        check_ends(instance.answer, instance.steps)
        check_leaks(instance)
    except Rejected as error:
        assert error.reason
        return error.check
    return ""


def changed(**fields: Any) -> Decomposition:
    return GOOD.model_copy(update=fields)


def with_step(number: int, **fields: Any) -> Decomposition:
    steps = list(CHAIN)
    steps[number] = steps[number].model_copy(update=fields)
    return changed(steps=tuple(steps))


def test_a_good_one_passes() -> None:
    assert rejected(GOOD) == ""
    assert checked_decomposition(ITEM, GOOD, (1, 5), None).scenario is Scenario.multi_hop


@pytest.mark.parametrize(
    ("found", "check"),
    [
        (changed(answerable=False, reason="an opinion"), "unanswerable"),
        (changed(steps=()), "hops"),
        (changed(steps=CHAIN * 400), "hops"),
        (with_step(1, id="s1"), "graph"),
        (with_step(1, id="s 1"), "graph"),
        (with_step(1, id="ѕ2"), "graph"),
        (with_step(1, depends_on=("s9",)), "graph"),
        (with_step(1, depends_on=("s1", "s1")), "graph"),
        (with_step(1, depends_on=("s2",)), "graph"),
        (with_step(0, depends_on=("s2",)), "graph"),
        (with_step(1, question=CHAIN[0].question.upper()), "repeated"),
        (with_step(1, question=""), "text"),
        (with_step(1, question="What?\u202e"), "text"),
        (with_step(1, question="a" * 5000), "text"),
        (changed(question="What\u0000?"), "text"),
        (changed(question="a" * 1_000_000), "text"),
        (changed(question="基奥大学所在国家的货币是什么？"), "language"),
        (with_step(0, question="Где находится университет?"), "language"),
        (with_step(0, answer=""), "answer"),
        (with_step(0, answer="?!"), "answer"),
        (with_step(0, answer=True), "answer"),
        (with_step(0, answer="yes"), "answer"),
        (with_step(0, answer=5), "answer"),
        (with_step(0, answer="x" * 400), "answer"),
        (with_step(0, answer="many", kind="number"), "answer"),
        (with_step(0, answer=float("inf"), kind="number"), "text"),
        (with_step(0, answer="soon", kind="date"), "answer"),
        (with_step(0, answer=(), kind="list"), "answer"),
        (with_step(0, answer=("a", "A"), kind="list"), "answer"),
        (with_step(0, answer="a", kind="list"), "answer"),
        (with_step(0, answer="Ja\u200bpan"), "text"),
        (changed(answer="euro"), "ends"),
        (changed(steps=CHAIN[:1]), "ends"),
        (with_step(0, needs_tool=False), "necessity"),
        (with_step(1, depends_on=(), needs_tool=False), "necessity"),
        (changed(question="Is yen the currency of the country of Keio?"), "leak"),
        (changed(question="What is the currency of Japan, the country of Keio?"), "leak"),
        (with_step(1, question="What is the currency of Japan?"), "leak"),
    ],
)
def test_what_is_wrong_is_found(found: Decomposition, check: str) -> None:
    assert rejected(found) == check


def test_padding_beside_the_path_is_found() -> None:
    padding = step("s3", "What is the capital of Norway?", "Oslo")
    assert rejected(changed(steps=(*CHAIN, padding))) == "ends"


def test_answers_of_parallel_steps_must_stand_in_the_main_one() -> None:
    steps = (
        step("s1", "What is the capital of Kenya?", "Nairobi"),
        step("s2", "What is the capital of Norway?", "Oslo"),
    )
    question = "What are the capitals of Kenya and Norway?"
    both = {"question": question, "steps": steps}
    assert rejected(changed(answer=("Oslo", "Nairobi"), kind="list", **both)) == ""
    assert rejected(changed(answer="Oslo and Nairobi", **both)) == ""
    assert rejected(changed(answer="Oslo", **both)) == "ends"
    node = step("s3", "Which comes first in the alphabet?", "Nairobi", "s1", "s2", needs_tool=False)
    last = {"question": question, "steps": (*steps, node)}
    assert rejected(changed(answer="Nairobi", **last)) == ""


def test_numbers_agree_up_to_rounding() -> None:
    last = step("s2", "How many people live in that country?", 125_681_593, "s1")
    steps = (CHAIN[0], last)
    assert rejected(changed(answer=125_700_000, kind="number", steps=steps)) == ""
    assert rejected(changed(answer=130_000_000, kind="number", steps=steps)) == "ends"


def test_answers_take_their_type() -> None:
    assert typed_answer("1,234", "number", "it") == 1234
    assert typed_answer("3 May 2021", "date", "it") == "2021-05-03"
    assert typed_answer((" a", "b "), "list", "it") == ("a", "b")


def test_a_given_question_stands_whatever_the_teacher_makes_of_it() -> None:
    item = ITEM.model_copy(update={"mode": "question", "question": "Which money has Keio?"})
    assert checked_decomposition(item, GOOD, (1, 5), None).question == "Which money has Keio?"


def test_another_shape_than_asked_for_is_refused() -> None:
    with pytest.raises(Rejected) as error:
        checked_decomposition(ITEM, GOOD, (1, 5), Scenario.parallel_multi_hop)
    assert error.value.check == "scenario"


# --- duplicates -------------------------------------------------------------------------------


def instance(key: str, question: str, answer: Any = "euro", language: Any = "en") -> DecomposedItem:
    return DecomposedItem(
        key=key,
        mode="domain",
        origin="o",
        domain="d",
        language=language,
        question=question,
        answer=answer,
        kind="text",
        steps=(),
        scenario=Scenario.single_hop,
    )


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("What is the currency of Germany?", "what is the  CURRENCY of germany?", True),
        ("What is the currency of Germany?", "Tell me: what is Germany's currency?", True),
        ("What is the currency of Germany?", "What is the currency of France?", False),
        ("Which is the area of Lake 12 in Oslo?", "Which is the area of Lake 13 in Oslo?", False),
        ("德国的货币是什么？", "请问德国的货币是哪个？", True),
        ("德国的货币是什么？", "法国的货币是什么？", False),
    ],
)
def test_near_duplicates(first: str, second: str, same: bool) -> None:
    language = "en" if first.isascii() else "zh"
    duplicates = DuplicateQuestions()
    assert duplicates.earlier(instance("a", first, language=language)) == ""
    found = duplicates.earlier(instance("b", second, language=language))
    assert found == ("a" if same else "")
    # Seen again, as on resume, an instance does not repeat itself.
    assert duplicates.earlier(instance("a", first, language=language)) == ""


def test_another_answer_is_another_question_unless_the_words_are_the_same() -> None:
    duplicates = DuplicateQuestions()
    assert duplicates.earlier(instance("a", "What is the currency of Germany?")) == ""
    assert duplicates.earlier(instance("b", "What is Germany's currency?", "mark")) == ""
    assert duplicates.earlier(instance("c", "What is the currency of Germany?", "mark")) == "a"
