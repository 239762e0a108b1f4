"""Check `leak`: no answer stands where the agent can read it before it calls a tool.

An answer that can be read is earned without a call. A list leaks when all its members stand in the
text. What counts as standing there, and which disguises are seen through, says `readings`. Not
covered: paraphrases, numbers in words, hints.
"""

from __future__ import annotations

import re

from astra.arenas.certificate.arena_under_test import ArenaUnderTest, CheckFinding
from astra.arenas.certificate.containment import document_text
from astra.arenas.certificate.question_forms import is_offered, without_numbering
from astra.arenas.certificate.readings import can_be_read, code_can_be_read
from astra.core.text import normalise
from astra.types import Answer, Json, Scalar, Target, members_of

CHOICES = frozenset({"true", "false", "yes", "no", "是", "否", "对", "错"})
_CODE = re.compile(r"[A-Z]{1,3}")


def check_leak(under_test: ArenaUnderTest) -> dict[str, Json]:
    """Answers stand neither in the main question, nor in a document, nor in another question."""
    arena = under_test.arena
    # The arena's own documents only: a distractor's document is about another domain.
    public = [
        ("the main question", arena.question),
        *((f"the document of tool {tool.name!r}", document_text(tool)) for tool in arena.tools),
    ]
    answers: list[tuple[str, str | None, Answer, Target | None]] = [
        ("the arena's answer", None, arena.answer, arena.answer_target)
    ]
    for goal in arena.goals:
        answers.append((f"the answer of goal {goal.id!r}", goal.id, goal.answer, goal.target))
        if goal.target is not None and goal.target.value != goal.answer:
            title = f"the target of goal {goal.id!r}"
            answers.append((title, goal.id, goal.target.value, goal.target))
    comparisons = 0
    for title, goal_id, answer, target in answers:
        other_questions = [
            (f"the question of goal {goal.id!r}", goal.question)
            for goal in arena.goals
            if goal_id is not None and goal.id != goal_id
        ]
        # What the main question lets choose from stands in the questions about each of them.
        if is_offered(answer, without_numbering(arena.question)):
            other_questions = []
        for text_title, text in [*public, *other_questions]:
            comparisons += 1
            asked = not text_title.startswith("the document of")
            if asked:
                text = without_numbering(text)
            if leaks(answer, text, target) and not (asked and is_offered(answer, text)):
                raise CheckFinding(f"{title}, {answer!r}, stands in {text_title}", text=text[:500])
    return {"places": comparisons}


def is_choice(value: Answer) -> bool:
    """Whether an answer is one of two, such as yes and no."""
    return isinstance(value, bool) or (isinstance(value, str) and normalise(value) in CHOICES)


def leaks(answer: Answer, text: str, target: Target | None = None) -> bool:
    """Whether an answer stands in a text, every member of a list."""
    # With the target's tolerances: what would be accepted as the answer is a leak.
    tolerances = (
        {} if target is None else {"absolute": target.absolute, "relative": target.relative}
    )

    def member_leaks(value: Scalar) -> bool:
        # A choice can't leak as a word: "no" stands in too many texts.
        if isinstance(value, str) and is_choice(value):
            return False
        # Short codes are compared with case, so that IS (Iceland) does not stand in "what is".
        if isinstance(value, str) and _CODE.fullmatch(value):
            return code_can_be_read(value, text)
        return can_be_read(value, text, **tolerances)

    members = members_of(answer)
    return bool(members) and all(map(member_leaks, members))
