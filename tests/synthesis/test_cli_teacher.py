"""`arenas synthesize` and `paraphrase` over HTTP: faults, kills, cost, impossible options."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import astra
from astra.arenas.synthesis.sources import SourceMaterial
from astra.cli.main import run
from astra.errors import StoreWarning
from astra.testing.rule_teacher.arenas import RuleTeacher
from astra.testing.teacher_faults import FaultPlan, TeacherServerFault
from astra.testing.teacher_server import TeacherServer
from tests.synthesis.conftest import WORLD

QUICK = tuple(
    f
    for f in TeacherServerFault
    if f
    not in (
        TeacherServerFault.timeout,
        TeacherServerFault.slow,
        TeacherServerFault.huge,
        TeacherServerFault.rate_limited,
    )
)
"""Faults that take no time. The teacher server's own tests have all of them."""


@pytest.fixture(scope="module")
def file(questions: list[SourceMaterial], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    rows = [{"question": m.text, "domain": m.domain} for m in questions[:3]]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def server(rules: RuleTeacher) -> Iterator[TeacherServer]:
    with TeacherServer(rules) as server:
        yield server


def arguments(file: Path, out: Path, url: str, *more: str) -> list[str]:
    source = ["--questions", str(file), "--out", str(out)]
    return ["arenas", "synthesize", *source, "--teacher", "rules", "--teacher-url", url, *more]


@pytest.fixture(scope="module")
def made(file: Path, server: TeacherServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "run"
    assert run(arguments(file, out, server.url)) == 0
    return out


def same(a: Path, b: Path) -> None:
    for name in ("decompositions", "judged", "implemented", "merged", "candidates", "arenas"):
        assert (a / f"{name}.jsonl").read_bytes() == (b / f"{name}.jsonl").read_bytes(), name


def test_faults_change_no_byte(made: Path, rules: RuleTeacher, file: Path, tmp_path: Path) -> None:
    with TeacherServer(rules, faults=FaultPlan(0.2, seed=5, kinds=QUICK)) as server:
        assert run(arguments(file, tmp_path / "run", server.url)) == 0
        assert sum(server.served().faults.values()) > 10
    same(made, tmp_path / "run")


def test_an_endpoint_that_only_fails_gives_nothing(
    rules: RuleTeacher, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = FaultPlan(
        1.0,
        kinds=(
            TeacherServerFault.malformed_json,
            TeacherServerFault.wrong_schema,
            TeacherServerFault.empty,
        ),
    )
    with TeacherServer(rules, faults=broken) as server:
        assert run(arguments(file, tmp_path / "run", server.url, "--json")) == 1
        said = json.loads(capsys.readouterr().out)
        assert run(arguments(file, tmp_path / "run", server.url)) == 1
        assert "e.g. TeacherError: prompt 'decompose' got no usable" in capsys.readouterr().out
    assert said["arenas"] == 0
    assert said["stages"]["decompositions"]["accepted"] == 0
    assert sum(said["stages"]["decompositions"]["errors"].values()) == 3


@pytest.mark.parametrize(
    "kills",
    [
        [(signal.SIGKILL, "teacher", 4), (signal.SIGKILL, "teacher", 30)],
        pytest.param([(signal.SIGTERM, "implemented", 1)], marks=pytest.mark.slow),
    ],
    ids=["KILL", "TERM"],
)
def test_killed_and_resumed_no_answer_is_paid_for_twice(
    made: Path,
    rules: RuleTeacher,
    file: Path,
    tmp_path: Path,
    kills: list[tuple[signal.Signals, str, int]],
) -> None:
    out = tmp_path / "run"
    with TeacherServer(rules, latency=0.02) as server:
        command = [sys.executable, "-m", "astra", *arguments(file, out, server.url)]
        for number, rows_of, wanted in kills:
            process = subprocess.Popen(
                [*command, "--concurrency", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            _wait_for(out / f"{rows_of}.jsonl", wanted, process)
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
            if number == signal.SIGTERM:
                assert process.returncode == 128 + signal.SIGTERM, said
                assert said.strip().endswith(b"interrupted: resume with the same command"), said
                assert "stopped: CancelledError" in (out / "progress.log").read_text("utf-8")
        kept = {path.name: _lines(path) for path in out.glob("*.jsonl")}
        assert len(kept[f"{rows_of}.jsonl"]) >= wanted
        time.sleep(0.5)  # what was in flight at the kill is still counted
        sent, recorded = server.served().requests, len(_lines(out / "teacher.jsonl"))
        assert run(arguments(file, out, server.url)) == 0
        rows = [json.loads(line) for line in _lines(out / "teacher.jsonl")]
        assert server.served().requests - sent == len(rows) - recorded
        assert recorded >= 30
        assert run(arguments(file, out, server.url)) == 0
        assert server.served().requests - sent == len(rows) - recorded
    same(made, out)
    for name, lines in kept.items():
        assert _lines(out / name)[: len(lines)] == lines, name
    assert len({row["key"] for row in rows}) == len(rows)
    # What a kill kept from the manifest has been made up for.
    stages = json.loads((out / "manifest.json").read_text("utf-8"))["stages"]
    for name in ("prompt_tokens", "completion_tokens"):
        paid = sum(row["usage"][name] for row in rows)
        assert sum(stage["usage"][name] for stage in stages.values()) == paid


def _lines(path: Path) -> list[bytes]:
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].splitlines()


def _wait_for(path: Path, wanted: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(3000):
        if process.poll() is not None or len(_lines(path)) >= wanted:
            return
        time.sleep(0.02)


def test_cost_is_counted_per_stage_and_arena(
    rules: RuleTeacher, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("[prices.rules]\ninput = 1.0\noutput = 2.0\n", "utf-8")
    out = tmp_path / "run"
    with TeacherServer(rules) as server:
        asked = arguments(file, out, server.url, "--prices", str(prices), "--json")
        assert run([*asked, "--dry-run"]) == 0
        assert json.loads(capsys.readouterr().out)["money"] > 0
        assert not out.exists() and server.served().requests == 0
        assert run([*asked, "--budget", "0.0001"]) == 2
        assert "budget" in capsys.readouterr().err
        assert run(asked) == 0
    teacher = json.loads(capsys.readouterr().out)["teacher"]
    stages = json.loads((out / "manifest.json").read_text("utf-8"))["stages"]
    for stage in ("decompositions", "judged", "implemented"):
        assert stages[stage]["dollars"] > 0 and stages[stage]["usage"]["prompt_tokens"] > 0
    assert teacher["money"] == pytest.approx(sum(s["dollars"] for s in stages.values()))
    assert teacher["money_per_arena"] == pytest.approx(teacher["money"] / 3)
    assert (
        json.loads((out / "manifest.json").read_text("utf-8"))["unit_costs"]["arena"]["count"] == 3
    )
    assert run(["arenas", "stats", str(out)]) == 0
    assert f"money {teacher['money_per_arena']:.4f}\n" in capsys.readouterr().out


def test_a_budget_holds_though_a_kill_kept_the_cost_from_the_manifest(
    rules: RuleTeacher, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("[prices.rules]\ninput = 1.0\noutput = 2.0\n", "utf-8")
    out = tmp_path / "run"
    with TeacherServer(rules) as server:
        asked = arguments(file, out, server.url, "--prices", str(prices), "--json")
        assert run(asked) == 0
        money = json.loads(capsys.readouterr().out)["teacher"]["money"]
        manifest = json.loads((out / "manifest.json").read_text("utf-8"))
        (out / "manifest.json").write_text(json.dumps({**manifest, "stages": {}}), "utf-8")
        (out / "judged.jsonl").write_bytes(b"")
        lines = _lines(out / "teacher.jsonl")
        lines.remove(next(line for line in lines if b'"prompt":"judge_' in line))
        (out / "teacher.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        before = server.served().requests
        assert run([*asked, "--budget", f"{money / 2}"]) == 2
        assert "budget" in capsys.readouterr().err
        assert server.served().requests == before
        assert run(asked) == 0
        again = json.loads(capsys.readouterr().out)["teacher"]["money"]
        assert again == pytest.approx(money)


def test_fewer_arenas_than_at_first_and_none_is_lost(
    rules: RuleTeacher,
    questions: list[SourceMaterial],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, out = tmp_path / "questions.jsonl", tmp_path / "run"
    rows = [{"question": m.text, "domain": m.domain} for m in questions[:6]]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    prices = tmp_path / "prices.toml"
    prices.write_text("[prices.rules]\ninput = 1.0\noutput = 2.0\n", "utf-8")
    with TeacherServer(rules) as server:
        asked = [*arguments(file, out, server.url), "--concurrency", "1"]
        # Stopped in the first wave, when it has taken all six questions apart.
        assert run([*asked, "--prices", str(prices), "--budget", "0.2"]) == 2
        before = {path.name: path.read_bytes() for path in out.glob("*.jsonl")}
        assert before["decompositions.jsonl"].count(b"\n") == 6
        assert "arenas.jsonl" not in before
        capsys.readouterr()
        with pytest.warns(StoreWarning, match="--count is lowered from 6 to 2"):
            assert run([*asked, "--count", "2"]) == 0
        told = capsys.readouterr()
        assert "2 certified arenas" in told.out.replace("\n", " ")
        for name, data in before.items():
            assert (out / name).read_bytes().startswith(data), name
        # The whole number is stored, though the command left it out.
        assert run(asked) == 2
        assert "count was 2 and is now 6" in capsys.readouterr().err
        with pytest.warns(StoreWarning, match="--count is lowered from 2 to 1"):
            assert run([*asked, "--count", "1"]) == 0
    assert "2 certified arenas" in capsys.readouterr().out.replace("\n", " ")


def test_a_price_that_is_given_later_counts_what_was_used_before(
    rules: RuleTeacher, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("[prices.rules]\ninput = 1.0\noutput = 2.0\n", "utf-8")
    out = tmp_path / "run"
    with TeacherServer(rules) as server:
        asked = arguments(file, out, server.url, "--json")
        assert run(asked) == 0
        teacher = json.loads(capsys.readouterr().out)["teacher"]
        assert teacher["money"] == 0
        used = teacher["usage"]
        cost = (used["prompt_tokens"] + 2 * used["completion_tokens"]) / 1_000_000
        # Something is left to ask for.
        (out / "judged.jsonl").write_bytes(b"")
        lines = [line for line in _lines(out / "teacher.jsonl") if b'"prompt":"judge_' not in line]
        (out / "teacher.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        before = server.served().requests
        priced = [*asked, "--prices", str(prices)]
        assert run([*priced, "--budget", f"{cost * 0.99}"]) == 2
        assert f"{cost:.4f} of the" in capsys.readouterr().err
        assert server.served().requests == before
        assert run([*priced, "--budget", f"{cost * 2}"]) == 0
        after = json.loads(capsys.readouterr().out)["teacher"]
        assert cost < after["money"] < 2 * cost
        # Once priced, always priced: nothing is counted a second time.
        assert run(priced) == 0
        assert json.loads(capsys.readouterr().out)["teacher"] == after


@pytest.mark.parametrize("budget", ["0", "0.0"])
def test_a_budget_of_nothing_asks_nobody(
    rules: RuleTeacher,
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    budget: str,
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("[prices.rules]\ninput = 1.0\noutput = 2.0\n", "utf-8")
    more = ["--prices", str(prices), "--budget", budget]
    with TeacherServer(rules) as server:
        assert run(arguments(file, tmp_path / "run", server.url, *more)) == 2
        assert server.served().requests == 0
    assert "budget is used up" in capsys.readouterr().err


class OtherSet:
    """Has an identity, as sets of arenas and of trajectories have."""

    def identity(self) -> str:
        return "other"


def test_arenas_in_other_words(
    rules: RuleTeacher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables, out = tmp_path / "tables", tmp_path / "run"
    source = [str(WORLD), "--count", "2", "--out", str(tables)]
    assert run(["arenas", "make", *source]) == 0
    capsys.readouterr()
    with TeacherServer(rules) as server:
        asked = [str(tables), "--out", str(out), "--teacher", "rules", "--teacher-url", server.url]
        assert run(["arenas", "paraphrase", *asked, "--dry-run", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["requests"] == 4
        assert server.served().requests == 0 and not out.exists()
        assert run(["arenas", "paraphrase", *asked]) == 0
        # In Python, a part of a set and arenas in memory serve as well as a folder.
        whole = astra.load_arenas(tables)
        unkeyed = whole[0].model_copy(update={"provenance": {}, "distractors": ()})
        in_memory = astra.ArenaSet.of([unkeyed.with_content_id()])
        for arenas in (whole[:1], in_memory):
            (reworded,) = astra.paraphrase_arenas(
                arenas, teacher="rules", teacher_url=server.url, progress=False
            )
            assert reworded.provenance["paraphrase"]["of"] == whole[0].question
            assert reworded.question != whole[0].question
    rows = [json.loads(line) for line in _lines(out / "arenas.jsonl")]
    assert len(rows) == 2
    assert all(row["question"] != row["provenance"]["paraphrase"]["of"] for row in rows)
    with pytest.raises(astra.ConfigError, match="write a path") as refusal:
        astra.paraphrase_arenas([whole[0]], teacher="rules", teacher_url="http://u/v1")  # type: ignore[arg-type]
    assert len(str(refusal.value)) < 300
    with pytest.raises(astra.ConfigError, match=r"ArenaSet\.of"):
        astra.paraphrase_arenas(OtherSet(), teacher="rules", teacher_url="http://u/v1")
    with pytest.raises(astra.ConfigError, match="no arenas"):
        astra.paraphrase_arenas(whole[:0], teacher="rules", teacher_url="http://u/v1")


TEACHER = ["--teacher", "m", "--teacher-url", "http://u/v1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TEACHER, "give one of --questions, --corpus and --domains"),
        (["--questions", "q", "--corpus", "c", *TEACHER], "give one of"),
        (["--questions", "q"], "--teacher"),
        (["--questions", "q", "--teacher", "m"], "--teacher-url is needed"),
        (["--questions", "q", "--teacher-url", "http://u/v1"], "--teacher is needed"),
        (["--questions", "q", "--teacher", "rules"], "--teacher-url"),
        (["--questions", "q", "--budget", "inf", *TEACHER], "--budget 'inf'"),
        (["--questions", "q", "--teacher-timeout", "inf", *TEACHER], "--teacher-timeout 'inf'"),
        (["--questions", "q", "--min-quality", "1.1", *TEACHER], "must be at most 1"),
        (["--questions", "q", "--quality-percentile", "101", *TEACHER], "must be at most 100"),
        (["--questions", "q", "--min-quality", "nan", *TEACHER], "finite"),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["arenas", "synthesize", "--out", str(tmp_path / "run"), *options]) == 2
    assert message in capsys.readouterr().err


def test_the_endpoints_key_is_not_written(
    rules: RuleTeacher, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TEACHER_KEY", "sk-very-secret-key")
    out = tmp_path / "run"
    more: list[Any] = ["--teacher-key-env", "MY_TEACHER_KEY", "--count", "1"]
    with TeacherServer(rules) as server:
        assert run(arguments(file, out, server.url, *more)) == 0
    for path in out.iterdir():
        assert b"very-secret" not in path.read_bytes(), path
