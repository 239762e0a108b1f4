"""Mathematical problems through the whole harness. Needs math-verify, installed once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from astra.configs.benchmarks import MathsConfig
from astra.errors import ConfigError, HostError
from astra.evaluation.benchmarks.maths import MATHS
from astra.evaluation.benchmarks.run import episodes_of, run_benchmark
from astra.types import Json, Message
from tests.field_benchmarks.conftest import Player, installed

pytestmark = pytest.mark.integrations

ANSWERS = [
    *("204", "-7", "0", "\\frac{1}{2}", "3\\sqrt{2}", "(1, 2]", "\\{1, 2\\}", "(3, -4)", "0.25"),
    *("2\\pi", "x^2 + 1", "$50$", "10^{12}", "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}"),
]
EQUAL = {"\\frac{1}{2}": "0.5", "204": "204.0", "3\\sqrt{2}": "\\sqrt{18}", "0.25": "\\frac14"}


@pytest.fixture(scope="module")
def folder() -> Path:
    """The environments, that of maths among them."""
    return installed(MATHS)


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "invented.jsonl"
    rows = [{"id": a, "problem": f"Which is it? {a}", "answer": a} for a in ANSWERS]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def solved(folder: Path, problems: Path, **options: Any) -> tuple[set[str], Any]:
    """Ids of the problems that are solved, and the summary."""
    run, summary = asyncio.run(
        run_benchmark(MATHS, MathsConfig(problems=problems, **options), folder)
    )
    return {episode.task for episode in episodes_of(run) if episode.score}, summary


def answering(text: str) -> Player:
    def answer(messages: Sequence[Json]) -> Message:
        right = messages[0]["content"].split("? ", 1)[1].split("\n")[0]
        said = text.replace("RIGHT", EQUAL.get(right, right.strip("$")))
        return Message(role="assistant", content=said)

    return Player(answer)


def test_gold_solves_all_and_empty_or_wrong_answers_nothing(folder: Path, problems: Path) -> None:
    assert solved(folder, problems, policy="gold")[0] == set(ANSWERS)
    assert solved(folder, problems, policy="null")[0] == set()
    right = "First \\boxed{12345}. No, it is $\\boxed{RIGHT}$."
    assert solved(folder, problems, model=answering(right))[0] == set(ANSWERS)
    for wrong in ("", "\\boxed{}", "$\\boxed{12345}$", "$\\boxed{RIGHT + 1}$"):
        found, summary = solved(folder, problems, model=answering(wrong))
        assert found == set() and summary.episodes == len(ANSWERS), wrong


def test_samples_are_paired_and_a_response_that_computes_for_ever_costs_its_limit(
    folder: Path, problems: Path
) -> None:
    endless = answering("$\\boxed{9^{9^{9^{9^{9}}}}!}$")
    found, summary = solved(folder, problems, model=endless, limit=2, samples=2, step_timeout=12)
    assert not found and summary.episodes == 4 and len(summary.by_trial) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"problem": "p"}', "line 2: no `problem` or no `answer`"),
        ('{"id": 1, "problem": "p", "answer": "1"}', "line 2: the id '1' stands twice"),
        ('{"id": 1, "problem"', "line 2 is no JSON"),
    ],
)
def test_a_file_of_problems_that_is_wrong_is_named(
    folder: Path, tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"id": 1, "problem": "p", "answer": "1"}\n' + line)
    with pytest.raises(HostError, match=message):
        solved(folder, path, policy="gold")
    with pytest.raises(ConfigError, match="is no file: give a JSONL file"):
        solved(folder, tmp_path, policy="gold")
