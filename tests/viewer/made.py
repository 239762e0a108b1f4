"""Run folders of every kind for the tests of the pages, and a client that asks for pages."""

from __future__ import annotations

import asyncio
import html
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import httpx2

import astra
from astra.arenas.certificates import Certificate, CheckResult
from astra.arenas.folder import write_arenas
from astra.cli.main import run as run_command
from astra.episodes import Episode, Score, Tokens
from astra.evaluation.benchmarks.environments import wanted_packages
from astra.evaluation.benchmarks.run import run_benchmark
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.manifest import StageCounts
from astra.types import (
    Arena,
    CallRecord,
    CallStatus,
    Distractor,
    Json,
    Message,
    StopReason,
    ToolCallRequest,
    Trajectory,
    Usage,
)
from astra.viewer.server import view_app
from astra.viewer.shelf import Shelf
from astra.viewer.site import Site
from tests.field_benchmarks.conftest import TOY, ToyConfig
from tests.support.arenas import calories_tool, changed, good_arenas, stamped, university_tool
from tests.support.desk import desk_arena
from tests.support.talking_desk import talking_desk

ROOT = Path(__file__).parents[2]
BASE = "http://127.0.0.1:7070/"
CHINESE = "德国的首都是哪座城市？"
ARABIC = "ما هي عاصمة ألمانيا؟"
HEBREW = "מהי בירת גרמניה?"
GOLD_AND_RANDOM = ("gold", "random")
_LINK = re.compile(r'(?:href|src|action)="([^"]*)"')


def world() -> list[Arena]:
    """One arena of each shape, with distractors of two bands, and in other languages."""
    shapes = good_arenas()
    shown = (
        Distractor.of(calories_tool(), "low", 0.117),
        Distractor.of(university_tool(), "high", 0.842),
    )
    arenas = [
        changed(arena, distractors=shown[: 2 if name in ("plain", "single_hop", "parallel") else 1])
        for name, arena in shapes.items()
    ]
    first = arenas[0]
    for language, question in (("zh", CHINESE), ("en", ARABIC), ("en", HEBREW)):
        origin = {**first.provenance, "key": question, "level": len(arenas)}
        arenas.append(
            changed(first, language=language, question=question, split="test", provenance=origin)
        )
    return arenas


def examined(arena: Arena) -> Certificate:
    """A certificate with evidence, as a check leaves it."""
    certificate = stamped(arena)
    first, *rest = certificate.checks
    told = first.model_copy(update={"evidence": {"calls replayed": 7, "same results": True}})
    return certificate.model_copy(update={"checks": (told, *rest), "seconds": 1.25})


def failed(arena: Arena) -> Certificate:
    """The certificate of an arena that fails one check."""
    certificate = stamped(arena)
    wrong = CheckResult(
        check="necessity", passed=False, reason="goal g1 can be skipped", evidence={"skipped": "g1"}
    )
    return certificate.model_copy(update={"certified": False, "checks": (wrong,)})


def write_world(path: Path) -> list[Arena]:
    """Arenas, of which the third fails a check and the fourth was not examined, and failures."""
    arenas = world()
    certificates = [examined(arena) for arena in arenas[:2]] + [failed(arenas[2])]
    certificates += [examined(arena) for arena in arenas[4:]]
    folder = RunFolder.create(path, {"command": "make_arenas", "count": len(arenas)})
    write_arenas(folder, arenas, (), certificates)
    rows = [
        FailureRow(
            key="capitals 3",
            stage="candidates",
            kind="rejected",
            check="uniqueness",
            message="two calls give the same answer",
        ),
        FailureRow(
            key="capitals 4",
            stage="candidates",
            kind="error",
            type="SandboxDied",
            message="the sandbox ended",
        ),
    ]
    with folder.lock(), folder.append("candidates.failed") as log:
        log.append([to_line(row) for row in rows])
    counts = StageCounts(
        accepted=len(arenas),
        rejected={"uniqueness": 1},
        errors={"SandboxDied": 1},
        seconds=75.0,
        usage=Usage(prompt_tokens=1200, completion_tokens=34),
        dollars=0.25,
    )
    with folder.lock():
        folder.record_stage("candidates", counts)
    return arenas


def write_training(path: Path, arenas: Sequence[Arena], seed: int = 0) -> None:
    """Logs of a training run: metrics, credit, rollouts with their tokens."""
    folder = RunFolder.create(path, {"command": "train_rl", "algorithm": "acpo"})
    metrics: list[Json] = [
        {
            "step": step,
            "seconds": 2.5 * step,
            "reward": 0.2 + 0.07 * step - 0.01 * seed * step,
            "entropy": 1.5 - 0.1 * step,
        }
        for step in range(1, 9)
    ]
    steps = [
        {
            "text": f"call number {number}",
            "tokens": 12 + number,
            "entropy": 0.25 + 0.5 * number,
            "contribution": (0.75, -0.25, None)[number],
            "z": 0.5,
            "weight": 1.25,
            "advantage": (1.5, -0.5, 0.0)[number],
            "crucial": number == 0,
            "counterfactual": 0.625 if number == 0 else None,
        }
        for number in range(3)
    ]
    credit: list[Json] = [
        {
            "id": f"c{seed}{number:015x}",
            "step": number,
            "task": arena.id,
            "reward": 0.5,
            "advantage": 0.125 * number,
            "phase": "exploration",
            "attribution": "solved_by",
            "steps": steps,
            "agreement": 0.875,
        }
        for number, arena in enumerate(arenas)
    ]
    with folder.lock():
        for name, rows in (("metrics", metrics), ("credit", credit)):
            with folder.append(name) as log:
                log.append([json.dumps(row).encode() + b"\n" for row in rows])
        with folder.append("conversations") as log:
            log.append([to_line(sampled(arena)) for arena in arenas[:1]])


def sampled(arena: Arena) -> Episode:
    """An episode of two replies with tokens: one call that solves a goal, then the answer."""
    request = ToolCallRequest(
        id="call_0_0", tool="capital_of_country", arguments='{"country": "Germany"}'
    )
    messages = (
        Message(role="system", content="You have tools."),
        Message(role="user", content=arena.question),
        Message(role="assistant", reasoning="I look it up.", tool_calls=(request,)),
        Message(role="tool", content='{"capital": "Berlin"}', tool_call_id="call_0_0"),
        Message(role="assistant", content="Berlin."),
    )
    call = CallRecord(
        id="call_0_0",
        turn=0,
        tool="capital_of_country",
        arguments={"country": "Germany"},
        status=CallStatus.ok,
        result={"capital": "Berlin"},
    )
    mask = (False,) * 4 + (True,) * 3 + (False,) * 2 + (True,) * 2
    return Episode(
        arena=arena.id,
        trajectory=Trajectory(
            task=arena.id,
            messages=messages,
            calls=(call,),
            stop=StopReason.answered,
            turns=2,
        ),
        score=Score(
            goals=1,
            solved=1,
            calls=1,
            recall=1.0,
            precision=1.0,
            f1=1.0,
            reward=1.0,
            increments=(1.0, 0.0),
            solved_by={"g1": "call_0_0"},
            answer_correct=True,
        ),
        tokens=Tokens(
            ids=tuple(range(100, 111)),
            policy_mask=mask,
            logprobs=tuple(-0.25 * number if wrote else 0.0 for number, wrote in enumerate(mask)),
        ),
    )


def write_benchmarks(path: Path) -> None:
    """Two runs of the toy benchmark, one that solves all and one that solves nothing."""
    environments = path / ".environments"
    (environments / "toy" / "bin").mkdir(parents=True)
    (environments / "toy" / "bin" / "python").symlink_to(sys.executable)
    mark = {"wanted": wanted_packages(TOY), "packages": {"toy-sums": "1.0"}}
    (environments / "toy" / "installed.json").write_text(json.dumps(mark), "utf-8")
    for policy, tasks in (("gold", 8), ("null", 6)):
        config = ToyConfig(policy=policy, tasks=tasks, out=path / f"toy-{policy}")
        asyncio.run(run_benchmark(TOY, config, environments))


def write_trajectories(path: Path) -> None:
    """Servers that were collected, and judged conversations by the rule teacher."""
    data = ROOT / "examples" / "tools"
    sources = [str(data / "openapi.yaml"), str(data / "tools.json")]
    tools, talks = str(path / "tools"), str(path / "talks")
    assert run_command(["tools", "collect", *sources, "--teacher", "rules", "--out", tools]) == 0
    teacher = ["--teacher", "rules", "--model", "scripted", "--user", "simulated"]
    made = ["trajectories", "make", "--tools", tools, *teacher, "--count", "3", "--out", talks]
    assert run_command(made) == 0


def write_all(path: Path) -> None:
    """A run folder of each kind below a path. `world-half`: some arenas solved, some not, two of
    them played twice."""
    arenas = write_world(path / "world")
    desk = [desk_arena(), talking_desk()]
    write_arenas(RunFolder.create(path / "desk", {"count": 2}), desk, (), map(examined, desk))
    played = [*(("world", policy) for policy in GOLD_AND_RANDOM)]
    played += [("desk", "gold"), ("desk", "careless")]
    for run, policy in played:
        astra.evaluate(
            path / run, split="train", policy=policy, out=path / f"{run}-{policy}", uncertified=True
        )
    halves = [(path / f"world-{name}" / "episodes.jsonl").read_bytes() for name in GOLD_AND_RANDOM]
    gold, random = (half.splitlines(keepends=True) for half in halves)
    half = RunFolder.create(path / "world-half", {"command": "evaluate"})
    with half.lock():
        half.replace("episodes.jsonl", [*gold[:3], *random[2:], *gold[4:]])
    write_benchmarks(path)
    write_trajectories(path)
    write_training(path / "rl", arenas[:3])
    write_training(path / "rl-other", arenas[:2], seed=1)


class Pages:
    """A client of the pages."""

    def __init__(self, *paths: Path, base: str = BASE, **options: Any) -> None:
        self.site = Site(Shelf(paths))
        self.app = view_app(self.site, **options)
        self.base = base

    def ask(self, address: str, method: str = "GET", **options: Any) -> httpx2.Response:
        """What comes for an address, redirects not followed."""

        async def asked() -> httpx2.Response:
            transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url=self.base) as client:
                return await client.request(method, address, **options)

        return asyncio.run(asked())

    def text(self, address: str) -> str:
        """The page at an address as it is read: without tags. It has to be there."""
        answer = self.ask(address)
        assert answer.status_code == 200, (address, answer.status_code, answer.text[-2000:])
        return plain(answer.text)

    def crawl(self, start: str = "index.html", *, most: int = 1000) -> dict[str, httpx2.Response]:
        """Every page that links lead to, by its address without a query."""
        seen: dict[str, httpx2.Response] = {}
        waiting = [urljoin(self.base, start)]
        while waiting and len(seen) < most:
            address = waiting.pop()
            if address in seen:
                continue
            answer = seen[address] = self.ask(address)
            if not answer.headers["content-type"].startswith("text/html"):
                continue
            for link in _LINK.findall(answer.text):
                led = urljoin(address, html.unescape(link)).partition("#")[0]
                assert led.startswith(self.base), f"{address} leads to {led}"
                # The same rows in another order lead nowhere else.
                if led not in seen and "sort=" not in led:
                    waiting.append(led)
        return {unquote(address.removeprefix(self.base)): seen[address] for address in seen}


def plain(page: str) -> str:
    """The text of a page, each run of white space as one space."""
    text = html.unescape(
        re.sub(r"<(?:script|style)\b.*?</(?:script|style)>", " ", page, flags=re.S)
    )
    text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return re.sub(r"\s+", " ", text)
