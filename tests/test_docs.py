"""Commands of `astra` and of recipes in the README and the docs. An indented one is run as it is.
One in a fence takes long, or an endpoint of the reader's: it is parsed, not run."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import parse, run
from astra.types import Message
from recipes.command_line import Recipe
from tests.support.model_server import ModelServer

ROOT = Path(__file__).parents[1]
# These come first, for what they make is used on other pages.
FIRST = [ROOT / "README.md", ROOT / "docs/tools.md", ROOT / "docs/trajectories.md"]
PAGES = [*FIRST, *(page for page in sorted((ROOT / "docs").glob("*.md")) if page not in FIRST)]
MOST = 8
"""Arenas or trajectories that a command is let make."""
_NAMES = r"(?:astra|python -m recipes\.\S+) .+?"
_COMMAND = re.compile(rf"^    ({_NAMES})(?:\s{{2,}}#.*)?$", re.MULTILINE)
_FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(rf"^(?:.* -m )?({_NAMES})(?:\s{{2,}}#.*)?$", re.MULTILINE)


def fenced() -> list[str]:
    """The commands that stand between fences, each once."""
    texts = [text for page in PAGES for text in _FENCE.findall(page.read_text("utf-8"))]
    return list(dict.fromkeys(found for text in texts for found in _FENCED.findall(text)))


def commands() -> list[str]:
    """The commands of all pages in their order, each once."""
    found: dict[str, None] = {}
    for page in PAGES:
        found.update(dict.fromkeys(_COMMAND.findall(page.read_text("utf-8"))))
    return list(found)


def split(command: str) -> tuple[Recipe | None, list[str]]:
    """The recipe (None: `astra`) and the words after it."""
    program, *words = shlex.split(command)
    if program == "astra":
        return None, words
    module = importlib.import_module(words[1])
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{words[1]}.__main__")
    return module.main, words[2:]


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
        recipe, arguments = split(command)
        for index, argument in enumerate(arguments):
            if argument in ("--base-url", "--teacher-url", "--user-url"):
                arguments[index + 1] = server.url
        if "ID" in arguments:
            rows = "runs/traj/rollouts" if "trajectories" in arguments else "runs/world/arenas"
            first = (somewhere / f"{rows}.jsonl").read_text("utf-8").splitlines()[0]
            arguments[arguments.index("ID")] = json.loads(first)["id"]
        if recipe is None and "--count" in arguments:
            # That the command runs doesn't depend on how much it makes.
            at = arguments.index("--count") + 1
            arguments[at] = str(min(int(arguments[at]), MOST))
        assert (recipe or run)(arguments) == 0, capsys.readouterr().err


@pytest.mark.parametrize("command", fenced())
def test_command_in_a_fence_is_one(command: str) -> None:
    recipe, arguments = split(command)
    if recipe is None:
        read(arguments)
    else:
        recipe.parse(arguments)


def test_a_wrong_command_is_an_error() -> None:
    with pytest.raises(Exception, match="unknown option"):
        test_command_in_a_fence_is_one("python -m recipes.demo --trian")
    for wrong in (
        "train rl --arena x",
        "train ril",
        "train rl --arenas x",
        "arenas stats --runs x",
    ):
        with pytest.raises(Exception, match=r"unknown|is needed"):
            read(wrong.split())


def read(arguments: list[str]) -> None:
    """Parse a command line without running it or reading its @file; raises what is wrong."""
    arguments = [argument for argument in arguments if not argument.startswith("@")]
    parse(arguments)


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), (page.name, link)
