"""Phases, the entropy's coefficient, confidence weights and the curriculum."""

from __future__ import annotations

import json
import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from astra.errors import ConfigError
from astra.training.credit.curriculum import Curriculum, CurriculumSettings
from astra.training.credit.phases import (
    EntropyControl,
    EntropyTarget,
    Phase,
    PhaseClock,
    PhaseSwitch,
    confidence_weights_B,
    crucial_BK,
)


def phases(switch: PhaseSwitch, rewards: list[float]) -> list[Phase]:
    """The phase in which each batch is credited."""
    clock = PhaseClock(switch)
    found: list[Phase] = []
    for reward in rewards:
        found.append(clock.phase)
        clock.advance(reward)
    return found


def test_the_phase_changes_after_a_number_of_steps():
    found = phases(PhaseSwitch(after=3, stalled=None), [0.1 * i for i in range(6)])
    assert found == [Phase.exploration] * 3 + [Phase.convergence] * 3
    assert phases(PhaseSwitch(after=0), [0.0])[0] is Phase.convergence


def test_the_phase_changes_when_the_reward_stalls_and_never_back():
    rising, flat = [0.1, 0.2, 0.3], [0.3] * 3
    switch = PhaseSwitch(after=None, stalled=3, smoothing=1.0)
    found = phases(switch, rising + flat + rising)
    assert found == [Phase.exploration] * 6 + [Phase.convergence] * 3
    assert Phase.convergence not in phases(switch, [0.1 * i for i in range(20)])
    never = PhaseSwitch(after=None, stalled=None)
    assert Phase.convergence not in phases(never, [0.5] * 300)


def test_a_gain_too_small_is_none():
    rewards = [0.5 + 1e-5 * i for i in range(10)]
    assert Phase.convergence in phases(PhaseSwitch(after=None, stalled=3, gain=1e-3), rewards)
    assert Phase.convergence not in phases(
        PhaseSwitch(after=None, stalled=3, gain=0.0, smoothing=1.0), rewards
    )


def test_progress_of_exploration():
    clock = PhaseClock(PhaseSwitch(after=4, stalled=None))
    assert clock.progress == 0.0
    clock.advance(0.0)
    assert clock.progress == 0.25
    assert PhaseClock(PhaseSwitch(after=None)).progress == 0.0
    assert PhaseClock(PhaseSwitch(after=0)).progress == 1.0


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=40), st.integers(0, 40))
def test_a_clock_goes_on_from_its_state(rewards: list[float], stop: int):
    switch = PhaseSwitch(after=30, stalled=5, smoothing=0.3)
    whole, first, second = PhaseClock(switch), PhaseClock(switch), PhaseClock(switch)
    for reward in rewards:
        whole.advance(reward)
    for reward in rewards[:stop]:
        first.advance(reward)
    second.load_state_dict(first.state_dict())
    for reward in rewards[stop:]:
        second.advance(reward)
    assert second.state_dict() == whole.state_dict()


# --- entropy ---------------------------------------------------------------------------------


def test_the_coefficient_follows_the_target():
    control = EntropyControl(EntropyTarget(target=1.0, rate=0.1, largest=0.12))
    assert control.update(0.5) == pytest.approx(0.05)
    assert control.update(0.5) == pytest.approx(0.10)
    assert control.update(0.0) == 0.12
    assert control.update(1.5) == pytest.approx(0.07)
    assert control.update(9.0) == 0.0


def test_the_first_batch_sets_the_target():
    control = EntropyControl(EntropyTarget(share=0.75, rate=0.1, largest=1.0))
    assert control.update(0.8) == 0.0
    assert control.target == pytest.approx(0.6)
    assert control.update(0.1) == pytest.approx(0.05)
    other = EntropyControl(EntropyTarget(share=0.75, rate=0.1, largest=1.0))
    other.load_state_dict(control.state_dict())
    assert other.update(0.1) == control.update(0.1) == pytest.approx(0.1)


def test_crucial_steps_by_hand():
    z_BK = torch.tensor([[0.1, -2.0, 1.0], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    exists_BK = torch.tensor(
        [[True, True, True], [True, True, False], [True, True, True], [False, False, False]]
    )
    assert crucial_BK(z_BK, exists_BK).tolist() == [
        [False, True, True],
        [True, True, False],
        [False, False, False],
        [False, False, False],
    ]


# --- confidence ------------------------------------------------------------------------------


def test_confidence_weights_by_hand():
    confidence_B = torch.tensor([0.9, 0.5, 0.1, 0.8, 0.2])
    success_B = torch.tensor([True, True, False, True, True])
    group_B = torch.tensor([0, 0, 0, 1, 2])
    found = confidence_weights_B(confidence_B, success_B, group_B, 0.5)
    # The group's successes have mean 0.7; a lone success is its own mean; failures weigh 1.
    assert found.tolist() == pytest.approx([1.1, 0.9, 1.0, 1.0, 1.0])
    assert confidence_weights_B(confidence_B, success_B, group_B, 0.0).tolist() == [1.0] * 5


def test_what_is_not_known_weighs_one():
    confidence_B = torch.tensor([math.nan, 0.5, 0.7])
    found = confidence_weights_B(confidence_B, torch.ones(3).bool(), torch.zeros(3).long(), 0.5)
    assert found.tolist() == pytest.approx([1.0, 0.95, 1.05])


def test_weights_stay_within_their_bounds():
    confidence_B = torch.tensor([5.0, -5.0])  # no probability: the clip holds whatever comes
    found = confidence_weights_B(confidence_B, torch.ones(2).bool(), torch.zeros(2).long(), 0.25)
    assert found.tolist() == [1.25, 0.75]
    with pytest.raises(ConfigError, match="gamma"):
        confidence_weights_B(confidence_B, torch.ones(2).bool(), torch.zeros(2).long(), 1.0)


# --- curriculum ------------------------------------------------------------------------------


def test_pass_rates_by_hand():
    curriculum = Curriculum(CurriculumSettings(smoothing=0.5))
    curriculum.observe("a", [1.0, 0.0])
    assert curriculum.rate("a") == 0.5
    curriculum.observe("a", [1.0, 1.0])
    assert curriculum.rate("a") == 0.75
    curriculum.observe("a", [])
    assert curriculum.rate("a") == 0.75
    assert curriculum.rate("b") is None


def test_graded_rewards_pass_at_the_best_that_was_seen():
    curriculum = Curriculum(CurriculumSettings(smoothing=0.5))
    curriculum.observe("a", [0.5, 0.5, 0.5, 0.5])  # earns well, and teaches nothing
    assert curriculum.rate("a") == 1.0
    curriculum.observe("b", [0.0, 0.0, 0.25, 0.0])
    assert curriculum.rate("b") == 0.25
    curriculum.observe("a", [0.5, 0.5, 0.5, 1.0])  # a better one: the bar is higher from here on
    assert curriculum.rate("a") == 0.25
    curriculum.observe("a", [0.5, 0.5, 0.5, 0.5])
    assert curriculum.rate("a") == 0.125
    curriculum.observe("c", [0.0, 0.0])
    assert curriculum.rate("c") == 0.0


def rated(**rates: float) -> Curriculum:
    curriculum = Curriculum(CurriculumSettings(others=0.1), seed=3)
    for task, rate in rates.items():
        passed = round(20 * rate)
        curriculum.observe(task, [1.0] * passed + [0.0] * (20 - passed))
    return curriculum


def test_what_each_phase_prefers():
    curriculum = rated(hopeless=0.0, hard=0.05, half=0.5, good=0.7, easy=0.9, solved=1.0)

    def preferred(phase: Phase, progress: float) -> set[str]:
        names = ["hopeless", "hard", "half", "good", "easy", "solved", "new"]
        return {name for name in names if curriculum.weight(name, phase, progress) == 1.0}

    assert preferred(Phase.exploration, 0.0) == {"half", "good", "new"}
    assert preferred(Phase.exploration, 0.5) == {"hard", "half", "good", "easy", "new"}
    everything = {"hopeless", "hard", "half", "good", "easy", "solved", "new"}
    assert preferred(Phase.exploration, 1.0) == everything
    assert preferred(Phase.convergence, 1.0) == {"hard", "half", "new"}
    assert curriculum.weight("solved", Phase.convergence, 1.0) == 0.1


def test_draws_follow_the_weights():
    curriculum = rated(half=0.5, solved=1.0)
    first = Counter(
        curriculum.choose(["half", "solved"], 1, Phase.exploration, 0.0)[0] for _ in range(2000)
    )
    assert first["solved"] / 2000 == pytest.approx(0.1 / 1.1, abs=0.03)
    both = curriculum.choose(["half", "solved"], 5, Phase.exploration, 0.0)
    assert sorted(both) == ["half", "solved"]


def test_the_histogram():
    curriculum = rated(a=0.0, b=0.1, c=0.5, d=1.0)
    assert curriculum.histogram() == [0.5, 0.0, 0.25, 0.0, 0.25]
    assert Curriculum().histogram() == [0.0] * 5


def test_a_curriculum_goes_on_from_its_state():
    names = [str(number) for number in range(20)]
    one = rated(**{f"task{name}": 0.05 * i for i, name in enumerate(names)})
    tasks = [f"task{name}" for name in names]
    one.choose(tasks, 3, Phase.exploration, 0.0)
    other = Curriculum(CurriculumSettings(others=0.1), seed=3)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for phase in (Phase.exploration, Phase.convergence):
        drawn = one.choose(tasks, 6, phase, 0.3)
        assert other.choose(tasks, 6, phase, 0.3) == drawn
        assert one.choose(tasks, 6, phase, 0.3) != drawn
        other.choose(tasks, 6, phase, 0.3)


@pytest.mark.parametrize("options", [{"smoothing": 0.0}, {"others": 0.0}, {"smoothing": 2.0}])
def test_impossible_settings_are_refused(options: dict[str, float]):
    with pytest.raises(ConfigError):
        CurriculumSettings(**options)
    with pytest.raises(ConfigError):
        PhaseSwitch(smoothing=0.0)
