"""The rule teacher of trajectories: by prompt, by seed, wrong on demand; several as one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from astra.errors import ConfigError, TeacherError
from astra.teacher.prompt import JudgeVerdict, Prompt
from astra.testing.rule_teacher.faults import FLIPPED, FaultRates, flipped
from astra.testing.rule_teacher.several import SeveralTeachers
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.types import Record


class Asked(Record):
    text: str


SHORT = Prompt("judge_short", 1, Asked, JudgeVerdict)
OTHER = Prompt("judge_other", 1, Asked, JudgeVerdict)


def short(given: Asked, rng: random.Random) -> JudgeVerdict:
    return JudgeVerdict(reason=str(rng.random()), holds=len(given.text) < 4)


def teacher(**options: Any) -> TrajectoryRules:
    rules = {SHORT.name: short}
    return TrajectoryRules(rules=rules, defects={SHORT.name: {FLIPPED: flipped}}, **options)


async def test_answers_depend_on_seed_input_and_index_alone() -> None:
    answers = [await teacher(seed=1).ask(SHORT, Asked(text="a"), index=i) for i in (0, 0, 1)]
    assert answers[0] == answers[1] != answers[2]
    assert answers[0] != await teacher(seed=2).ask(SHORT, Asked(text="a"))
    assert all(answer.holds for answer in answers)
    assert not (await teacher().ask(SHORT, Asked(text="longer"))).holds


async def test_a_prompt_without_rule_is_refused() -> None:
    with pytest.raises(TeacherError, match="judge_other"):
        await teacher().ask(OTHER, Asked(text="a"))


async def test_wrong_at_the_rate_and_on_record() -> None:
    wrong = teacher(faults=FaultRates({FLIPPED: 0.3}, seed=5))
    holds = [(await wrong.ask(SHORT, Asked(text="a"), index=i)).holds for i in range(500)]
    assert 100 < holds.count(False) < 200
    assert len(wrong.planted) == holds.count(False)
    again = teacher(faults=FaultRates({FLIPPED: 0.3}, seed=5))
    assert holds == [(await again.ask(SHORT, Asked(text="a"), index=i)).holds for i in range(500)]


@pytest.mark.parametrize(
    ("rates", "overall"), [({FLIPPED: 1.1}, 0.0), ({}, -0.1), ({FLIPPED: 0.1}, 0.1)]
)
def test_impossible_rates(rates: dict[str, float], overall: float) -> None:
    with pytest.raises(ConfigError):
        FaultRates(rates, overall=overall)


async def test_several_teachers_are_asked_what_they_know() -> None:
    several = SeveralTeachers("both", {SHORT.name: teacher()})
    assert several.name == "both"
    assert (await several.ask(SHORT, Asked(text="a"))).holds
    with pytest.raises(TeacherError, match="judge_other"):
        await several.ask(OTHER, Asked(text="a"))
