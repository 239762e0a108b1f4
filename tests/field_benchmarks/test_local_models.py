"""Local models that play a benchmark: alone or several episodes at once, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from astra.evaluation.benchmarks.records import BenchmarkEpisode, BenchmarkSummary
from astra.evaluation.benchmarks.run import episodes_of, run_benchmark
from astra.training.sft.rows import ConversationRow
from astra.types import Message
from recipes.nano.model import make_nano
from recipes.nano.options import NanoOptions
from tests.field_benchmarks.conftest import TOY, ToyConfig


def nano(folder: Path, max_length: int) -> Path:
    """An untrained model."""
    told = [Message(role="user", content="What is 1 + 1?"), Message(role="assistant", content="2")]
    row = ConversationRow(messages=tuple(told), tools=())
    make_nano([row], folder, NanoOptions(vocabulary=300, width=32, max_length=max_length))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano(tmp_path_factory.mktemp("model"), 1024)


async def played(
    model: Path, environments: Path, concurrency: int | None
) -> tuple[list[BenchmarkEpisode], BenchmarkSummary]:
    config = ToyConfig(
        model=model,
        temperature=0.0,
        max_tokens=6,
        concurrency=concurrency,
        function_calling="native",
    )
    folder, summary = await run_benchmark(TOY, config, environments)
    return list(episodes_of(folder)), summary


async def test_episodes_at_once_are_those_of_one_after_the_other(
    model: Path, environments: Path
) -> None:
    alone, summary = await played(model, environments, None)
    together, _ = await played(model, environments, 4)
    assert alone == together and len(alone) == 8
    assert len({episode.messages[-1].content for episode in alone}) > 1
    # An untrained model does not come to an end.
    assert summary.cut == 8 and all(episode.cut for episode in alone)
    assert summary.usage.completion_tokens == 48 and not summary.infrastructure_failures


async def test_a_conversation_that_does_not_fit_is_the_models_failure_and_counted(
    tmp_path: Path, environments: Path
) -> None:
    episodes, summary = await played(nano(tmp_path / "model", 128), environments, 2)
    assert summary.cut == 8 and summary.score is not None and summary.score.mean == 0
    assert summary.usage.completion_tokens == 0 and not summary.infrastructure_failures
    assert {episode.messages[-1].content for episode in episodes} == {""}
