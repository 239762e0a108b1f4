"""BFCL through the whole harness. Needs its packages, which are installed once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from astra.configs.benchmarks import BfclConfig
from astra.errors import StageError
from astra.evaluation.benchmarks.bfcl import BFCL, LIVE, NON_LIVE, RELEVANCE
from astra.evaluation.benchmarks.bfcl import MULTI_TURN as MULTI_TURN_CATEGORIES
from astra.evaluation.benchmarks.environments import WORKERS, environment_of
from astra.evaluation.benchmarks.process import TIME_LIMIT, BenchmarkProcess
from astra.evaluation.benchmarks.records import BenchmarkTask, BenchmarkTool
from astra.evaluation.benchmarks.run import REPORT, episodes_of, run_benchmark
from astra.models.openai import OpenAIModel, Retries
from astra.models.scripted import calling
from astra.types import Json, Message, ToolCallRequest
from tests.field_benchmarks.conftest import installed
from tests.support.model_server import ModelServer, ModelServerFault

pytestmark = pytest.mark.integrations

MULTI_TURN = "multi_turn"
UNREACHED = {
    *("simple_java_36", "simple_java_64", "simple_java_65"),
    *("live_simple_106-63-0", "live_simple_112-68-0"),
    *("live_multiple_862-181-3", "live_multiple_964-207-0"),
}


@pytest.fixture(scope="module")
def folder() -> Path:
    """The environments, BFCL's among them."""
    return installed(BFCL)


async def opened(folder: Path, *categories: str, confined: bool = True) -> BenchmarkProcess:
    python, _ = environment_of(BFCL, folder)
    options = {"categories": categories, "gold": True, "seconds": 20, "confined": confined}
    return BenchmarkProcess(python, WORKERS / BFCL.script, options)


def read(folder: Path, categories: Any, **options: Any) -> Any:
    """Summary and unsolved tasks of a run."""
    config = BfclConfig(categories=categories, concurrency=16, **options)
    run, summary = asyncio.run(run_benchmark(BFCL, config, folder))
    return summary, {episode.task for episode in episodes_of(run) if episode.score < 1}


# --- gold and null ------------------------------------------------------------------------------


def test_gold_and_null_of_the_multi_turn_categories(folder: Path) -> None:
    gold, unsolved = read(folder, MULTI_TURN, policy="gold")
    null, _ = read(folder, MULTI_TURN, policy="null")
    assert (gold.tasks, gold.episodes, unsolved) == (800, 800, set())
    assert null.errors == {"multi_turn:empty_turn_model_response": 800}


def test_gold_and_null_of_the_single_turn_categories(folder: Path) -> None:
    gold, unsolved = read(folder, "single_turn", policy="gold")
    null, _ = read(folder, "single_turn,relevance", policy="null")
    assert gold.episodes == 2501 and unsolved == UNREACHED
    solved = {name: c.score.mean for name, c in null.categories.items() if c.score.mean}
    assert solved == {"irrelevance": 1.0, "live_irrelevance": 1.0}


class Served(NamedTuple):
    """A task as an endpoint sees it."""

    said: list[str]
    """What the user says in its gold episode."""
    tools: Any
    """Those of the first request."""
    task: BenchmarkTask


class GoldServer:
    """Answers each conversation with the message of the truth, found by what the user says, and by
    the tools where two users say the same."""

    def __init__(self, tasks: Sequence[Served], faults: float = 0) -> None:
        self._faults = faults
        self._random = random.Random(0)
        self._by_first: defaultdict[str, list[Served]] = defaultdict(list)
        for served_task in tasks:
            self._by_first["".join(served_task.said[:1])].append(served_task)

    def __call__(self, index: int, body: Json) -> Any:
        if self._random.random() < self._faults:
            return ModelServerFault(self._random.choice(("status", "reset", "not_json")))
        said = said_by_user(body["messages"])
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        fitting = [t for t in self._by_first["".join(said[:1])] if t.said[: len(said)] == said]
        if len(fitting) > 1:
            fitting = [t for t in fitting if t.tools == body.get("tools", [])] or fitting
        gold = fitting[0].task.gold or ()
        return gold[turn] if turn < len(gold) else Message(role="assistant", content="Done.")


def said_by_user(messages: Sequence[Json]) -> list[str]:
    return [message["content"] for message in messages if message["role"] == "user"]


async def served(folder: Path, categories: Sequence[str]) -> list[Served]:
    """The tasks of the categories, as an endpoint sees them when gold plays."""
    tasks: list[Served] = []
    async with await opened(folder, *categories) as process:
        for task in process.tasks:
            gold = iter(task.gold or ())
            shown: list[Json] = []
            first: list[Json] = []

            async def ask(
                messages: Sequence[Message],
                tools: Sequence[BenchmarkTool],
                _: bytes,
                gold: Iterator[Message] = gold,
                shown: list[Json] = shown,
                first: list[Json] = first,
            ) -> Message:
                shown[:] = [message.model_dump() for message in messages]
                first[:] = first or [tool.openai() for tool in tools]
                return next(gold, Message(role="assistant", content="Done."))

            await process.play(task.id, 0, ask)
            tasks.append(Served(said_by_user(shown), first, task))
    return tasks


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints are asked again at once, and often."""
    defaults = OpenAIModel.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "retries", Retries(attempts=20, first_wait=0.001))


@pytest.mark.parametrize("category", ["multi_turn_base", "multi_turn_miss_func"])
def test_gold_over_http_with_and_without_faults(folder: Path, category: str, patient: None) -> None:
    keys = asyncio.run(served(folder, [category]))
    for faults in (0.0, 0.2):
        with ModelServer(GoldServer(keys, faults)) as server:
            summary, unsolved = read(folder, category, model="m", base_url=server.url)
        assert (summary.episodes, unsolved, summary.infrastructure_failures) == (200, set(), 0)


@pytest.mark.slow
@pytest.mark.parametrize("category", [*MULTI_TURN_CATEGORIES, *NON_LIVE, *LIVE, *RELEVANCE])
def test_gold_and_null_of_each_category_over_http(
    folder: Path, category: str, patient: None
) -> None:
    """A fifth of the answers of gold's endpoint are faults, which change no score."""
    keys = asyncio.run(served(folder, [category]))
    tasks = {key.task.id for key in keys}
    with ModelServer(GoldServer(keys, 0.2)) as server:
        gold, unsolved = read(folder, category, model="m", base_url=server.url)
    assert (gold.episodes, gold.infrastructure_failures) == (len(tasks), 0)
    # The truth of `live_relevance` does not say which call is right.
    assert unsolved == (tasks if category == "live_relevance" else UNREACHED & tasks)
    with ModelServer([Message(role="assistant", content="I do not know.")]) as server:
        null, unsolved = read(folder, category, model="m", base_url=server.url)
    assert null.episodes == len(tasks)
    assert unsolved == (set() if category.endswith("irrelevance") else tasks)


def test_a_dead_endpoint_gives_no_score(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = OpenAIModel.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "retries", Retries(attempts=2, first_wait=0.001))
    with ModelServer([]) as server:
        url = server.url
    with pytest.raises(StageError, match="Nothing is scored"):
        read(folder, "simple_python", model="m", base_url=url, out=tmp_path / "run")
    assert not (tmp_path / "run" / REPORT).exists()


def test_a_bad_policy_leaves_nothing_to_the_next_one(folder: Path) -> None:
    """The official code keeps instances of tools under names, and so carries state over."""

    async def run() -> tuple[float, float]:
        async with await opened(folder, "multi_turn_base") as process:

            async def play(task: BenchmarkTask, bad: bool) -> float:
                gold = list(task.gold or ())
                replies = iter([gold[0], *gold[:3]] if bad else gold)

                async def ask(*_: Any) -> Message:
                    return next(replies, Message(role="assistant", content="Done."))

                return (await process.play(task.id, 0, ask))["score"]

            scores: list[float] = []
            for bad in (True, False):
                total = 0.0
                for start in range(0, 200, 16):
                    part = process.tasks[start : start + 16]
                    total += sum(await asyncio.gather(*(play(task, bad) for task in part)))
                scores.append(total)
            return scores[0], scores[1]

    bad, good = asyncio.run(run())
    assert bad < 100 and good == 200


# --- transcripts --------------------------------------------------------------------------------

Transcript = list[Any]


async def transcript(
    process: BenchmarkProcess, task: str, replies: Sequence[Message]
) -> Transcript:
    """All that a model is shown in an episode of these replies, and the verdict."""
    shown: Transcript = []
    said = iter(replies)

    async def ask(_: Any, __: Any, new: bytes) -> Message:
        shown.append(new.decode())
        return next(said, Message(role="assistant", content="Done."))

    verdict = await process.play(task, 0, ask)
    return [*shown, verdict]


def mutations(gold: Sequence[Message], rng: random.Random) -> list[Message]:
    """The gold messages of an episode with one to three mistakes."""
    messages = list(gold)
    for _ in range(rng.randint(1, 3)):
        places = [index for index, message in enumerate(messages) if message.tool_calls]
        if not places:
            break
        index = rng.choice(places)
        calls = list(messages[index].tool_calls)
        place = rng.randrange(len(calls))
        changed = changed_call(calls[place], rng)
        match rng.randrange(6):
            case 0:
                del calls[place]
            case 1:
                calls.insert(place, calls[place])
            case 2:
                rng.shuffle(calls)
            case 3:
                messages[index:index] = [messages[index]] * 21
            case _:
                calls[place] = changed
        messages[index] = messages[index].model_copy(update={"tool_calls": tuple(calls)})
    return messages


def changed_call(call: ToolCallRequest, rng: random.Random) -> ToolCallRequest:
    values: list[Json] = [
        *("", "absent.txt", "a (b) sort(c)", 'it\'s "quoted"\n', "日本", -1, 0, 2.5, 10**20),
        *(True, None, [], [1, "a"], {}, {"a": [1]}, float("nan"), float("inf"), -float("inf")),
    ]
    try:
        arguments: Json = json.loads(call.arguments)
    except ValueError:  # broken by an earlier mistake
        arguments = {}
    arguments = arguments if isinstance(arguments, dict) else {}
    name = call.tool
    match rng.randrange(7):
        case 0:
            name = rng.choice(["absent_tool", "Class.method", "cd", "ls", "_load_scenario"])
        case 1:
            arguments["unexpected"] = rng.choice(values)
        case 2 if arguments:
            del arguments[rng.choice(list(arguments))]
        case 3:
            broken = rng.choice(["", "{", "[]", "null", '"text"', "3", call.arguments[:-1]])
            return call.model_copy(update={"arguments": broken})
        case _ if arguments:
            arguments[rng.choice(list(arguments))] = rng.choice(values)
        case _:
            name += "_"
    return call.model_copy(update={"tool": name, "arguments": json.dumps(arguments)})


async def differences(folder: Path, count: int, stride: int) -> tuple[int, list[Any], set[str]]:
    """Episodes played with and without `eval`, those that differ, and the kinds of verdicts.

    Without it, processes play several episodes.
    """
    categories = [f"multi_turn_{k}" for k in ("base", "miss_func", "miss_param", "long_context")]
    played, differing, kinds = 0, list[Any](), set[str]()
    async with (
        await opened(folder, *categories) as ours,
        await opened(folder, *categories, confined=False) as official,
    ):
        for task in ours.tasks[::stride]:
            gold = list(task.gold or ())
            episodes = [gold]
            for index in range(count):
                episodes.append(mutations(gold, random.Random(f"{task.id} {index}")))
            pairs = await asyncio.gather(
                *(
                    asyncio.gather(transcript(ours, task.id, e), transcript(official, task.id, e))
                    for e in episodes
                )
            )
            for replies, (one, other) in zip(episodes, pairs, strict=True):
                played += 1
                kinds.add(one[-1]["error"])
                # NaN differs from itself; texts don't.
                if json.dumps(one) != json.dumps(other):
                    differing.append((task.id, one[-1], other[-1], replies))
    return played, differing, kinds


def test_transcripts_are_those_of_the_official_code(folder: Path) -> None:
    played, differing, kinds = asyncio.run(differences(folder, 3, 40))
    assert played == 80 and not differing
    assert len(kinds) >= 3


@pytest.mark.slow
def test_transcripts_of_many_mutated_episodes(folder: Path) -> None:
    played, differing, kinds = asyncio.run(differences(folder, 3, 1))
    assert played == 3200 and not differing
    assert kinds >= {
        "",
        "multi_turn:empty_turn_model_response",
        "multi_turn:force_terminated",
        "multi_turn:instance_state_mismatch",
        "multi_turn:execution_response_mismatch",
    }


def test_steps_without_end_stop_an_episode_but_are_scored_in_the_last_turn(folder: Path) -> None:
    async def run() -> list[Any]:
        async with await opened(folder, "multi_turn_base") as process:
            task = process.tasks[1]
            gold = list(task.gold or ())
            idle = calling(("pwd", {}))
            early = [*gold[:1], *[idle] * 30]
            late = [*gold[:-1], *[idle] * 30]
            return [await transcript(process, task.id, replies) for replies in (early, late)]

    early, late = asyncio.run(run())
    assert early[-1]["error"] == "multi_turn:force_terminated"
    assert len(early) - 1 == 21
    assert late[-1]["score"] == 1.0


# --- hostile models -----------------------------------------------------------------------------


def hostile(canary: Path) -> Iterator[Message]:
    """Calls that make the official code run something."""
    run = f"__import__('os').system('touch {canary}')"
    yield calling((f"{run} or cd", {"folder": "document"}))
    yield calling((run[:-1].replace("(", "(", 1), {}))
    yield calling(("exec", {"source": run}))
    yield calling(("cd", {f"folder={run}, x": 1}))
    yield calling(("cd", {f"folder='document') or {run} or dict(a": 1}))
    yield calling(("cd", {"folder": run}))


def test_names_and_arguments_run_nothing(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    async def run(confined: bool) -> list[Transcript]:
        async with await opened(folder, "multi_turn_base", confined=confined) as process:
            return [
                await transcript(process, process.tasks[0].id, [message])
                for message in hostile(canary)
            ]

    asyncio.run(run(confined=True))
    assert not canary.exists()
    # The same calls reach the shell through the official code: the case that must fail.
    asyncio.run(run(confined=False))
    assert canary.exists()


def test_a_tool_that_computes_for_ever_costs_its_time_limit(folder: Path) -> None:
    async def run() -> list[Any]:
        python, _ = environment_of(BFCL, folder)
        options = {"categories": ["multi_turn_base"], "gold": True, "seconds": 2}
        async with BenchmarkProcess(python, WORKERS / BFCL.script, options) as process:
            tasks = [t for t in process.tasks if any_call(t, "mean", "logarithm", "power")]
            endless = calling(("power", {"base": 10, "exponent": 10**10}))
            return [await transcript(process, tasks[0].id, [endless])]

    started = time.monotonic()
    ((*_, verdict),) = asyncio.run(run())
    assert verdict["error"] == TIME_LIMIT and verdict["score"] == 0
    assert time.monotonic() - started < 60


def any_call(task: BenchmarkTask, *names: str) -> bool:
    return any(call.tool in names for message in task.gold or () for call in message.tool_calls)
