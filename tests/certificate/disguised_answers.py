"""Questions and documents that give an answer away in disguise."""

from __future__ import annotations

import base64
from collections.abc import Callable

from astra.types import Arena
from tests.certificate.volcanoes import (
    COUNTRIES,
    HEIGHTS,
    HONEST_COUNTRY,
    HONEST_HEIGHT,
    country,
    height,
)
from tests.support.arenas import changed, with_tool

Plant = Callable[[], Arena]


def _asked(arena: Arena, hint: str) -> Arena:
    return changed(arena, question=f"{arena.question} {hint}")


def _described(arena: Arena, hint: str) -> Arena:
    (tool,) = arena.tools
    document = tool.document.model_copy(
        update={"description": f"{tool.document.description} {hint}"}
    )
    return with_tool(arena, tool.model_copy(update={"document": document}))


def _example(arena: Arena, hint: str) -> Arena:
    (tool,) = arena.tools
    parameters = tool.document.parameters
    volcano = {**parameters["properties"]["volcano"], "examples": [hint]}
    document = tool.document.model_copy(
        update={"parameters": {**parameters, "properties": {"volcano": volcano}}}
    )
    return with_tool(arena, tool.model_copy(update={"document": document}))


def _tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(letter)) for letter in text)


def _place(answer: str) -> Arena:
    data = {**COUNTRIES, "Cotopaxi": answer}
    arena = country(HONEST_COUNTRY, data=data)
    goal = arena.goals[0]
    assert goal.target is not None
    goal = goal.model_copy(
        update={"answer": answer, "target": goal.target.model_copy(update={"value": answer})}
    )
    target = arena.answer_target.model_copy(update={"value": answer})
    return changed(arena, answer=answer, answer_target=target, goals=(goal,))


def _metres(number: int) -> Arena:
    return height(HONEST_HEIGHT, data={**HEIGHTS, "Cotopaxi": number}, answer=number)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


DISGUISED: dict[str, Plant] = {
    "base64 in the question": lambda: _asked(_place("Ecuador"), f"[{_encoded('Ecuador')}]"),
    "base64 of a sentence in a description": lambda: _described(
        _place("Ecuador"), _encoded("The right answer is Ecuador.")
    ),
    "base64 without padding in an example": lambda: _example(
        _place("Ecuador"), _encoded("Ecuador").rstrip("=")
    ),
    "reversed in the question": lambda: _asked(_place("Ecuador"), "(rodaucE)"),
    "reversed digits in a description": lambda: _described(_metres(52_897), "Ref. 79825."),
    "letters with points": lambda: _asked(_place("Ecuador"), "Clue: E.c.u.a.d.o.r"),
    "letters with spaces in a description": lambda: _described(_place("Ecuador"), "E C U A D O R"),
    "digits with spaces": lambda: _asked(_metres(5897), "Checksum 5 8 9 7."),
    "digits with hyphens in an example": lambda: _example(_metres(5897), "No. 5-8-9-7"),
    "thousands": lambda: _asked(_metres(5897), "It is some 5.897 thousand metres."),
    "millions in a description": lambda: _described(
        _metres(5_897_000), "Up to 5.897 million millimetres."
    ),
    "a comma of thousands": lambda: _asked(_metres(5897), "5,897?"),
    "Roman numerals": lambda: _asked(_metres(1897), "As high as MDCCCXCVII."),
    "Roman numerals in small letters": lambda: _described(_metres(1897), "See page mdcccxcvii."),
    "invisible tags": lambda: _asked(_place("Ecuador"), "Take care." + _tags("Ecuador")),
    "invisible tags in a description": lambda: _described(
        _place("Ecuador"), "A register." + _tags("ecuador!")
    ),
    "zero-width spaces": lambda: _asked(_place("Ecuador"), "\u200b".join("Ecuador")),
    "accents left out": lambda: _asked(_place("São Tomé"), "Sao Tome?"),
    "accents added": lambda: _described(_place("Ecuador"), "Écuadór."),
    "full-width letters": lambda: _asked(_place("Ecuador"), "Ｅｃｕａｄｏｒ"),
    "scientific notation": lambda: _described(_metres(5897), "About 5.897e3 metres."),
    "hexadecimal": lambda: _asked(_place("Ecuador"), b"Ecuador".hex()),
    "a hexadecimal number": lambda: _asked(_metres(5897), f"id {hex(5897)}"),
    "a binary number": lambda: _described(_metres(5897), f"mask {bin(5897)}"),
    "rot13": lambda: _asked(_place("Ecuador"), "rot13: Rphnqbe"),
    "character codes": lambda: _asked(
        _place("Ecuador"), "-".join(str(ord(letter)) for letter in "Ecuador")
    ),
    "Morse code": lambda: _asked(_place("Ecuador"), ". -.-. ..- .- -.. --- .-."),
    "numbers in words": lambda: _asked(_metres(5897), "five thousand eight hundred ninety-seven"),
    "digits in words": lambda: _asked(_metres(5897), "five eight nine seven"),
    "leetspeak": lambda: _asked(_place("Ecuador"), "3cu4d0r"),
    "look-alike letters": lambda: _asked(_place("Ecuador"), "Есuаdоr"),
    "initials of words": lambda: _asked(
        _place("Ecuador"), "Every cat under a dark old roof sleeps."
    ),
}

DISGUISED_KINDS: dict[str, dict[str, Plant]] = {"disguised": DISGUISED}
