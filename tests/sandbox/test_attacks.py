"""Hostile tools at every confining level, with a bystander, a newcomer and a caller to harm."""

from __future__ import annotations

import os
import platform
import re
import secrets
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic_core
import pytest
import pytest_asyncio
from sandbox_attacks import ATTACKS, Attack
from sandbox_levels import WORKING

from astra.databases import DatabaseEpisode
from astra.errors import SandboxError
from astra.protocols import CallOutcome, SandboxEpisode, SandboxLimits, SandboxSession
from astra.sandbox import ForkServer, open_sandbox
from astra.testing.sandbox_suite import tool
from tests.support import desk

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"
OPEN = set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(), re.MULTILINE))
LIMITS = SandboxLimits(
    cpu_seconds=0.2, wall_seconds=0.5, memory_bytes=64 * 2**20, output_bytes=10_000
)
CANARY = f"CANARY-{secrets.token_hex(16)}"
INNOCENT = tool(
    "f",
    "import json, random\ndef f(x):\n    return [abs(-4), json.loads('[1]'), x, DATA]",
    "mine",
)
RIGHT = [4, [1], "x", "mine"]


@dataclass
class Victims:
    """What an attack may try to reach, all of it real."""

    folder: Path
    process: subprocess.Popen[bytes]
    port: int
    memory: Any

    def data(self, unsafe: bool) -> dict[str, Any]:
        """A fresh folder's worth of targets, as the attack's DATA."""
        for path in sorted(self.folder.iterdir()):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.folder / "file").write_text(CANARY)
        (self.folder / "planted.py").write_text("x = 1")
        (self.folder / "to").symlink_to(self.folder / "file")
        return {
            "unsafe": unsafe,
            "machine": platform.machine(),
            "file": str(self.folder / "file"),
            "folder": str(self.folder),
            "module": str(self.folder / "planted.py"),
            "link": str(self.folder / "to"),
            "library": pydantic_core._pydantic_core.__file__,
            "victim": self.process.pid,
            "parent": os.getpid(),
            "address": id(self.memory),
            "port": self.port,
        }

    def unharmed(self) -> None:
        """All there as before; only an unconfined attack may touch the folder."""
        assert self.process.poll() is None
        assert (self.folder / "file").read_text() == CANARY
        assert sorted(p.name for p in self.folder.iterdir()) == ["file", "planted.py", "to"]


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    folder = tmp_path_factory.mktemp("victims")
    folder.chmod(0o777)
    os.environ["ASTRA_TEST_CANARY"] = CANARY
    process = subprocess.Popen(["sleep", "600"])
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        yield Victims(folder, process, listener.getsockname()[1], CANARY)
    finally:
        listener.close()
        process.kill()
        process.wait()
        del os.environ["ASTRA_TEST_CANARY"]


# Here the attacking tool writes, so that it is called inside a transaction.
WORLD = DatabaseEpisode(
    database=desk.DATABASE, now="2026-03-02 09:00", writes={"f": ("customers", "orders")}
)


async def strike(
    sandbox: ForkServer, attack: Attack, data: dict[str, Any], *, kind: str = "stateless"
) -> Any:
    """What the attack got: the last outcome's value or failure, or the typed error."""
    episode = SandboxEpisode(
        limits=LIMITS,
        clock=attack.clock,
        stateful=kind == "stateful",
        database=WORLD if kind == "database" else None,
    )
    async with await sandbox.open([tool("f", attack.source, data)], episode) as session:
        found: Any = None
        if attack.together:
            outcomes = await session.call_many([("f", {})] * attack.calls)
            return next((o for o in outcomes if breached(o)), outcomes[-1])
        for _ in range(attack.calls):
            try:
                found = await session.call("f", {})
            except SandboxError as error:
                found = error
        return found


def breached(found: Any) -> bool:
    return isinstance(found, CallOutcome) and str(found.value).startswith("breach")


@pytest.fixture(scope="module", params=WORKING)
def level(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(level: str, victims: Victims) -> AsyncIterator[ForkServer]:
    async with open_sandbox(level, workers=1) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bystander(sandbox: ForkServer) -> AsyncIterator[SandboxSession]:
    async with await sandbox.open([INNOCENT], SandboxEpisode(stateful=True)) as session:
        await session.call("f", {"x": "x"})
        yield session


@pytest.mark.parametrize(
    "kind", ["stateless", "stateful", pytest.param("database", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
async def test_attack(
    attack: Attack,
    kind: str,
    sandbox: ForkServer,
    bystander: SandboxSession,
    victims: Victims,
) -> None:
    found = await strike(sandbox, attack, victims.data(unsafe=False), kind=kind)
    stateful = kind == "stateful"
    expected = attack.name in OPEN or (stateful and attack.meant_when_stateful)
    assert breached(found) == expected, found
    if attack.errors and not (stateful and attack.needs_end_of_module):
        assert type(found).__name__ in attack.errors, found
    assert (await bystander.call("f", {"x": "x"})).value == RIGHT
    (newcomer,) = await sandbox.run([INNOCENT], [("f", {"x": "x"})])
    assert newcomer.value == RIGHT
    victims.unharmed()
    assert CANARY not in str(found)
    assert threading.active_count() == 1


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.harmless], ids=lambda a: a.name)
async def test_unconfined_it_succeeds(
    attack: Attack, unconfined: ForkServer, victims: Victims
) -> None:
    """Positive control: the attack is real, so that its failure above means something."""
    found = await strike(unconfined, attack, victims.data(unsafe=True))
    assert breached(found), found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unconfined(victims: Victims) -> AsyncIterator[ForkServer]:
    async with open_sandbox("unsafe", workers=1) as server:
        yield server


async def test_the_list_of_what_stays_open_names_attacks() -> None:
    assert OPEN
    assert OPEN.issubset(a.name for a in ATTACKS)
    assert len({a.name for a in ATTACKS}) == len(ATTACKS) >= 210


async def test_the_documents_say_how_many_attacks_there_are() -> None:
    text = " ".join(DOCS.read_text().split())
    assert f"The suite has {len(ATTACKS)} attacks" in text
    assert f"{sum(a.harmless for a in ATTACKS)} of them also run unconfined" in text
