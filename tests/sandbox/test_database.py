"""The database of an episode: a call is kept whole or not at all, and what it changed is told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from astra.databases import Database, DatabaseColumn, DatabaseEpisode, DatabaseTable, RowChange
from astra.errors import ConfigError, SandboxBadResult, SandboxDied, SandboxError, SandboxLimit
from astra.protocols import RESTORE, CallOutcome, SandboxEpisode, SandboxLimits, SandboxSession
from astra.sandbox import ForkServer, RemoteSandbox, open_sandbox
from astra.sandbox.database_image import database_image, state_hash
from astra.testing.sandbox_suite import tool
from astra.types import Tool
from tests.support.sandbox_server import RunCodeServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

Rows = dict[str, list[list[Any]]]
ROWS: Rows = {
    "owners": [["A-1", "Ada"], ["A-2", "Lin"]],
    "boats": [
        [1, "A-1", "Tern", 3, 1999, "2026-01-31", 1, "free"],
        [2, "A-1", 'Gull\0\'s "hull"', 0, 5, None, 0, "free"],
        [3, "A-2", "鷗", 7, -1, "2026-02-28", None, "let"],
    ],
}
DATABASE = Database(
    tables=(
        DatabaseTable(
            name="owners",
            key="owner_id",
            columns=(
                DatabaseColumn(name="owner_id", type="text"),
                DatabaseColumn(name="name", type="text", required=True, unique=True),
            ),
            rows=tuple(tuple(row) for row in ROWS["owners"]),
        ),
        DatabaseTable(
            name="boats",
            key="boat_id",
            columns=(
                DatabaseColumn(name="boat_id", type="integer"),
                DatabaseColumn(name="owner_id", type="text", required=True),
                DatabaseColumn(name="name", type="text"),
                DatabaseColumn(name="berths", type="integer", minimum=0),
                DatabaseColumn(name="fee", type="decimal", scale=2),
                DatabaseColumn(name="built", type="date"),
                DatabaseColumn(name="sails", type="boolean"),
                DatabaseColumn(name="status", type="text", choices=("free", "let")),
            ),
            references={"owner_id": "owners"},
            rows=tuple(tuple(row) for row in ROWS["boats"]),
        ),
    )
)
RUN = tool(
    "run",
    """def run(statements, then=None, size=0):
    rows = []
    for sql in statements:
        rows.append(DATABASE.execute(sql).fetchall())
    if then == "raise":
        raise ValueError("after all")
    if then == "error":
        return {"error": {"code": "refused"}}
    if then == "not JSON":
        return {1: 2}
    if then == "die":
        import os
        os._exit(5)
    return {"rows": rows, "text": "x" * size, "now": now()}
""",
)
READ = tool("read", RUN.source.replace("def run", "def read"))
NEW = tool(
    "new",
    """def new(table="boats", fail=False):
    key = new_key(table)
    DATABASE.execute("INSERT INTO boats (boat_id, owner_id) VALUES (?, 'A-2')", [key])
    if fail:
        raise ValueError
    return key
""",
)
DUMP = tool(
    "dump",
    """def dump():
    return {
        "owners": [list(r.values()) for r in DATABASE.execute("SELECT * FROM owners ORDER BY 1")],
        "boats": [list(r.values()) for r in DATABASE.execute("SELECT * FROM boats ORDER BY 1")],
        "now": now(),
    }
""",
)
TOOLS = (RUN, READ, NEW, DUMP)
WRITES = {"run": ("boats",), "new": ("boats",), "f": ("boats",)}
LIMITS = SandboxLimits(output_bytes=4000, cpu_seconds=1, memory_bytes=64 * 2**20)
EPISODE = SandboxEpisode(
    limits=LIMITS,
    database=DatabaseEpisode(database=DATABASE, now="2026-03-02 23:59", writes=WRITES),
)
RENAME = "UPDATE boats SET name = 'Skua', berths = 9 WHERE boat_id = 1"
FIRST_STATE = state_hash(ROWS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[ForkServer]:
    async with open_sandbox(workers=1) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def session(sandbox: ForkServer) -> AsyncIterator[SandboxSession]:
    async with await sandbox.open(TOOLS, EPISODE) as opened:
        yield opened


async def state(session: SandboxSession) -> tuple[Rows, str]:
    """All rows, and the time."""
    dumped = (await session.call("dump", {})).value
    return {"owners": dumped["owners"], "boats": dumped["boats"]}, dumped["now"]


async def written(session: SandboxSession, *statements: str) -> str:
    """The state's hash after statements, which must be that of the rows there are."""
    outcome = await session.call("run", {"statements": list(statements)})
    assert outcome.effect is not None, outcome.failure
    rows, _ = await state(session)
    assert outcome.effect.state == state_hash(rows)
    return outcome.effect.state


async def made(session: SandboxSession, name: str, arguments: dict[str, Any]) -> Any:
    try:
        return await session.call(name, arguments)
    except SandboxError as error:
        return error


async def test_what_was_changed_is_told(session: SandboxSession) -> None:
    outcome = await session.call(
        "run",
        {
            "statements": [
                RENAME,
                "UPDATE boats SET berths = 4 WHERE boat_id = 1",
                "UPDATE boats SET berths = berths WHERE boat_id = 2",
                "DELETE FROM boats WHERE boat_id = 3",
                "INSERT INTO boats (boat_id, owner_id, name) VALUES (9, 'A-2', 'Knot')",
                "INSERT INTO boats (boat_id, owner_id, name) VALUES (10, 'A-2', 'Ruff')",
                "DELETE FROM boats WHERE boat_id = 10",
            ]
        },
    )
    assert outcome.effect is not None
    columns = [column.name for column in DATABASE.table("boats").columns]
    knot = dict.fromkeys(columns) | {"boat_id": 9, "owner_id": "A-2", "name": "Knot"}
    assert outcome.effect.changes == (
        RowChange(
            table="boats",
            key=1,
            before={"name": "Tern", "berths": 3},
            after={"name": "Skua", "berths": 4},
        ),
        RowChange(
            table="boats",
            key=3,
            before=dict(zip(columns, ROWS["boats"][2], strict=True)),
            after=None,
        ),
        RowChange(table="boats", key=9, before=None, after=knot),
    )
    rows, now = await state(session)
    assert outcome.effect.state == state_hash(rows)
    assert (outcome.value["now"], now) == ("2026-03-02 23:59", "2026-03-03 00:00")


async def test_the_way_to_a_state_does_not_show_in_its_hash(session: SandboxSession) -> None:
    there = await written(session, RENAME)
    back = await written(session, "UPDATE boats SET name='Tern', berths=3 WHERE boat_id=1")
    assert (back, await written(session, RENAME)) == (FIRST_STATE, there)
    moved = await written(session, "UPDATE boats SET boat_id = 8 WHERE boat_id = 2")
    again = await written(session, "UPDATE boats SET boat_id = 2 WHERE boat_id = 8")
    assert again == there != moved


async def test_a_call_that_changes_nothing_takes_no_time(session: SandboxSession) -> None:
    same = {"statements": ["UPDATE boats SET name = name", "DELETE FROM boats WHERE boat_id = 99"]}
    for name in ("run", "read"):
        assert (await session.call(name, {"statements": ["SELECT 1"]})).effect is None
    assert (await session.call("run", same)).effect is None
    assert await state(session) == (ROWS, "2026-03-02 23:59")


FAILING: dict[str, tuple[dict[str, Any], type[SandboxError] | str]] = {
    "raises": ({"then": "raise"}, "raised"),
    "structured error": ({"then": "error"}, "value"),
    "not JSON": ({"then": "not JSON"}, SandboxBadResult),
    "large result": ({"size": 5000}, SandboxLimit),
    "dies": ({"then": "die"}, SandboxDied),
    "large effect": (
        {"statements": [RENAME, f"UPDATE boats SET name = '{'x' * 3000}'"]},
        SandboxLimit,
    ),
    "check in the middle": (
        {"statements": [RENAME, "UPDATE boats SET berths = berths - 5"]},
        "raised",
    ),
    "unknown parent": (
        {"statements": [RENAME, "UPDATE boats SET owner_id = 'A-3' WHERE boat_id = 3"]},
        "raised",
    ),
    "required": ({"statements": [RENAME, "UPDATE boats SET owner_id = NULL"]}, "raised"),
    "key there is": ({"statements": [RENAME, "UPDATE boats SET boat_id = 1"]}, "raised"),
    "no such choice": ({"statements": [RENAME, "UPDATE boats SET status = 'FREE'"]}, "raised"),
    "no day": ({"statements": [RENAME, "UPDATE boats SET built = '31.1.2026'"]}, "raised"),
    "no truth value": ({"statements": [RENAME, "UPDATE boats SET sails = 2"]}, "raised"),
    "another type": ({"statements": [RENAME, "UPDATE boats SET fee = 19.99"]}, "raised"),
    "or rollback": (
        {"statements": [RENAME, "UPDATE OR ROLLBACK boats SET boat_id = 1", RENAME]},
        SandboxDied,
    ),
}


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
@pytest.mark.parametrize("case", FAILING)
async def test_a_call_that_fails_leaves_no_trace(
    session: SandboxSession, case: str, together: bool
) -> None:
    arguments, expected = FAILING[case]
    arguments = {"statements": [RENAME], **arguments}
    before = await written(session, "UPDATE boats SET fee = 7 WHERE boat_id = 2")
    whole = await state(session)
    if together:
        (outcome,) = await session.call_many([("run", arguments)])
    else:
        outcome = await made(session, "run", arguments)
    if isinstance(outcome, CallOutcome):
        kind = "value" if outcome.failure is None else outcome.failure.kind
        assert (kind, outcome.effect) == (expected, None)
    else:
        assert type(outcome) is expected
    assert await state(session) == whole
    await session.call("new", {"fail": True})
    assert (await session.call("new", {})).value == 4  # a failed call uses no key up
    assert await written(session, "DELETE FROM boats WHERE boat_id = 4") == before


async def test_a_child_that_is_killed_between_calls_is_made_again(
    session: SandboxSession,
) -> None:
    await written(session, RENAME)
    await made(session, "run", {"statements": [RENAME], "then": "raise"})
    assert (await session.call("new", {})).value == 4
    whole = await state(session)
    os.kill(session._child._pid, signal.SIGKILL)  # type: ignore[attr-defined]
    await asyncio.sleep(0.05)
    assert await state(session) == whole
    assert (await session.call("new", {})).value == 5


@pytest.mark.parametrize("stateful", [False, True])
async def test_restore_brings_back_the_first_moment(sandbox: ForkServer, stateful: bool) -> None:
    episode = SandboxEpisode(limits=LIMITS, database=EPISODE.database, stateful=stateful)
    async with await sandbox.open(TOOLS, episode) as session:
        await session.call("new", {})
        await written(session, RENAME)
        await session.call(*RESTORE)
        assert await state(session) == (ROWS, "2026-03-02 23:59")
        assert (await session.call("new", {})).value == 4
        await session.call_many([RESTORE, ("run", {"statements": [RENAME]}), RESTORE])
        os.kill(session._child._pid, signal.SIGKILL)  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)
        assert await state(session) == (ROWS, "2026-03-02 23:59")


# What a tool may set or leave on the connection, and what then tells whether it is still there.
LASTING = {
    "function": (
        'DATABASE.create_function("lower", 1, lambda text: "set")',
        'return DATABASE.execute("SELECT lower(\'A\') AS x").fetchone()["x"]',
    ),
    "collation": (
        'DATABASE.create_collation("c", lambda a, b: 0)',
        'return DATABASE.execute("SELECT 1 AS x ORDER BY \'a\' COLLATE c").fetchone()["x"]',
    ),
    "attribute": ("DATABASE.kept = 1", 'return getattr(DATABASE, "kept", None)'),
    "progress": (
        "DATABASE.set_progress_handler(lambda: 1, 1)",
        'return DATABASE.execute("SELECT count(*) AS x FROM boats").fetchone()["x"]',
    ),
    "last row": (
        "DATABASE.execute(\"INSERT INTO boats (boat_id, owner_id) VALUES (77, 'A-1')\")",
        "statement = \"INSERT OR IGNORE INTO boats (boat_id, owner_id) VALUES (1, 'A-1')\"\n"
        "return DATABASE.execute(statement).lastrowid",
    ),
}


@pytest.mark.parametrize("case", LASTING)
async def test_what_a_tool_has_set_is_gone_at_the_first_moment(
    sandbox: ForkServer, case: str
) -> None:
    sets, tells = LASTING[case]
    tools = [f(sets), tool("run", f(tells).source.replace("def f", "def run"))]
    async with await sandbox.open(tools, EPISODE) as session:
        first = await session.call("run", {})
        await session.call("f", {})
        then = await session.call("run", {})
        assert (then.value, then.failure) != (first.value, first.failure)  # it outlasts its call
        await session.call(*RESTORE)
        again = await session.call("run", {})
    assert (again.value, again.failure, again.effect) == (first.value, first.failure, first.effect)


async def test_whatever_only_reads_has_nothing_to_commit(sandbox: ForkServer) -> None:
    body = "DATABASE.commit()\nDATABASE.rollback()\nwith DATABASE:\n    return DATABASE.execute"
    reading = tool("look", f(f'{body}("SELECT count(*) AS x FROM boats").fetchone()').source)
    reading = tool("look", reading.source.replace("def f", "def look"))
    async with await sandbox.open([reading, *TOOLS], EPISODE) as session:
        await written(session, RENAME)
        assert (await session.call("look", {})).value == {"x": 3}
        rows, _ = await state(session)
        assert rows["boats"][0][2] == "Skua"


DENIED = {
    "COMMIT": "not authorized",
    "ROLLBACK": "not authorized",
    "BEGIN": "not authorized",
    "END": "not authorized",
    "SAVEPOINT s": "not authorized",
    "PRAGMA foreign_keys = 0": "not authorized",
    "PRAGMA query_only = 0": "not authorized",
    "PRAGMA table_info(boats)": "not authorized",
    "SELECT * FROM pragma_table_info('boats')": "",
    "ATTACH ':memory:' AS other": "not authorized",
    "DETACH main": "not authorized",
    "VACUUM": "",
    "VACUUM INTO '/tmp/copy'": "",
    "ANALYZE": "not authorized",
    "REINDEX": "not authorized",
    "CREATE TABLE t (x)": "not authorized",
    "CREATE TEMP TABLE t (x)": "not authorized",
    "CREATE INDEX i ON boats (name)": "not authorized",
    "CREATE VIEW v AS SELECT 1": "not authorized",
    "CREATE TRIGGER t AFTER UPDATE ON boats BEGIN SELECT 1; END": "not authorized",
    "CREATE VIRTUAL TABLE v USING fts5(x)": "",
    "SELECT value FROM json_each('[1, 2]')": "",
    "DROP TABLE boats": "not authorized",
    'DROP TRIGGER "__boats UPDATE"': "not authorized",
    "ALTER TABLE boats RENAME TO b": "not authorized",
    "ALTER TABLE boats ADD COLUMN x TEXT": "not authorized",
    "UPDATE owners SET name = 'x' WHERE owner_id = 'A-1'": "not authorized",
    "INSERT INTO OWNERS VALUES ('A-9', 'x')": "not authorized",
    "DELETE FROM owners": "not authorized",
    "WITH w AS (SELECT 1) UPDATE owners SET name = 'x'": "not authorized",
    "DELETE FROM __changes": "not authorized",
    "INSERT INTO __changes VALUES (99, 'boats', 1, NULL)": "not authorized",
    "UPDATE __keys SET next = 1": "not authorized",
    "SELECT * FROM __keys": "prohibited",
    "SELECT count(*) FROM __CHANGES": "",
    "SELECT * FROM sqlite_master": "prohibited",
    "SELECT sql FROM SQLITE_SCHEMA": "prohibited",
    "DELETE FROM sqlite_master": "",
    "SELECT random()": "not authorized",
    "SELECT hex(RANDOMBLOB(4))": "not authorized",
    "SELECT * FROM boats ORDER BY random()": "not authorized",
    "SELECT date('now')": "not authorized",
    "SELECT DateTime()": "not authorized",
    "SELECT CURRENT_TIMESTAMP": "not authorized",
    "SELECT current_date": "not authorized",
    "SELECT strftime('%s', 'now')": "not authorized",
    "SELECT julianday('now')": "not authorized",
    "SELECT sqlite_version()": "not authorized",
    "SELECT load_extension('x')": "not authorized",
    "SELECT total_changes()": "not authorized",
    "INSERT INTO boats (boat_id, owner_id, name) VALUES (9, 'A-1', date('now'))": "not authorized",
}


@pytest.mark.parametrize("statement", DENIED)
async def test_a_statement_is_denied(session: SandboxSession, statement: str) -> None:
    for name in ("run", "read"):
        outcome = await made(session, name, {"statements": [statement]})
        assert isinstance(outcome, CallOutcome), outcome
        assert outcome.failure is not None, outcome.value
        assert DENIED[statement] in outcome.failure.message
        # In the middle of a write, and when the tool goes on as if nothing had been.
        outcome = await made(session, name, {"statements": [RENAME, statement]})
        assert isinstance(outcome, CallOutcome), outcome
        assert outcome.failure is not None
    assert await state(session) == (ROWS, "2026-03-02 23:59")


async def test_what_is_allowed(session: SandboxSession) -> None:
    statements = [
        "SELECT lower(name), count(*), coalesce(fee, 0) FROM boats GROUP BY 1 HAVING sum(fee) > 0",
        "SELECT * FROM boats JOIN owners USING (owner_id) WHERE boats.name LIKE '%er%'",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3) "
        "SELECT group_concat(x) FROM n",
        "EXPLAIN QUERY PLAN SELECT * FROM boats",
    ]
    for name in ("run", "read"):
        assert (await session.call(name, {"statements": statements})).failure is None
    await written(session, "INSERT OR REPLACE INTO boats (boat_id, owner_id) VALUES (1, 'A-2')")
    await written(
        session,
        "INSERT INTO boats (boat_id, owner_id) VALUES (1, 'A-1') "
        "ON CONFLICT (boat_id) DO UPDATE SET name = 'x' RETURNING boat_id",
    )


async def test_a_reading_tool_cant_write(session: SandboxSession) -> None:
    for _ in range(2):
        outcome = await session.call("read", {"statements": [RENAME]})
        assert outcome.failure is not None
        assert (await session.call("run", {"statements": [RENAME]})).failure is None
        await session.call(*RESTORE)
    assert await state(session) == (ROWS, "2026-03-02 23:59")


async def test_a_statement_is_kept_by_what_its_call_may_write(sandbox: ForkServer) -> None:
    """A prepared one would run in another call without being looked at again."""
    other = tool("other", RUN.source.replace("def run", "def other"))
    loading = tool("f", f'DATABASE.execute("{RENAME}")\ndef f():\n    return 1\n')
    database = DatabaseEpisode(
        database=DATABASE,
        now="2026-03-02 23:59",
        writes={"run": ("boats",), "other": ("owners",), "f": ("boats",)},
    )
    episode = SandboxEpisode(limits=LIMITS, database=database)
    statement = {"statements": [RENAME]}
    async with await sandbox.open([RUN, other, READ, DUMP, loading], episode) as session:
        await session.call("run", statement)
        for name, arguments in (("other", statement), ("read", statement), ("f", {})):
            failure = (await session.call(name, arguments)).failure
            assert failure is not None
            assert "not authorized" in failure.message
        await session.call(*RESTORE)
        assert await state(session) == (ROWS, "2026-03-02 23:59")


async def test_a_cursor_tells_of_its_own_statement(sandbox: ForkServer) -> None:
    source = """def f():
    cursor = DATABASE.cursor()
    found = []
    for sql in ("UPDATE boats SET fee = 1", "UPDATE boats SET fee = 2 WHERE boat_id = 1"):
        found.append(cursor.execute(sql).rowcount)
    cursor.executemany("UPDATE boats SET fee = ? WHERE boat_id = ?", [(5, 1), (6, 2)])
    found.append(cursor.rowcount)
    cursor.execute("INSERT INTO boats (boat_id, owner_id) VALUES (?, 'A-1')", [33])
    found.append(cursor.lastrowid)
    return found, [c[0] for c in DATABASE.execute("SELECT fee, name FROM boats").description]
"""
    calls = [("f", {}), RESTORE, ("f", {})]
    first, _, second = await sandbox.run([tool("f", source)], calls, EPISODE)
    assert first.value == second.value == [[3, 1, 2, 33], ["fee", "name"]], first.failure


def f(body: str, *, before: str = "") -> Tool:
    """A tool that may write boats."""
    lines = "\n    ".join(body.splitlines())
    return tool("f", f"{before}\ndef f():\n    {lines}\n")


IMPORTS = {
    "write": "DATABASE.execute(\"UPDATE boats SET name = 'x'\")",
    "key": "new_key('boats')",
    "commit": "DATABASE.commit()",
    "begin": "DATABASE.execute('BEGIN')",
}


@pytest.mark.parametrize("case", IMPORTS)
async def test_a_module_writes_nothing_when_it_is_loaded(sandbox: ForkServer, case: str) -> None:
    text = f"try:\n    {IMPORTS[case]}\nexcept Exception:\n    pass\n"
    hidden, told = f("return 1", before=text), f("return 1", before=IMPORTS[case])
    for first in (("run", {"statements": ["SELECT 1"]}), ("dump", {})):  # also after a write tool
        async with await sandbox.open([hidden, *TOOLS], EPISODE) as session:
            await session.call(*first)
            assert (await session.call("f", {})).effect is None
            assert await state(session) == (ROWS, "2026-03-02 23:59")
            assert (await session.call("new", {})).value == 4
    if case != "commit":  # with nothing to commit it does nothing
        (outcome,) = await sandbox.run([told], [("f", {})], EPISODE)
        assert outcome.failure is not None


# What tools that are well meant may do to the connection, and what hostile ones may try.
HANDLED = {
    "close": "DATABASE.close()",
    "commit": f'DATABASE.execute("{RENAME}")\nDATABASE.commit()\nraise ValueError',
    "rollback": f'DATABASE.execute("{RENAME}")\nDATABASE.rollback()',
    "context": f'with DATABASE:\n    DATABASE.execute("{RENAME}")\nraise ValueError',
    "script": f'DATABASE.executescript("{RENAME}; COMMIT")',
    "script alone": f'DATABASE.executescript("{RENAME}")\nraise ValueError',
    "deserialize": f'DATABASE.deserialize(DATABASE.serialize())\nDATABASE.execute("{RENAME}")',
    "authorizer": f'DATABASE.set_authorizer(None)\nDATABASE.execute("{RENAME}")',
    "blob": f'DATABASE.blobopen("owners", "name", 1).write(b"Eve")\nDATABASE.execute("{RENAME}")',
    "isolation": f'DATABASE.isolation_level = None\nDATABASE.execute("{RENAME}")\nraise ValueError',
    "interrupt": f'DATABASE.execute("{RENAME}")\nDATABASE.interrupt()\nraise ValueError',
    "undeclared key": "return new_key('owners')",
    "no table": "return new_key('x')",
    "rows": "import sqlite3\nDATABASE.row_factory = sqlite3.Row\nDATABASE.text_factory = bytes",
    "rows at a failure": "DATABASE.row_factory = None\nraise OSError",
    "open cursor": f'global c\nc = DATABASE.execute("{RENAME} RETURNING 1")\nraise ValueError',
}


@pytest.mark.parametrize("case", HANDLED)
async def test_the_connection_survives(sandbox: ForkServer, case: str) -> None:
    for caught in (False, True):
        body = "\n    ".join(HANDLED[case].splitlines())
        tools = [f(f"try:\n    {body}\nexcept Exception:\n    raise" if caught else HANDLED[case])]
        async with await sandbox.open([*tools, *TOOLS], EPISODE) as session:
            outcome = await made(session, "f", {})
            assert not isinstance(outcome, CallOutcome) or outcome.effect is None
            assert await state(session) == (ROWS, "2026-03-02 23:59")
            assert (await session.call("new", {})).value == 4
            await written(session, RENAME)


async def test_rows_are_mappings_whatever_the_tool_wants(sandbox: ForkServer) -> None:
    body = (
        f'DATABASE.row_factory = None\nDATABASE.text_factory = bytes\nDATABASE.execute("{RENAME}")'
    )
    (outcome,) = await sandbox.run([f(body)], [("f", {})], EPISODE)
    assert outcome.effect is not None
    assert outcome.effect.changes[0].after == {"name": "Skua", "berths": 9}


FORGED = {
    "text": '"x"',
    "null": "null",
    "list": "[]",
    "no hash": '{"c": [CHANGE]}',
    "not a hash": '{"c": [CHANGE], "s": "x"}',
    "no changes": '{"c": [], "s": "HASH"}',
    "changes of another type": '{"c": {"a": 1}, "s": "HASH"}',
    "no table": '{"c": [{"table": "x", "key": 1, "before": {}, "after": {}}], "s": "HASH"}',
    "own table": '{"c": [{"table": "__keys", "key": 1, "before": {}, "after": {}}], "s": "HASH"}',
    "no column": '{"c": [{"table": "boats", "key": 1, "before": {"x": 1}, "after": {"x": 2}}], '
    '"s": "HASH"}',
    "other columns": '{"c": [{"table": "boats", "key": 1, "before": {"fee": 1}, "after": '
    '{"berths": 2}}], "s": "HASH"}',
    "half a row": '{"c": [{"table": "boats", "key": 7, "before": null, "after": {"fee": 1}}], '
    '"s": "HASH"}',
    "no row": '{"c": [{"table": "boats", "key": 1, "before": null, "after": null}], "s": "HASH"}',
    "another key": '{"c": [{"table": "owners", "key": "A-9", "before": null, "after": '
    '{"owner_id": "A-8", "name": "x"}}], "s": "HASH"}',
    "key of another type": '{"c": [{"table": "boats", "key": [1], "before": {"fee": 1}, "after": '
    '{"fee": 2}}], "s": "HASH"}',
    "cell of another type": '{"c": [{"table": "boats", "key": 1, "before": {"fee": 1}, "after": '
    '{"fee": [2]}}], "s": "HASH"}',
    "more fields": '{"c": [{"table": "boats", "key": 1, "before": {"fee": 1}, "after": {"fee": 2}, '
    '"x": 1}], "s": "HASH"}',
    "lone surrogate": '{"c": [{"table": "boats", "key": 1, "before": {"name": "a"}, "after": '
    '{"name": "\\\\ud800"}}], "s": "HASH"}',
}
CHANGE = '{"table": "boats", "key": 1, "before": {"fee": 1999}, "after": {"fee": 1}}'


def forging(effect: str) -> Tool:
    """A tool that answers its call itself, with an effect of its choice."""
    text = effect.replace("CHANGE", CHANGE).replace("HASH", "0" * 64)
    source = f"""import os
def f():
    payload = ('{{"i": 1, "v": 1, "e": ' + '''{text}''' + '}}').encode()
    os.write(3, len(payload).to_bytes(4, "big") + payload)
    os._exit(0)
"""
    return tool("f", source)


@pytest.mark.parametrize("case", FORGED)
async def test_a_forged_effect_that_cant_be_is_refused(sandbox: ForkServer, case: str) -> None:
    async with await sandbox.open([forging(FORGED[case]), DUMP], EPISODE) as session:
        assert type(await made(session, "f", {})) is SandboxBadResult
        assert await state(session) == (ROWS, "2026-03-02 23:59")


async def test_a_forged_effect_is_believed_in_its_own_episode_only(sandbox: ForkServer) -> None:
    forger = forging('{"c": [CHANGE], "s": "HASH"}')
    async with await sandbox.open(TOOLS, EPISODE) as bystander:
        async with await sandbox.open([forger], EPISODE) as session:
            assert (await session.call("f", {})).effect is not None
        assert await state(bystander) == (ROWS, "2026-03-02 23:59")
    reader = DatabaseEpisode(database=DATABASE, now="2026-03-02 23:59", writes={})
    for database in (None, reader):
        episode = SandboxEpisode(limits=LIMITS, database=database)
        async with await sandbox.open([forger], episode) as session:
            assert type(await made(session, "f", {})) is SandboxBadResult


NAMES = [
    'or"ders', "x'); DROP TABLE owners; --", "select", "a b", "表", "[x]", "`y`", "x;", "%s", "?",
    "{name}", "new", "a.b", "\\", '"', "''", "x INSERT", "INSERT", "rowid", "😀",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_no_name_and_no_value_is_a_statement(sandbox: ForkServer, name: str) -> None:
    table = DatabaseTable(
        name=name,
        key="k" + name,
        columns=(
            DatabaseColumn(name="k" + name, type="text"),
            DatabaseColumn(name=name, type="text", unique=True, choices=(name, *NAMES[:2])),
            DatabaseColumn(name=name + "x", type="date"),
            DatabaseColumn(name=name + "y", type="integer", minimum=0),
            DatabaseColumn(name=name + "z", type="boolean"),
        ),
        rows=((name, name, "2026-01-01", 1, 1),),
    )
    child = DatabaseTable(
        name=name + "2",
        key=name,
        columns=(DatabaseColumn(name=name, type="integer"), DatabaseColumn(name="p", type="text")),
        references={"p": name},
        rows=((1, name),),
    )
    database = DatabaseEpisode(
        database=Database(tables=(table, child)),
        now="2026-03-02 09:00",
        writes={"f": (name, name + "2")},
    )

    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    source = f"""def f(value):
    table, column, key = {(quoted(name), quoted(name), quoted("k" + name))!r}
    DATABASE.execute(f"UPDATE {{table}} SET {{column}} = ?", [value])
    found = DATABASE.execute(f"SELECT * FROM {{table}} WHERE {{key}} = ?", [{name!r}]).fetchone()
    DATABASE.execute({f"INSERT INTO {quoted(name + '2')} VALUES (?, ?)"!r}, [7, {name!r}])
    return list(found.values()), list(found)
"""
    wanted = NAMES[1] if name != NAMES[1] else NAMES[0]
    calls = [("f", {"value": wanted})]
    (outcome,) = await sandbox.run([tool("f", source)], calls, SandboxEpisode(database=database))
    assert outcome.failure is None, outcome.failure
    names = [column.name for column in table.columns]
    assert outcome.value == [[name, wanted, "2026-01-01", 1, 1], names]
    assert outcome.effect is not None
    assert [change.table for change in outcome.effect.changes] == [name, name + "2"]
    rows = {name: [[name, wanted, "2026-01-01", 1, 1]], name + "2": [[1, name], [7, name]]}
    assert outcome.effect.state == state_hash(rows)


@pytest.mark.parametrize("value", [*NAMES, "\0", "a\0b", "'; COMMIT; --", "", "x" * 500])
async def test_values_arrive_as_they_are(sandbox: ForkServer, value: str) -> None:
    source = """def f(value):
    DATABASE.execute("UPDATE boats SET name = ? WHERE boat_id = 1", [value])
    return DATABASE.execute("SELECT name FROM boats WHERE name = ?", [value]).fetchone()["name"]
"""
    (outcome,) = await sandbox.run([tool("f", source)], [("f", {"value": value})], EPISODE)
    assert outcome.value == value, outcome.failure
    assert outcome.effect is not None
    assert outcome.effect.changes[0].after == {"name": value}


def with_tables(change: Callable[[DatabaseTable], DatabaseTable]) -> Database:
    owners, boats = DATABASE.tables
    return Database(tables=(owners, change(boats)))


@pytest.mark.parametrize(
    ("update", "told"),
    [
        ({"name": "__boats"}, "may not be named"),
        ({"name": "sqlite_boats"}, "may not be named"),
        ({"name": "Owners"}, "already"),
        ({"name": ""}, "can't be named"),
        ({"name": "a\0b"}, "can't be named"),
        ({"rows": ((1, "A-9", None, 0, 0, None, 0, None),)}, "refers to a row of 'owners'"),
        ({"rows": ((1, "A-1", None, -1, 0, None, 0, None),)}, "CHECK"),
        ({"rows": ((1, "A-1", "x", 0, 2**63, None, 0, None),)}, "int too large"),
        ({"rows": ((1, "A-1"),)}, "bindings"),
        ({"references": {"owner_id": "nobody"}}, "nobody"),
    ],
)
async def test_a_database_that_cant_be_is_told(update: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        database_image(with_tables(lambda table: table.model_copy(update=update)))


async def test_a_remote_sandbox_does_the_same() -> None:
    with RunCodeServer() as server:
        async with RemoteSandbox(server.url) as sandbox:
            session = await sandbox.open(TOOLS, EPISODE)
            told = (await session.call("run", {"statements": [RENAME]})).effect
            large = {"statements": ["DELETE FROM boats"], "size": 9000}
            assert type(await made(session, "run", large)) is SandboxLimit
            await session.call("run", {"statements": ["DELETE FROM boats"], "then": "raise"})
            rows, now = await state(session)
            assert told is not None
            assert (told.state, now) == (state_hash(rows), "2026-03-03 00:00")
            await session.call(*RESTORE)
            assert await state(session) == (ROWS, "2026-03-02 23:59")
