"""astra trajectories make, show, judge and replay: offline, over HTTP with faults, after kills."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run
from astra.errors import TeacherError
from astra.hosts.confine import available
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.teacher.prompts import judging
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.testing.teacher_faults import FaultPlan, TeacherServerFault
from astra.testing.teacher_server import TeacherServer
from astra.trajectories.records import Judgement, RecordedRollout
from astra.trajectories.tasks.probing import ServerProbe
from astra.types import CallStatus

from .services import calendar

ROWS = ("tasks.jsonl", "rollouts.jsonl", "judgements.jsonl")
COUNT = 5


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = RunFolder.create(tmp_path_factory.mktemp("tools") / "tools", {"made": "by a test"})
    with folder.lock():
        folder.replace("servers.jsonl", [to_line(calendar())])
    return folder.path


def asked(tools: Path, out: Path, *more: str, teacher: str | None = None) -> list[str]:
    """A command line of `make`; `more` replaces the options of the same name."""
    options = {
        "--tools": str(tools),
        "--out": str(out),
        "--count": str(COUNT),
        "--model": "scripted",
        "--teacher": "rules",
        "--chain-votes": "1",
        **({"--teacher-url": teacher} if teacher else {}),
    }
    words = [word for name, value in options.items() if name not in more for word in (name, value)]
    return ["trajectories", "make", *words, *more]


def rows(path: Path, name: str) -> list[dict[str, Any]]:
    """Rows without times, which no two runs share."""
    found = [json.loads(line) for line in (path / name).read_text("utf-8").splitlines()]
    for row in found:
        trajectory = row.get("trajectory", {})
        trajectory.pop("seconds", None)
        for call in trajectory.get("calls", []):
            call.pop("seconds")
    return found


def same(one: Path, other: Path) -> None:
    for name in ROWS:
        assert rows(one, name) == rows(other, name), name


@pytest.fixture(scope="module")
def made(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the rule teacher makes when it is asked directly."""
    out = tmp_path_factory.mktemp("made") / "run"
    assert run(asked(tools, out)) == 0
    return out


def test_every_task_is_played_and_judged(made: Path):
    rollouts = list(RunFolder.open(made).rows("rollouts", RecordedRollout))
    judgements = list(RunFolder.open(made).rows("judgements", Judgement))
    assert len(rollouts) == len(judgements) == COUNT
    assert [j.rollout for j in judgements] == [r.id for r in rollouts]
    assert any(call.is_error for r in rollouts for call in r.recording)


def test_it_resumes_and_reports(made: Path, tools: Path, capsys: pytest.CaptureFixture[str]):
    before = (made / "rollouts.jsonl").read_bytes()
    assert run(asked(tools, made, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["judged"] == COUNT and 0 < report["reward"] <= 1
    assert (made / "rollouts.jsonl").read_bytes() == before


def test_show(made: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["trajectories", "show", str(made)]) == 0
    first = rows(made, "rollouts.jsonl")[0]
    assert first["id"] in capsys.readouterr().out
    assert run(["trajectories", "show", str(made), first["id"][:10]]) == 0
    said = capsys.readouterr().out
    for part in ("reward", "QU", "TCS", "message 2", "record", first["task"]["request"][:20]):
        assert part in said
    assert run(["trajectories", "show", str(made), first["id"], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["judgement"]["rollout"] == shown["rollout"]["id"] == first["id"]
    assert run(["trajectories", "show", str(made), "zzz"]) == 2
    assert "no rollout" in capsys.readouterr().err


def test_what_is_shown_can_not_drive_the_terminal(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    row = next(RunFolder.open(made).rows("rollouts", RecordedRollout))
    nasty = row.trajectory.messages[1].model_copy(update={"content": "\x1b[2J[bold]x\u202e"})
    messages = (row.trajectory.messages[0], nasty, *row.trajectory.messages[2:])
    changed = row.trajectory.model_copy(update={"messages": messages})
    folder = RunFolder.create(tmp_path / "run", {"a": 1})
    with folder.lock():
        line = to_line(row.model_copy(update={"trajectory": changed}))
        folder.replace("rollouts.jsonl", [line])
    assert run(["trajectories", "show", str(folder.path), row.id]) == 0
    said = capsys.readouterr().out
    assert "\x1b[2J" not in said and "\u202e" not in said
    assert "[bold]x" in said and "not judged" in said


def test_replay(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["trajectories", "replay", str(made)]) == 0
    assert f"{COUNT} of {COUNT}" in capsys.readouterr().out
    loaded = list(RunFolder.open(made).rows("rollouts", RecordedRollout))
    bad = next(row for row in loaded if row.recording)
    first = bad.recording[0].model_copy(update={"content": {"other": 1}, "is_error": False})
    bad = bad.model_copy(update={"recording": (first, *bad.recording[1:])})
    folder = RunFolder.create(tmp_path / "run", {"a": 1})
    with folder.lock():
        changed = [bad if row.id == bad.id else row for row in loaded]
        folder.replace("rollouts.jsonl", [to_line(row) for row in changed])
    assert run(["trajectories", "replay", str(folder.path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["same"] == COUNT - 1 and list(report["different"]) == [bad.id]


def test_another_judge_stands_beside_the_first(made: Path, capsys: pytest.CaptureFixture[str]):
    before = (made / "judgements.jsonl").read_bytes()
    arguments = ["trajectories", "judge", str(made), "--teacher", "rules"]
    arguments += ["--judgements", "Strict 1"]
    assert run([*arguments, "--judge-votes", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["file"] == "judgements-strict-1.jsonl" and report["judged"] == COUNT
    assert report["agreement"]["all"]["difference"] == 0
    assert (made / "judgements.jsonl").read_bytes() == before
    assert len(rows(made, "judgements-strict-1.jsonl")) == COUNT


# --- over HTTP ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_over_http_with_and_without_faults_the_same_rows(
    made: Path, tools: Path, tmp_path: Path, rate: float
):
    kinds = [
        fault
        for fault in TeacherServerFault
        if fault
        not in (TeacherServerFault.timeout, TeacherServerFault.slow, TeacherServerFault.huge)
    ]
    plan = FaultPlan(rate, seed=3, kinds=kinds, retry_after=0.05)
    with TeacherServer(TrajectoryRules(), faults=plan) as server:
        assert run(asked(tools, tmp_path / "run", teacher=server.url)) == 0
        served = server.served()
    assert bool(served.faults) == bool(rate)
    same(made, tmp_path / "run")
    stages = json.loads((tmp_path / "run/manifest.json").read_text("utf-8"))["stages"]
    for stage in ("proposals", "rollouts", "judgements"):
        assert stages[stage]["usage"]["prompt_tokens"] > 0


class NoJudge(TrajectoryRules):
    """Can't judge trajectories."""

    async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
        if prompt in judging.ALL:
            raise TeacherError("no verdict")
        return await super().ask(prompt, task, index=index)


def test_a_judge_that_is_always_broken_scores_nothing(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with TeacherServer(NoJudge()) as server:
        assert run(asked(tools, tmp_path / "run", "--json", teacher=server.url)) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["rollouts"] == COUNT and report["judged"] == 0
    assert report["stages"]["judgements"]["errors"] == {"TeacherError": COUNT}
    assert rows(tmp_path / "run", "judgements.jsonl") == []
    failed = rows(tmp_path / "run", "judgements.failed.jsonl")
    assert all(row["kind"] == "error" for row in failed)


def test_killed_twice_it_ends_in_the_same_rows_and_pays_for_none_twice(
    made: Path, tools: Path, tmp_path: Path
):
    out = tmp_path / "run"
    with TeacherServer(TrajectoryRules(), latency=0.01) as server:
        command = [sys.executable, "-m", "astra", *asked(tools, out, teacher=server.url)]
        for wanted in (10, 30):
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            _wait_for(out / "teacher.jsonl", wanted, process)
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=30)
        time.sleep(0.5)  # what was in flight at the kill is still counted
        sent, recorded = server.served().requests, len(_lines(out / "teacher.jsonl"))
        assert run(asked(tools, out, teacher=server.url)) == 0
        keys = [json.loads(line)["key"] for line in _lines(out / "teacher.jsonl")]
        assert server.served().requests - sent == len(keys) - recorded
    assert recorded >= 30 and len(set(keys)) == len(keys)
    same(made, out)


def test_changed_options_use_the_answers_on_record(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    first, second = tmp_path / "first", tmp_path / "second"
    with TeacherServer(TrajectoryRules()) as server:
        assert run(asked(tools, first, teacher=server.url)) == 0
        paid = server.served().requests
        # Another judge's count of votes changes the options, and not what was asked before.
        more = ["--judge-votes", "2", "--answers-from", str(first)]
        assert run(asked(tools, second, *more, teacher=server.url)) == 0
        again = server.served().requests - paid
    votes = [row for row in rows(first, "teacher.jsonl") if row["stage"] == "judgements"]
    assert again == len(votes) > 0
    assert len(rows(second, "teacher.jsonl")) == again
    assert (second / "rollouts.jsonl").exists()
    capsys.readouterr()
    assert run(asked(tools, second, "--answers-from", str(second), teacher="http://x/v1")) == 2
    assert "the folder to write" in capsys.readouterr().err


def _lines(path: Path) -> list[bytes]:
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].splitlines()


def _wait_for(path: Path, wanted: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(3000):
        if process.poll() is not None or len(_lines(path)) >= wanted:
            return
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--teacher", "big"], "--teacher-url"),
        (["--model", "big"], "--base-url"),
        (["--system-prompt", "no-such-file"], "--system-prompt"),
        (["--tools", "nowhere"], "no run folder"),
        (["--task-mix", "persona"], "needs original tasks"),
        (["--task-mix", "voice=1"], "voice"),
        (["--min-chain", "5", "--max-chain", "2"], "is above"),
        (["--personas", "no-such-file"], "no-such-file"),
        (["--observations", "no-such-run"], "no run folder"),
    ],
)
def test_options_that_do_not_go_together(
    tools: Path, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert run(asked(tools, tmp_path / "run", *more)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_without_servers_is_no_folder_of_tools(
    made: Path, tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(asked(tools, tmp_path / "run", "--tools", str(made))) == 2
    assert "holds no servers" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_which_tasks_are_made_is_an_option(made: Path, tools: Path, tmp_path: Path):
    profile = {
        "age": 41,
        "occupation": "beekeeper",
        "education": "school",
        "skills": ["patience"],
        "hobbies": ["chess"],
    }
    personas = tmp_path / "personas.jsonl"
    personas.write_text(json.dumps(profile) + "\n", "utf-8")
    more = ["--task-mix", "original=0.6,persona=0.4", "--chain-fraction", "1", "--max-chain", "3"]
    more += [
        "--acyclic",
        "--chain-check",
        "both",
        "--personas",
        str(personas),
        "--observations",
        str(made),
    ]
    assert run(asked(tools, tmp_path / "run", *more)) == 0
    tasks = rows(tmp_path / "run", "tasks.jsonl")
    assert [task["axis"] for task in tasks] == ["original"] * 3 + ["persona"] * 2
    assert all("beekeeper" in task["persona"] for task in tasks[3:])
    for task in tasks:
        called = [call["tool"] for call in task["plan"]]
        assert task["kind"] == "chain" and 2 <= len(called) <= 3 and len(set(called)) == len(called)
    chains = rows(tmp_path / "run", "chains.jsonl")
    assert all(chain["votes"] and chain["agreements"] for chain in chains)


# --- live servers ------------------------------------------------------------------------------


@pytest.mark.skipif(not available(), reason="needs Landlock")
def test_live_servers_are_asked_what_they_hold_played_and_replay_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    start = [
        {"tool": "create_note", "arguments": {"title": "Ferry times", "text": "8 and 17"}},
    ]
    (tmp_path / "seed").mkdir()
    entry = {
        "command": sys.executable,
        "args": ["-m", "astra.testing.mcp_notes"],
        "env": {"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        "astra": {"seed": "seed", "calls": start},
    }
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"notes": entry}}), "utf-8")
    tools, out = tmp_path / "tools", tmp_path / "run"
    assert run(["tools", "collect", str(config), "--out", str(tools)]) == 0
    # Each plan that is tried and each episode starts a process.
    more = ["--count", "2", "--hosts", "live", "--chain-fraction", "0", "--task-mix", "original=1"]
    assert run(asked(tools, out, *more)) == 0
    config.unlink()
    (probe,) = RunFolder.open(out).rows("probes", ServerProbe)
    held = {call.tool: call for call in probe.calls if not call.is_error}
    assert held["get_note"].content["title"] == "Ferry times"
    assert not {"create_note", "tag_note", "complete_note"} & held.keys()
    made = list(RunFolder.open(out).rows("rollouts", RecordedRollout))
    assert len(made) == 2 and all(row.host == "live" for row in made)
    # Every episode began with the same, and the record says with what.
    began = probe.starts
    assert all(row.starts == began for row in made)
    assert [(one.server, one.state, one.calls[0].tool) for one in began] == [
        ("notes", "fresh", "create_note")
    ]
    assert not any(
        call.arguments == start[0]["arguments"] for row in made for call in row.recording[:1]
    )
    calls = [call for row in made for call in row.trajectory.calls]
    assert calls and all(call.status is CallStatus.ok for call in calls)
    # Something is asked for that only the server knows.
    assert any("note-1" in row.task.request for row in made)
    capsys.readouterr()
    assert run(["trajectories", "show", str(out), made[0].id]) == 0
    assert "notes began fresh" in capsys.readouterr().out
    assert run(["trajectories", "replay", str(out)]) == 0
    assert "2 of 2" in capsys.readouterr().out


@pytest.mark.slow
def test_a_hundred_trajectories_on_live_servers_replay_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    env = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    entries = {
        name: {"command": sys.executable, "args": ["-m", f"astra.testing.mcp_{name}"], "env": env}
        for name in ("notes", "bookings")
    }
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": entries}), "utf-8")
    tools, out = tmp_path / "tools", tmp_path / "run"
    assert run(["tools", "collect", str(config), "--out", str(tools)]) == 0
    assert run(asked(tools, out, "--count", "100", "--hosts", "live")) == 0
    config.unlink()
    made = list(RunFolder.open(out).rows("rollouts", RecordedRollout))
    assert len(made) == 100 and all(row.host == "live" for row in made)
    assert len({name for row in made for name in row.task.servers}) == 2
    capsys.readouterr()
    assert run(["trajectories", "replay", str(out)]) == 0
    assert "100 of 100" in capsys.readouterr().out
