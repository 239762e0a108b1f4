"""From tables to a run folder: the same bytes whatever happens on the way."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.certificate import certify
from astra.arenas.pipeline import ArenaPipeline
from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.errors import Rejected
from astra.models.embed_tfidf import TfidfEmbedder
from astra.runs.folder import RunFolder
from astra.runs.runner import StageRunner
from astra.sandbox import open_sandbox
from astra.types import Arena, GoldCall, Matcher, Target, Tool, arena_id
from tests.support.arenas import calories_tool, changed, column, lookup_tool, single_hop_arena

WORLD = Path(__file__).parents[1] / "examples" / "world"
COUNT = 16
ARGUMENTS = ["arenas", "make", "--tables", str(WORLD), "--languages", "en,zh", "--seed", "11"]


def make(out: Path, count: int, *more: str) -> list[str]:
    return [*ARGUMENTS, "--count", str(count), "--out", str(out), *more]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "run"
    assert run(make(out, COUNT)) == 0
    return out


def test_all_that_was_asked_for_is_certified(made: Path) -> None:
    arenas, certificates = rows(made / "arenas.jsonl"), rows(made / "certificates.jsonl")
    assert len(arenas) == COUNT
    assert [c["arena"] for c in certificates] == [a["id"] for a in arenas]
    assert all(c["certified"] and len(c["checks"]) == 12 for c in certificates)
    assert all(a["id"] == arena_id(a) for a in arenas)


def test_distractors_are_of_other_domains_and_names(made: Path) -> None:
    shown = Counter[str]()
    for arena in ArenaSet(made):
        own = {tool.name for tool in arena.tools}
        domains = {tool.domain for tool in arena.tools} | {arena.domain}
        for tool in arena.distractors:
            shown[tool.band] += 1
            assert tool.name not in own
            assert tool.domain not in domains
            assert tool.language == arena.language
    assert set(shown) <= {"high", "medium", "low"}
    assert shown["low"] > 12


def test_train_arenas_show_no_tool_of_test_arenas(made: Path) -> None:
    split = {row["id"]: row["split"] for row in rows(made / "tools.jsonl")}
    train = ArenaSet(made).split("train")
    assert all(split[d.id] == "train" for arena in train for d in arena.distractors)


@pytest.mark.slow  # a run that was killed gives the same bytes, too
def test_same_seed_same_bytes_and_another_seed_others(made: Path, tmp_path: Path) -> None:
    assert run(make(tmp_path / "again", COUNT, "--concurrency", "3")) == 0
    for name in ("arenas.jsonl", "candidates.jsonl", "tools.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()
    other = [*make(tmp_path / "other", 4), "--seed", "12"]
    assert run(other) == 0
    ids = {row["id"] for row in rows(made / "arenas.jsonl")}
    assert not ids & {row["id"] for row in rows(tmp_path / "other" / "arenas.jsonl")}


def test_going_on_with_other_options_is_refused(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make(made, COUNT, "--max-hops", "2")) == 2
    assert "hops" in capsys.readouterr().err


async def test_certificates_hold_from_the_files_alone(made: Path) -> None:
    async with open_sandbox() as sandbox:
        for arena in ArenaSet(made)[:4]:
            certificate = await certify(arena, sandbox, seed=5)
            assert certificate.certified, certificate


def test_a_finished_run_does_nothing_again(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (made / "arenas.jsonl").read_bytes()
    assert run(make(made, COUNT, "--json")) == 0
    assert (made / "arenas.jsonl").read_bytes() == before
    said = json.loads(capsys.readouterr().out)
    assert said["arenas"] == COUNT
    assert said["stages"]["arenas"]["resumed"] == COUNT


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_it_gives_the_same_bytes(made: Path, tmp_path: Path, times: int) -> None:
    """SIGKILL at random moments; what was recorded is not computed again."""
    out, rng, kills = tmp_path / "killed", random.Random(3), 0
    command = [sys.executable, "-m", "astra", *make(out, COUNT)]
    seen = 0
    while kills < times:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for_work(out, seen, process)
        time.sleep(rng.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        kills += 1
        recorded = _whole_lines(out / "candidates.jsonl")
        assert recorded >= seen
        seen = recorded
    assert run(make(out, COUNT)) == 0
    for name in ("arenas.jsonl", "candidates.jsonl", "tools.jsonl"):
        assert (out / name).read_bytes() == (made / name).read_bytes()
    for name in ("certificates.jsonl", "candidate-certificates.jsonl"):
        asked = [(row["arena"], row["checks"]) for row in rows(made / name)]
        assert [(row["arena"], row["checks"]) for row in rows(out / name)] == asked


def _wait_for_work(out: Path, seen: int, process: subprocess.Popen[bytes]) -> None:
    """Until the process has written something more, or is done."""
    for _ in range(1200):
        if process.poll() is not None or (
            _size(out) > 0 and _whole_lines(out / "candidates.jsonl") > min(seen, COUNT - 1)
        ):
            return
        time.sleep(0.02)


def _size(out: Path) -> int:
    path = out / "candidates.jsonl"
    return path.stat().st_size if path.exists() else 0


def _whole_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_mixing_runs_the_checks_again_that_see_distractors(made: Path) -> None:
    before = [row["arena"] for row in rows(made / "candidate-certificates.jsonl")]
    for certificate, bare in zip(rows(made / "certificates.jsonl"), before, strict=True):
        carried = {c["check"] for c in certificate["checks"] if "found_for" in c["evidence"]}
        assert carried == {
            *("replay", "order", "gold", "grounding", "robust", "ablation", "general", "spelling"),
        }
        assert {c["evidence"].get("found_for", bare) for c in certificate["checks"]} == {bare}


def _lookup(key: str, tool: Tool, named: str, field: str) -> Arena:
    """One call to a lookup tool of another domain, built like the single-hop arena."""
    model = single_hop_arena()
    parameter = tool.document.parameters["required"][0]
    answer = tool.data[named]
    matcher = Matcher.exact if isinstance(answer, str) else Matcher.number
    goal = model.goals[0].model_copy(
        update={
            "question": f"{field} of {named}?",
            "answer": answer,
            "call": GoldCall(tool=tool.name, arguments={parameter: named}),
            "target": Target(matcher=matcher, value=answer, field=field, key={parameter: named}),
            "decoys": tuple({parameter: other} for other in tool.data if other != named),
        }
    )
    target = Target(matcher=matcher if matcher is Matcher.number else Matcher.text, value=answer)
    return changed(
        model,
        question=f"Tell me the {field} of {named}.",
        answer=answer,
        answer_target=target,
        goals=(goal,),
        tools=(tool,),
        domain=tool.domain,
        provenance={**model.provenance, "key": key},
    )


async def test_a_distractor_that_solves_a_goal_is_left_out_and_the_arena_stays(
    tmp_path: Path,
) -> None:
    twin = lookup_tool(
        "seat_of_government",
        column("capital"),
        parameter="nation",
        field="city",
        description="Where the government of a nation sits.",
        domain="politics",
    )
    arenas = [
        single_hop_arena(),
        _lookup("1", twin, "Norway", "city"),
        _lookup("2", calories_tool(), "ramen", "calories"),
    ]
    candidates = [_Candidate(arena.key, arena) for arena in arenas]
    folder = RunFolder.create(tmp_path / "run", {"kind": "test"})
    async with open_sandbox() as sandbox:
        pipeline = ArenaPipeline(StageRunner(folder), sandbox, TfidfEmbedder())
        reports = await pipeline.make(candidates, 3)
    assert reports["arenas"].accepted == 3 and not reports["arenas"].rejected
    shown = [{tool.name for tool in arena.distractors} for arena in ArenaSet(folder.path)]
    assert shown[0] == {"calories_of_dish"}, "the twin tells the capital, too"
    assert shown[2] == {"capital_of_country", "seat_of_government"}


@dataclass(frozen=True)
class _Candidate:
    key: str
    outcome: Arena | Rejected


def dropped(lines: list[str]) -> list[str]:
    return [*lines[:1], *lines[2:]]


def reworded(lines: list[str]) -> list[str]:
    return [lines[0].replace('"question":"', '"question":"Please: ', 1), *lines[1:]]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("candidate-certificates.jsonl", lambda lines: []),
        ("candidate-certificates.jsonl", dropped),
        ("candidate-certificates.jsonl", lambda lines: lines[::-1]),
        ("candidates.jsonl", dropped),
        ("candidates.jsonl", reworded),
    ],
    ids=["emptied", "one certificate gone", "in another order", "one arena gone", "reworded"],
)
def test_candidates_changed_by_hand_are_noticed(
    name: str,
    change: Callable[[list[str]], list[str]],
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    shutil.copytree(made, out)
    (out / "arenas.jsonl").unlink()
    (out / "certificates.jsonl").unlink()
    changed = change((out / name).read_text("utf-8").splitlines(keepends=True))
    (out / name).write_text("".join(changed), "utf-8")
    assert run(make(out, COUNT)) == 2
    assert "do not go together" in " ".join(capsys.readouterr().err.split())
