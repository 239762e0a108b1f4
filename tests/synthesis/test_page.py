"""The commands of `docs/synthesis.md`, in turn, as somebody without an endpoint would run them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from astra.arenas.synthesis.sources import SourceMaterial
from astra.cli.main import run
from astra.testing.rule_teacher.arenas import RuleTeacher
from astra.testing.teacher_server import TeacherServer
from tests.synthesis.conftest import WORLD

PAGE = Path(__file__).parents[2] / "docs" / "synthesis.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = [
    line
    for block in _BLOCK.findall(PAGE.read_text("utf-8"))
    for line in block.splitlines()
    if line.startswith("astra ")
]


@pytest.fixture(scope="module")
def server(rules: RuleTeacher) -> Iterator[TeacherServer]:
    with TeacherServer(rules) as server:
        yield server


@pytest.fixture(scope="module")
def here(
    rules: RuleTeacher, questions: list[SourceMaterial], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder with the files that the page names."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "examples").symlink_to(WORLD.parent)
    asked = [{"question": m.text, "domain": m.domain} for m in questions[:2]]
    domains = [{"domain": "geography", "knowledge_corpus": ""}]
    for name, rows in (("questions", asked), ("domains", domains)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    (folder / "notes").mkdir()
    (folder / "notes" / "rivers.md").write_text("The Elbe flows through Dresden.\n", "utf-8")
    (folder / "prices.toml").write_text("[prices.rules]\ninput = 0.15\noutput = 0.6\n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MY_KEY", "not-a-secret")
        yield folder


def test_commands_were_found() -> None:
    assert len(COMMANDS) > 7


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(
    command: str, here: Path, server: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = shlex.split(command)[1:]
    for index, argument in enumerate(arguments[:-1]):
        if argument in ("--base-url", "--teacher-url"):
            arguments[index + 1] = server.url
        elif argument in ("--model", "--teacher"):
            arguments[index + 1] = "rules"
        elif argument == "--count":
            arguments[index + 1] = "2"
    assert run(arguments) == 0, capsys.readouterr().err
    assert (here / "examples").is_dir()
