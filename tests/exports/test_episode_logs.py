"""Episodes as logs of Inspect and Harbor: nothing is lost, nothing hidden is told."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

import astra
from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.configs.evaluation import ExportEvaluationConfig
from astra.core.messages import read_arguments
from astra.episodes import Score
from astra.errors import ConfigError, StoreError
from astra.evaluation.arenas import PlayedEpisode
from astra.evaluation.benchmarks.records import BenchmarkEpisode
from astra.evaluation.evaluate import EvaluationReport
from astra.evaluation.export import export_evaluation
from astra.exports.atif import atif_document
from astra.exports.eval_log import EvalLogWriter
from astra.exports.logged_episodes import LoggedEpisode, LoggedRun, LoggedScore
from astra.hosts.arena import shown_tools
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.trajectories.importing.atif import atif_conversation
from astra.trajectories.importing.foreign import ForeignConversation
from astra.trajectories.importing.inspect_logs import inspect_conversation, inspect_samples
from astra.types import (
    CallRecord,
    CallStatus,
    Message,
    StopReason,
    ToolCallRequest,
    Trajectory,
    Usage,
)
from tests.support.hidden_values import hidden_values, shown_text


@pytest.fixture(scope="module")
def played(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation in which every gold call is made twice."""
    out = tmp_path_factory.mktemp("evaluation") / "run"
    astra.evaluate(arenas, policy="careless", split="all", out=out)
    return out


def exported(run_folder: Path, out: Path, name: str, *more: str) -> Path:
    words = ["evaluate", "export", str(run_folder), "--format", name, "--out", str(out), *more]
    assert run(words) == 0
    return out


def eval_log(folder: Path) -> dict[str, Any]:
    """An .eval file as the one JSON document that `inspect log convert` makes of it."""
    (path,) = folder.glob("*.eval")
    with zipfile.ZipFile(path) as log:
        names = [name for name in log.namelist() if name.startswith("samples/")]
        return json.loads(log.read("header.json")) | {
            "samples": [json.loads(log.read(name)) for name in names]
        }


def plain(messages: Any) -> list[Any]:
    """Messages without what a log need not keep: the text of JSON arguments as it was spaced."""
    rows: list[Any] = []
    for m in messages:
        calls = [(call.id, call.tool, read_arguments(call.arguments)) for call in m.tool_calls]
        rows.append((m.role, m.content, m.reasoning, m.tool_call_id, calls))
    return rows


def read_back(folder: Path, name: str) -> dict[str, ForeignConversation]:
    """Arena -> the conversation that an import makes of its log."""
    if name == "atif":
        documents = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
        return {each["extra"]["task"]: atif_conversation(each) for each in documents}
    samples = [sample for _, sample in inspect_samples(eval_log(folder))]
    return {each["id"]: inspect_conversation(each) for each in samples}


@pytest.mark.parametrize("name", ["inspect", "atif"])
def test_a_log_holds_the_conversation_and_its_tools(
    arenas: ArenaSet, played: Path, name: str, tmp_path: Path
) -> None:
    conversations = read_back(exported(played, tmp_path / "logs", name), name)
    for episode in EvaluationReport.open(played).episodes:
        trajectory = episode.trajectory
        conversation = conversations.pop(trajectory.task)
        assert plain(conversation.messages) == plain(trajectory.messages)
        assert conversation.model == "careless" and conversation.tools is not None
        shown = {document.name: document for document in shown_tools(arenas[trajectory.task])}
        assert shown.items() <= {document.name: document for document in conversation.tools}.items()
        assert {c.tool for c in trajectory.calls} <= {t.name for t in conversation.tools}
    assert not conversations


def test_scores_are_those_of_the_report(played: Path, tmp_path: Path) -> None:
    report = EvaluationReport.open(played)
    log = eval_log(exported(played, tmp_path / "eval", "inspect"))
    assert log["status"] == "success" and log["results"]["total_samples"] == 5
    means = {s["name"]: s["metrics"]["mean"]["value"] for s in log["results"]["scores"]}
    assert report.f1 is not None and means["f1"] == pytest.approx(report.f1.mean)
    assert means["precision"] == pytest.approx(report.summary.precision)
    own = {e.trajectory.task: e.score for e in report.episodes}
    assert 0 < sum(score.reward for score in own.values() if score) < 5
    for sample in log["samples"]:
        score = Score.model_validate(sample["scores"]["f1"]["metadata"])
        assert score == own[sample["id"]] and sample["scores"]["f1"]["value"] == score.f1
    for path in exported(played, tmp_path / "atif", "atif").glob("*.json"):
        extra = json.loads(path.read_text("utf-8"))["extra"]
        assert extra["reward"] == getattr(own[extra["task"]], "reward", None)


def test_what_was_not_found_out_is_not_told(arenas: ArenaSet, played: Path, tmp_path: Path) -> None:
    astra.evaluate(arenas, policy="null", split="all", out=tmp_path / "null")
    shown = "".join(map(shown_text, arenas))
    hidden = {v for arena in arenas for v in hidden_values(arena) if v not in shown}
    for name, folder in (("null", tmp_path / "null"), ("careless", played)):
        log = eval_log(exported(folder, tmp_path / name / "eval", "inspect"))
        trajectories = exported(folder, tmp_path / name / "atif", "atif")
        texts = [json.dumps(log, ensure_ascii=False)]
        texts += [path.read_text("utf-8") for path in trajectories.glob("*.json")]
        told = {value for value in hidden for text in texts if value in text}
        # Who makes the gold calls finds everything out, which shows that it would be seen.
        assert told == (hidden if name == "careless" else set[str]()) and hidden


@pytest.mark.parametrize("name", ["inspect", "atif"])
def test_the_same_run_gives_the_same_bytes(played: Path, name: str, tmp_path: Path) -> None:
    first, second = (exported(played, tmp_path / each, name) for each in ("one", "two"))
    files = {path.name: path.read_bytes() for path in first.iterdir()}
    assert files == {path.name: path.read_bytes() for path in second.iterdir()} and files
    with pytest.raises(AssertionError):
        exported(played, first, name)
    exported(played, first, name, "--if-exists", "overwrite")


RUN = LoggedRun("run", "0", "model", "arenas", 1, "2026-01-01T00:00:00+00:00", True)


def broken(stop: StopReason, error: str = "") -> LoggedEpisode:
    """An episode with a call whose arguments are no JSON, and one without a result."""
    calls = (
        ToolCallRequest(id="call_0", tool="get", arguments='{"name": '),
        ToolCallRequest(id="call_1", tool="get", arguments="{}"),
    )
    messages = (
        Message(role="user", content="How high?"),
        Message(role="assistant", reasoning="Let me see.", tool_calls=calls),
        Message(role="tool", content="not JSON", tool_call_id="call_0"),
    )
    status = CallStatus.malformed_arguments
    record = CallRecord(id="call_0", turn=0, tool="get", arguments='{"name": ', status=status)
    trajectory = Trajectory(
        task="0" * 16, messages=messages, calls=(record,), stop=stop, turns=1, error=error
    )
    score = Score(goals=1, solved=0, calls=1, recall=0, precision=0, f1=0, reward=0.25)
    return LoggedEpisode(trajectory, None if error else LoggedScore.of(score, "strict"), ())


def test_what_went_wrong_is_told(tmp_path: Path) -> None:
    for stop, error in [(StopReason.turn_limit, ""), (StopReason.host_error, "it broke")]:
        episode = broken(stop, error)
        document = atif_document(episode, RUN)
        _, step = document["steps"]
        assert step["reasoning_content"] == "Let me see."
        assert step["tool_calls"][0]["arguments"] == {"malformed": '{"name": '}
        (result,) = step["observation"]["results"]
        assert result["extra"] == {"status": "malformed_arguments"}
        assert document["extra"].get("error", "") == error
        assert ("score" in document["extra"]) is (not error)
        (tmp_path / stop.value).mkdir()
        with EvalLogWriter(tmp_path / stop.value / "log.eval", RUN) as writer:
            writer.add(episode)
        log = eval_log(tmp_path / stop.value)
        (sample,) = log["samples"]
        failed, unanswered = (event for event in sample["events"] if event["event"] == "tool")
        assert failed["error"] == {"type": "parsing", "message": "not JSON"}
        assert unanswered["result"] == "" and "error" not in unanswered
        if error:
            assert sample["error"]["message"] == "it broke" and not sample["scores"]
            assert log["results"] == {"total_samples": 1, "completed_samples": 0, "scores": []}
        else:
            assert sample["limit"] == {"type": "turn", "limit": 1} and "error" not in sample
            assert sample["scores"]["reward"]["value"] == 0.25


def test_an_evaluation_that_was_stopped(played: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(played, tmp_path / "copy")
    (copy / "report.json").unlink()
    (copy / "config.toml").write_text('arenas = "nowhere"\npolicy = "gold"\n')
    log = eval_log(exported(copy, tmp_path / "eval", "inspect"))
    assert log["status"] == "cancelled" and len(log["samples"]) == 5
    assert log["samples"][0]["events"][0]["tools"] == []


def test_a_forged_id_leads_nowhere(played: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(played, tmp_path / "copy")
    episode = next(EvaluationReport.open(copy).episodes)
    task = "../" * 3 + "outside"
    forged = PlayedEpisode(
        trajectory=episode.trajectory.model_copy(update={"task": task}), score=episode.score
    )
    (copy / "episodes.jsonl").write_text(forged.model_dump_json() + "\n", "utf-8")
    with pytest.raises(StoreError, match="is no arena's id"):
        export_evaluation(ExportEvaluationConfig(copy, out=tmp_path / "a/b/out", format="atif"))
    assert not list(tmp_path.rglob("outside*"))


def test_folders_of_something_else_are_refused(arenas: ArenaSet, played: Path) -> None:
    config = ExportEvaluationConfig(played, out=arenas.path, if_exists="overwrite")
    with pytest.raises(ConfigError, match="is not a folder of such logs"):
        export_evaluation(config)
    assert len(ArenaSet(arenas.path)) == 5
    with pytest.raises(ConfigError, match="holds no episodes"):
        export_evaluation(ExportEvaluationConfig(arenas.path, out="logs"))


# --- benchmarks ---------------------------------------------------------------------------------


def benchmark_run(path: Path, *tasks: str) -> Path:
    """A run of a benchmark in which a model calls twice by the same id."""
    call = ToolCallRequest(id="call_0", tool="ls", arguments="{}")
    messages = (
        Message(role="user", content="Where am I?"),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="one", tool_call_id="call_0"),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="two", tool_call_id="call_0"),
        Message(role="assistant", content="Here."),
    )
    episodes = [
        BenchmarkEpisode(
            task=task, category="c", trial=1, score=0.5, messages=messages, usage=Usage()
        )
        for task in tasks
    ]
    folder = RunFolder.create(path, {"command": "tau2", "model": "m", "trials": 2})
    with folder.lock():
        folder.replace("benchmark.json", [b"{}\n"])
        folder.replace("episodes.jsonl", [to_line(episode) for episode in episodes])
    return path


def test_episodes_of_a_benchmark(tmp_path: Path) -> None:
    task = "[issue]one|two[PERSONA:None]"
    folder = benchmark_run(tmp_path / "run", task, "plain_1")
    log = eval_log(exported(folder, tmp_path / "eval", "inspect"))
    assert log["eval"]["dataset"]["name"] == "tau2" and log["eval"]["config"] == {"epochs": 2}
    sample, other = log["samples"]
    assert (sample["id"], sample["epoch"], other["id"]) == (task, 2, "plain_1")
    assert sample["scores"]["score"]["value"] == 0.5
    assert sample["scores"]["score"]["metadata"]["category"] == "c"
    results = {e["id"]: e["result"] for e in sample["events"] if e["event"] == "tool"}
    assert list(results.values()) == ["one", "two"]
    atif = {
        path.name: json.loads(path.read_text())
        for path in exported(folder, tmp_path / "atif", "atif").iterdir()
    }
    assert "plain_1-1.json" in atif and len(atif) == 2
    assert {each["extra"]["task"] for each in atif.values()} == {task, "plain_1"}
    for each in atif.values():
        calls = [c["tool_call_id"] for s in each["steps"] for c in s.get("tool_calls", ())]
        assert len(set(calls)) == len(calls) == 2


@pytest.mark.parametrize("task", ["../outside", "a\\b", "a\nb"])
def test_a_forged_task_leads_nowhere(task: str, tmp_path: Path) -> None:
    folder = benchmark_run(tmp_path / "run", task)
    with pytest.raises(StoreError, match="is no id of a task"):
        export_evaluation(ExportEvaluationConfig(folder, out=tmp_path / "out"))
