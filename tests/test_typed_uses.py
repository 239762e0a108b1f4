"""The type checker accepts what users write and refuses their mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "typed"


@pytest.mark.slow
def test_uses_are_accepted_and_mistakes_refused() -> None:
    checker = Path(sys.executable).with_name("basedpyright")
    command = [str(checker), "--pythonpath", sys.executable, "--outputjson"]
    files = [HERE / "uses.py", HERE / "mistakes.py"]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["generalDiagnostics"]
    errors = {
        (Path(entry["file"]).name, entry["range"]["start"]["line"] + 1)
        for entry in found
        if entry["severity"] == "error"
    }
    lines = files[1].read_text("utf-8").splitlines()
    wrong = {("mistakes.py", n) for n, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert errors == wrong
