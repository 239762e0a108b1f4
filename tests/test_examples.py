"""The scripts and the notebook in examples/ run as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from astra.types import Message, ToolCallRequest
from tests.support.model_server import ModelServer
from tests.training import rl_given

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script: str, *arguments: str) -> str:
    """Run a script as a reader would; returns what it prints."""
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_own_loop(tmp_path: Path) -> None:
    folder = rl_given.world(tmp_path / "world")

    def reply(_index: int, body: Any) -> Message:
        """Call the first tool of the arena once, then answer."""
        if body["messages"][-1]["role"] == "tool":
            return Message(role="assistant", content="That is it.")
        function = body["tools"][0]["function"]
        required = function["parameters"].get("required", [])
        arguments = json.dumps(dict.fromkeys(required, "x"))
        call = ToolCallRequest(id="c0", tool=function["name"], arguments=arguments)
        return Message(role="assistant", content="", tool_calls=(call,))

    with ModelServer(reply) as server:
        lines = run("own_loop.py", str(folder), server.url, "toy").splitlines()
    assert len(lines) == 4 and all(0 <= float(line[:4]) <= 1 for line in lines)


def test_own_tools() -> None:
    def reply(_index: int, body: Any) -> Message:
        last = body["messages"][-1]
        if last["role"] == "tool":
            return Message(role="assistant", content=f"Today: {last['content']}")
        call = ToolCallRequest(id="c0", tool="list_events", arguments='{"day": "2026-11-28"}')
        return Message(role="assistant", content="", tool_calls=(call,))

    with ModelServer(reply) as server:
        printed = run("own_tools.py", server.url, "toy")
    assert "list_events({'day': '2026-11-28'}) = ['Dentist', 'Choir']" in printed
    assert "Today:" in printed and "Choir" in printed.splitlines()[-1]


def test_own_tables(tmp_path: Path) -> None:
    lines = run("own_tables.py", str(EXAMPLES / "world"), str(tmp_path / "run")).splitlines()
    assert len(lines) == 6 + 1 + 3
    assert lines[6].endswith("is certified")
    assert lines[7].split() == ["gold", "1.00"] and lines[8].split() == ["null", "0.00"]
    assert float(lines[9].split()[1]) < 1


def test_the_notebook() -> None:
    notebook = nbformat.read(EXAMPLES / "arenas.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs"
    root = {"metadata": {"path": EXAMPLES.parent}}
    NotebookClient(notebook, timeout=300, resources=root).execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert "'gold': 1.0" in outputs[-2][0].data["text/plain"]
