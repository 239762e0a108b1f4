"""Every `astra` command in the README and the docs is run as it stands."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run
from astra.testing.model_server import ModelServer
from astra.types import Message

ROOT = Path(__file__).parents[1]
# These come first, for what they make is used on other pages.
FIRST = [ROOT / "README.md", ROOT / "docs/tools.md", ROOT / "docs/trajectories.md"]
PAGES = [*FIRST, *(page for page in sorted((ROOT / "docs").glob("*.md")) if page not in FIRST)]
_COMMAND = re.compile(r"^    (astra .+?)(?:\s{2,}#.*)?$", re.MULTILINE)


def commands() -> list[str]:
    """The commands of all pages in their order, each once."""
    found: dict[str, None] = {}
    for page in PAGES:
        found.update(dict.fromkeys(_COMMAND.findall(page.read_text("utf-8"))))
    return list(found)


def _answer(_index: int, body: Any) -> Message:
    asked = "`paraphrase`" in body["messages"][0]["content"]
    said = '{"question": "How high is Kilimanjaro?"}' if asked else "I don't know."
    return Message(role="assistant", content=said)


@pytest.fixture(scope="module")
def somewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as a clone has it, for all commands in turn."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "examples").symlink_to(ROOT / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MY_KEY", "not-a-secret")
        yield folder


def test_commands_were_found() -> None:
    found = commands()
    assert len(found) > 8
    assert any(command.startswith("astra arenas make") for command in found)


@pytest.mark.parametrize("command", commands())
def test_command_runs(command: str, somewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ModelServer(_answer) as server:
        arguments = shlex.split(command)[1:]
        for index, argument in enumerate(arguments):
            if argument == "--base-url":
                arguments[index + 1] = server.url
        if "ID" in arguments:
            rows = "runs/traj/rollouts" if "trajectories" in arguments else "runs/world/arenas"
            first = (somewhere / f"{rows}.jsonl").read_text("utf-8").splitlines()[0]
            arguments[arguments.index("ID")] = json.loads(first)["id"]
        assert run(arguments) == 0, capsys.readouterr().err


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), (page.name, link)
