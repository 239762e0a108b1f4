"""The quality gate of the benchmarks: its counts add up, and it sees what it is there to see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import gate

from astra.testing.rule_teacher.arenas import Catalogue, RuleTeacher
from astra.testing.rule_teacher.faults import FaultRates
from astra.types import Arena


@pytest.fixture(scope="module")
def teacher() -> RuleTeacher:
    return RuleTeacher.of_tables([gate.WORLD], seed=1, size=20, languages=["en"])


def chain(catalogue: Catalogue) -> Arena:
    """An arena whose first step others need, and whose last has a call."""
    return next(
        arena
        for arena in catalogue.arenas
        if arena.goals[-1].depends_on and all(goal.call for goal in arena.goals)
    )


async def test_each_wrong_answer_has_one_fate(tmp_path: Path, teacher: RuleTeacher) -> None:
    found = await gate.gate(tmp_path / "run", teacher.catalogue, count=16, seed=3, judges=False)
    assert found["arenas"] > 0
    planted = [counts["planted"] for counts in found["defects"].values()]
    assert sum(planted) == found["wrong_answers"] > 10
    for counts in found["defects"].values():
        assert counts["planted"] == sum(counts[fate] for fate in gate.FATES), counts
    assert set(found["must_be_zero"].values()) == {0}


@pytest.mark.parametrize(("arenas", "number", "status"), [(3, 0, 0), (3, 1, 1), (0, 0, 1)])
def test_the_exit_status_says_whether_the_gate_held(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arenas: int,
    number: int,
    status: int,
) -> None:
    async def canned(*_given: object, **_options: object) -> dict[str, Any]:
        mistakes = {**dict.fromkeys(gate.MUST_BE_ZERO, 0), "missing step": number}
        counts = {"leak": dict.fromkeys(("planted", *gate.FATES), 0)}
        numbers = {"items": 9, "answers": 8, "wrong_answers": 7, "arenas": arenas}
        return {**numbers, "defects": counts, "must_be_zero": mistakes, "examples": {}}

    monkeypatch.setattr(gate, "gate", canned)
    monkeypatch.setattr(gate.Catalogue, "of_tables", lambda *_: None)
    path = tmp_path / "gate.json"
    assert gate.main(["--json", str(path)]) == status
    parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
    assert parts[gate.LINE]["must_be_zero"]["missing step"] == number
    assert "missing step" in capsys.readouterr().out


def test_right_arenas_have_no_mistake(teacher: RuleTeacher) -> None:
    for arena in teacher.catalogue.arenas:
        assert list(gate.mistakes(arena, teacher, set())) == []


def test_each_kind_of_mistake_is_seen(teacher: RuleTeacher) -> None:
    arena = chain(teacher.catalogue)
    last = arena.goals[-1]

    def kinds(hard_coded: frozenset[str] = frozenset(), **update: object) -> set[str]:
        changed = arena.model_copy(update=update)
        return {kind for kind, _ in gate.mistakes(changed, teacher, hard_coded)}

    wrong = last.model_copy(update={"answer": "Atlantis"})
    assert kinds(answer="Atlantis") == {"wrong answer"}
    assert kinds(goals=(*arena.goals[:-1], wrong)) == {"wrong answer"}
    assert kinds(frozenset({arena.tools[0].source})) == {"hard-coded tool"}
    assert "missing step" in kinds(goals=arena.goals[:-1])
    needless = arena.goals[0].model_copy(update={"depends_on": (last.id,)})
    assert kinds(goals=(needless, *arena.goals[1:])) == {"visible false dependency"}


def test_rates_fill_what_is_asked() -> None:
    """`FaultRates` refuses rates that add up to more than all answers of a prompt."""
    FaultRates(rates=gate.rates(1.0))
