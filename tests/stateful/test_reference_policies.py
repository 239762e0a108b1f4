"""What reference policies are worth where tools change a database, and what reports say of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import fmean
from typing import get_args

import pytest

from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.evaluation.arenas import EvaluationSummary, PlayedEpisode, play, tallied
from astra.models.policies import Policy, gold_turns, policy
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits
from astra.training.algorithm import SampledEpisode
from astra.training.credit.counterfactual import Counterfactual
from astra.types import Arena
from tests.stateful.conftest import draw
from tests.support.desk import desk_arena
from tests.support.sandboxes import run_with_sandbox, shared_sandbox
from tests.training.made import played as made_episode

Played = tuple[EvaluationSummary, list[PlayedEpisode]]


def reports(arenas: Sequence[Arena], names: Sequence[Policy]) -> dict[Policy, Played]:
    async def run() -> dict[Policy, Played]:
        found: dict[Policy, Played] = {}
        async with shared_sandbox() as sandbox:
            for name in names:
                episodes: list[PlayedEpisode] = []
                model = lambda arena, sample, name=name: policy(name, arena, sample)  # noqa: E731
                played = play(arenas, model, sandbox, RolloutLimits(turns=100))
                found[name] = await tallied(played, 0, episodes.append), episodes
        return found

    return run_with_sandbox(run())


def strict(arenas: Sequence[Arena], episodes: Sequence[PlayedEpisode]) -> float:
    pairs = zip(arenas, episodes, strict=True)
    return fmean(score_trajectory(arena, e.trajectory, "strict").reward for arena, e in pairs)


def check_worth(arenas: Sequence[Arena]) -> None:
    found = reports(arenas, ("gold", "null", "reader", "careless", "random", "shuffled"))
    means = {name: summary.f1.mean for name, (summary, _) in found.items() if summary.f1}
    assert means["gold"] == strict(arenas, found["gold"][1]) == 1
    assert means["null"] == means["reader"] == 0
    assert means["careless"] <= 0.2
    assert means["random"] <= 0.02
    assert strict(arenas, found["shuffled"][1]) == 1
    assert found["gold"][0].waste == found["gold"][0].damage == 0
    assert (found["careless"][0].damage or 0) > 0
    assert (found["shuffled"][0].waste or 0) > 0


def test_policies_on_generated_arenas(arenas: list[Arena]) -> None:
    check_worth(arenas[:10])


@pytest.mark.slow
def test_policies_on_many_generated_arenas(shop: tuple[Tables, Schema]) -> None:
    options = StateSourceOptions(hops=(1, 8), languages={"en": 0.5, "zh": 0.5}, seed=11)
    check_worth(draw(shop, options, 100))


def test_policies_at_the_desk() -> None:
    found = reports([desk_arena()], get_args(Policy))
    means = {name: summary.f1.mean for name, (summary, _) in found.items() if summary.f1}
    assert means.pop("random") < 1
    # Shuffled: two goals, two reads made twice.
    nothing = dict.fromkeys(("null", "reader", "careless", "asker", "refuser"), 0)
    assert means == {"gold": 1, "shuffled": 4 / 6, **nothing}
    summary = found["careless"][0]
    assert (summary.waste, summary.damage, summary.answer_correct) == (3, 1, None)
    assert summary.pass_k == {"1": 0}  # all goals are solved, but for the damage


def test_gold_turns_keep_reads_and_writes_apart_and_in_order() -> None:
    turns = [[call.tool for call in turn] for turn in gold_turns(desk_arena())]
    assert turns == [
        ["find_customers"],
        ["list_orders"],
        ["change_order_address"],
        ["cancel_order"],
    ]
    free = desk_arena()
    goals = tuple(goal.model_copy(update={"depends_on": ()}) for goal in free.goals)
    turns = [len(turn) for turn in gold_turns(free.model_copy(update={"goals": goals}))]
    assert turns == [2, 2]


def sampled(episode: PlayedEpisode) -> SampledEpisode:
    trajectory = episode.trajectory
    return dataclasses.replace(made_episode([]), task=trajectory.task, trajectory=trajectory)


def test_leaving_a_turn_out_makes_the_rest_again() -> None:
    arena = desk_arena()
    _, (episode,) = reports([arena], ["gold"])["gold"]
    replay = Counterfactual({arena.id: arena})
    # Without a look-up nothing changes; without a write one of two goals is open.
    found = replay.contributions(sampled(episode))
    assert found == pytest.approx([0, 0, 1 / 3, 1 / 3, 0])
    _, (careless,) = reports([arena], ["careless"])["careless"]
    found = replay.contributions(sampled(careless))
    # The last acting turn damaged a row: without it the others are worth 4 / (4 + 2).
    assert found == pytest.approx([0, 0, 0, 0, -2 / 3, 0])
