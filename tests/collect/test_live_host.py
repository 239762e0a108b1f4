"""The live host: sessions over stdio and HTTP, whose failure is whose, what a server can reach."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from astra.errors import HostError
from astra.hosts.confine import available
from astra.hosts.live import LiveHost, LiveOptions
from astra.hosts.mcp_entries import HIDDEN, parse_entry
from astra.hosts.mcp_options import McpSessionOptions
from astra.hosts.mcp_session import McpSession
from astra.protocols import ToolResult
from astra.testing import mcp_bookings, mcp_notes
from astra.testing.host_suite import GoodCall, HostSuite
from tests.support.mcp_serving import http_server

from .servers import KEY, QUICK, SESSION, entry, live_tool, options

HOSTILE = ("echo", "die", "die_once", "hang", "flood", "snoop", "spawn", "error", "refuse")
NOTES = ("list_notes", "get_note", "search_notes")


def hostile(*faults: str, quick: bool = False, **more: Any) -> LiveHost:
    """The hostile server with all of its tools."""
    tools = [live_tool(name) for name in (*HOSTILE, "nonsense", "picture")]
    tools.append(live_tool("write", read_only=False))
    chosen = options(QUICK if quick else SESSION, **more)
    return LiveHost(entry("mcp_hostile", *faults), tools, chosen)


def notes(at: Any, **more: Any) -> LiveHost:
    tools = [*map(live_tool, NOTES), live_tool("create_note", read_only=False, shown="create")]
    return LiveHost(at, tools, options(**more))


class TestStdio(HostSuite):
    @pytest.fixture
    def host(self) -> LiveHost:
        return notes(entry("mcp_notes"))

    @pytest.fixture
    def good_call(self) -> GoodCall:
        return ("list_notes", {"state": "open"})


class TestHttp(HostSuite):
    @pytest.fixture
    def host(self) -> Iterator[LiveHost]:
        with http_server(mcp_bookings.server()) as url:
            tools = [live_tool("search_rooms"), live_tool("book_room", read_only=False)]
            at = parse_entry(
                "bookings", {"url": url, "headers": {"Authorization": f"Bearer {KEY}"}}
            )
            yield LiveHost(at, tools, options())

    @pytest.fixture
    def good_call(self) -> GoodCall:
        return ("search_rooms", {"city": "Oslo", "seats": 5})


async def test_state_lives_as_long_as_the_episode_and_names_are_the_original_ones() -> None:
    host = notes(entry("mcp_notes"))
    for _ in range(2):
        async with host:
            made = await host.call("create", {"title": "Milk", "tags": ["shop"]})
            assert made.content["id"] == "note-1"
            listed = await host.call("list_notes", {"tag": "shop"})
            assert [note["title"] for note in listed.content["notes"]] == ["Milk"]


async def test_an_http_server_keeps_what_it_remembers() -> None:
    with http_server(mcp_notes.server()) as url:
        host = notes(parse_entry("notes", {"url": url}))
        for number in (1, 2):
            async with host:
                made = await host.call("create", {"title": "Milk"})
                assert made.content["id"] == f"note-{number}"


async def test_errors_of_tools_are_results() -> None:
    async with hostile() as host:
        error, refused, nonsense = [
            await host.call(name, {}) for name in ("error", "refuse", "nonsense")
        ]
    assert error == ToolResult(
        {"error": {"code": "tool_error", "message": "there is no such thing"}}, is_error=True
    )
    assert refused.is_error and "no tool refuse" in refused.content["error"]["message"]
    assert nonsense.is_error and "content" in nonsense.content["error"]["message"]


async def test_what_is_no_text_becomes_a_reference() -> None:
    async with hostile() as host:
        text, image, blob, words, link = (await host.call("picture", {})).content
    assert text == "a dot"
    assert image.startswith("[image, image/png, 8 bytes, sha256 ")
    assert blob.startswith("[resource file:///a.bin, of unknown kind, 3 bytes, sha256 ")
    assert words == "[resource file:///a.txt]\nwords"
    assert link == "[resource file:///b.txt, of unknown kind, not read]"


async def test_results_are_bounded() -> None:
    async with hostile(result_characters=100) as host:
        long = await host.call("echo", {"path": "y" * 5000})
        flood = await host.call("flood", {})
        after = await host.call("echo", {"path": "still here"})
    assert long.content == "y" * 100 + "… [cut: 100 of 5000 characters shown]"
    assert flood.is_error and "over 16777216 bytes" in flood.content["error"]["message"]
    assert after.content == "still here"


async def test_a_call_that_breaks_a_reading_server_is_the_tools() -> None:
    async with hostile() as host:
        broke = await host.call("die", {})
        after = await host.call("echo", {"path": "again"})
    assert broke.is_error and "broke under these arguments" in broke.content["error"]["message"]
    assert after.content == "again"


async def test_silence_is_the_tools_when_it_repeats() -> None:
    async with hostile(quick=True) as host:
        broke = await host.call("hang", {})
        after = await host.call("echo", {"path": "again"})
    assert broke.is_error and "no answer within 1 s" in broke.content["error"]["message"]
    assert after.content == "again"


async def test_one_death_is_not_held_against_the_call(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    at = entry("mcp_hostile", astra={"shared": [str(tmp_path)]})  # two sessions find it
    async with LiveHost(at, [live_tool("die_once")], options()) as host:
        result = await host.call("die_once", {"path": str(mark)})
    assert result == ToolResult("alive")


async def test_nothing_is_called_twice_that_may_have_changed_something() -> None:
    async with hostile() as host:
        with pytest.raises(HostError, match="may have changed something"):
            await host.call("write", {})


@pytest.mark.parametrize("fault", ["dies_at_start", "silent", "rubbish_only"])
async def test_a_server_that_does_not_come_up_is_ours(fault: str) -> None:
    with pytest.raises(HostError, match="mcp_hostile") as raised:
        async with hostile(fault, quick=True):
            pass
    assert KEY not in str(raised.value)
    if fault == "dies_at_start":
        assert f"no key: {HIDDEN}" in str(raised.value)
    if fault == "rubbish_only":
        assert "not JSON-RPC messages" in str(raised.value)


async def test_a_greeting_may_take_longer_than_an_answer() -> None:
    hurried = McpSessionOptions(connect_seconds=30, call_seconds=0.001, confined=available())
    async with McpSession(entry("mcp_hostile"), hurried) as session:
        with pytest.raises(TimeoutError, match="no answer within"):
            await session.call_tool("hang", {})


@pytest.mark.parametrize("fault", ["rubbish", "stderr"])
async def test_noise_is_passed_over(fault: str) -> None:
    async with hostile(fault) as host:
        assert (await host.call("echo", {"path": "x"})).content == "x"


async def test_a_command_that_is_not_there() -> None:
    at = parse_entry("gone", {"command": "no-such-command-anywhere"})
    with pytest.raises(HostError, match="no command 'no-such-command-anywhere'"):
        async with LiveHost(at, [], options()):
            pass


async def test_nobody_listens() -> None:
    at = parse_entry("gone", {"url": "http://127.0.0.1:9/mcp"})
    with pytest.raises(HostError, match="can't be spoken to"):
        async with LiveHost(at, [], options(QUICK)):
            pass


async def test_only_allowed_tools_are_shown_and_called() -> None:
    async with notes(entry("mcp_notes"), read_only=True) as host:
        assert [document.name for document in host.tools()] == list(NOTES)
        with pytest.raises(HostError, match="'create'"):
            await host.call("create", {"title": "x"})
    async with notes(entry("mcp_notes"), allow=frozenset({"create"})) as host:
        assert [document.name for document in host.tools()] == ["create"]
    with pytest.raises(HostError, match="'creat'"):
        async with notes(entry("mcp_notes"), allow=frozenset({"creat"})):
            pass


async def test_a_host_that_is_not_open_calls_nothing() -> None:
    with pytest.raises(HostError, match="not open"):
        await notes(entry("mcp_notes")).call("list_notes", {})


async def test_children_go_with_the_server(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    at = entry("mcp_hostile", astra={"shared": [str(tmp_path)]})
    async with LiveHost(at, [live_tool("spawn")], options()) as host:
        result = await host.call("spawn", {"path": str(file)})
        pid = int(result.content)
        assert Path(f"/proc/{pid}").exists()
    for _ in range(100):
        if not _running(pid):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the child is still there")


def _running(pid: int) -> bool:
    """Whether a process is there and no mere zombie that nobody asked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- what a server can reach ------------------------------------------------------------------


async def test_a_server_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "our-own-secret-key-1")
    async with hostile() as host:
        seen = (await host.call("snoop", {"path": "/proc/PARENT/environ"})).content
    assert set(seen["environment"]) <= {
        *("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "API_KEY", "LC_CTYPE", "PWD"),
        "GIT_CONFIG_NOSYSTEM",
    }
    assert seen["environment"]["HOME"] != os.environ.get("HOME")
    assert seen["environment"]["API_KEY"] == HIDDEN
    assert "our-own-secret-key-1" not in str(seen)
    if available():
        assert seen["file"] == "PermissionError"


@pytest.mark.skipif(not available(), reason="needs Landlock")
@pytest.mark.parametrize("kind", ["ours", "home", "shadow"])
async def test_a_server_can_not_read_our_files(kind: str, tmp_path: Path) -> None:
    ours = tmp_path / "secret.txt"
    ours.write_text("for our eyes only")
    path = {"ours": str(ours), "home": str(Path.home()), "shadow": "/etc/shadow"}[kind]
    async with hostile() as host:
        seen = (await host.call("snoop", {"path": path})).content
    assert seen["file"] in ("PermissionError", "FileNotFoundError")


@pytest.mark.skipif(not available(), reason="needs Landlock")
async def test_what_the_entry_names_can_be_read(tmp_path: Path) -> None:
    named = tmp_path / "named.txt"
    named.write_text("for the server")
    at = entry("mcp_hostile", str(named))
    async with LiveHost(at, [live_tool("snoop")], options()) as host:
        seen = (await host.call("snoop", {"path": str(named)})).content
    assert seen["file"] == "for the server"


async def test_without_landlock_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astra.hosts.confine.available", lambda: False)
    confined = LiveOptions()
    with pytest.raises(HostError, match="confine_servers"):
        async with LiveHost(entry("mcp_notes"), [], confined):
            pass
