"""Collecting as a whole: live servers and files, what is set aside, what is never written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run
from astra.configs.tools import CollectToolsConfig
from astra.errors import HostError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.testing import mcp_bookings
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.trajectories.collect.stages import (
    COLLECTED,
    SERVERS,
    collect,
    read_notes,
    read_servers,
)
from astra.trajectories.play.hosts import live_host
from astra.trajectories.records import CollectedToolServer
from tests.support.mcp_hostile import TOOLS
from tests.support.mcp_serving import http_server

from .servers import KEY, QUICK, SESSION, mcp_file, options, value

EXAMPLES = Path(__file__).parents[2] / "examples" / "tools"
DATA = Path(__file__).parent / "data"


async def collected(
    folder: Path,
    *files: Path,
    quick: bool = False,
    rules: bool = False,
    **options: Any,
) -> tuple[list[CollectedToolServer], dict[str, FailureRow]]:
    """The servers, and the failures by key."""
    session = QUICK if quick else SESSION
    config = CollectToolsConfig(
        files,
        out=folder,
        start_timeout=session.connect_seconds,
        tool_timeout=session.call_seconds,
        confine_servers=session.confined,
        **options,
    )
    run_folder = RunFolder.create(folder, {})
    await collect(config, run_folder, TrajectoryRules() if rules else None)
    failed = [f for s in (COLLECTED, SERVERS) for f in run_folder.rows(f"{s}.failed", FailureRow)]
    return read_servers(folder), {failure.key: failure for failure in failed}


async def test_live_servers_over_stdio_and_http_are_as_in_play(tmp_path: Path) -> None:
    with http_server(mcp_bookings.server()) as url:
        entry = {"url": url, "domain": "calendar", "headers": {"X-Key": KEY}}
        file = mcp_file(tmp_path / "mcp.json", notes=value("mcp_notes"), bookings=entry)
        servers, failed = await collected(tmp_path / "run", file, rules=True)
        assert not failed
        notes, bookings = servers
        assert (notes.name, notes.source, len(notes.tools)) == ("notes", "mcp", 6)
        assert notes.domain == "productivity" and bookings.domain == "calendar"
        assert notes.connection and notes.connection.entry == "notes"
        by_name = {tool.document.name: tool for tool in bookings.tools}
        assert by_name["search_rooms"].read_only is True
        assert by_name["book_room"].read_only is False
        output = by_name["book_room"].output_schema
        assert output and "booking_id" in output["properties"]
        async with live_host(bookings, options()) as host:
            rooms = await host.call("search_rooms", {"city": "Lyon", "seats": 8})
            room = rooms.content["rooms"][0]["room_id"]
            made = await host.call("book_room", {"room_id": room, "day": "2026-05-04", "hour": 9})
            again = await host.call("book_room", {"room_id": room, "day": "2026-05-04", "hour": 9})
        assert made.content["booking_id"] == "b-001"
        assert again.is_error and "taken" in str(again.content)
    text = "".join(p.read_text() for p in (tmp_path / "run").iterdir() if p.is_file())
    assert KEY not in text and "X-Key" not in text


async def test_files_of_all_kinds(tmp_path: Path) -> None:
    rows = [
        {
            "base_info": {
                "group_info": {
                    "server_title": "Atlas",
                    "server_name": "atlas",
                    "server_description": "Maps.",
                    "domain": "Maps & Places",
                },
                "tool_list": [
                    {"name": n, "description": f"Finds the {n} of a place.", "parameters": {}}
                    for n in ("roads", "rivers", "borders")
                ],
            },
            "features": {},
        },
        {"group_info": {"server_name": "flat"}, "tool_list": "[]"},
        {"base_info": {"group_info": {}, "tool_list": "{"}},
        {"other": 1},
    ]
    jsonl = tmp_path / "mcp_servers.jsonl"
    jsonl.write_text("\n".join([*map(json.dumps, rows), "no json"]))
    lines = tmp_path / "lines.jsonl"
    functions = json.loads((EXAMPLES / "tools.json").read_text())["tools"]
    lines.write_text("\n".join(map(json.dumps, functions)))
    servers, failed = await collected(
        tmp_path / "run", jsonl, lines, *(EXAMPLES / f for f in ("openapi.yaml", "tools.json"))
    )
    names = [(s.name, s.source, s.domain) for s in servers]
    assert names == [
        ("atlas", "astra", "Maps & Places"),
        ("lines", "functions", ""),
        ("City library", "openapi", ""),
    ]
    assert {key: failure.check for key, failure in failed.items()} == {
        "mcp_servers.jsonl#row 2": "min_tools",
        "mcp_servers.jsonl#row 3": "layout",
        "mcp_servers.jsonl#row 4": "layout",
        "mcp_servers.jsonl#row 5": "layout",
        failed_key(failed, "duplicate"): "duplicate",
    }


async def test_a_file_that_is_none_is_set_aside_alone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"lockfileVersion": 3}')
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_text('{"name": "empty", "description": "None.", "tools": []}')
    files = [tmp_path / f"{name}.json" for name in "abc"]
    servers, failed = await collected(tmp_path / "run", *files, EXAMPLES / "tools.json")
    assert len(servers) == 1
    assert {key: failure.check for key, failure in failed.items()} == {
        "a.json#a": "file",
        "b.json#b": "file",
        "c.json#empty": "min_tools",
    }
    assert "lockfileVersion" in failed["a.json#a"].message


def failed_key(failed: dict[str, FailureRow], check: str) -> str:
    return next(key for key, failure in failed.items() if failure.check == check)


@pytest.mark.parametrize(
    ("fault", "check", "reason"),
    [
        ("invalid_list", "protocol", "its answer is not a result"),
        ("refuses_list", "protocol", "no key [hidden]"),
        ("endless", "protocol", "pages"),
        ("injection", "injection", "addresses the model"),
        ("endless_reference", "cycle", "without end"),
        ("remote", "ref", "nothing is fetched"),
        ("half_characters", "protocol", "not a JSON-RPC message"),
        ("big_list", "protocol", "over 16777216 bytes"),
        ("dies_in_list", "", "status 3"),
        ("dies_at_start", "", "no key: [hidden]"),
        ("silent", "", "no greeting"),
    ],
)
async def test_hostile_servers_are_set_aside_with_the_reason(
    tmp_path: Path, fault: str, check: str, reason: str
) -> None:
    file = mcp_file(tmp_path / "mcp.json", bad=value("mcp_hostile", fault))
    servers, failed = await collected(tmp_path / "run", file, quick=fault == "silent", strict=True)
    assert not servers
    (failure,) = failed.values()
    assert failure.check == (check or None)
    assert failure.kind == ("rejected" if check else "error")
    assert reason in failure.message
    assert KEY not in failure.model_dump_json()


@pytest.mark.parametrize("fault", ["injection", "endless_reference", "remote", "no_schema"])
async def test_one_bad_tool_costs_itself_and_not_its_server(tmp_path: Path, fault: str) -> None:
    file = mcp_file(tmp_path / "mcp.json", bad=value("mcp_hostile", fault))
    (server,), failed = await collected(tmp_path / "run", file)
    assert not failed and len(server.tools) == len(TOOLS)
    (note,) = [note for note in read_notes(tmp_path / "run") if not note.kept]
    assert note.server == server.id and note.reason


@pytest.mark.parametrize(
    "fault", ["rubbish", "stderr", "recursion", "bad_names", "slow_pattern", "task", "no_type"]
)
async def test_servers_that_are_only_odd_are_kept(tmp_path: Path, fault: str) -> None:
    file = mcp_file(tmp_path / "mcp.json", odd=value("mcp_hostile", fault))
    servers, failed = await collected(tmp_path / "run", file)
    assert not failed
    (server,) = servers
    extra = server.tools[len(TOOLS) :]
    match fault:
        case "recursion":
            assert extra[0].document.parameters["properties"]["next"] == {"$ref": "#"}
        case "bad_names":
            assert extra[0].original_name == "查询 天气!"
            assert extra[0].document.name.startswith("tool_")
        case "slow_pattern":
            assert "pattern" not in extra[0].document.parameters["properties"]["a"]
            assert "told in words" in read_notes(tmp_path / "run")[-1].reason
        case "task":
            (note,) = read_notes(tmp_path / "run")
            assert not extra and (note.tool, note.check) == ("research", "task")
        case "no_type":
            assert extra[0].document.parameters["properties"] == {"path": {}}
        case _:
            assert not extra


async def test_five_thousand_tools_in_pages(tmp_path: Path) -> None:
    file = mcp_file(tmp_path / "mcp.json", many=value("mcp_hostile", "many"))
    servers, _ = await collected(tmp_path / "run", file)
    names = [tool.document.name for tool in servers[0].tools]
    assert names == [f"tool_{i}" for i in range(5000)]


async def test_a_list_that_changes_is_read_again(tmp_path: Path) -> None:
    file = mcp_file(tmp_path / "mcp.json", changing=value("mcp_hostile", "changing"))
    servers, _ = await collected(tmp_path / "run", file)
    assert len(servers[0].tools) == len(TOOLS)


async def test_entries_that_can_not_be_used(tmp_path: Path) -> None:
    file = mcp_file(
        tmp_path / "mcp.json",
        variable={"command": "python", "env": {"KEY": "${OPENAI_API_KEY}"}},
        ftp={"url": "ftp://example.org"},
        off={"command": "python", "disabled": True},
        args={"command": "python", "args": "x"},
        gone={"command": "no-such-command-anywhere"},
    )
    servers, failed = await collected(tmp_path / "run", file)
    assert not servers
    checks = {key.partition("#")[2]: (f.check or f.type) for key, f in failed.items()}
    assert checks == {
        **dict.fromkeys(("variable", "ftp", "off", "args"), "entry"),
        "gone": "McpServerGone",
    }


async def test_what_was_unreachable_is_asked_again_and_the_rest_is_not(tmp_path: Path) -> None:
    file = mcp_file(tmp_path / "mcp.json", a=value("mcp_hostile", "dies_at_start"))
    _, failed = await collected(tmp_path / "run", file, EXAMPLES / "tools.json", quick=True)
    assert [f.kind for f in failed.values()] == ["error"]
    mcp_file(file, a=value("mcp_hostile"))
    servers, failed = await collected(tmp_path / "run", file, EXAMPLES / "tools.json")
    assert not failed
    assert [server.name for server in servers] == ["ferries", "hostile"]
    before = (tmp_path / "run/servers.jsonl").read_bytes()
    await collected(tmp_path / "run", file, EXAMPLES / "tools.json")
    assert (tmp_path / "run/servers.jsonl").read_bytes() == before


def test_a_server_of_documents_is_not_live() -> None:
    server = CollectedToolServer(id="", name="d", source="openapi", tools=())
    with pytest.raises(HostError, match="emulator"):
        live_host(server)


# --- the command ------------------------------------------------------------------------------


def test_the_command_collects_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "run")
    made = run(["tools", "collect", str(DATA), "--teacher", "rules", "--out", folder, "--json"])
    assert made == 0
    report = json.loads(capsys.readouterr().out)
    assert report["servers"] == 2
    assert run(["tools", "show", folder, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["tools"] == 45
    assert {s["name"]: s["domain"] for s in shown["servers"]} == {
        "Warehouse": "logistics",
        "Clinic": "health",
    }
    assert run(["tools", "show", folder]) == 0
    assert "2 servers, 45 tools" in capsys.readouterr().out
    assert run(["tools", "show", folder, "clin"]) == 0
    assert "patients_search" in capsys.readouterr().out
    assert run(["tools", "show", folder, "none"]) == 2
    assert "there are" in capsys.readouterr().err


def test_nothing_kept_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(EXAMPLES / "tools.json")
    out = ["--out", str(tmp_path / "run"), "--min-tools", "9"]
    assert run(["tools", "collect", file, *out]) == 1
    assert "min_tools 1" in capsys.readouterr().out
    assert run(["tools", "show", str(tmp_path / "run")]) == 0
    assert "3 tools; the least is 9" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.json"], "no file or folder"),
        ([str(EXAMPLES / "tools.json"), "--teacher", "x"], "needs --teacher-url"),
        ([str(EXAMPLES / "tools.json"), "--teacher-url", "http://x"], "give --teacher"),
    ],
)
def test_wrong_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(["tools", "collect", *arguments, "--out", str(tmp_path / "run")]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_teacher_over_http_names_the_domain(tmp_path: Path) -> None:
    from astra.testing.teacher_server import TeacherServer

    with TeacherServer(TrajectoryRules()) as server:
        arguments = [
            "--teacher",
            "rules",
            "--teacher-url",
            server.url,
            "--out",
            str(tmp_path / "run"),
        ]
        assert run(["tools", "collect", str(DATA), *arguments]) == 0
        assert server.served().by_prompt == {"classify_domain": 2}
    assert [s.domain for s in read_servers(tmp_path / "run")] == ["health", "logistics"]


@pytest.mark.live
def test_servers_from_the_npm_registry(tmp_path: Path) -> None:
    """The official servers, started through npx, confined; and calls to each of them."""

    def npx(name: str, *args: str) -> dict[str, Any]:
        env = {"npm_config_cache": str(tmp_path / "npm")}
        return {
            "command": "npx",
            "args": ["-y", f"@modelcontextprotocol/{name}", *args],
            "env": env,
            "astra": {"shared": [env["npm_config_cache"]]},
        }

    (tmp_path / "npm").mkdir()
    file = mcp_file(
        tmp_path / "mcp.json",
        filesystem=npx("server-filesystem", "."),
        memory=npx("server-memory"),
        everything=npx("server-everything"),
    )
    folder = tmp_path / "run"
    started = time.monotonic()
    assert run(["tools", "collect", str(file), "--teacher", "rules", "--out", str(folder)]) == 0
    assert time.monotonic() - started < 300
    servers = {s.connection.entry: s for s in read_servers(folder) if s.connection}
    assert set(servers) == {"filesystem", "memory", "everything"}
    assert all(len(server.tools) >= 3 for server in servers.values())
