"""The published row layout, both ways; rows that must be refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.formats.rows import COLUMNS, from_row, standalone, to_row
from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.errors import Rejected
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.types import Arena
from tests.support.arenas import capital_tool, multi_hop_arena, with_distractors
from tests.synthesis.conftest import WORLD


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "run"
    arguments = ["--tables", str(WORLD), "--count", "5", "--languages", "en,zh", "--out", str(out)]
    assert run(["arenas", "make", *arguments]) == 0
    return out


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_there_and_back_changes_no_byte(world: Path, tmp_path: Path) -> None:
    file, back = tmp_path / "rows.jsonl", tmp_path / "back"
    assert run(["arenas", "export", str(world), "--format", "astra-rl", "--out", str(file)]) == 0
    assert run(["arenas", "import", str(file), "--format", "astra-rl", "--out", str(back)]) == 0
    assert (back / "arenas.jsonl").read_bytes() == (world / "arenas.jsonl").read_bytes()
    # Again: nothing is done twice.
    assert run(["arenas", "import", str(file), "--format", "astra-rl", "--out", str(back)]) == 0
    assert run(["arenas", "certify", str(back)]) == 0
    assert run(["arenas", "export", str(back), "--out", str(tmp_path / "again.jsonl")]) == 0
    assert (tmp_path / "again.jsonl").read_bytes() == file.read_bytes()


def test_rows_have_the_published_columns(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert run(["arenas", "export", str(world), "--out", str(file)]) == 0
    assert run(["arenas", "export", str(world), "--out", str(file)]) == 2, "never overwritten"
    for row, arena in zip(rows(file), ArenaSet(world), strict=True):
        assert list(row) == [*COLUMNS, "astra"]
        assert row["prompt"] == [{"role": "user", "content": arena.question}]
        names = [entry["function"]["name"] for entry in json.loads(row["tool_schema"])]
        sources = json.loads(row["tool_dict"])
        assert sorted(names) == names == sorted(sources)
        assert len(names) == len(arena.tools) + len(arena.distractors)
        answers = json.loads(row["sub_qa_dict"])
        assert sum(map(len, answers.values())) == sum(g.call is not None for g in arena.goals)


def test_sources_run_without_us() -> None:
    space: dict[str, Any] = {}
    exec(standalone(capital_tool()), space)
    assert space["capital_of_country"]("Norway")["capital"] == "Oslo"


# --- what must be refused ---------------------------------------------------------------------


def row_of(arena: Arena) -> dict[str, Any]:
    return to_row(arena)


def text(column: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Change what stands as JSON text in a column."""
    return lambda row: {**row, column: json.dumps(change(json.loads(row[column])))}


def doubled(row: dict[str, Any]) -> dict[str, Any]:
    """As in published rows: two schemas of one name, of which the sources keep one."""
    schema = json.loads(row["tool_schema"])
    return {**row, "tool_schema": json.dumps([*schema, schema[0]])}


def twice_in_text(row: dict[str, Any]) -> dict[str, Any]:
    name, source = next(iter(json.loads(row["tool_dict"]).items()))
    more = f"{json.dumps(name)}: {json.dumps(source)}"
    return {**row, "tool_dict": row["tool_dict"][:-1] + ", " + more + "}"}


def published(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in COLUMNS}


CASES: list[tuple[Callable[[dict[str, Any]], Any], str, str]] = [
    (doubled, "names", "two tools called"),
    (twice_in_text, "names", "two tools called"),
    (published, "calls", "no gold calls"),
    (lambda row: [row], "layout", "columns"),
    (lambda row: {"prompt": row["prompt"]}, "layout", "columns"),
    (lambda row: {**row, "prompt": "text"}, "layout", "user message"),
    (lambda row: {**row, "tool_dict": "{"}, "layout", "not JSON"),
    (lambda row: {**row, "tool_schema": "{}"}, "layout", "not a list"),
    (lambda row: {**row, "sub_qa_dict": "[" * 100_000}, "layout", "not JSON"),
    (text("tool_schema", lambda v: [*v, {"type": "function"}]), "layout", "not an OpenAI tool"),
    (text("tool_dict", lambda v: {**v, "extra": "x"}), "names", "only one of"),
    (text("sub_qa_dict", lambda v: {**v, "extra": ["x"]}), "names", "not tools of the row"),
    (text("sub_qa_dict", lambda v: {k: ["other"] for k in v}), "layout", "disagree"),
    (text("tool_dict", lambda v: dict.fromkeys(v, "x = 1")), "layout", "disagree"),
    (lambda row: {**row, "prompt": [{"role": "user", "content": "Other?"}]}, "layout", "disagree"),
    (lambda row: {**row, "astra": "{}"}, "layout", "no arena"),
    (lambda row: {**row, "astra": 5}, "layout", "no arena"),
    (text("astra", lambda v: {**v, "version": 3}), "layout", "upgrade"),
]


@pytest.mark.parametrize(("change", "check", "reason"), CASES)
def test_rows_that_are_refused(
    change: Callable[[dict[str, Any]], Any], check: str, reason: str
) -> None:
    good = row_of(multi_hop_arena())
    assert from_row(good) == multi_hop_arena()
    with pytest.raises(Rejected, match=reason) as error:
        from_row(change(good))
    assert error.value.check == check


def test_an_arena_with_two_tools_of_one_name_is_not_written() -> None:
    arena = multi_hop_arena()
    with pytest.raises(Rejected, match="two tools called"):
        to_row(with_distractors(arena, arena.tools[0]))


def test_refused_rows_and_forged_arenas_are_set_aside(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    assert run(["arenas", "export", str(world), "--out", str(file)]) == 0
    good = rows(file)
    forged = json.loads(good[1]["astra"])
    forged["arena"]["answer"] = "whatever"
    bad = [good[0], doubled(good[2]), published(good[3]), {**good[1], "astra": json.dumps(forged)}]
    file.write_text("\n".join(json.dumps(row) for row in bad), "utf-8")
    out = tmp_path / "imported"
    capsys.readouterr()
    assert run(["arenas", "import", str(file), "--out", str(out), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["arenas"] == 1
    failures = list(RunFolder.open(out).rows("arenas.failed", FailureRow))
    assert [failure.check for failure in failures] == ["names", "calls", "names"]
    assert "line 2" in failures[0].message


def test_long_paths_are_printed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "rows.jsonl", tmp_path.joinpath(*["a" * 200] * 3, "imported")
    file.write_text(json.dumps({"prompt": "no row of arenas"}) + "\n")
    assert run(["arenas", "import", str(file), "--out", str(out)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"0 certified arenas in {out}",
        f"  arenas: rejected 1 by layout (`astra arenas stats {out}` says more)",
    ]


@pytest.mark.parametrize("data", [b"no json\n", b"\xff\n"])
def test_files_that_are_none(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(data)
    for path in (file, tmp_path / "missing.jsonl"):
        assert run(["arenas", "import", str(path), "--out", str(tmp_path / "out")]) == 2


def test_rows_of_nemo_gym_are_refused_with_the_reason() -> None:
    row = {"responses_create_params": {"input": [], "tools": []}, "verifier_metadata": {}}
    with pytest.raises(Rejected, match="code of its resources server"):
        from_row(row)
