"""A benchmark that needs no packages, and who plays it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import pytest

from astra.configs.benchmarks import BenchmarkConfig
from astra.evaluation.benchmarks.environments import Benchmark, set_up, wanted_packages
from astra.models.scripted import calling
from astra.types import Json, Message
from tests.support import toy_benchmark

SCRIPT = Path(toy_benchmark.__file__)


@dataclass(frozen=True)
class ToyConfig(BenchmarkConfig):
    """Sums."""

    _: KW_ONLY
    tasks: int = 8
    """Number of tasks."""
    trials: int = 1
    """Episodes of each."""

    @property
    def repetitions(self) -> int:
        return self.trials


def toy_options(config: ToyConfig) -> dict[str, Any]:
    return {"tasks": config.tasks}


def toy_averages(means: dict[str, float], tasks: dict[str, int]) -> dict[str, float]:
    return {"both": sum(means.values()) / 2} if len(means) == 2 else {}


TOY = Benchmark(
    name="toy",
    packages=("toy-sums==1.0",),
    requirements=(),
    script=str(SCRIPT),
    options=toy_options,
    averages=toy_averages,
)


def installed(benchmark: Benchmark) -> Path:
    """The folder of environments, in which that of a benchmark is complete."""
    named = os.environ.get("ASTRA_BENCHMARKS")
    folder = Path(named) if named else Path.home() / ".cache" / "astra" / "benchmarks"
    set_up(benchmark, folder)
    return folder


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environments among which that of the toy benchmark is complete."""
    folder = tmp_path_factory.mktemp("environments")
    (folder / "toy" / "bin").mkdir(parents=True)
    (folder / "toy" / "bin" / "python").symlink_to(sys.executable)
    mark = {"wanted": wanted_packages(TOY), "packages": {"toy-sums": "1.0", "other": "2"}}
    (folder / "toy" / "installed.json").write_text(json.dumps(mark))
    return folder


def solve(messages: Sequence[Json]) -> Message:
    """What solves a task of the toy benchmark: a call, then its result."""
    last = messages[-1]
    if last["role"] == "tool":
        return Message(role="assistant", content=last["content"], reasoning="It is a sum.")
    question = next(m["content"] for m in messages if m["role"] == "user")
    return calling(("add", {"a": int(question.split()[2]), "b": 1}))


class Player:
    """A model that plays by a function of the conversation, and counts what it is asked."""

    def __init__(self, answer: Callable[[Sequence[Json]], Message] = solve) -> None:
        self._answer = answer
        self.asked: list[Sequence[Message]] = []
        self.tools: list[Any] = []

    @property
    def name(self) -> str:
        return "player"

    async def generate(self, messages: Sequence[Message], tools: Any, sampling: Any) -> Message:
        self.asked.append(tuple(messages))
        self.tools.append(tools)
        return self._answer([message.model_dump() for message in messages])
