"""Check `leak`: no answer stands where the agent can read it before it calls a tool.

A list leaks when all its members stand in the text. Answers that are mere choices (true, false,
yes, no) can't leak as words. Codes of up to three capitals are compared with case, so that the
country code IS is not found in "what is". Only the arena's own documents are read: a distractor's
speak of another domain. Not covered: paraphrases, numbers in words, hints.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from astra.arenas.certificate.containment import document_text, stands_in
from astra.arenas.certificate.context import ArenaUnderTest, CheckFinding
from astra.core.text import normalise
from astra.types import Json, Scalar, Target

CHOICES = frozenset({"true", "false", "yes", "no", "是", "否", "对", "错"})
_CODE = re.compile(r"[A-Z]{1,3}")


def check_leak(case: ArenaUnderTest) -> dict[str, Json]:
    """Answers stand neither in the main question, nor in a document, nor in another question."""
    arena = case.arena
    documents = [
        (f"the document of tool {tool.name!r}", document_text(tool)) for tool in arena.tools
    ]
    public = [("the main question", arena.question), *documents]
    compared = 0
    for what, own, answer, target in _answers(case):
        places = list(public)
        if own is not None:
            places += [
                (f"the question of goal {goal.id!r}", goal.question)
                for goal in arena.goals
                if goal.id != own
            ]
        for place, text in places:
            compared += 1
            if leaks(answer, text, target):
                raise CheckFinding(f"{what}, {answer!r}, stands in {place}", text=text[:500])
    return {"places": compared}


def _answers(
    case: ArenaUnderTest,
) -> Iterator[tuple[str, str | None, Scalar | tuple[Scalar, ...], Target | None]]:
    arena = case.arena
    yield "the arena's answer", None, arena.answer, arena.answer_target
    for goal in arena.goals:
        yield f"the answer of goal {goal.id!r}", goal.id, goal.answer, goal.target
        if goal.target is not None and goal.target.value != goal.answer:
            yield f"the target of goal {goal.id!r}", goal.id, goal.target.value, goal.target


def leaks(answer: Scalar | tuple[Scalar, ...], text: str, target: Target | None = None) -> bool:
    """Whether an answer stands in a text, every member of a list."""
    members = answer if isinstance(answer, tuple) else (answer,)
    return bool(members) and all(_leaks(member, text, target) for member in members)


def is_choice(value: Scalar | tuple[Scalar, ...]) -> bool:
    """Whether an answer is one of two, such as yes and no."""
    return isinstance(value, bool) or (isinstance(value, str) and normalise(value) in CHOICES)


def _leaks(value: Scalar, text: str, target: Target | None) -> bool:
    if isinstance(value, str):
        if is_choice(value):
            return False
        if _CODE.fullmatch(value):
            plain = unicodedata.normalize("NFKC", text)
            return re.search(rf"(?<![^\W_]){value}(?![^\W_])", plain) is not None
    if target is None:
        return stands_in(value, text)
    return stands_in(value, text, absolute=target.absolute, relative=target.relative)
