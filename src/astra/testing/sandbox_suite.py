"""What every sandbox must do, as a test class to inherit from.

    class TestMySandbox(SandboxSuite):
        @pytest.fixture
        async def sandbox(self): ...

Collected by pytest with asyncio mode `auto`. It checks behaviour, not confinement: a sandbox that
passes may still let tool code read your files.
"""

from __future__ import annotations

import asyncio
from typing import Any

from astra.errors import SandboxBadResult, SandboxDied, SandboxError, SandboxLimit
from astra.protocols import CallFailure, CallOutcome, Sandbox, SandboxEpisode, SandboxLimits
from astra.types import Json, Tool, ToolSchema


def tool(name: str, source: str, data: Json = None) -> Tool:
    """A tool with an empty document."""
    document = ToolSchema(name=name, description=name, parameters={"type": "object"})
    return Tool(document=document, source=source, data=data)


async def one(
    sandbox: Sandbox, source: str, episode: SandboxEpisode = SandboxEpisode(), **arguments: Any
) -> Any:
    """The value of one call to the function `f` of `source`."""
    (outcome,) = await sandbox.run([tool("f", source)], [("f", arguments)], episode)
    assert outcome.failure is None, outcome.failure
    return outcome.value


async def failure(sandbox: Sandbox, source: str, **arguments: Any) -> CallFailure:
    """The failure of one call to the function `f` of `source`."""
    (outcome,) = await sandbox.run([tool("f", source)], [("f", arguments)])
    assert outcome.failure is not None, outcome.value
    return outcome.failure


async def error(
    sandbox: Sandbox, source: str, limits: SandboxLimits = SandboxLimits()
) -> SandboxError:
    """The typed error of one call to the function `f` of `source`."""
    try:
        (outcome,) = await sandbox.run(
            [tool("f", source)], [("f", {})], SandboxEpisode(limits=limits)
        )
    except SandboxError as raised:
        return raised
    raise AssertionError(f"no error but {outcome!r}")


COUNTER = """
count = 0
def f(step=1):
    global count
    count += step
    DATA.append(count)
    if step < 0:
        raise ValueError("negative")
    if step == 99:
        import os
        os._exit(3)
    return [count, DATA]
"""


def summary(outcome: CallOutcome | SandboxError) -> object:
    """What two ways of making one call must agree on."""
    if isinstance(outcome, SandboxError):
        return type(outcome)
    return (outcome.value, outcome.failure)


class SandboxSuite:
    """Inherit, and give a fixture `sandbox`."""

    async def test_a_call_returns_its_json_value(self, sandbox: Sandbox) -> None:
        source = "def f(x):\n    return {'x': x, 'data': DATA}"
        data = {"é": [1, 2.5, None, True, "中文", "\U0001f600"]}
        (outcome,) = await sandbox.run([tool("f", source, data)], [("f", {"x": "ü"})])
        assert outcome == CallOutcome({"x": "ü", "data": data}, None, outcome.seconds)
        assert outcome.seconds > 0

    async def test_tuples_become_lists(self, sandbox: Sandbox) -> None:
        assert await one(sandbox, "def f():\n    return (1, (2,))") == [1, [2]]

    async def test_each_tool_is_a_module_of_its_own(self, sandbox: Sandbox) -> None:
        tools = [
            tool("a", "helper = 1\ndef a():\n    return [helper, DATA]", "for a"),
            tool("b", "def b():\n    return ['helper' in globals(), DATA]", "for b"),
        ]
        first, second = await sandbox.run(tools, [("a", {}), ("b", {})])
        assert first.value == [1, "for a"]
        assert second.value == [False, "for b"]

    async def test_stateless_calls_see_fresh_sources_and_data(self, sandbox: Sandbox) -> None:
        outcomes = await sandbox.run([tool("f", COUNTER, [])], [("f", {})] * 3)
        assert [o.value for o in outcomes] == [[1, [1]]] * 3

    async def test_stateful_calls_share_their_module(self, sandbox: Sandbox) -> None:
        calls = [("f", {"step": s}) for s in (1, -1, 5)]
        outcomes = await sandbox.run([tool("f", COUNTER, [])], calls, SandboxEpisode(stateful=True))
        assert outcomes[0].value == [1, [1]]
        assert outcomes[1].failure == CallFailure("raised", "ValueError", "negative")
        assert outcomes[2].value == [5, [1, 0, 5]]

    async def test_a_death_loses_no_answered_call(self, sandbox: Sandbox) -> None:
        episode = SandboxEpisode(stateful=True)
        async with await sandbox.open([tool("f", COUNTER, [])], episode) as session:
            await session.call("f", {"step": 2})
            await session.call("f", {"step": -1})
            try:
                await session.call("f", {"step": 99})
            except SandboxDied:
                assert (await session.call("f", {"step": 1})).value == [2, [2, 1, 2]]
            else:
                raise AssertionError("the death was not noticed")

    async def test_many_calls_at_once_are_as_one_after_the_other(self, sandbox: Sandbox) -> None:
        calls: list[tuple[str, dict[str, Json]]] = [
            *(("f", {"step": s}) for s in (1, -1, 99, 2)),
            ("f", {"step": "x"}),
            ("g", {}),
            ("f", {"stop": 1}),
        ]
        for stateful in (False, True):
            episode = SandboxEpisode(stateful=stateful)
            apart: list[CallOutcome | SandboxError] = []
            async with await sandbox.open([tool("f", COUNTER, [])], episode) as session:
                for name, arguments in calls:
                    try:
                        apart.append(await session.call(name, arguments))
                    except SandboxError as raised:
                        apart.append(raised)
            async with await sandbox.open([tool("f", COUNTER, [])], episode) as session:
                together = await session.call_many(calls)
            assert [summary(o) for o in together] == [summary(o) for o in apart]
            assert isinstance(together[2], SandboxDied)

    async def test_many_large_calls_at_once(self, sandbox: Sandbox) -> None:
        echo = tool("f", "def f(x, n):\n    return [n, x * 10]")
        calls: list[tuple[str, dict[str, Json]]] = [
            ("f", {"x": "x" * 20_000, "n": n}) for n in range(35)
        ]
        async with await sandbox.open([echo]) as session:
            outcomes = await session.call_many(calls)
        expected = [[n, "x" * 200_000] for n in range(35)]
        assert [o.value for o in outcomes if isinstance(o, CallOutcome)] == expected

    async def test_arguments_that_do_not_fit(self, sandbox: Sandbox) -> None:
        source = "def f(a, b=1, *, c=2):\n    return [a, b, c]"
        assert await one(sandbox, source, a=0, c=3) == [0, 1, 3]
        for arguments in ({}, {"b": 1}, {"a": 1, "d": 2}):
            found = await failure(sandbox, source, **arguments)
            assert (found.kind, found.type) == ("arguments", "TypeError")

    async def test_a_type_error_inside_the_function_is_its_own(self, sandbox: Sandbox) -> None:
        found = await failure(sandbox, "def f(a):\n    return a + 1", a="x")
        assert (found.kind, found.type) == ("raised", "TypeError")

    async def test_what_raises(self, sandbox: Sandbox) -> None:
        cases = {
            "def f():\n    raise KeyError('k')": ("KeyError", "'k'"),
            "raise OSError('module')\ndef f(): pass": ("OSError", "module"),
            "def f(:": ("SyntaxError", ""),
            "def f():\n    raise SystemExit(3)": ("SystemExit", "3"),
            "def f():\n    raise KeyboardInterrupt": ("KeyboardInterrupt", ""),
            "def f():\n    return f()": ("RecursionError", "recursion"),
            "import numpy\ndef f(): pass": ("ModuleNotFoundError", "numpy"),
            "class E(Exception):\n    __str__ = None\ndef f():\n    raise E": ("E", ""),
        }
        for source, (name, message) in cases.items():
            if "numpy" in source and sandbox.level in ("unsafe", "remote"):
                continue  # these import whatever is installed
            found = await failure(sandbox, source)
            assert (found.kind, found.type) == ("raised", name)
            assert message in found.message

    async def test_messages_are_cut(self, sandbox: Sandbox) -> None:
        found = await failure(sandbox, "def f():\n    raise ValueError('x' * 100_000)")
        assert found.message == "x" * 2000

    async def test_missing_functions(self, sandbox: Sandbox) -> None:
        assert (await failure(sandbox, "def g(): pass")).kind == "missing"
        assert (await failure(sandbox, "f = 3")).kind == "missing"
        (outcome,) = await sandbox.run([tool("f", "def f(): pass")], [("g", {})])
        assert outcome.failure is not None
        assert outcome.failure.kind == "missing"

    async def test_results_that_are_not_json(self, sandbox: Sandbox) -> None:
        for expression in (
            "{1, 2}",
            "object()",
            "float('nan')",
            "[float('-inf')]",
            "{1: 2}",
            "[{'a': {None: 1}}]",
            "b'x'",
            "'\\ud800'",
            "(x for x in [])",
        ):
            raised = await error(sandbox, f"def f():\n    return {expression}")
            assert isinstance(raised, SandboxBadResult), expression

    async def test_results_that_never_end(self, sandbox: Sandbox) -> None:
        for body in (
            "x = []; x.append(x); return x",
            "x = 1\n    for _ in range(100): x = [x]\n    return x",
        ):
            raised = await error(sandbox, f"def f():\n    {body}")
            assert isinstance(raised, SandboxBadResult)

    async def test_coroutines_and_generators_are_no_results(self, sandbox: Sandbox) -> None:
        for source in ("async def f(): return 1", "def f(): yield 1", "async def f(): yield 1"):
            assert isinstance(await error(sandbox, source), SandboxBadResult)

    async def test_printing_does_no_harm(self, sandbox: Sandbox) -> None:
        source = (
            "import sys\ndef f():\n    print('x' * 10); print('y', file=sys.stderr)\n    return 1"
        )
        assert await one(sandbox, source) == 1

    async def test_the_wall_limit(self, sandbox: Sandbox) -> None:
        limits = SandboxLimits(wall_seconds=0.5)
        raised = await error(sandbox, "import time\ndef f():\n    time.sleep(60)", limits)
        assert isinstance(raised, SandboxLimit)
        assert raised.limit == "wall"

    async def test_the_memory_limit(self, sandbox: Sandbox) -> None:
        limits = SandboxLimits(memory_bytes=32 * 2**20)
        raised = await error(sandbox, "def f():\n    return len(bytearray(1 << 28))", limits)
        assert isinstance(raised, SandboxLimit)
        assert raised.limit == "memory"

    async def test_the_output_limit(self, sandbox: Sandbox) -> None:
        raised = await error(
            sandbox, "def f():\n    return 'x' * 2000", SandboxLimits(output_bytes=1000)
        )
        assert isinstance(raised, SandboxLimit)
        assert raised.limit == "output"

    async def test_a_clock_that_stands_still(self, sandbox: Sandbox) -> None:
        source = """
import datetime, time
from datetime import date, datetime as moment
def f():
    first = time.monotonic(), time.perf_counter(), time.time_ns()
    now = moment.now()
    return [time.time(), str(now), str(moment.utcnow()), str(datetime.date.today()),
            str(moment.now(datetime.timezone.utc)), time.gmtime()[:6], time.strftime('%Y-%m-%d'),
            isinstance(now, moment), type(now) is moment, isinstance(now, date),
            first == (time.monotonic(), time.perf_counter(), time.time_ns())]
"""
        assert await one(sandbox, source, SandboxEpisode(clock=1_000_000_000.5)) == [
            1_000_000_000.5,
            "2001-09-09 01:46:40.500000",
            "2001-09-09 01:46:40.500000",
            "2001-09-09",
            "2001-09-09 01:46:40.500000+00:00",
            [2001, 9, 9, 1, 46, 40],
            "2001-09-09",
            True,
            True,
            True,
            True,
        ]

    async def test_seeds(self, sandbox: Sandbox) -> None:
        source = (
            "import random\nfirst = random.random()\ndef f():\n    return [first, random.random()]"
        )
        calls: list[tuple[str, dict[str, Json]]] = [("f", {})] * 2
        values: list[list[Json]] = []
        for seed in (1, 1, 2):
            outcomes = await sandbox.run([tool("f", source)], calls, SandboxEpisode(seed=seed))
            values.append([outcome.value for outcome in outcomes])
        assert values[0] == values[1]
        assert values[0][0] == values[0][1], "a stateless call depends on the one before"
        assert values[0] != values[2]

    async def test_hash_seeds(self, sandbox: Sandbox) -> None:
        source = "def f():\n    return [list({'a', 'b', 'c', 'd', 'e'}), hash('x')]"
        values = [await one(sandbox, source, SandboxEpisode(hash_seed=seed)) for seed in (0, 0, 1)]
        assert values[0] == values[1]
        assert values[0] != values[2]

    async def test_concurrent_sessions_keep_apart(self, sandbox: Sandbox) -> None:
        async def play(number: int) -> list[Json]:
            source = "seen = []\ndef f(x):\n    seen.append(x)\n    return seen"
            async with await sandbox.open(
                [tool("f", source)], SandboxEpisode(stateful=True)
            ) as session:
                outcomes = [await session.call("f", {"x": number}) for _ in range(3)]
                return outcomes[-1].value

        assert await asyncio.gather(*map(play, range(6))) == [[n] * 3 for n in range(6)]
