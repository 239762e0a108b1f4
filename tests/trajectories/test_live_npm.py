"""A hundred trajectories on official servers of the npm registry and two of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run
from astra.runs.folder import RunFolder
from astra.trajectories.collect.stages import read_servers
from astra.trajectories.records import RecordedRollout
from astra.types import CallStatus

OFFICIAL = ("filesystem", "memory", "everything")
SOURCE = Path(__file__).parents[2] / "src"


def entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Install the official servers; the entries of all."""
    packages = [f"@modelcontextprotocol/server-{name}" for name in OFFICIAL]
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    subprocess.run(install, check=True, capture_output=True, timeout=900)
    modules = folder / "node_modules"
    env = {"NODE_PATH": str(modules)}
    at = {n: modules / f"@modelcontextprotocol/server-{n}/dist/index.js" for n in OFFICIAL}
    # The memory server keeps its graph beside its code unless it is told a place.
    memory = 'MEMORY_FILE_PATH="$PWD/memory.jsonl" exec node "$0"'
    return {
        "filesystem": {"command": "node", "args": [str(at["filesystem"]), "."], "env": env},
        "memory": {"command": "sh", "args": ["-c", memory, str(at["memory"])], "env": env},
        "everything": {"command": "node", "args": [str(at["everything"])], "env": env},
        **{
            name: {
                "command": sys.executable,
                "args": ["-m", f"astra.testing.mcp_{name}"],
                "env": {"PYTHONPATH": str(SOURCE)},
            }
            for name in ("notes", "bookings")
        },
    }


@pytest.mark.live
def test_a_hundred_trajectories_on_official_servers_replay_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": entries(tmp_path / "npm")}), "utf-8")
    tools, out = str(tmp_path / "tools"), str(tmp_path / "run")
    assert run(["tools", "collect", str(config), "--teacher", "rules", "--out", tools]) == 0
    command = ["trajectories", "make", "--tools", tools, "--out", out, "--count", "100"]
    command += [
        "--hosts",
        "live",
        "--teacher",
        "rules",
        "--model",
        "scripted",
        "--chain-votes",
        "1",
    ]
    assert run([*command, "--concurrency", "4"]) == 0
    config.unlink()
    made = list(RunFolder.open(Path(out)).rows("rollouts", RecordedRollout))
    assert len(made) == 100 and all(row.host == "live" for row in made)
    names = {s.id: s.connection.entry for s in read_servers(Path(tools)) if s.connection}
    played = Counter(names[server] for row in made for server in row.task.servers)
    assert set(played) == {*OFFICIAL, "notes", "bookings"}
    calls = [call for row in made for call in row.trajectory.calls]
    good = sum(call.status is CallStatus.ok for call in calls)
    assert good > len(calls) / 2
    capsys.readouterr()
    assert run(["trajectories", "replay", out]) == 0
    said = capsys.readouterr().out
    assert "100 of 100" in said
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(played)}; {good} of {len(calls)} calls succeeded; {said}")
