"""What the sandbox costs, against a bare call in this process and against `python -I` per call.

Medians of interleaved runs, so that a busy machine slows all sides alike. The tool is a typical
one: a look-up with options in a table of 24 rows and 10 columns. Tools over a database of 12 tables
of 200 rows are measured against the same statements on a connection in this process.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from astra.databases import Database, DatabaseColumn, DatabaseEpisode, DatabaseTable
from astra.protocols import RESTORE, Sandbox, SandboxEpisode
from astra.sandbox import open_sandbox
from astra.sandbox.database_image import database_image
from astra.types import Tool, ToolSchema
from benchmarks.figures import Figures, at_least, at_most

ROUNDS = 30
CALLS = 60
EPISODES = 100
COLUMNS = [
    "name", "code", "capital", "population", "area", "founded", "currency", "density", "region", "x"
]  # fmt: skip
ROWS = [
    {
        "name": f"Country {n}",
        "code": f"C{n:02d}",
        "capital": f"Capital {n}",
        "population": 1_000_003 * n + 17,
        "area": 1234.5 * n,
        "founded": f"19{n + 10}-05-17",
        "currency": "euro" if n % 3 else "franc",
        "density": 810.1 + n,
        "region": "north",
        "x": None,
    }
    for n in range(24)
]
SOURCE = '''
FIELDS = ("name", "capital", "population", "area", "currency")

def _find(name):
    wanted = name.strip().casefold()
    for row in DATA:
        if row["name"].casefold() == wanted or row["code"].casefold() == wanted:
            return row
    return None

def country(name, fields=None, unit="km2", rounded=False):
    """Facts about a country."""
    if not isinstance(name, str):
        return {"error": {"code": "wrong_type", "message": "name must be text"}}
    if unit not in ("km2", "mi2"):
        return {"error": {"code": "unknown_unit", "message": f"unknown unit {unit!r}"}}
    row = _find(name)
    if row is None:
        return {"error": {"code": "unknown_entity", "message": f"unknown country {name!r}"}}
    wanted = fields or FIELDS
    unknown = [field for field in wanted if field not in row]
    if unknown:
        return {"error": {"code": "unknown_field", "message": f"unknown fields {unknown}"}}
    result = {field: row[field] for field in wanted}
    if unit == "mi2" and "area" in result:
        result["area"] = result["area"] * 0.386102
    if rounded:
        result = {k: round(v) if isinstance(v, float) else v for k, v in result.items()}
    return result
'''
TOOL = Tool(
    document=ToolSchema(name="country", description="", parameters={}), source=SOURCE, data=ROWS
)
ARGUMENTS = {"name": "Country 17", "unit": "mi2"}
PROGRAM = """
import json, sys
request = json.load(sys.stdin)
space = {"DATA": request["data"]}
exec(request["source"], space)
print(json.dumps(space["country"](**request["arguments"])))
"""


def _bare() -> Callable[[], str]:
    """The least that a call can cost: fresh data, fresh module, call, JSON."""
    code, text = compile(SOURCE, "country", "exec"), json.dumps(ROWS)

    def call() -> str:
        space: dict[str, Any] = {"DATA": json.loads(text)}
        exec(code, space)
        return json.dumps(space["country"](**ARGUMENTS))

    return call


DATABASE = Database(
    tables=tuple(
        DatabaseTable(
            name=f"table{number}",
            key="id",
            columns=(
                DatabaseColumn(name="id", type="integer"),
                DatabaseColumn(name="name", type="text", required=True),
                DatabaseColumn(name="amount", type="integer", minimum=0),
                DatabaseColumn(name="status", type="text", choices=("open", "closed")),
            ),
            rows=tuple((row, f"Name {row}", row * 7, "open") for row in range(200)),
        )
        for number in range(12)
    )
)
READING = """
def read(key):
    row = DATABASE.execute("SELECT * FROM table5 WHERE id = ?", [key]).fetchone()
    if row is None:
        return {"error": {"code": "not_found", "message": f"no row {key!r}"}}
    return row
"""
WRITING = """
def write(key, amount):
    row = DATABASE.execute("SELECT * FROM table5 WHERE id = ?", [key]).fetchone()
    if row is None:
        return {"error": {"code": "not_found", "message": f"no row {key!r}"}}
    DATABASE.execute("UPDATE table5 SET amount = ? WHERE id = ?", [amount, key])
    return {"id": key, "amount": amount, "previous": row["amount"]}
"""
WORLD = DatabaseEpisode(database=DATABASE, now="2026-03-02 09:00", writes={"write": ("table5",)})


def _tool(name: str, source: str) -> Tool:
    document = ToolSchema(name=name, description="", parameters={})
    return Tool(document=document, source=source)


def _bare_database() -> Callable[[str, dict[str, Any]], str]:
    """The least that a call on a database can cost: the statements, a fresh module, JSON.

    There is no fresh data, as there is for a tool without a database, for a database outlives its
    calls: an open connection that keeps its statements prepared.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }
    connection.deserialize(base64.b64decode(database_image(DATABASE).base64))
    codes = {
        "read": compile(READING, "read", "exec"),
        "write": compile(WRITING, "write", "exec"),
    }

    def call(name: str, arguments: dict[str, Any]) -> str:
        space: dict[str, Any] = {"DATABASE": connection}
        exec(codes[name], space)
        return json.dumps(space[name](**arguments))

    return call


async def _time_database(sandbox: Sandbox) -> dict[str, float]:
    """Median seconds of calls on a database of 12 tables of 200 rows, and of going back."""
    times: dict[str, list[float]] = {}
    bare = _bare_database()
    tools = [_tool("read", READING), _tool("write", WRITING)]
    async with await sandbox.open(tools, SandboxEpisode(database=WORLD)) as session:
        for number in range(ROUNDS * CALLS // 6):
            for name, arguments in (
                ("read", {"key": number % 200}),
                ("write", {"key": number % 200, "amount": number + 10_000}),
            ):
                started = time.perf_counter()
                outcome = await session.call(name, arguments)
                times.setdefault(name, []).append(time.perf_counter() - started)
                started = time.perf_counter()
                bare(name, arguments)
                times.setdefault(f"bare_{name}", []).append(time.perf_counter() - started)
                assert (outcome.effect is not None) == (name == "write")
            started = time.perf_counter()
            await session.call(*RESTORE)
            times.setdefault("restore", []).append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def _fresh_python() -> str:
    request = json.dumps({"data": ROWS, "source": SOURCE, "arguments": ARGUMENTS})
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM],
        input=request,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


async def _time_calls(sandbox: Sandbox) -> dict[str, float]:
    """Median seconds of each way to run the tool."""
    times: dict[str, list[float]] = {}
    bare = _bare()
    expected = json.loads(bare())
    assert json.loads(_fresh_python()) == expected

    def note(name: str, started: float, share: int = 1) -> None:
        times.setdefault(name, []).append((time.perf_counter() - started) / share)

    async with await sandbox.open([TOOL]) as session:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            _fresh_python()
            note("python", started)
            await asyncio.sleep(0.01)  # the spares are there when an arena is opened
            started = time.perf_counter()
            (outcome,) = await sandbox.run([TOOL], [("country", ARGUMENTS)])
            note("one_shot", started)
            assert outcome.value == expected
            await asyncio.sleep(0.01)
            started = time.perf_counter()
            await sandbox.run([TOOL], [("country", ARGUMENTS)] * 10)
            note("episode_call", started, 10)
            await asyncio.sleep(0.01)
            started = time.perf_counter()
            async with await sandbox.open([TOOL]):
                pass
            note("open_close", started)
            for _ in range(CALLS):
                started = time.perf_counter()
                outcome = await session.call("country", ARGUMENTS)
                note("call", started)
                started = time.perf_counter()
                bare()
                note("bare", started)
            assert outcome.value == expected
    return {name: statistics.median(values) for name, values in times.items()}


async def _episodes_per_second(sandbox: Sandbox) -> float:
    """Opened, called three times and closed, sixteen at once."""
    gate = asyncio.Semaphore(16)

    async def play() -> None:
        async with gate:
            await sandbox.run([TOOL], [("country", ARGUMENTS)] * 3)

    started = time.perf_counter()
    await asyncio.gather(*(play() for _ in range(300)))
    return 300 / (time.perf_counter() - started)


def _proportional_bytes() -> int:
    """Proportional memory of all sandbox processes of ours; PermissionError unless root."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
        except FileNotFoundError:
            continue
        if b"astra_child" in command and command.endswith(b"\0%d\0" % os.getpid()):
            lines = (entry / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return total


async def _bytes_per_episode() -> float:
    # Confined processes show their memory to root alone; unconfined ones are built the same.
    for level in ("auto", "unsafe"):
        async with open_sandbox(level, spares=0) as sandbox:
            sessions = [await sandbox.open([TOOL]) for _ in range(EPISODES)]
            for session in sessions:
                await session.call("country", ARGUMENTS)
            try:
                return _proportional_bytes() / EPISODES
            except PermissionError:
                continue
    raise RuntimeError("the memory of sandbox processes can't be read here")


async def _measure() -> Figures:
    async with open_sandbox() as sandbox:
        median = await _time_calls(sandbox)
        database = await _time_database(sandbox)
        rate = await _episodes_per_second(sandbox)
    ratios = {
        "sandbox_call_over_bare_call": call_row(median),
        "sandbox_read_over_bare_read": at_most(
            database["read"] / database["bare_read"], 2.5, "× bare read"
        ),
        "sandbox_write_over_bare_read": at_most(
            database["write"] / database["bare_read"], 5, "× bare read"
        ),
        "sandbox_restore": at_most(database["restore"] * 1e3, 0.1, "ms"),
        "sandbox_call_speedup_over_python": at_least(
            median["python"] / median["call"], 100, "times"
        ),
        "sandbox_episode_speedup_over_python": at_least(
            median["python"] / median["episode_call"], 25, "times"
        ),
        "sandbox_one_shot_speedup_over_python": at_least(
            median["python"] / median["one_shot"], 3, "times"
        ),
        "sandbox_open_close": at_most(median["open_close"] * 1e3, 2, "ms"),
        "sandbox_memory_per_episode": at_most(await _bytes_per_episode() / 1e6, 5, "MB"),
        "sandbox_episodes_per_second": at_least(
            rate, 270, "1/s (8 for each of 2,000 arenas a minute)"
        ),
    }
    return {name: {**figure, "value": round(figure["value"], 3)} for name, figure in ratios.items()}


def call_row(median: dict[str, float]) -> dict[str, Any]:
    """A call of an open session against the least that it could cost."""
    return at_most(median["call"] / median["bare"], 1.5, "× bare call")


def measure() -> Figures:
    """Every figure with its goal."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
