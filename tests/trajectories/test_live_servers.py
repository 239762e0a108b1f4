"""Servers of npm and PyPI as their authors publish them: two episodes begin alike, tasks succeed.

Eight servers, six of the protocol's own and two of others, with their versions pinned. Needs node,
npm, git and both registries.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run
from astra.hosts.live import server_starts
from astra.hosts.mcp_entries import read_entry
from astra.hosts.mcp_state import WORKSPACE
from astra.runs.folder import RunFolder
from astra.trajectories.collect.stages import read_servers
from astra.trajectories.play.hosts import live_host
from astra.trajectories.records import CollectedToolServer, RecordedRollout
from astra.types import CallStatus

pytestmark = pytest.mark.live

NPM = (
    "@modelcontextprotocol/server-memory@2026.8.31",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@kazuph/mcp-taskmanager@1.1.1",
)
PYPI = {
    "new": ("mcp==2.3.0", "mcp-server-git==2026.10.19", "mcp-server-time==2026.10.19"),
    # These two want the protocol's older library.
    "old": ("mcp==1.30.0", "mcp-server-sqlite==2025.4.25", "mcp-server-calculator==0.2.0"),
}
SITE = f"{WORKSPACE}/site"
READS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "memory": [("read_graph", {})],
    "filesystem": [
        ("directory_tree", {"path": WORKSPACE}),
        ("read_text_file", {"path": f"{WORKSPACE}/plan.txt"}),
    ],
    "everything": [("get-env", {}), ("get-sum", {"a": 2, "b": 3})],
    "git": [("git_log", {"repo_path": SITE}), ("git_status", {"repo_path": SITE})],
    "sqlite": [("read_query", {"query": "SELECT * FROM orders"})],
    "time": [
        (
            "convert_time",
            {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
        )
    ],
    "tasks": [("list_requests", {})],
    "calculator": [("calculate", {"expression": "2 * 21"})],
}
"""Calls that show a server's state."""
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "memory": (
        "create_entities",
        {"entities": [{"name": "Tom", "entityType": "person", "observations": ["new"]}]},
    ),
    "filesystem": ("write_file", {"path": f"{WORKSPACE}/plan.txt", "content": "Nothing"}),
    "git": ("git_add", {"repo_path": SITE, "files": ["index.md"]}),
    "sqlite": ("write_query", {"query": "INSERT INTO orders (item, price) VALUES ('bed', 5)"}),
    "tasks": (
        "request_planning",
        {"originalRequest": "Mow", "tasks": [{"title": "Mow", "description": "The lawn"}]},
    ),
}
"""A call that changes it; the other servers keep nothing."""


def install(folder: Path) -> None:
    npm = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder / "npm"), *NPM]
    subprocess.run(npm, check=True, capture_output=True, timeout=900)
    for name, packages in PYPI.items():
        environment = folder / name
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "pip"), "install", "--quiet", *packages]
        subprocess.run(pip, check=True, capture_output=True, timeout=900)


def write_seeds(folder: Path) -> None:
    """What the servers begin with."""
    graph = [
        {
            "type": "entity",
            "name": "Ada Brook",
            "entityType": "person",
            "observations": ["works in Oslo"],
        },
        {
            "type": "entity",
            "name": "Harbour",
            "entityType": "project",
            "observations": ["starts in May"],
        },
        {"type": "relation", "from": "Ada Brook", "to": "Harbour", "relationType": "leads"},
    ]
    (folder / "memory").mkdir()
    (folder / "memory" / "memory.jsonl").write_text("\n".join(map(json.dumps, graph)) + "\n")
    (folder / "files" / "notes").mkdir(parents=True)
    (folder / "files" / "plan.txt").write_text("Buy paint\nCall Tom\n")
    (folder / "files" / "notes" / "may.csv").write_text("day,visits\n1,20\n")
    site = folder / "repositories" / "site"
    site.mkdir(parents=True)
    (site / "index.md").write_text("# Home\n")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
        author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        subprocess.run(["git", *author, *command], cwd=site, check=True)
    (site / "index.md").write_text("# Home\nWelcome\n")
    with sqlite3.connect(folder / "shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price REAL)")
        rows = [("lamp", 20.5), ("desk", 99.0)]
        database.executemany("INSERT INTO orders (item, price) VALUES (?, ?)", rows)
    database.close()


def entries(folder: Path) -> dict[str, Any]:
    modules, official = folder / "npm" / "node_modules", "@modelcontextprotocol"

    def node(name: str, *args: str) -> dict[str, Any]:
        script = modules / official / f"server-{name}" / "dist" / "index.js"
        return {"command": "node", "args": [str(script), *args]}

    def python(name: str, environment: str, *args: str) -> dict[str, Any]:
        command = folder / environment / "bin" / f"mcp-server-{name}"
        return {"command": str(command), "args": list(args)}

    planned = {
        "originalRequest": "Paint the fence",
        "tasks": [{"title": "Buy paint", "description": "Two litres of green"}],
    }
    return {
        "memory": {
            **node("memory"),
            "env": {"MEMORY_FILE_PATH": "${workspaceFolder}/memory.jsonl"},
            "astra": {"seed": "memory"},
        },
        "filesystem": {**node("filesystem", "${workspaceFolder}"), "astra": {"seed": "files"}},
        "everything": node("everything"),
        "git": {
            **python("git", "new", "--repository", "${workspaceFolder}/site"),
            "astra": {"seed": "repositories"},
        },
        "sqlite": {
            **python("sqlite", "old", "--db-path", str(folder / "shop.db")),
            "astra": {"writable": ["shop.db"]},
        },
        "time": python("time", "new", "--local-timezone", "Europe/Oslo"),
        "tasks": {
            "command": str(modules / ".bin" / "mcp-taskmanager"),
            "env": {"TASK_MANAGER_FILE_PATH": "${workspaceFolder}/tasks.json"},
            "astra": {"calls": [{"tool": "request_planning", "arguments": planned}]},
        },
        "calculator": python("calculator", "old"),
    }


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of the installed servers with its mcp.json, and their collected tools."""
    folder = tmp_path_factory.mktemp("servers")
    install(folder)
    write_seeds(folder)
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": entries(folder)}), "utf-8")
    tools = tmp_path_factory.mktemp("tools")
    command = ["tools", "collect", str(config), "--min-tools", "1", "--teacher", "rules"]
    assert run([*command, "--out", str(tools)]) == 0
    return folder, tools


def by_entry(tools: Path) -> dict[str, CollectedToolServer]:
    return {one.connection.entry: one for one in read_servers(tools) if one.connection}


def digest(folder: Path) -> str:
    """All that is installed and all seeds."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(str(path).encode() + path.read_bytes())
    return found.hexdigest()


async def test_two_episodes_begin_alike(servers: tuple[Path, Path]) -> None:
    folder, tools = servers
    known = by_entry(tools)
    assert set(known) == set(READS) and len(known) >= 8
    before = digest(folder)
    for name, reads in READS.items():
        states: list[Any] = []
        starts: list[Any] = []
        for _ in range(2):
            async with live_host(known[name]) as host:
                states.append([await host.call(tool, arguments) for tool, arguments in reads])
                assert not any(result.is_error for result in states[-1]), (name, states[-1])
                if name in CHANGES:
                    changed = await host.call(*CHANGES[name])
                    assert not changed.is_error, (name, changed)
                    after = [await host.call(tool, arguments) for tool, arguments in reads]
                    assert after != states[-1], name
                starts.append(server_starts(host))
        assert states[0] == states[1], name
        assert starts[0] == starts[1] and starts[0][0].state == "fresh", name
        declared = read_entry(folder / "mcp.json", name).state
        assert (starts[0][0].files is not None) == bool(declared.seed or declared.writable)
        assert len(starts[0][0].calls) == len(declared.calls)
    assert digest(folder) == before


def test_a_hundred_trajectories_succeed_and_replay_without_servers(
    servers: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, tools = servers
    out = str(tmp_path / "run")
    command = ["trajectories", "make", "--tools", str(tools), "--out", out, "--count", "100"]
    command += ["--hosts", "live", "--teacher", "rules", "--model", "scripted"]
    assert run([*command, "--chain-votes", "1", "--concurrency", "4"]) == 0
    (folder / "mcp.json").rename(folder / "gone.json")
    try:
        made = list(RunFolder.open(Path(out)).rows("rollouts", RecordedRollout))
        assert len(made) > 90 and all(row.host == "live" for row in made)
        names = {one.id: name for name, one in by_entry(tools).items()}
        played = Counter(names[server] for row in made for server in row.task.servers)
        assert len(played) >= 6
        # Every rollout of a server began with the same.
        began = {
            name: {s.model_dump_json() for r in made for s in r.starts if s.server == name}
            for name in played
        }
        assert all(len({json.loads(start)["files"] for start in of}) == 1 for of in began.values())
        calls = [call for row in made for call in row.trajectory.calls]
        good = sum(call.status is CallStatus.ok for call in calls)
        assert good / len(calls) > 0.95
        capsys.readouterr()
        assert run(["trajectories", "replay", out]) == 0
        said = capsys.readouterr().out
        assert f"{len(made)} of {len(made)}" in said
    finally:
        (folder / "gone.json").rename(folder / "mcp.json")
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(played)}; {good} of {len(calls)} calls succeeded; {said}")
