"""Work that is spread over workers: what comes back, lost workers, and the same bytes."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import astra
import astra.aio
import astra.cli.main as cli
import astra.errors as errors
from astra.arenas.distractors import DistractorDraw
from astra.arenas.pipeline import ArenaPipeline
from astra.configs.evaluation import EvaluateConfig
from astra.errors import AstraError, ConfigError, Rejected, WorkerLost
from astra.evaluation.arenas import PlayedEpisode, play
from astra.evaluation.evaluate import ReferencePlayer
from astra.models.embed_tfidf import TfidfEmbedder
from astra.rollouts.loop import RolloutLimits
from astra.runs import workers
from astra.runs.executor import Executor, executing, spread
from astra.runs.folder import RunFolder
from astra.runs.runner import StageRunner, run
from astra.runs.stage import Stage
from astra.runs.workers import Workers, run_call
from astra.sandbox import RemoteSandbox, open_sandbox
from astra.types import Arena, Message, Record, StopReason
from tests.support.arenas import changed, single_hop_arena
from tests.support.fakes import InProcessSandbox, toy_arena
from tests.support.model_server import ModelServer
from tests.support.process_workers import process_workers


class Squared(Record):
    key: str
    value: int
    process: int = 0


async def squared(item: int) -> Squared:
    if item == 3:
        raise Rejected("three", f"{item} is three")
    if item == 5:
        raise astra.errors.SandboxLimit("cpu", "too long")
    return Squared(key=str(item), value=item * item, process=os.getpid())


class Unreadable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


async def broken() -> None:
    raise Unreadable(1, 2)


async def in_this_process(call: bytes) -> bytes:
    return await asyncio.to_thread(run_call, call)


HERE = Workers(in_this_process, slots=3)


# --- a call -------------------------------------------------------------------------------------


def all_errors(kind: type[AstraError] = AstraError) -> list[type[AstraError]]:
    return [kind, *(each for sub in kind.__subclasses__() for each in all_errors(sub))]


@pytest.mark.parametrize("kind", [k for k in all_errors() if k.__module__ == errors.__name__])
def test_every_error_crosses_processes(kind: type[AstraError]) -> None:
    known = {
        errors.Rejected: ("check", "reason"),
        errors.SandboxLimit: ("cpu", "too long"),
        errors.ModelRejects: (404, "no"),
        errors.SessionError: (404, "no"),
    }
    error = kind(*known.get(kind, ("said",)))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (kind, str(error), error.__dict__)


async def test_without_an_executor_it_is_done_here() -> None:
    assert (await spread(squared, 4)).process == os.getpid()


async def test_what_a_call_raises_is_raised_here() -> None:
    with executing(HERE):
        assert (await spread(squared, 4)).value == 16
        with pytest.raises(Rejected) as rejected:
            await spread(squared, 3)
        assert (rejected.value.check, rejected.value.reason) == ("three", "3 is three")
        with pytest.raises(AstraError, match="Unreadable: 1 and 2"):
            await spread(broken)


async def test_a_worker_of_another_installation_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = workers.Installation("3.9", "0.0.1 (abc)")

    async def differing(call: bytes) -> bytes:
        _, inner = pickle.loads(call)
        return await in_this_process(pickle.dumps((tuple(other), inner)))

    with pytest.raises(ConfigError, match=r"has Python 3.9 and astra 0.0.1.*install the same"):
        await Workers(differing, 1).call(squared, 1)


async def test_a_lost_worker_is_replaced_and_a_deadly_item_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "_PAUSE_SECONDS", 0)
    seen = 0

    async def deadly(call: bytes) -> bytes:
        nonlocal seen
        seen += 1
        if seen % workers.ATTEMPTS:
            raise WorkerLost("gone")
        return await in_this_process(call)

    assert (await Workers(deadly, 1).call(squared, 2)).value == 4
    assert seen == workers.ATTEMPTS

    async def always(call: bytes) -> bytes:
        raise WorkerLost("gone")

    with pytest.raises(WorkerLost, match="5 workers were lost, the last: gone"):
        await Workers(always, 1).call(squared, 2)


async def test_a_sandbox_is_that_of_the_process_that_reads_it() -> None:
    remote = RemoteSandbox("http://localhost:1/")
    again = pickle.loads(pickle.dumps(remote))
    assert again is pickle.loads(pickle.dumps(remote)) and again.base_url == remote.base_url
    async with open_sandbox() as server:
        assert pickle.loads(pickle.dumps(server)).level == server.level


# --- a stage ------------------------------------------------------------------------------------


async def spread_squared(item: int) -> Squared:
    found = await spread(squared, item)
    return found.model_copy(update={"process": 0})


async def test_a_stage_with_workers_writes_what_it_writes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PAUSE_SECONDS", 0)
    turn = 0

    async def faulty(call: bytes) -> bytes:
        """Late, out of order, and lost every third time."""
        nonlocal turn
        turn += 1
        if turn % 3 == 0:
            raise WorkerLost("gone")
        await asyncio.sleep(0.01 * (turn % 4))
        return await in_this_process(call)

    stage = Stage("squares", spread_squared, key=str, stored_key=lambda row: row["key"])
    contents: list[list[bytes]] = []
    for name, executor in {"plain": None, "spread": Workers(faulty, 4)}.items():
        folder = RunFolder(tmp_path / name)
        report = await run(stage, range(12), folder, concurrency=1, executor=executor)
        assert (report.accepted, report.rejected) == (10, {"three": 1})
        files = ("squares.jsonl", "squares.failed.jsonl")
        contents.append([(folder.path / file).read_bytes() for file in files])
    assert contents[0] == contents[1]


async def test_an_item_without_workers_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PAUSE_SECONDS", 0)

    async def lost(call: bytes) -> bytes:
        raise WorkerLost("gone")

    stage = Stage("squares", spread_squared, key=str, stored_key=lambda row: row["key"])
    folder = RunFolder(tmp_path)
    report = await run(stage, [1, 2], folder, concurrency=1, executor=Workers(lost, 1))
    assert (report.accepted, report.errors) == (0, {"WorkerLost": 2})
    assert (await run(stage, [1, 2], folder, concurrency=1)).accepted == 2


# --- arenas -------------------------------------------------------------------------------------


def rows(folder: Path) -> dict[str, list[Any]]:
    """The rows of all files, without what takes time."""
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        found[path.name] = [json.loads(line) for line in path.read_text().splitlines()]
        for row in found[path.name]:
            row.pop("seconds", None)
    return found


@dataclass(frozen=True)
class Candidate:
    key: str
    outcome: Arena | Rejected


def candidates() -> list[Candidate]:
    arenas = [
        single_hop_arena(),
        changed(single_hop_arena(), answer="Bergen", provenance={"key": "1"}),  # a wrong answer
        *(changed(single_hop_arena(), provenance={"key": str(key)}) for key in range(2, 4)),
    ]
    return [Candidate(arena.key, arena) for arena in arenas]


async def test_arenas_are_the_same_when_a_worker_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PAUSE_SECONDS", 0)
    draw = DistractorDraw("none", 0, 0)

    async def make(out: Path, executor: Executor | None) -> None:
        folder = RunFolder.create(out, {"kind": "test"})
        async with open_sandbox() as sandbox:
            runner = StageRunner(folder, executor=executor)
            pipeline = ArenaPipeline(runner, sandbox, TfidfEmbedder(), draw)
            reports = await pipeline.make(candidates(), 3)
        assert (reports["arenas"].accepted, reports["candidates"].rejected) == (3, {"gold": 1})

    await make(tmp_path / "plain", None)
    async with process_workers() as (executor, processes):

        async def submit(call: bytes) -> bytes:
            outcome = await processes.submit(call)
            if processes.made == 2:
                processes.kill_one()  # with the next call running
            return outcome

        await make(tmp_path / "spread", Workers(submit, executor.slots))
        assert processes.lost and processes.made == 7
    assert rows(tmp_path / "plain") == rows(tmp_path / "spread")


# --- episodes -----------------------------------------------------------------------------------


def plain_episode(episode: PlayedEpisode) -> dict[str, Any]:
    """An episode without what takes time."""
    trajectory = episode.trajectory
    calls = tuple(call.model_copy(update={"seconds": 0.0}) for call in trajectory.calls)
    untimed = trajectory.model_copy(update={"seconds": 0.0, "calls": calls})
    return episode.model_copy(update={"trajectory": untimed}).model_dump()


async def played(executor: Executor | None) -> list[PlayedEpisode]:
    some = [toy_arena(1 + i % 3, domain=f"d{i}") for i in range(6)]
    player = ReferencePlayer("shuffled", 3)
    options: dict[str, Any] = {"samples": 2, "concurrency": 6, "executor": executor}
    episodes = play(some, player, InProcessSandbox(), RolloutLimits(), **options)
    return [episode async for _, episode in episodes]


async def test_episodes_are_the_same_on_workers() -> None:
    here, there = await played(None), await played(HERE)
    assert list(map(plain_episode, here)) == list(map(plain_episode, there))
    assert {e.score.f1 for e in there if e.score} == {2 / 3}


async def test_an_episode_whose_workers_are_lost_is_not_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "_PAUSE_SECONDS", 0)
    calls: list[bytes] = []

    async def deadly(call: bytes) -> bytes:
        calls.append(call)
        if call == calls[0]:
            raise WorkerLost("gone")
        return await in_this_process(call)

    episodes = await played(Workers(deadly, slots=3))
    assert [e.score is None for e in episodes] == [True, *[False] * 11]
    assert "5 workers were lost" in episodes[0].trajectory.error
    assert episodes[0].trajectory.stop is StopReason.host_error


async def test_no_key_crosses_to_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-never-to-be-written"
    crossed: list[bytes] = []

    async def watched(call: bytes) -> bytes:
        crossed.append(call)
        crossed.append(await in_this_process(call))
        return crossed[-1]

    @asynccontextmanager
    async def opened(config: object) -> AsyncGenerator[Executor]:
        yield Workers(watched, slots=2)

    monkeypatch.setattr("astra.evaluation.evaluate.executor_from", opened)
    monkeypatch.setenv("MY_KEY", key)
    arenas = astra.ArenaSet.of([single_hop_arena()], tmp_path / "run")
    with ModelServer(lambda index, body: Message(role="assistant", content="No.")) as server:
        report = await astra.aio.evaluate(
            *(arenas,),
            model="m",
            base_url=server.url,
            api_key_env="MY_KEY",
            out=tmp_path / "out",
            split="all",
            uncertified=True,
            ray="local",
        )
        assert server.seen[0].headers["authorization"] == f"Bearer {key}"
    assert report.infrastructure_failures == 0 and len(crossed) == 2
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(key.encode() in content for content in (*crossed, *files))


def test_what_can_not_be_played_on_workers_is_refused() -> None:
    with pytest.raises(ConfigError, match="programs and local models play here"):
        EvaluateConfig("runs/a", model="some/model", ray="local")
    with pytest.raises(ConfigError, match="give local, auto or HOST:PORT"):
        EvaluateConfig("runs/a", policy="gold", ray="ray://host:10001")


# --- Ray ----------------------------------------------------------------------------------------


def test_without_ray_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("os.environ", dict(os.environ))
    astra.ArenaSet.of([single_hop_arena()], tmp_path / "run")
    assert cli.run(["arenas", "certify", str(tmp_path / "run"), "--ray", "local"]) == 2
    assert "pip install 'astra-arenas[ray]'" in capsys.readouterr().err
