"""A finding goes to the prompt that can mend it, and the others are not asked again."""

from __future__ import annotations

from typing import Any

import pytest

from astra.arenas.certificate.containment import document_text
from astra.arenas.certificate.leak import leaks
from astra.arenas.synthesis.records import DecomposedItem
from astra.arenas.synthesis.rule_checks import check_leaks
from astra.arenas.synthesis.sources import SourceMaterial
from astra.errors import Rejected
from astra.teacher.prompts.arenas import DecompositionStep
from astra.testing.rule_teacher.arenas import RuleTeacher
from astra.types import Json, Scenario, Tool, ToolSchema
from tests.synthesis.conftest import Meddler


def _first(questions: list[SourceMaterial]) -> list[SourceMaterial]:
    return questions[:1]


def asked(teacher: Meddler, prompt: str) -> list[Any]:
    return [given for name, given, _ in teacher.asked if name == prompt]


async def test_a_refused_document_is_asked_for_again_with_the_finding(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    def bad_first(_given: Any, right: Any, index: int) -> Any:
        return right if index else right.model_copy(update={"name": "print"})

    for prompt in ("write_document", "scale_document"):
        teacher = Meddler(rules, {prompt: bad_first})
        _, reports = await make(teacher, _first(questions), name=prompt, count=1)
        assert reports["arenas"].accepted == 1
        findings = [given.finding for given in asked(teacher, prompt)]
        assert findings[0] == "" and findings[1], prompt


async def test_code_failures_go_to_the_code_alone(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    def broken_first(_given: Any, right: Any, index: int) -> Any:
        return right if index else right.model_copy(update={"source": "import os\n" + right.source})

    teacher = Meddler(rules, {"write_tool": broken_first})
    _, reports = await make(teacher, _first(questions), count=1)
    assert reports["arenas"].accepted == 1
    calls, tools = asked(teacher, "write_call"), asked(teacher, "write_tool")
    assert len(tools) == 2 * len(calls)
    assert [given.finding for given in calls] == [""] * len(calls)
    assert sum(bool(given.finding and given.last_source) for given in tools) == len(calls)


async def test_call_failures_go_to_the_call_and_are_dropped_when_it_is_mended(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    def wrong_first(_given: Any, right: Any, index: int) -> Any:
        if index:
            return right
        name = next(iter(right.arguments))
        return right.model_copy(update={"arguments": right.arguments | {name: "Atlantis Nowhere"}})

    teacher = Meddler(rules, {"write_call": wrong_first})
    _, reports = await make(teacher, _first(questions), count=1)
    assert reports["arenas"].accepted == 1
    calls, tools = asked(teacher, "write_call"), asked(teacher, "write_tool")
    assert len(calls) == 2 * len(tools)
    assert any("Atlantis" in given.finding for given in calls)
    assert [given.finding for given in tools] == [""] * len(tools)


async def test_what_new_code_does_not_mend_is_asked_of_the_call(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    """A call about something else looks like wrong code at first."""

    def broken_twice(_given: Any, right: Any, index: int) -> Any:
        source = "raise ValueError('not today')\n" + right.source
        return right if index > 1 else right.model_copy(update={"source": source})

    teacher = Meddler(rules, {"write_tool": broken_twice})
    _, reports = await make(teacher, _first(questions), count=1)
    assert reports["arenas"].accepted == 1
    findings = [given.finding for given in asked(teacher, "write_call")]
    told = [finding for finding in findings if finding]
    assert len(told) == len(findings) / 2
    assert all("check 'replay'" in finding for finding in told)


def comparison(question: str) -> DecomposedItem:
    steps = (
        DecompositionStep(id="s1", question="How old is Bern?", answer=830, kind="number"),
        DecompositionStep(id="s2", question="How old is Basel?", answer=2050, kind="number"),
        DecompositionStep(
            id="s3",
            question="Which of the two found in s1 and s2 is older?",
            depends_on=("s1", "s2"),
            needs_tool=False,
            answer="Basel",
            kind="text",
        ),
    )
    return DecomposedItem(
        key="k",
        mode="question",
        origin="o",
        domain="cities",
        language="en",
        question=question,
        answer="Basel",
        kind="text",
        steps=steps,
        scenario=Scenario.parallel_single_hop,
    )


@pytest.mark.parametrize(
    "question",
    [
        "Which city is older, Bern or Basel?",
        "Compare the ages of both Bern and Basel. Which one is older?",
        "How old are bern and basel, and which is older?",
    ],
)
def test_offered_alternatives_are_no_leak(question: str) -> None:
    """Neither in the question nor in those of the steps, which name them, too."""
    check_leaks(comparison(question))


@pytest.mark.parametrize(
    "question", ["How much older is Basel than Bern?", "Where do Bern and Basel lie?"]
)
def test_an_answer_that_is_no_alternative_leaks(question: str) -> None:
    with pytest.raises(Rejected, match="Basel"):
        check_leaks(comparison(question))


def tool_with(**schema: Json) -> Tool:
    limit = {"type": "integer", "description": "Most rows.", **schema}
    document = ToolSchema(
        name="find_rows",
        description="Finds rows.",
        parameters={"type": "object", "properties": {"limit": limit}, "required": []},
    )
    return Tool(document=document, source="", domain="d")


def test_a_small_default_says_no_answer() -> None:
    for schema in (
        {"default": 1},
        {"default": 1, "description": "Most rows (default 1)."},
        {"default": 1, "description": "Most rows; 1 by default."},
        {"default": 1, "description": "最多几行，默认为1。"},
    ):
        assert not leaks(1, document_text(tool_with(**schema))), schema
    assert leaks(1, document_text(tool_with(default=2, description="There is 1 row.")))
    assert leaks(83190556, document_text(tool_with(default=83190556)))
    assert leaks("Oslo", document_text(tool_with(type="string", default="Oslo")))
