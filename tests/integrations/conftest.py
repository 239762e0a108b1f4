"""Readers of published arenas, each in an environment of its own, and the arenas that they play.

Environments and arenas are kept in `.integrations/` of the clone, or in the folder that
ASTRA_INTEGRATIONS names. Which readers ran is printed at the end: a reader that could not be
installed is a failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from astra.arenas.folder import write_arenas
from astra.arenas.sets import ArenaSet, load_arenas
from astra.cli.main import run
from astra.errors import AstraError
from astra.rollouts.user_tool import has_user, user_tool_problem
from astra.runs.folder import RunFolder
from tests.support.hidden_values import hidden_values, shown_text

ROOT = Path(__file__).parents[2]
KEPT = Path(os.environ.get("ASTRA_INTEGRATIONS") or ROOT / ".integrations")
READERS: Mapping[str, list[str]] = {
    "verifiers": ["verifiers==0.4.0", "uv", "hatchling"],
    "inspect": ["inspect-ai==0.3.285", "openai>=3.4,<4"],
    "harbor": ["harbor==0.26.0"],
    "openenv": ["openenv==0.10.0"],
    "nemo-gym": ["nemo-gym==0.4.0"],
    "ray": ["ray==2.60.0"],
    "verl": ["torch==2.13.0", "verl==0.9.1", "cachetools", "uvicorn", "fastapi", "TransferQueue"],
}
"""What is installed for each reader, beside this package without its extras."""
EXTRAS = {"ray": "[ray]"}
"""Of this package, where a reader runs its commands."""
NEWER = {"harbor": "3.12", "nemo-gym": "3.12"}
"""Python of the readers that need a later one than runs the tests."""
MADE: Mapping[str, tuple[int, list[str]]] = {
    "questions": (25, ["examples/world", "--languages", "en,zh", "--seed", "7"]),
    "changes": (13, ["examples/shop", "--actions", "--seed", "3"]),
    "conversations": (
        12,
        [
            *("examples/shop", "--actions", "--seed", "4", "--max-user-turns", "3"),
            *("--conversations", "missing_parameter,missing_tool,revision"),
        ],
    ),
}
told: list[str] = []
"""Which readers ran, and which could not be installed."""


def interpreter(version: str) -> str:
    """A Python of that version: on the path, or one of pyenv's."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for path in (shutil.which(f"python{version}"), *map(str, kept)):
        # One on the path may be a shim of pyenv that leads nowhere.
        if (
            path is not None
            and not subprocess.run([path, "-c", ""], capture_output=True).returncode
        ):
            return path
    raise FileNotFoundError(f"there is no Python {version} here: install one, e.g. with pyenv")


class ReaderEnvironment:
    """An installed reader."""

    def __init__(self, name: str) -> None:
        self.folder = KEPT / name
        self._python = self.folder / "bin/python"
        try:
            pins = self._install(name)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            told.append(f"reader that could NOT be installed: {name}: {error}")
            raise
        told.append(f"reader that ran: {name}: {', '.join(pins)}")

    def _install(self, name: str) -> list[str]:
        """Install what is missing. The pinned packages, as they are."""
        wanted = json.dumps(READERS[name])
        mark = self.folder / "installed.json"
        if not mark.exists() or mark.read_text() != wanted:
            python = interpreter(NEWER[name]) if name in NEWER else sys.executable
            subprocess.run([python, "-m", "venv", "--clear", self.folder], check=True)
            self.pip(*READERS[name])
            self.pip(f"{ROOT}{EXTRAS.get(name, '')}")
            mark.write_text(wanted)
        # As it is now; its needs were installed with the reader.
        self.pip("--no-deps", "--force-reinstall", str(ROOT))
        listed = {re.split("[=<>]", need)[0].lower() for need in READERS[name]}
        frozen = subprocess.run(
            [self._python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True
        )
        lines = frozen.stdout.lower().replace("_", "-").splitlines()
        return [line for line in lines if line.partition("==")[0] in listed]

    def pip(self, *arguments: str) -> None:
        """Install packages. Raises RuntimeError with what pip said."""
        command = [self._python, "-m", "pip", "install", "-q", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(
                f"pip could not install {' '.join(arguments)}: {done.stderr[-2000:]}"
            )

    def run(self, *command: str, cwd: Path, **environment: str) -> str:
        """Run a program of the environment. What it printed; its exit status is not looked at."""
        done = subprocess.run(
            [self.folder / "bin" / command[0], *command[1:]],
            cwd=cwd,
            env=self._variables(environment),
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    @contextmanager
    def running(
        self, *command: str, cwd: Path, **environment: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program of the environment while it runs, ended with all that it started."""
        process = subprocess.Popen(
            [self.folder / "bin" / command[0], *command[1:]],
            cwd=cwd,
            env=self._variables(environment),
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    def _variables(self, more: Mapping[str, str]) -> dict[str, str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return {**clean, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **more}


@pytest.fixture(scope="session")
def arenas() -> ArenaSet:
    """50 certified arenas, 25 of them with a state, 12 of these with a user who answers."""
    folder = KEPT / "arenas"
    try:
        made = load_arenas(folder)
    except AstraError:
        parts = [(count, _made(name, count, options)) for name, (count, options) in MADE.items()]
        chosen = [(part, arena) for count, part in parts for arena in part[:count]]
        certificates = [part.certificate(arena) for part, arena in chosen]
        run_folder = RunFolder.create(folder, {})
        write_arenas(run_folder, [arena for _, arena in chosen], (), certificates)
        made = load_arenas(folder)
    assert len(made) == 50
    return made


def _made(name: str, count: int, options: list[str]) -> ArenaSet:
    tables, *more = options
    out = KEPT / "made" / name
    command = ["arenas", "make", str(ROOT / tables), *more, "--count", str(count)]
    assert run([*command, "--out", str(out)]) == 0
    return load_arenas(out)


def exported(arenas: ArenaSet, reader: str, out: Path) -> Path:
    """The arenas in the form of a reader."""
    command = ["arenas", "export", str(arenas.path), "--format", reader, "--out", str(out)]
    assert run(command) == 0
    return out


def with_a_user(arenas: ArenaSet) -> set[str]:
    """Ids of the arenas in which a user answers."""
    return {arena.id for arena in arenas if has_user(arena)}


def with_user_as_tool(arenas: ArenaSet) -> set[str]:
    """Ids of the arenas that can be played where the user is a tool."""
    played = {arena.id for arena in arenas if not user_tool_problem(arena)}
    assert 4 <= len(played & with_a_user(arenas)) < 12
    return played


def stands_in(value: str, text: str) -> bool:
    """Whether a value is written somewhere. Digits within a time, a hash or a longer number are
    not it."""
    if not re.fullmatch(r"[\d.-]+", value):
        return value in text
    return bool(re.search(rf"(?<![0-9A-Za-z.-]){re.escape(value)}(?![0-9A-Za-z-])", text))


def assert_nothing_is_told(arenas: ArenaSet, folder: Path) -> None:
    """What null policies leave behind holds no answer and no argument of a gold call."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    text = "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)
    text += text.encode().decode("unicode_escape", "replace")
    secret = {arena.id: hidden_values(arena) for arena in arenas}
    # A value that one arena hides may stand in the question of another.
    shown = "\n".join(map(shown_text, arenas))
    told = {
        (arena, value)
        for arena, values in secret.items()
        for value in values
        if stands_in(value, text) and value not in shown
    }
    assert sum(map(len, secret.values())) > 50 and not told


@pytest.fixture(scope="session")
def verifiers() -> ReaderEnvironment:
    return ReaderEnvironment("verifiers")


@pytest.fixture(scope="session")
def inspect() -> ReaderEnvironment:
    return ReaderEnvironment("inspect")


@pytest.fixture(scope="session")
def harbor() -> ReaderEnvironment:
    return ReaderEnvironment("harbor")


@pytest.fixture(scope="session")
def openenv() -> ReaderEnvironment:
    return ReaderEnvironment("openenv")


@pytest.fixture(scope="session")
def nemo_gym() -> ReaderEnvironment:
    return ReaderEnvironment("nemo-gym")


@pytest.fixture(scope="session")
def verl() -> ReaderEnvironment:
    return ReaderEnvironment("verl")


@pytest.fixture(scope="session")
def ray() -> ReaderEnvironment:
    return ReaderEnvironment("ray")


@pytest.fixture(scope="session", autouse=True)
def told_which_ran(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    for line in told:
        reporter.write_line(f"\n{line}")
