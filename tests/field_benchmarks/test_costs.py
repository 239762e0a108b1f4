"""What a run of a benchmark costs, by the user's prices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astra.cli.benchmark_report import evaluate_by, print_benchmark
from astra.errors import ConfigError
from astra.evaluation.benchmarks.records import BenchmarkSummary
from astra.evaluation.benchmarks.report import summarize
from astra.types import Usage
from tests.field_benchmarks.conftest import TOY, ToyConfig, solve
from tests.support.model_server import ModelServer


def answer(index: int, body: Any) -> Any:
    return solve(body["messages"])


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    file = tmp_path / "prices.toml"
    file.write_text('[prices."m"]\ninput = 2.0\noutput = 10.0\n')
    return file


def test_money_is_that_of_all_tokens(
    environments: Path, prices: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ModelServer(answer) as server:
        options: dict[str, Any] = {"model": "m", "base_url": server.url, "progress": False}
        config = ToyConfig(environments=environments, prices=prices, **options)
        assert evaluate_by(TOY, config, as_json=True) == 0
        report = json.loads(capsys.readouterr().out)
        usage = Usage(**report["usage"])
        assert usage.prompt_tokens > 0
        expected = (usage.prompt_tokens * 2 + usage.completion_tokens * 10) / 1e6
        assert report["money"] == pytest.approx(expected)
        assert evaluate_by(TOY, ToyConfig(environments=environments, **options), as_json=False) == 0
        assert "money: unknown (no --prices)" in capsys.readouterr().out


def test_a_dry_run_tells_the_money(
    environments: Path, prices: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ToyConfig(model="m", environments=environments, prices=prices, dry_run=True)
    assert evaluate_by(TOY, config, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    expected = (told["prompt_tokens"] * 2 + told["completion_tokens"] * 10) / 1e6
    assert told["money"] == pytest.approx(expected) and told["money"] > 0


def test_a_model_without_a_price_is_named(environments: Path, prices: Path) -> None:
    config = ToyConfig(model="other", environments=environments, prices=prices, dry_run=True)
    with pytest.raises(ConfigError, match=r'prices\."other"'):
        evaluate_by(TOY, config, as_json=True)


def test_tokens_of_the_user_are_shown_apart(capsys: pytest.CaptureFixture[str]) -> None:
    summary: BenchmarkSummary = summarize(TOY, [], [], [], ToyConfig(policy="gold"))
    user = Usage(prompt_tokens=7, completion_tokens=3)
    print_benchmark(summary.model_copy(update={"user_usage": user}), None, 1.5)
    printed = capsys.readouterr().out
    assert "the user's model: 7 tokens of prompts" in printed and "money: 1.5000" in printed
