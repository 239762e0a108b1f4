"""Arenas from table folders of the tests' own, whose names are hard on tools."""

from __future__ import annotations

import ast
import asyncio
import csv
import keyword
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pytest

from astra.arenas.certificate import certify
from astra.arenas.certificates import CheckResult
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.stateful.source import StateSource
from astra.arenas.stateful.values import address_words
from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import TablesOptions
from astra.errors import Rejected
from astra.evaluation.arenas import PlayedEpisode, play, tallied
from astra.models.policies import Policy, policy
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits
from astra.types import Arena
from tests.stateful.conftest import SHOP
from tests.support.sandboxes import run_with_sandbox, shared_sandbox
from tests.support.table_folders import write_clinic, write_haulier

FOLDERS = {"clinic": write_clinic, "haulier": write_haulier}


def draw_from(folder: Path, count: int, seed: int = 0) -> list[Arena]:
    options = StateSourceOptions(hops=(1, 8), languages={"en": 0.5, "zh": 0.5}, seed=seed)
    arenas: list[Arena] = []
    with load([folder], TablesOptions()) as tables:
        source = StateSource(tables, profile(tables, TablesOptions()), options)
        for candidate in source.candidates():
            if not isinstance(candidate.outcome, Rejected):
                arenas.append(candidate.outcome)
            if len(arenas) == count:
                break
    return arenas


async def certified(arenas: Sequence[Arena], least: float = 1.0) -> list[Arena]:
    """Those that are certified: this share of all, or more."""
    bad: list[tuple[str, list[CheckResult]]] = []
    passed: list[Arena] = []
    async with shared_sandbox() as sandbox:
        places = asyncio.Semaphore(4)

        async def examine(arena: Arena) -> None:
            async with places:
                certificate = await certify(arena, sandbox)
            if certificate.certified:
                passed.append(arena)
            else:
                bad.append((arena.question, [c for c in certificate.checks if not c.passed]))

        await asyncio.gather(*map(examine, arenas))
    assert len(passed) >= least * len(arenas), bad
    return passed


async def check_worth(arenas: Sequence[Arena]) -> None:
    worth: dict[str, tuple[float, float]] = {}
    async with shared_sandbox() as sandbox:
        names: tuple[Policy, ...] = ("gold", "null", "reader", "careless", "random")
        for name in names:
            episodes: list[PlayedEpisode] = []
            model = lambda arena, sample, name=name: policy(name, arena, sample)  # noqa: E731
            played = play(arenas, model, sandbox, RolloutLimits(turns=100))
            summary = await tallied(played, 0, episodes.append)
            assert summary.f1 is not None
            worth[name] = summary.f1.mean, strict(arenas, episodes)
    assert worth["gold"] == (1, 1)
    assert worth["null"] == worth["reader"] == (0, 0)
    assert worth["careless"][0] <= 0.2
    assert worth["random"][0] <= 0.02


def strict(arenas: Sequence[Arena], episodes: Sequence[PlayedEpisode]) -> float:
    pairs = zip(arenas, episodes, strict=True)
    return fmean(score_trajectory(arena, e.trajectory, "strict").reward for arena, e in pairs)


@pytest.fixture(scope="module", params=sorted(FOLDERS))
def drawn(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Arena]]:
    folder = FOLDERS[request.param](tmp_path_factory.mktemp(request.param))
    return folder, draw_from(folder, 40)


def test_reference_policies_and_the_same_bytes(drawn: tuple[Path, list[Arena]]) -> None:
    folder, arenas = drawn
    run_with_sandbox(check_worth(arenas))
    assert [arena.id for arena in draw_from(folder, 40)] == [arena.id for arena in arenas]


def test_arenas_are_certified(drawn: tuple[Path, list[Arena]]) -> None:
    run_with_sandbox(certified(drawn[1][:12]))


def test_names_fit_the_apis_of_models(drawn: tuple[Path, list[Arena]]) -> None:
    for arena in drawn[1]:
        names = [tool.name for tool in arena.tools]
        assert len(set(names)) == len(names)
        for tool in arena.tools:
            for name in (tool.name, *tool.document.parameters["properties"]):
                assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name), name
                assert not keyword.iskeyword(name)


def test_what_a_name_says_in_sentences(drawn: tuple[Path, list[Arena]]) -> None:
    for arena in drawn[1]:
        # Neither "a appointment" nor "medicineAlbaxin".
        assert not re.search(r"\ba [aeio]\w+", arena.question), arena.question
        assert not re.search(r"(medicine|site|order|patient)[A-Z]", arena.question), arena.question


@pytest.mark.slow
@pytest.mark.parametrize("name, count", [("shop", 1_000), ("clinic", 300), ("haulier", 300)])
def test_many(tmp_path: Path, name: str, count: int) -> None:
    folder = SHOP if name == "shop" else FOLDERS[name](tmp_path / name)
    arenas = draw_from(folder, count)
    assert len(arenas) == count
    assert [arena.id for arena in draw_from(folder, count)] == [arena.id for arena in arenas]
    # `astra arenas make` leaves out what is not certified.
    run_with_sandbox(check_worth(run_with_sandbox(certified(arenas, least=0.99))))


HARD = [
    *"len isinstance int str bool all list dict now new_key skip total previous datetime math "
    "unicodedata error from class select DATABASE filters rows value _x".split(),
    'x"; DROP TABLE t; --',
    "a' OR '1'='1",
]


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> list[Arena]:
    """Arenas over a table `total` whose columns are called as what tools use."""
    folder = tmp_path_factory.mktemp("hard")
    header = ["total_id", "name", *HARD, "line status", "address"]
    rows = [
        [f"T-{n}", f"thing {n}", *("no" if (n + k) % 3 else "yes please" for k in range(len(HARD))),
         "open" if n % 2 else "closed", f"{n} '); DROP TABLE x; --"]
        for n in range(30)
    ]  # fmt: skip
    lines = [[f"L-{n}", f"T-{n % 30}", "open" if n % 3 else "shut"] for n in range(60)]
    for name, table in {
        "total": [header, *rows],
        "total_line": [["total_line_id", "total_id", "status"], *lines],
    }.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
    return draw_from(folder, 12)


def test_columns_that_are_called_as_what_tools_use(hard: list[Arena]) -> None:
    tools = {tool.name: tool for arena in hard for tool in arena.tools}
    # The line status of a total, and the status of its line.
    assert {"set_total_line_status", "set_total_line_status_2"} <= tools.keys()
    for tool in tools.values():
        module = ast.parse(tool.source)
        function = next(
            node
            for node in module.body
            if isinstance(node, ast.FunctionDef) and node.name == tool.name
        )
        parameters = {each.arg for each in function.args.args}
        used = {
            name.id
            for call in ast.walk(function)
            if isinstance(call, ast.Call)
            for part in (call.func, *(call.args[1:] if _is_check(call) else ()))
            for name in ast.walk(part)
            if isinstance(name, ast.Name)
        }
        # What a function sets anew, it has taken from its parameters before.
        own = {
            name.id
            for name in ast.walk(function)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        }
        assert not parameters & used - own, (tool.name, parameters & used)
    run_with_sandbox(certified(hard))


def _is_check(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "isinstance"


@pytest.mark.parametrize(
    "name, words",
    [("Jörg O'Brien", ["jorg", "obrien"]), ("Zoë Ek-Lund", ["zoe", "ek", "lund"]), ("赵安然", [])],
)
def test_words_of_an_address(name: str, words: list[str]) -> None:
    assert address_words(name) == words
