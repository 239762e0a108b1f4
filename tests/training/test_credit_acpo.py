"""ACPO on the port: what it gives a batch, phase by phase, and that it resumes exactly."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from astra.errors import ConfigError
from astra.training.algorithm import Algorithm, ChoosesTasks, Credit, ScoredBatch
from astra.training.credit.acpo import ACPO, ACPOSettings
from astra.training.credit.attribution import Attribution
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.curriculum import CurriculumSettings
from astra.training.credit.factor import CreditBaseline
from astra.training.credit.phases import EntropyTarget, Phase, PhaseSwitch
from astra.training.credit.records import CreditRow
from astra.training.credit.segment import Segmentation
from astra.training.rl.grpo import GRPO
from tests.training.made import CountingPolicy, played, scored, written
from tests.training.test_credit_attribution import arena

REPLAY = Counterfactual({"arena": arena()})


def batch() -> ScoredBatch:
    """A group of four episodes with good and useless turns."""
    return scored(
        [
            played([["a"], ["b"], []]),
            played([["a"], ["z"], []]),
            played([["z"], ["z"], ["z"], []]),
            played([["a", "b", "c"], []]),
        ]
    )


def problems() -> ScoredBatch:
    text = "We add 2. Then we get 4. The answer is 42."
    entropies = [2.0 if text[i - 1 : i] == "." else 0.1 for i in range(len(text))]
    return scored(
        [
            written(text, 1.0, entropies=entropies),
            written("It is 41, I think. Yes.", 0.0),
            written("The answer is 42.", 1.0),
        ]
    )


def plain(given: ScoredBatch) -> torch.Tensor:
    return GRPO().credit(given, CountingPolicy()).advantages_BT


def test_it_is_an_algorithm_that_chooses():
    algorithm: Algorithm = ACPO()
    assert algorithm.name == "acpo"
    assert isinstance(algorithm, ChoosesTasks)


@pytest.mark.parametrize("attribution", list(Attribution))
def test_the_total_of_each_rollout_is_preserved(attribution: Attribution):
    given = batch()
    given = dataclasses.replace(
        given, episodes=[dataclasses.replace(e, answer="C") for e in given.episodes]
    )
    algorithm = ACPO(ACPOSettings(attribution=attribution), replay=REPLAY)
    credit = algorithm.credit(given, CountingPolicy(0.001))
    expected = plain(given)
    assert credit.advantages_BT.sum(1) == pytest.approx(expected.sum(1), abs=1e-4)
    assert torch.equal(credit.advantages_BT.sign(), expected.sign())
    if attribution is not Attribution.likelihood:  # equal gains per token: here, of equal steps
        assert not torch.allclose(credit.advantages_BT, expected, atol=1e-3)


@pytest.mark.parametrize("made", [batch, problems])
def test_without_its_parts_it_is_the_group_relative_advantage(made):  # type: ignore[no-untyped-def]
    settings = ACPOSettings(
        attribution=Attribution.entropy,
        alpha=0.0,
        confidence_gamma=0.0,
        kl=0.0,
        entropy=EntropyTarget(largest=0.0),
    )
    for switch in (PhaseSwitch(), PhaseSwitch(after=0)):
        algorithm = ACPO(dataclasses.replace(settings, switch=switch))
        credit = algorithm.credit(made(), CountingPolicy())
        assert torch.equal(credit.advantages_BT, plain(made()))
        assert credit.entropy_bonus_BT is None
        assert credit.kl_coefficient == 0.0


def test_a_useless_turn_gets_less_of_a_success():
    given = batch()
    found = ACPO().credit(given, CountingPolicy()).advantages_BT
    # Turn 0 of the first two episodes finds a; turn 1 of the second finds nothing.
    assert found[0, 0] > 0 > found[1, 0]
    assert abs(found[1, 4]) > abs(found[1, 0])  # blamed more than the turn that helped


def test_in_an_arena_a_step_is_compared_with_others_from_its_state():
    given = batch()
    kept: list[CreditRow] = []
    ACPO(keep=kept.append).credit(given, CountingPolicy())
    first = [row.steps[0].z for row in kept]  # all from the start, where nothing is known
    assert first[0] == first[1] > first[2]
    assert first[3] > first[0]  # found a, b and c at once
    assert kept[2].steps[1].z == 0.0  # nobody else took a step from there
    # Turn 1 of rows 0 and 1 began in the same state: one found b there, the other nothing.
    assert kept[0].steps[1].z == pytest.approx(-kept[1].steps[1].z, abs=1e-5)
    assert kept[0].steps[1].z > 0
    kept.clear()
    settings = ACPOSettings(baseline=CreditBaseline.episode)
    ACPO(settings, keep=kept.append).credit(given, CountingPolicy())
    # Within its own response, finding a comes first and the answer last.
    assert [step.z > 0 for step in kept[0].steps] == [True, True, False]
    assert sum(step.z for step in kept[0].steps) == pytest.approx(0.0, abs=1e-5)


def test_free_reasoning_is_cut_and_attributed_by_likelihood():
    kept: list[CreditRow] = []
    settings = ACPOSettings(
        attribution=Attribution.likelihood, segmentation=Segmentation(0.2, 4, 6)
    )
    ACPO(settings, keep=kept.append).credit(problems(), CountingPolicy(0.01))
    assert [step.text for step in kept[0].steps] == [
        "We add 2.",
        " Then we get 4.",
        " The answer is 42.",
    ]
    # " 42" has three tokens, each 0.01 likelier per token read.
    told = [step.contribution for step in kept[0].steps]
    assert told == pytest.approx([0.03 * 9, 0.03 * 15, 0.03 * 18], abs=1e-5)
    assert kept[0].steps[2].weight > kept[0].steps[0].weight
    assert [row.phase for row in kept] == [Phase.exploration] * 3
    assert len(kept[1].steps) == 1


def test_what_is_not_known_is_credited_evenly():
    given = problems()
    unknown = [dataclasses.replace(episode, answer="") for episode in given.episodes]
    settings = ACPOSettings(attribution=Attribution.likelihood)
    credit = ACPO(settings).credit(dataclasses.replace(given, episodes=unknown), CountingPolicy())
    assert torch.equal(credit.advantages_BT, plain(given))
    assert credit.metrics["credit/unattributed"] == 1.0


def test_exploration_has_a_bonus_on_crucial_steps_and_no_kl():
    settings = ACPOSettings(entropy=EntropyTarget(target=9.0, rate=0.001, largest=1.0))
    algorithm = ACPO(settings)
    given = batch()
    credit = algorithm.credit(given, CountingPolicy())
    assert credit.kl_coefficient == 0.0
    assert credit.entropy_bonus_BT is not None
    assert not credit.entropy_bonus_BT[~given.policy_mask_BT].any()
    values = credit.entropy_bonus_BT[credit.entropy_bonus_BT > 0].unique()
    assert values.tolist() == pytest.approx([algorithm.state_dict()["entropy"]["coefficient"]])
    share = credit.metrics["credit/crucial_share"]
    assert 0 < share < 1


def test_convergence_has_kl_and_weighs_confident_successes():
    given = batch()
    given = dataclasses.replace(
        given, episodes=[dataclasses.replace(e, answer="C") for e in given.episodes]
    )
    settings = ACPOSettings(
        alpha=0.0, switch=PhaseSwitch(after=0), kl=0.05, confidence_gamma=0.5, success=0.6
    )
    credit = ACPO(settings).credit(given, CountingPolicy(0.05))
    assert credit.kl_coefficient == 0.05
    assert credit.entropy_bonus_BT is None
    # Successes: the first (14 tokens read) and the last (10): the first is surer of the answer.
    assert credit.metrics["credit/phase"] == 1.0
    first, last = credit.advantages_BT[0, 0], credit.advantages_BT[3, 0]
    before = plain(given)
    assert first - last > before[0, 0] - before[3, 0]


def test_confidence_makes_no_difference_where_all_succeed():
    given = scored([played([["a"], ["b"], []]), played([["a", "b"], []])])
    given = dataclasses.replace(
        given, episodes=[dataclasses.replace(e, answer="C") for e in given.episodes]
    )
    assert given.rewards_B.unique().numel() == 1
    settings = ACPOSettings(switch=PhaseSwitch(after=0), confidence_gamma=0.5)
    credit = ACPO(settings).credit(given, CountingPolicy(0.05))
    assert not credit.advantages_BT.any()


def test_figures():
    algorithm = ACPO(replay=REPLAY)
    algorithm.observe("arena", [0.8, 0.8, 0.8, 0.4])
    found = algorithm.credit(batch(), CountingPolicy()).metrics
    assert found["contribution/step_0"] == pytest.approx((0.5 + 0.5 + 0.0 + 1.0) / 4)
    assert found["agreement/verified_trajectories"] == 3.0
    assert -1 <= found["agreement/entropy"] <= found["agreement/verified"] <= 1
    assert found["credit/attribution_seconds"] > 0
    assert found["difficulty/4_of_5"] == 1.0
    assert found["credit/phase"] == 0.0
    assert {"entropy/all", "entropy/crucial", "credit/entropy_coefficient"} <= found.keys()


def test_rows_tell_the_whole_assignment():
    kept: list[CreditRow] = []
    given = batch()
    algorithm = ACPO(ACPOSettings(log_rollouts=2), replay=REPLAY, keep=kept.append)
    credit = algorithm.credit(given, CountingPolicy())
    assert [row.task for row in kept] == ["arena", "arena"]
    assert kept[0].id != kept[1].id
    for b, row in enumerate(kept):
        for k, step in enumerate(row.steps):
            assert step.tokens == 3
            assert step.advantage == pytest.approx(float(credit.advantages_BT[b, 4 * k]), abs=1e-6)
    assert kept[0].steps[0].counterfactual == pytest.approx(0.3)
    assert kept[0].agreement is not None
    algorithm.credit(given, CountingPolicy())
    assert kept[2].step == 1
    assert kept[2].id != kept[0].id


def test_the_replay_needs_arenas():
    with pytest.raises(ConfigError, match="counterfactual"):
        ACPO(ACPOSettings(attribution=Attribution.counterfactual))


@pytest.mark.parametrize("options", [{"alpha": 1.0}, {"confidence_gamma": 1.0}, {"kl": -1.0}])
def test_impossible_settings_are_refused(options: dict[str, float]):
    with pytest.raises(ConfigError):
        ACPOSettings(**options)  # type: ignore[arg-type]


def settings_that_change() -> ACPOSettings:
    return ACPOSettings(
        switch=PhaseSwitch(after=3, stalled=None),
        entropy=EntropyTarget(target=1.0, rate=0.01, largest=1.0),
        curriculum=CurriculumSettings(others=0.2),
    )


def step(algorithm: ACPO) -> tuple[Credit, list[str]]:
    tasks = [f"task{number}" for number in range(9)]
    chosen = algorithm.choose(tasks, 4)
    for number, task in enumerate(chosen):
        algorithm.observe(task, [0.0, number / 4])
    return algorithm.credit(batch(), CountingPolicy(0.002)), chosen


def test_a_resumed_run_is_the_same_run():
    whole = ACPO(settings_that_change(), seed=5)
    expected = [step(whole) for _ in range(6)]
    first = ACPO(settings_that_change(), seed=5)
    for _ in range(2):
        step(first)
    resumed = ACPO(settings_that_change(), seed=5)
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for credit, chosen in expected[2:]:
        again, drawn = step(resumed)
        assert drawn == chosen
        assert torch.equal(again.advantages_BT, credit.advantages_BT)
        assert again.kl_coefficient == credit.kl_coefficient
        assert (again.entropy_bonus_BT is None) == (credit.entropy_bonus_BT is None)
        if again.entropy_bonus_BT is not None and credit.entropy_bonus_BT is not None:
            assert torch.equal(again.entropy_bonus_BT, credit.entropy_bonus_BT)
        for name, value in credit.metrics.items():
            if not name.endswith("seconds"):
                assert again.metrics[name] == value, name
    assert resumed.phase is Phase.convergence
    assert resumed.state_dict() == whole.state_dict()


def test_entropies_that_are_not_known_regulate_nothing():
    unknown = [
        dataclasses.replace(e, entropies=(float("nan"),) * len(e.entropies))
        for e in (*batch().episodes, *problems().episodes)
    ]
    for given in (scored(unknown[:4]), scored(unknown[4:])):
        kept: list[CreditRow] = []
        settings = ACPOSettings(
            attribution=Attribution.entropy, entropy=EntropyTarget(target=9.0, largest=1.0)
        )
        algorithm = ACPO(settings, keep=kept.append)
        credit = algorithm.credit(given, CountingPolicy())
        assert torch.equal(credit.advantages_BT, plain(given))
        assert algorithm.state_dict()["entropy"]["coefficient"] == 0.0
        assert kept[0].steps[0].entropy is None
        assert all(value == value for value in credit.metrics.values())
