"""Runs of a benchmark: scores, failures, resuming, what is asked, what is compared."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from astra.cli import benchmark_report
from astra.cli.main import run as run_command
from astra.configs.benchmarks import Tau2Config
from astra.errors import ConfigError, HostError, ModelUnavailable, StageError
from astra.evaluation.benchmarks.environments import environment_of
from astra.evaluation.benchmarks.process import TIME_LIMIT
from astra.evaluation.benchmarks.records import BenchmarkEpisode, RecordedReply
from astra.evaluation.benchmarks.report import compare_benchmarks
from astra.evaluation.benchmarks.run import episodes_of, estimate, run_benchmark
from astra.models.openai import OpenAIModel, Retries
from astra.models.scripted import calling
from astra.types import Json, Message
from tests.field_benchmarks.conftest import TOY, Player, ToyConfig, solve
from tests.support.model_server import ModelServer, ModelServerFault


def calls_of(tool: str, number: int) -> Any:
    """A player that calls a tool in one task, and solves the others."""

    def answer(messages: Sequence[Json]) -> Message:
        question = messages[0]["content"]
        if question == f"What is {number} + 1?" and messages[-1]["role"] == "user":
            return calling((tool, {}))
        return solve(messages)

    return answer


# --- scores -------------------------------------------------------------------------------------


async def test_gold_solves_all_and_null_nothing(environments: Path) -> None:
    _, gold = await run_benchmark(TOY, ToyConfig(policy="gold", trials=2), environments)
    _, null = await run_benchmark(TOY, ToyConfig(policy="null"), environments)
    assert gold.score is not None and null.score is not None
    assert (gold.score.mean, null.score.mean) == (1.0, 0.0)
    assert gold.pass_k == {"1": 1.0, "2": 1.0} and gold.by_trial == [1.0, 1.0]
    assert {name: category.tasks for name, category in gold.categories.items()} == {
        "small": 5,
        "large": 3,
    }
    assert gold.averages == {"both": 1.0} and gold.errors == {"solved": 16}
    assert null.errors == {"wrong_sum": 8} and null.over_trials is None


async def test_trials_give_pass_k_and_the_variation_between_runs(environments: Path) -> None:
    answers = iter([True, True, False, True])

    def answer(messages: Sequence[Json]) -> Message:
        if messages[-1]["role"] == "user":
            return solve(messages)
        return solve(messages) if next(answers) else Message(role="assistant", content="0")

    config = ToyConfig(model=Player(answer), tasks=2, trials=2, concurrency=1)
    folder, summary = await run_benchmark(TOY, config, environments)
    assert summary.score is not None and summary.over_trials is not None
    assert summary.score.mean == 0.75 and summary.by_trial == [0.5, 1.0]
    assert summary.pass_k == {"1": 0.75, "2": 0.5}
    assert (summary.over_trials.low, summary.over_trials.high) == (0.5, 1.0)
    assert [episode.key for episode in episodes_of(folder)] == [
        ("sum_0", 0),
        ("sum_0", 1),
        ("sum_1", 0),
        ("sum_1", 1),
    ]


async def test_the_same_run_gives_the_same_bytes(environments: Path, tmp_path: Path) -> None:
    for out in ("a", "b"):
        config = ToyConfig(model=Player(), trials=2, out=tmp_path / out)
        await run_benchmark(TOY, config, environments)
    for file in ("episodes.jsonl", "report.json", "benchmark.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


async def test_reasoning_stays_with_the_model_and_tools_come_as_they_are(
    environments: Path,
) -> None:
    player = Player()
    folder, _ = await run_benchmark(TOY, ToyConfig(model=player, tasks=1), environments)
    (episode,) = episodes_of(folder)
    assert episode.detail == "1"  # what the benchmark saw of the last message
    assert episode.messages[-1].reasoning == "It is a sum."
    shown = player.tools[0][0].openai()["function"]
    assert shown["response"] == {"type": "integer"} and shown["name"] == "add"


# --- failures -----------------------------------------------------------------------------------


async def test_a_tool_that_hangs_costs_its_time_limit(environments: Path) -> None:
    player = Player(calls_of("hang", 2))
    config = ToyConfig(model=player, step_timeout=0.5)
    started = time.monotonic()
    folder, summary = await run_benchmark(TOY, config, environments)
    assert time.monotonic() - started < 8
    assert summary.errors == {"solved": 7, TIME_LIMIT: 1} and not summary.infrastructure_failures
    assert [e.task for e in episodes_of(folder) if e.error == TIME_LIMIT] == ["sum_2"]


@pytest.mark.parametrize("tool", ["die", "raise"])
async def test_a_benchmark_that_breaks_is_not_the_models_failure(
    environments: Path, tmp_path: Path, tool: str
) -> None:
    config = ToyConfig(model=Player(calls_of(tool, 2)), out=tmp_path / "run")
    _, summary = await run_benchmark(TOY, config, environments)
    assert (summary.episodes, summary.infrastructure_failures) == (7, 1)
    assert summary.score is not None and summary.score.mean == 1.0
    # What broke is played again, from the replies on record.
    assert not (tmp_path / "run" / "report.json").exists()
    again = Player()
    config = ToyConfig(model=again, out=tmp_path / "run")
    _, summary = await run_benchmark(TOY, config, environments)
    assert (summary.episodes, summary.infrastructure_failures) == (7, 1) and not again.asked


async def test_what_a_tool_prints_is_no_line_of_the_protocol(environments: Path) -> None:
    config = ToyConfig(model=Player(calls_of("loud", 0)), tasks=1)
    folder, _ = await run_benchmark(TOY, config, environments)
    (episode,) = episodes_of(folder)
    assert episode.detail == "printed" and episode.score == 0


def test_faults_of_an_endpoint_change_no_score_and_a_dead_one_gives_none(
    environments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = OpenAIModel.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "retries", Retries(first_wait=0.01))

    def respond(index: int, body: Json) -> Any:
        if index % 5 == 4:
            return ModelServerFault(("status", "reset", "not_json", "truncated")[index // 5 % 4])
        return solve(body["messages"])

    with ModelServer(respond) as server:
        config = ToyConfig(model="m", base_url=server.url, trials=2, out=tmp_path / "faults")
        _, summary = asyncio.run(run_benchmark(TOY, config, environments))
        url = server.url
    assert summary.score is not None and summary.score.mean == 1.0
    assert not summary.infrastructure_failures and summary.usage.prompt_tokens == 10 * 32
    dead = ToyConfig(model="m", base_url=url, tasks=30, out=tmp_path / "dead")
    with pytest.raises(StageError, match="20 episodes in a row broke"):
        asyncio.run(run_benchmark(TOY, dead, environments))
    assert not (tmp_path / "dead" / "report.json").exists()
    assert (tmp_path / "dead" / "episodes.jsonl").read_bytes() == b""


def test_the_exit_status_says_that_episodes_are_missing(
    environments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(messages: Sequence[Json]) -> Message:
        if messages[0]["content"] == "What is 0 + 1?":
            raise ModelUnavailable("refused")
        return solve(messages)

    config = ToyConfig(model=Player(refuse), environments=environments, out=tmp_path / "run")
    assert benchmark_report.evaluate_by(TOY, config, as_json=True) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["infrastructure_failures"] == 1 and printed["score"]["mean"] == 1.0
    # The same command plays what broke, and nothing else.
    again = Player()
    config = ToyConfig(model=again, environments=environments, out=tmp_path / "run")
    assert benchmark_report.evaluate_by(TOY, config, as_json=True) == 0
    assert {messages[0].content for messages in again.asked} == {"What is 0 + 1?"}
    assert json.loads(capsys.readouterr().out)["errors"] == {"solved": 8}
    config = ToyConfig(model=Player(refuse), tasks=1, environments=environments)
    assert benchmark_report.evaluate_by(TOY, config, as_json=False) == 1
    assert "No episode could be scored" in capsys.readouterr().out
    config = ToyConfig(policy="null", environments=environments)
    assert benchmark_report.evaluate_by(TOY, config, as_json=False) == 0


# --- resuming -----------------------------------------------------------------------------------

_KILLED = """
import asyncio, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from astra.evaluation.benchmarks.run import run_benchmark
from tests.field_benchmarks.conftest import TOY, ToyConfig
config = ToyConfig(model="m", base_url={url!r}, out={out!r}, concurrency=4)
asyncio.run(run_benchmark(TOY, config, Path({environments!r})))
"""


def test_nothing_is_asked_twice_after_a_kill(environments: Path, tmp_path: Path) -> None:
    async def slow(index: int, body: Json) -> Any:
        await asyncio.sleep(30 if index == 11 else 0.01)
        return solve(body["messages"])

    out = tmp_path / "run"
    with ModelServer(slow) as server:
        root = str(Path(__file__).parents[2])
        script = _KILLED.format(
            root=root, url=server.url, out=str(out), environments=str(environments)
        )
        process = subprocess.Popen([sys.executable, "-c", script], cwd=root)
        deadline = time.monotonic() + 60
        while len(server.seen) < 12 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    recorded = (out / "replies.jsonl").read_text().splitlines()
    asked = [json.dumps(seen.body["messages"]) for seen in server.seen]
    with ModelServer(lambda _, body: solve(body["messages"])) as second:
        config = ToyConfig(model="m", base_url=second.url, out=out, concurrency=4)
        _, summary = asyncio.run(run_benchmark(TOY, config, environments))
    assert summary.score is not None and summary.score.mean == 1.0
    assert len(recorded) + len(second.seen) == 16
    # Only those whose answer had not come were asked again.
    again = [json.dumps(seen.body["messages"]) for seen in second.seen]
    assert len(set(asked) & set(again)) == len(asked) - len(recorded)
    assert summary.usage.prompt_tokens == 160


async def test_a_recorded_reply_answers_only_what_was_shown_then(
    environments: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    await run_benchmark(TOY, ToyConfig(model=Player(), tasks=1, out=out), environments)
    (out / "report.json").unlink()
    (out / "episodes.jsonl").write_bytes(b"")
    replies = [
        RecordedReply.model_validate_json(line)
        for line in (out / "replies.jsonl").read_text().splitlines()
    ]
    stale = replies[1].model_copy(update={"digest": "of another conversation"})
    rows = [replies[0].model_dump_json(), stale.model_dump_json()]
    (out / "replies.jsonl").write_text("\n".join(rows) + "\n")
    player = Player()
    await run_benchmark(TOY, ToyConfig(model=player, tasks=1, out=out), environments)
    assert len(player.asked) == 1 and player.asked[0][-1].role == "tool"


async def test_a_finished_run_asks_nothing_and_other_options_are_refused(
    environments: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    _, first = await run_benchmark(TOY, ToyConfig(model=Player(), out=out), environments)
    player = Player()
    _, again = await run_benchmark(TOY, ToyConfig(model=player, out=out), environments)
    assert first == again and not player.asked
    with pytest.raises(ConfigError, match="other options"):
        await run_benchmark(TOY, ToyConfig(model=Player(), trials=2, out=out), environments)


# --- what is asked ------------------------------------------------------------------------------


async def test_a_dry_run_asks_nothing(environments: Path) -> None:
    player = Player()
    config = ToyConfig(model=player, trials=3, limit=2, dry_run=True)
    expected = await estimate(TOY, config, environments)
    assert (expected.tasks, expected.episodes, expected.requests) == (4, 12, 24)
    assert expected.prompt_tokens > 0 and not player.asked


async def test_a_model_without_function_calling_reads_and_writes_text(environments: Path) -> None:
    def answer(messages: Sequence[Json]) -> Message:
        last = messages[-1]
        if "<tool_response>" in last["content"]:
            return Message(role="assistant", content=last["content"].split("\n")[1])
        number = int(last["content"].split()[2])
        call = f'{{"name": "add", "arguments": {{"a": {number}, "b": 1}}}}'
        return Message(role="assistant", content=f"<tool_call>\n{call}\n</tool_call>")

    player = Player(answer)
    config = ToyConfig(model=player, tasks=3, function_calling="prompt")
    folder, summary = await run_benchmark(TOY, config, environments)
    assert summary.score is not None and summary.score.mean == 1.0
    assert all(not tools for tools in player.tools)
    system, user, assistant, result = player.asked[-1]
    assert '"name": "add"' in system.content and user.content.startswith("What is")
    assert not assistant.tool_calls and "<tool_call>" in assistant.content
    assert (result.role, result.tool_call_id) == ("user", None)
    for episode in episodes_of(folder):
        assert [m.role for m in episode.messages] == ["user", "assistant", "tool", "assistant"]
        assert episode.messages[1].tool_calls[0].tool == "add"


async def test_a_model_may_play_the_user(environments: Path, tmp_path: Path) -> None:
    def want(messages: Sequence[Json]) -> Message:
        if len(messages) == 1:
            return Message(role="assistant", content=messages[0]["content"][21:])
        right = messages[1]["content"] == "2" and "what 2" not in messages[0]["content"]
        return Message(role="assistant", content="Thanks." if right else "No.")

    def reply(messages: Sequence[Json]) -> Message:
        assert len(messages) == 1 and messages[0]["role"] == "user"
        return Message(role="assistant", content="2", reasoning="1 + 1")

    def conversing(config: Tau2Config) -> dict[str, Any]:
        return {"tasks": 3, "user": True}

    benchmark = dataclasses.replace(TOY, options=conversing)
    user, agent = Player(want), Player(reply)
    config = Tau2Config(categories=["retail"], model=agent, user_model=user, out=tmp_path / "run")
    folder, summary = await run_benchmark(benchmark, config, environments)
    assert [episode.score for episode in episodes_of(folder)] == [1, 1, 0]
    assert (len(agent.asked), len(user.asked)) == (3, 6)
    assert all(not message.reasoning for asked in user.asked for message in asked)
    # Both are on record.
    (tmp_path / "run" / "report.json").unlink()
    (tmp_path / "run" / "episodes.jsonl").write_bytes(b"")
    _, again = await run_benchmark(benchmark, config, environments)
    assert again == summary and (len(agent.asked), len(user.asked)) == (3, 6)


# --- environments -------------------------------------------------------------------------------


def test_an_environment_that_is_not_there_or_not_whole_is_named(
    environments: Path, tmp_path: Path
) -> None:
    python, packages = environment_of(TOY, environments)
    assert python.exists() and packages["toy-sums"] == "1.0"
    with pytest.raises(ConfigError, match="astra evaluate setup toy"):
        environment_of(TOY, tmp_path)
    (tmp_path / "toy").mkdir()
    mark = json.loads((environments / "toy" / "installed.json").read_text())
    mark["wanted"][0] = "toy-sums==0.9"
    (tmp_path / "toy" / "installed.json").write_text(json.dumps(mark))
    with pytest.raises(ConfigError, match="no complete environment"):
        environment_of(TOY, tmp_path)


async def test_a_worker_that_cannot_start_says_why(environments: Path) -> None:
    with pytest.raises(HostError, match="can't start: ValueError: 99 sums are too many"):
        await run_benchmark(TOY, ToyConfig(policy="null", tasks=99), environments)


# --- comparing ----------------------------------------------------------------------------------


def episode(task: str, trial: int, score: float, category: str = "small") -> BenchmarkEpisode:
    return BenchmarkEpisode.model_validate(
        {
            "task": task,
            "trial": trial,
            "score": score,
            "category": category,
            "messages": (),
            "usage": {},
        }
    )


def test_a_comparison_is_paired_by_task() -> None:
    first = [episode("a", 0, 1), episode("a", 1, 0), episode("b", 0, 1), episode("c", 0, 1)]
    second = [episode("a", 0, 0), episode("b", 0, 1, "small"), episode("d", 0, 0)]
    comparison = compare_benchmarks(first, second)
    assert (comparison.only_first, comparison.only_second) == (1, 1)
    assert (comparison.all.tasks, comparison.all.better, comparison.all.worse) == (2, 1, 0)
    assert comparison.all.difference.mean == 0.25
    assert comparison.all.first_pass_k == {"1": 0.75}
    with pytest.raises(ConfigError, match="no task in common"):
        compare_benchmarks(first[:1], second[1:])
    with pytest.raises(ConfigError, match="the second run has no scored episode"):
        compare_benchmarks(first, [])


def test_comparisons_are_tables_of_every_form(
    environments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [tmp_path / "gold_1", tmp_path / "null"]
    for run, policy in zip(runs, ("gold", "null"), strict=True):
        config = ToyConfig(policy=policy, out=run, trials=2)  # type: ignore[arg-type]
        asyncio.run(run_benchmark(TOY, config, environments))
    words = ["evaluate", "compare", *map(str, runs)]
    assert run_command([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["all"]["difference"]["mean"] == 1.0 and printed["all"]["better"] == 8
    assert run_command([*words, "--table", "markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("| --- |") and "| small | 5 | 1.000 | 0.000 | +1.000 |" in lines[2]
    assert run_command([*words, "--table", "latex"]) == 0
    latex = capsys.readouterr().out
    assert "gold\\_1" in latex and latex.startswith("\\begin{tabular}{lrrrrrrrrr}")
    assert run_command(words) == 0
    assert "small" in capsys.readouterr().out
