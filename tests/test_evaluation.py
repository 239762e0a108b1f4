"""Evaluation: what is averaged, what is excluded, what is stored."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astra.arenas.sets import ArenaSet
from astra.cli.main import run as run_command
from astra.configs.evaluation import EvaluateConfig
from astra.configs.training import TrainRLConfig
from astra.core.intervals import Interval, bootstrap
from astra.errors import ConfigError, ModelUnavailable, SandboxDied, StageError, StoreError
from astra.evaluation.arenas import PlayedEpisode, play, score_episode, tallied
from astra.evaluation.evaluate import EvaluationReport, compare, evaluate
from astra.models.policies import policy
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.training.rl.train import open_environment
from astra.types import Arena, Distractor, Message, StopReason
from tests.support.arenas import stamped
from tests.support.fakes import FakeModel, InProcessSandbox, document, toy_arena, toy_tool
from tests.support.sandbox_server import RunCodeServer

LIMITS = RolloutLimits()
KEYS = [
    "arenas",
    "episodes",
    "f1",
    "recall",
    "precision",
    "solved",
    "calls",
    "infrastructure_failures",
]


def arenas(count: int = 12) -> list[Arena]:
    return [
        toy_arena(1 + i % 5, language=("en", "zh")[i % 2], domain=f"d{i}") for i in range(count)
    ]


def shown(some: list[Arena]) -> Any:
    far = Distractor.of(toy_tool("far"), "random")
    return (arena.model_copy(update={"distractors": (far,)}) for arena in some)


async def evaluate_arenas(*args: Any, seed: int = 0, store: Any = None, **options: Any) -> Any:
    return await tallied(play(*args, seed=seed, **options), seed, store)


async def run(player: Any, some: list[Arena] | None = None, **options: Any) -> Any:
    return await evaluate_arenas(
        shown(some or arenas()), player, InProcessSandbox(), LIMITS, **options
    )


def down(*_: Any) -> FakeModel:
    return FakeModel(lambda m, t, s: ModelUnavailable("down"))


@pytest.mark.parametrize(("name", "f1"), [("gold", 1.0), ("null", 0.0), ("shuffled", 2 / 3)])
async def test_reference_policies_have_their_known_scores(name: Any, f1: float):
    report = await run(lambda arena, sample: policy(name, arena))
    assert report.f1.mean == f1
    assert report.f1.low == pytest.approx(f1) == report.f1.high
    assert report.infrastructure_failures == 0
    assert report.stop_reasons == {"answered": 12}


async def test_random_is_reproducible_and_between():
    keys = document("look_0", {"key": {"enum": ["a", "b", "c"]}})
    easy = toy_tool("look_0").model_copy(update={"document": keys})
    some = [toy_arena(1, tools=(easy,), domain=f"d{i}") for i in range(12)]
    reports = [
        await run(lambda a, s: policy("random", a, 3 + s), some, samples=2) for _ in range(2)
    ]
    assert reports[0] == reports[1]
    assert reports[0].episodes == 24 and 0 < reports[0].f1.mean < 1


async def test_the_report_as_json():
    report = json.loads((await run(lambda a, s: policy("gold", a))).model_dump_json())
    assert list(report)[: len(KEYS)] == KEYS
    assert report["f1"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "groups": 12}
    assert report["arenas"] == report["episodes"] == 12
    assert report["solved"] == report["calls"] == pytest.approx(2.75)
    assert set(report["by_hops"]) == {"1", "2", "3", "4", "5"}
    assert report["by_language"]["zh"]["episodes"] == 6
    assert report["by_scenario"]["single_hop"]["f1"] == 1.0


async def test_failures_of_ours_are_excluded_and_their_rate_is_told():
    some = arenas(10)
    bad = {arena.id for arena in some[:3]}
    report = await run(lambda a, s: down() if a.id in bad else policy("gold", a), some)
    assert report.f1.mean == report.recall == report.precision == 1.0
    assert report.infrastructure_failures == 3 and report.failure_rate == 0.3
    assert report.episodes == report.arenas == 10
    assert report.errors == {"ModelUnavailable: down": 3}
    assert report.stop_reasons == {"answered": 7, "model_error": 3}


async def test_a_failure_in_the_middle_is_no_partial_score():
    class Dying(InProcessSandbox):
        async def open(self, *args: Any, **options: Any) -> Any:
            raise SandboxDied("killed")

    report = await evaluate_arenas(
        shown(arenas(3)), lambda a, s: policy("gold", a), Dying(), LIMITS, concurrency=2
    )
    assert report.stop_reasons == {"host_error": 3}
    assert report.f1 is None


async def test_when_everything_failed_there_is_no_score():
    report = await run(down, arenas(4))
    value = json.loads(report.model_dump_json())
    for key in ("f1", "recall", "precision", "solved", "calls", "reward", "answer_correct"):
        assert value[key] is None
    assert value["failure_rate"] == 1.0
    assert value["by_language"]["en"] == {
        "episodes": 2,
        "f1": None,
        "recall": None,
        "precision": None,
        "pass_at_k": {},
    }


async def test_what_never_works_is_not_tried_to_the_end():
    played: list[PlayedEpisode] = []
    with pytest.raises(StageError, match="none of 20 episodes worked; ModelUnavailable: down"):
        await run(down, arenas(12), samples=10, store=played.append)
    assert len(played) == 20
    late = await run(lambda a, s: down() if s else policy("gold", a), arenas(2), samples=30)
    assert late.infrastructure_failures == 58 and late.f1.mean == 1.0, "it worked once"


async def test_no_arenas_no_score():
    report = await evaluate_arenas([], down, InProcessSandbox(), LIMITS)
    assert report.arenas == report.episodes == 0 and report.f1 is None


async def test_a_limit_that_the_agent_ran_into_is_scored():
    some = [toy_arena(3)]
    once = calling(("look_0", {"key": "a"}))
    report = await evaluate_arenas(
        shown(some), lambda a, s: ScriptedModel([once]), InProcessSandbox(), RolloutLimits(turns=1)
    )
    assert report.stop_reasons == {StopReason.turn_limit: 1}
    assert report.recall == pytest.approx(1 / 3) and report.precision == 1.0
    assert report.infrastructure_failures == 0


async def test_wrong_calls_and_distractors_solve_nothing():
    wrong = calling(("look_0", {"key": "b"}), ("far", {"key": "a"}), ("look_0", {"key": "boom"}))
    report = await run(lambda a, s: ScriptedModel([wrong, "6"]), [toy_arena(1)])
    assert report.f1.mean == 0.0 and report.calls == 3 and report.answer_correct == 1.0


@pytest.mark.parametrize(("reward", "value"), [("f1", 2 / 3), ("recall", 1.0), ("precision", 0.5)])
async def test_the_selected_reward(reward: Any, value: float):
    report = await run(lambda a, s: policy("shuffled", a), reward=reward)
    assert report.reward == pytest.approx(value)
    assert report.f1.mean == pytest.approx(2 / 3)


async def test_episodes_come_in_order_with_their_samples_and_are_storable():
    some = arenas(9)
    model = FakeModel(lambda m, t, s: Message(role="assistant", content="?"), delay=0.001)
    lines: list[bytes] = []
    limits = RolloutLimits(sampling=Sampling(seed=1))
    rows = [
        (arena.id, row)
        async for arena, row in play(
            shown(some), lambda a, s: model, InProcessSandbox(), limits, samples=3, concurrency=4
        )
    ]
    wanted = [(arena.id, sample) for arena in some for sample in range(3)]
    assert [(i, row.trajectory.sample) for i, row in rows] == wanted
    assert all(row.trajectory.task == i for i, row in rows)
    lines = [to_line(row) for _, row in rows]
    assert [PlayedEpisode.model_validate_json(line) for line in lines] == [row for _, row in rows]
    assert list(json.loads(lines[0])) == ["trajectory", "score", "user"]


async def test_score_of_an_infrastructure_failure_is_none():
    arena = toy_arena(1)
    async for _, row in play(shown([arena]), down, InProcessSandbox(), LIMITS):
        assert row.score is None and score_episode(arena, row.trajectory) is None


def test_bootstrap_resamples_groups():
    rng = np.random.default_rng(0)
    values = rng.random(200)
    interval = bootstrap([[float(v)] for v in values], 0)
    assert interval is not None
    assert interval.mean == pytest.approx(values.mean())
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.high - interval.low == pytest.approx(2 * error, rel=0.15)
    assert interval == bootstrap([[float(v)] for v in values], 0)
    # Ten equal samples of an arena tell no more than one.
    tenfold = bootstrap([[float(v)] * 10 for v in values], 0)
    assert tenfold is not None
    assert tenfold.high - tenfold.low == pytest.approx(interval.high - interval.low, rel=0.01)
    assert bootstrap([[], []], 0) is None


def test_intervals_by_hand():
    assert bootstrap([[3.0], []], 0) == Interval(mean=3.0, low=3.0, high=3.0, groups=1)
    assert bootstrap([[0.0], [1.0]], 0) == Interval(mean=0.5, low=0.0, high=1.0, groups=2)
    wide = bootstrap([[float(number)] for number in range(101)], 0)
    assert wide is not None
    # The deviation of a mean of 101 is 29.15 / sqrt(101) = 2.9: 50 ± 5.7.
    assert wide.low == pytest.approx(44.3, abs=0.5)
    assert wide.high == pytest.approx(55.7, abs=0.5)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = RunFolder.create(tmp_path / "run", {"kind": "test"})
    with run.lock(), run.append("arenas") as log:
        log.append([to_line(arena) for arena in arenas(6)])
        with run.append("certificates") as certificates:
            certificates.append([to_line(stamped(arena)) for arena in arenas(6)])
    return run.path


def command(*arguments: Any) -> int:
    return run_command(["evaluate", "arenas", *map(str, arguments), "--split", "all"])


def test_the_command_prints_json_and_keeps_the_episodes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "gold"
    options = [folder, "--policy", "gold", "--json", "--limit", 4, "--samples", 2, "--out", out]
    assert command(*options) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["f1"]["mean"] == 1.0 and report["episodes"] == 8
    opened = EvaluationReport.open(out)
    assert len(list(opened.episodes)) == 8 and opened.pass_k == {1: 1.0, 2: 1.0}
    assert command(*options) == 0  # finished: returned as it is
    assert json.loads(capsys.readouterr().out) == report
    assert command(*options, "--seed", 5) == 2
    assert "seed" in capsys.readouterr().err


async def test_a_remote_sandbox_serves_the_calls(folder: Path, tmp_path: Path):
    with RunCodeServer() as server:
        config = EvaluateConfig(
            folder, policy="gold", split="all", limit=1, sandbox_url=server.url, out=tmp_path / "o"
        )
        report = await evaluate(config)
        (episode,) = report.episodes
        assert report.summary.f1.mean == 1.0
        assert server.requests == len(episode.trajectory.calls) > 0
        training = TrainRLConfig(
            model="m",
            arenas=ArenaSet.of([toy_arena(split="train")]),
            out=tmp_path / "rl",
            preset="nano",
            max_turns=4,
            sandbox_url=server.url,
        )
        async with open_environment(training) as environment:
            (task,) = environment.tasks()
            arena = environment.arenas[task]
            goal = arena.goals[0]
            (outcome,) = await environment._sandbox.run(
                arena.tools, [(goal.call.tool, goal.call.arguments)]
            )
        assert outcome.failure is None and outcome.value["value"] == goal.answer
        assert server.requests == len(episode.trajectory.calls) + 1


async def test_a_stopped_evaluation_resumes_at_the_first_unfinished_arena(
    folder: Path, tmp_path: Path
):
    def options(out: str) -> EvaluateConfig:
        return EvaluateConfig(
            folder, policy="random", split="all", samples=2, out=tmp_path / out, seed=3
        )

    whole = await evaluate(options("whole"))
    played: list[PlayedEpisode] = []

    def stop(episode: PlayedEpisode, total: int) -> None:
        assert total == 12
        played.append(episode)
        if len(played) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await evaluate(options("parts"), on_episode=stop)
    resumed = await evaluate(options("parts"), on_episode=lambda episode, _: played.append(episode))
    assert len(played) == 5 + 8  # the third arena's first episode is played again

    def plain(report: EvaluationReport) -> list[Any]:
        return [e.trajectory.model_copy(update={"seconds": 0.0}).calls for e in report.episodes]

    assert [(c.tool, c.arguments) for calls in plain(resumed) for c in calls] == [
        (c.tool, c.arguments) for calls in plain(whole) for c in calls
    ]
    assert resumed.summary.f1 == whole.summary.f1


async def test_two_evaluations_are_compared_arena_by_arena(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in ("gold", "shuffled"):
        await evaluate(EvaluateConfig(folder, policy=name, split="all", out=tmp_path / name))
    table = compare(tmp_path / "gold", tmp_path / "shuffled")
    assert table.loc["f1", "mean"] == pytest.approx(1 / 3)
    assert (
        run_command(["evaluate", "compare", str(tmp_path / "gold"), str(tmp_path / "shuffled")])
        == 0
    )
    assert "F1 higher on 6 arenas, lower on 0" in capsys.readouterr().out
    frame = EvaluationReport.open(tmp_path / "gold").to_pandas()
    assert list(frame["f1"]) == [1.0] * 6
    with pytest.raises(ConfigError, match="no finished evaluation"):
        compare(folder, tmp_path / "gold")


def test_the_command_against_an_endpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from tests.support.model_server import ModelServer

    monkeypatch.setenv("MY_KEY", "sk-0123456789")
    with ModelServer([Message(role="assistant", content="6")]) as server:
        endpoint = ("--base-url", server.url, "--api-key-env", "MY_KEY")
        assert command(folder, "--model", "Some/Model-1", *endpoint) == 0
        assert server.seen[0].headers["authorization"] == "Bearer sk-0123456789"
    assert "F1 0.000" in capsys.readouterr().out


def test_the_command_fails_when_nothing_could_be_scored(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    from tests.support.model_server import ModelServer, ModelServerFault

    with ModelServer([ModelServerFault("status", status=404)]) as server:
        endpoint = (folder, "--model", "m", "--base-url", server.url, "--limit", 1)
        assert command(*endpoint, "--json") == 1
        assert json.loads(capsys.readouterr().out)["f1"] is None
        assert command(*endpoint) == 1
    said = capsys.readouterr().out
    assert "1 × ModelRejects" in said and "404" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either --model"),
        (["--policy", "gold", "--model", "m"], "either --model"),
        (["--policy", "golden"], "did you mean 'gold'"),
        (["--model", "m", "--base-url", "http://h", "--api-key-env", "ABSENT_KEY"], "ABSENT_KEY"),
        (["--policy", "gold", "--reward", "f2"], "module:function"),
        (["--policy", "gold", "--out", "/dev/full"], "/dev/full"),
    ],
)
def test_the_command_says_what_is_wrong(
    folder: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
):
    assert command(folder, *arguments) == 2
    assert says.lower() in capsys.readouterr().err.lower()


@pytest.mark.parametrize("kind", ["link", "pipe", "damaged"])
def test_a_report_of_strangers_is_read_as_a_file_or_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text('{"outside": "the folder"}')
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text("")
    match kind:
        case "link":
            (run / "report.json").symlink_to(tmp_path / "outside")
        case "pipe":
            os.mkfifo(run / "report.json")  # opening it as a file would wait for a writer
        case _:
            (run / "report.json").write_text('{"outside": "the folder"}')
    says = {"link": "symbolic link", "pipe": "not a regular file", "damaged": "is damaged"}
    with pytest.raises(StoreError, match=says[kind]) as raised:
        EvaluationReport.open(run)
    assert "outside" not in str(raised.value)
