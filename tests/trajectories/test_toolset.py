"""Names as they are shown: unique, valid, and the same in whatever order servers stand."""

from __future__ import annotations

import re

import pytest

from astra.trajectories.tasks.result_paths import NoSuchField, follow
from astra.trajectories.toolset import ToolSet

from .services import calendar, notes, server, text, tool


def test_names_of_one_server_stay_as_they_are() -> None:
    shown = ToolSet([calendar()])
    assert list(shown) == [each.document.name for each in calendar().tools]
    assert shown.documents()[0] == calendar().tools[0].document


def test_names_that_two_servers_have_tell_where_they_belong() -> None:
    shown = ToolSet([calendar(), notes()])
    assert "send_message" not in shown
    assert shown["calendar_send_message"].server == calendar()
    assert shown["notes_more_send_message"].tool == notes().tools[0]
    assert shown["notes_more_send_message"].document.name == "notes_more_send_message"
    assert "get_event" in shown
    assert shown.get("nothing") is None


def test_names_do_not_depend_on_the_order() -> None:
    twins = [
        server(name, (tool("go", "Goes.", {"to": text("Where.")}),), description=name)
        for name in ("A!", "a?", "9", "x" * 80)
    ]
    there, back = ToolSet(twins), ToolSet(twins[::-1])
    assert len(there) == 4
    for name in there:
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}", name)
        assert there[name].server == back[name].server


def test_paths_into_results() -> None:
    value = {"items": [{"id": 7, "owner": {"name": "Ada"}}], "total": 1}
    assert follow(value, "items.0.id") == 7
    assert follow('{"total": 1}', "total") == 1
    assert follow(value, "name") == "Ada"
    assert follow("plain", None) == "plain"
    for path in ("items.1", "nothing", "total.0"):
        with pytest.raises(NoSuchField):
            follow(value, path)
