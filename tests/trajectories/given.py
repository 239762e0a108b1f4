"""An input for every prompt of trajectory synthesis, in both languages."""

from __future__ import annotations

from typing import Any

from astra.teacher import emulation as e
from astra.types import Language, Record, ToolDocument


def fields(language: Language, text: str) -> dict[type[Record], dict[str, Any]]:
    """By record of input: its fields, its free text `text`. Each module of prompts adds its own."""
    return {**emulation(language, text)}


def emulation(language: Language, text: str) -> dict[type[Record], dict[str, Any]]:
    """Inputs for the service and the user that a teacher plays."""
    tool = ToolDocument(name="get_city", description=text, parameters={"type": "object"})
    call = e.Exchange(tool="list_cities", arguments={}, result=[text], is_error=False)
    return {
        e.EmulateCallIn: {
            "language": language,
            "service": text,
            "tool": tool,
            "output_schema": {"type": "object"},
            "arguments": {"id": "c1"},
            "history": (call,),
            "at_once": (e.AskedCall(tool="get_city", arguments={"id": "c2"}),),
            "facts": {"city 'c1'": {"name": text}},
        },
        e.SimulateUserIn: {
            "language": language,
            "behaviour": e.Behaviour.changed_mind,
            "request": text,
            "values": ("42",),
            "talk": (e.Said(by="user", text=text),),
        },
    }
