"""Check `spelling`: an agent that writes arguments as question and document say solves the goals.

The gold call has the form that the document asks for ("YYYY-MM-DD", "HH:MM", a two-letter code).
Where the document asks for no form, the words of the question solve the goal as well as the gold
call's: other case, dashes, accents, 12/02/2025, 3 PM. A day whose year nobody says is answered in
the years around it, too. Without this an agent that follows its documents earns nothing. Not
covered: spellings that neither the question nor the document has, and whether a description is
clear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from astra.arenas.certificate.arena_under_test import (
    ArenaUnderTest,
    CheckFinding,
    GoalStep,
    NamedCall,
    call_evidence,
    is_answered,
    shortened,
)
from astra.arenas.certificate.parameters import accepts, parameters_of
from astra.core.spellings import said_as
from astra.core.text import as_date, scalars
from astra.rewards import solves
from astra.types import Json

MOST_SPELLINGS = 3
"""Other spellings tried per argument."""
_ISO = r"\d{4}-\d\d-\d\d"
_FORMS = (
    ("YYYY-MM-DD", r"\byyyy-mm-dd\b|\biso[- ]?8601\b|年-月-日", _ISO),
    ("YYYY/MM/DD", r"\byyyy/mm/dd\b", r"\d{4}/\d\d/\d\d"),
    ("MM/DD/YYYY", r"\bmm/dd/yyyy\b", r"(?:0[1-9]|1[0-2])/\d\d/\d{4}"),
    ("DD/MM/YYYY", r"\bdd/mm/yyyy\b", r"\d\d/(?:0[1-9]|1[0-2])/\d{4}"),
    ("DD.MM.YYYY", r"\bdd\.mm\.yyyy\b", r"\d\d\.\d\d\.\d{4}"),
    ("YYYYMMDD", r"\byyyymmdd\b", r"\d{8}"),
    ("YYYY-MM", r"\byyyy-mm\b(?!-)", r"\d{4}-\d\d"),
    ("MM-DD", r"(?<![-\w])mm-dd\b(?!-)", r"\d\d-\d\d"),
    ("HH:MM:SS", r"\bhh:mm:ss\b", r"\d\d:\d\d:\d\d"),
    ("HH:MM", r"\bhh:mm\b(?!:)|\b24[- ]hours? (?:clock|time|format|notation)", r"\d\d:\d\d"),
)
"""Name of a form, what a description says to ask for it, what fits it."""
_LETTERS = re.compile(r"\b(two|three|2|3)[- ]letter\b", re.IGNORECASE)
_STRICT = re.compile(
    r"case[- ]sensitive|exactly as|exact spelling|upper[- ]?case|lower[- ]?case|in capitals"
    r"|区分大小写|大写|小写",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")


async def check_spelling(under_test: ArenaUnderTest, outputs: dict[str, Json]) -> dict[str, Json]:
    """Gold arguments have the forms that documents ask for; what the question says works, too.

    `outputs`: what the gold calls returned, by goal id.
    """
    trials: list[tuple[GoalStep, NamedCall]] = []
    for step in under_test.steps:
        for name, schema in parameters_of(under_test.tools[step.call.tool]).items():
            value = step.call.arguments.get(name)
            if not isinstance(value, str) or "enum" in schema:
                continue
            if form := missed_form(schema, value):
                raise CheckFinding(
                    f"{step.gold_call.description} has {name!r} = {shortened(value)}, but the "
                    f"document asks for {form}: an agent that follows it makes another call",
                    goal=step.goal.id,
                    mend="call",
                )
            others = list(dict.fromkeys(_other_spellings(under_test, step, schema, value, outputs)))
            trials += [
                (
                    step,
                    NamedCall(
                        step.call.tool,
                        step.call.arguments | {name: other},
                        f"the call of goal {step.goal.id!r} with {name!r} = {shortened(other)}",
                    ),
                )
                for other in others[:MOST_SPELLINGS]
                if accepts(schema, other)
            ]
    if not trials:
        return {"spellings": 0}
    outcomes = await under_test.run("plain", [call for _, call in trials])
    for (step, call), outcome in zip(trials, outcomes, strict=True):
        if not is_answered(outcome) or not solves(step.target, outcome.value):
            said = outcome.failure.message[:200] if outcome.failure else shortened(outcome.value)
            raise CheckFinding(
                f"{call.description} does not solve it, though question and document allow this "
                f"spelling: {said}. Accept it in the code and return the name as it stands in the "
                "table, or ask for one form (and name the year) in the document",
                call=call_evidence(call),
                goal=step.goal.id,
            )
    return {"spellings": len(trials)}


def missed_form(schema: dict[str, Json], value: str) -> str:
    """The form that a parameter asks for and a value does not have. Empty if there is none."""
    description = str(schema.get("description", ""))
    asked = [
        (name, fits)
        for name, words, fits in _FORMS
        if re.search(words, description, re.IGNORECASE)
        or (name == "YYYY-MM-DD" and schema.get("format") == "date")
    ]
    if asked:
        fitting = any(re.fullmatch(fits, value) for _, fits in asked)
        return (
            ""
            if fitting or _given_as_example(description, value)
            else " or ".join(n for n, _ in asked)
        )
    # "name or two-letter code" asks for neither.
    letters = _LETTERS.search(description)
    if letters and not re.search(r"\bor\b|/|或", description):
        count = {"two": 2, "three": 3, "2": 2, "3": 3}[letters[1].lower()]
        return "" if len(value) == count else f"a {letters[0]} code"
    return ""


def _given_as_example(description: str, value: str) -> bool:
    return value in description


def _other_spellings(
    under_test: ArenaUnderTest,
    step: GoalStep,
    schema: dict[str, Json],
    value: str,
    outputs: dict[str, Json],
) -> Iterator[str]:
    """Ways to write an argument that the document allows and the question suggests."""
    question = under_test.arena.question
    description = str(schema.get("description", ""))
    has_form = any(re.search(words, description, re.IGNORECASE) for _, words, _ in _FORMS)
    is_free = not has_form and schema.get("format") != "date" and not _STRICT.search(description)
    pieces = said_as(value, question, description)
    day = as_date(value)
    if day is not None and len(value) == len("2000-01-01"):
        known = [question, str(under_test.tools[step.call.tool].document.model_dump())]
        known += [str(leaf) for name in step.goal.depends_on for leaf in scalars(outputs.get(name))]
        guessed = pieces and not any(piece.complete for piece in pieces)
        if guessed and not any(str(day.year) in _YEAR.findall(text) for text in known):
            for year in (day.year + 1, day.year - 1):
                if (day.month, day.day) != (2, 29):
                    yield day.replace(year=year).isoformat()
    if is_free:
        # With the document's "name or code" both are free to be taken; else only one is explained.
        alternatives = re.search(r"\bor\b|或", description) is not None
        for piece in pieces:
            if piece.complete and (piece.piece not in description or alternatives):
                yield piece.piece
        start = question.casefold().find(value.casefold())
        written = question[start : start + len(value)] if start >= 0 else value
        if written != value and written.casefold() == value.casefold():
            yield written
