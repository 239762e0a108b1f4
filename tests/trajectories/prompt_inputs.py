"""An input for every prompt of trajectory synthesis, in both languages."""

from __future__ import annotations

from typing import Any

from astra.teacher.prompts import chains as c
from astra.teacher.prompts import emulation as e
from astra.teacher.prompts import judging as j
from astra.teacher.prompts import tasks as t
from astra.teacher.prompts.tools import DomainIn, ToolSummary
from astra.types import Language, Record, ToolSchema


def fields(language: Language, text: str) -> dict[type[Record], dict[str, Any]]:
    """By record of input: its fields, its free text `text`. Each module of prompts adds its own."""
    return {
        **tools(language, text),
        **chains(language, text),
        **emulation(language, text),
        **judging(language, text),
    }


def tools(language: Language, text: str) -> dict[type[Record], dict[str, Any]]:
    """The input of collecting tools."""
    return {
        DomainIn: {
            "language": language,
            "name": "notes",
            "description": text,
            "tools": (ToolSummary(name="create_note", description=text),),
            "total": 1,
        }
    }


def emulation(language: Language, text: str) -> dict[type[Record], dict[str, Any]]:
    """Inputs for the service and the user that a teacher plays."""
    tool = ToolSchema(name="get_city", description=text, parameters={"type": "object"})
    call = e.EmulatedExchange(tool="list_cities", arguments={}, result=[text], is_error=False)
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
            "request": text,
            "behaviour": e.UserBehaviour.changed_mind,
            "wish": text,
            "talk": (e.TalkMessage(by="user", text=text),),
        },
        e.PlanTalkIn: {
            "language": language,
            "service": text,
            "tools": (
                c.ShownTool(
                    name="get_city",
                    description=text,
                    parameters={"type": "object", "properties": {"id": {"type": "string"}}},
                    returns={},
                ),
            ),
            "request": text,
            "steps": (),
            "withheld": "",
            "behaviours": (e.UserBehaviour.changed_mind, e.UserBehaviour.follow_up),
        },
    }


def judging(language: Language, text: str) -> dict[type[Record], dict[str, Any]]:
    """Inputs for the judges of a trajectory."""
    tools = (ToolSchema(name="get_city", description=text, parameters={"type": "object"}),)
    call = j.ShownCall(id="c1", tool="get_city", arguments={"id": "c1"})
    messages = (
        j.ShownMessage(number=1, by="user", text=text),
        j.ShownMessage(number=2, by="assistant", text="", calls=(call,)),
        j.ShownMessage(number=3, by="tool", text="{}", answers="c1"),
    )
    common: dict[str, Any] = {"language": language, "tools": tools, "messages": messages}
    shown = {**common, "other_tools": ("list_cities",)}
    return {
        j.OpeningIn: {**shown, "messages": (), "request": text, "message": messages[1]},
        j.RoundIn: {**shown, "round": 1, "message": 2},
        j.JudgedCallsIn: {**common, "calls": ("c1",)},
        j.AnswerIn: {
            "language": language,
            "messages": (*messages, j.ShownMessage(number=4, by="assistant", text=text)),
            "message": 4,
            "judge": ("relevance", "faithfulness"),
        },
    }


def chains(language: Language, text: str) -> dict[type[Record], dict[str, Any]]:
    """Inputs for chains and tasks."""
    tool = c.ShownTool(
        name="get_city",
        description=text,
        parameters={"type": "object", "properties": {"id": {"type": "string"}}},
        returns={"name": "string"},
    )
    common = {"language": language, "service": text, "tools": (tool,)}
    return {
        c.ProposeChainsIn: {**common, "wanted": 2, "shortest": 2, "longest": 3, "number": 1},
        c.ChainIn: {**common, "chain": ("get_city",)},
        c.RecoverIn: {**common, "request": text},
        t.ProposeTasksIn: {**common, "wanted": 2, "fewest": 1, "most": 3, "number": 1},
        t.VaryIn: {
            **common,
            "axis": "persona",
            "request": text,
            "keep": ("c1",),
            "profile": t.UserProfile(
                age=40, occupation="baker", education="school", skills=("bread",), hobbies=("go",)
            ),
            "number": 1,
        },
        t.IntentIn: {"language": language, "axis": "diversity", "original": text, "varied": "It?"},
        t.ScoreIn: {
            **common,
            "other_tools": ("list_cities",),
            "request": text,
            "values": (t.MeantValue(tool="get_city", parameter="id", value="c1"),),
        },
    }
