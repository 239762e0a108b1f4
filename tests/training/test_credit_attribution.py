"""Attributions by hand, replays, and how far they agree."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest
import torch

from astra.errors import StageError
from astra.hosts.arena import ArenaHost
from astra.protocols import SandboxEpisode, SandboxSession
from astra.rewards import score
from astra.rollouts.loop import RolloutLimits
from astra.training.credit.agreement import mean_agreement, spearman
from astra.training.credit.attribution import (
    Attribution,
    confidence,
    entropy_BK,
    likelihood,
    step_starts,
    verified_BK,
)
from astra.training.credit.counterfactual import (
    Counterfactual,
    leave_one_out,
    leave_one_out_again,
    made_again,
    without,
)
from astra.training.credit.measure import agreements, measure_contributions
from astra.types import Arena, CallRecord, CallStatus, Matcher, Scenario, Target, Tool, ToolSchema
from tests.support.fakes import InProcessSandbox
from tests.training.made import GOALS, CountingPolicy, played, scored, trajectory, written


def arena(**changes: object) -> Arena:
    fields: dict[str, object] = {
        "id": "arena",
        "question": "a, b and c?",
        "answer": "C",
        "answer_target": Target(matcher=Matcher.text, value="C"),
        "goals": GOALS,
        "tools": (),
        "scenario": Scenario.multi_hop,
        "language": "en",
        "domain": "letters",
        "split": "train",
        "provenance": {"key": "0"},
    }
    return Arena.model_validate({**fields, **changes})


# --- likelihood ------------------------------------------------------------------------------


def test_likelihood_by_hand():
    # Prompt 2 tokens; turns of 3 tokens of the policy's and one of the tools'.
    episode = dataclasses.replace(played([["a"], ["b"], []]), answer="xyz")
    policy = CountingPolicy(per_token=0.01)
    found = likelihood(scored([episode]), policy)
    # The answer " xyz" has 4 tokens, each 0.01 likelier per token read. Cuts: 2, 6, 10 and the end.
    assert found.contribution_BK[0].tolist() == pytest.approx([0.16, 0.16, 0.16], abs=1e-5)
    assert found.confidence_B.item() == pytest.approx(math.exp(-1 + 0.01 * 14), abs=1e-5)
    assert policy.asked == 4
    assert confidence(scored([episode]), policy).tolist() == found.confidence_B.tolist()
    assert policy.asked == 6


def test_contributions_telescope():
    batch = scored([written("one. two. three", 1.0), written("x", 0.0)])
    steps = torch.full_like(batch.step_BT, -1)
    steps[0] = torch.tensor([0] * 5 + [1] * 5 + [2] * 5)
    steps[1, 0] = 0
    episodes = [
        dataclasses.replace(e, steps=tuple(row[: len(e.steps)].tolist()))
        for e, row in zip(batch.episodes, steps, strict=True)
    ]
    batch = dataclasses.replace(batch, episodes=episodes, step_BT=steps)
    found = likelihood(batch, CountingPolicy(0.02)).contribution_BK
    assert found[0].sum().item() == pytest.approx(3 * 0.02 * 15, abs=1e-4)
    assert found[1].tolist()[:1] == pytest.approx([3 * 0.02 * 1], abs=1e-5)
    assert found[1, 1:].isnan().all()


def test_what_is_not_finite_is_no_contribution():
    class Broken(CountingPolicy):
        def branches(self, sequences):  # type: ignore[no-untyped-def]
            return [[[-math.inf] * len(b.ids) for b in bs] for _, bs in sequences]

    with pytest.raises(StageError, match="not finite"):
        likelihood(scored([written("one", 1.0)]), Broken())


def test_without_an_answer_nothing_is_told():
    found = likelihood(scored([written("one", 1.0, answer="")]), CountingPolicy())
    assert found.contribution_BK.isnan().all()
    assert found.confidence_B.isnan().all()


def test_closing_special_tokens_come_after_the_answer():
    class Closing(CountingPolicy):
        def decode(self, ids):  # type: ignore[no-untyped-def]
            return "".join(chr(i) for i in ids if i != ord("#"))

    policy = Closing(0.01)
    plain = likelihood(scored([written("one", 1.0)]), policy).confidence_B
    closed = likelihood(scored([written("one##", 1.0)]), policy).confidence_B
    assert closed.item() == plain.item()


def test_where_steps_start():
    assert step_starts([-1, 0, 0, -1, 2, 2]) == [1, 4, 4]
    assert step_starts([]) == []


# --- entropy and verified --------------------------------------------------------------------


def test_entropy_by_hand():
    # Means per turn 0.25, 0.5, 0.75, three tokens each; overall 0.5.
    found = entropy_BK(scored([played([["a"], ["b"], []])]))
    expected = [0.5 - (0.5 + 0.75) / 2, 0.25 - 0.75, (0.25 + 0.5) / 2 - 0.5]
    assert found[0].tolist() == pytest.approx(expected)


def test_verified_is_what_the_arena_scored():
    batch = scored([played([["a"], ["z"], []]), written("no arena", 1.0)])
    found = verified_BK(batch)
    assert found[0].tolist() == pytest.approx([0.5, 0.4 - 0.5, 0.0])
    assert found[1].isnan().all()


# --- counterfactual --------------------------------------------------------------------------


def test_leaving_a_turn_out_by_hand():
    # F1 of {a, b, b again}: 2·(2/3)·(2/3)/(4/3) = 2/3. Without a: {b, b}: 2·(1/3)(1/2)/(5/6) = 0.4.
    # Without either b: {a, b}: 4/5. The last turn made no call.
    found = leave_one_out(trajectory("t", [["a"], ["b"], ["b"], []]), arena())
    assert found == pytest.approx([2 / 3 - 0.4, 2 / 3 - 0.8, 2 / 3 - 0.8, 0.0])
    recalled = leave_one_out(trajectory("t", [["a"], ["b"], ["b"], []]), arena(), "recall")
    assert recalled == pytest.approx([1 / 3, 0.0, 0.0, 0.0])


def test_replays_are_cached_and_counted():
    replay = Counterfactual({"arena": arena()})
    first = replay.contributions(played([["a"], ["b"], []]))
    assert replay.replays == 3
    assert replay.contributions(played([["a"], ["b"], []])) == first
    assert replay.replays == 3
    assert len(replay.contributions(played([["a"], ["b"], [], []]))) == 4
    assert replay.seconds > 0
    assert replay.contributions(written("no arena", 1.0)) == []
    with pytest.raises(KeyError):
        replay.contributions(played([["a"]], task="other"))


COUNTER = Tool(
    document=ToolSchema(name="look", description="Looks.", parameters={"type": "object"}),
    source=(
        "SEEN = []\n"
        "def look(at):\n"
        "    SEEN.append(at)\n"
        "    return {'value': at.upper() if 'a' in SEEN else 'locked'}\n"
    ),
)


class RememberingSandbox(InProcessSandbox):
    """Keeps modules over the calls of an episode, whatever is asked for."""

    async def open(
        self, tools: Sequence[Tool], episode: SandboxEpisode = SandboxEpisode()
    ) -> SandboxSession:
        return await super().open(tools, dataclasses.replace(episode, stateful=True))


async def test_calls_are_made_again_where_tools_keep_state():
    made = trajectory("arena", [["a"], ["b"], []])
    place = arena(tools=(COUNTER,))

    async def rerun(task: str, calls: list[CallRecord]) -> list[CallRecord]:
        assert task == "arena"
        host = ArenaHost(place, RememberingSandbox())
        return await made_again(calls, host, RolloutLimits())

    # Without "a" the tool is locked, so that the call for b solves nothing either.
    found = await leave_one_out_again(made, place, rerun)  # type: ignore[arg-type]
    assert found == pytest.approx([0.8, 0.3, 0.0])
    assert leave_one_out(made, place) == pytest.approx([0.3, 0.3, 0.0])


def test_making_again_serves_the_cache_too():
    async def nothing(task: str, calls: object) -> list[CallRecord]:
        return []

    replay = Counterfactual({"arena": arena()}, rerun=nothing)
    assert replay.contributions(played([["a"], []])) == pytest.approx([0.5, 0.0])


async def test_calls_that_reached_no_tool_stay_as_they_are():
    broken = (
        trajectory("t", [["a"]])
        .calls[0]
        .model_copy(update={"status": CallStatus.malformed_arguments, "arguments": "{"})
    )
    host = ArenaHost(arena(tools=(COUNTER,)), InProcessSandbox())
    assert await made_again([broken], host, RolloutLimits()) == [broken]
    assert without([broken], 0) == []


# --- agreement -------------------------------------------------------------------------------


def test_rank_correlation_by_hand():
    assert spearman([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]) == pytest.approx(1.0)
    assert spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == pytest.approx(-1.0)
    assert spearman([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]) == pytest.approx(0.8)
    assert spearman([1.0, 1.0, 2.0], [1.0, 2.0, 3.0]) == pytest.approx(math.sqrt(3) / 2)
    assert spearman([1.0, math.nan, 3.0], [1.0, 7.0, 3.0]) == pytest.approx(1.0)
    assert spearman([1.0, 1.0], [1.0, 2.0]) is None
    assert spearman([1.0], [1.0]) is None
    assert spearman([0.3, 0.1 + 0.2, 0.5], [1.0, 1.0, 2.0]) == pytest.approx(1.0)
    found, count = mean_agreement([[1.0, 2.0], [1.0, 1.0]], [[5.0, 4.0], [0.0, 1.0]])
    assert (found, count) == (pytest.approx(-1.0), 1)
    assert mean_agreement([], []) == (None, 0)


def test_agreement_of_a_batch():
    batch = scored([played([["a"], ["z"], []]), played([["z"], ["a"], []])])
    replay = Counterfactual({"arena": arena()})
    told = measure_contributions(
        batch, CountingPolicy(), Attribution.verified, "", replay, compare=True
    )
    found = agreements(batch, told, Attribution.verified)
    # Verified orders both as the replay does: a helps, z costs, silence is between them. But before
    # anything is solved a useless call costs nothing in it.
    assert found["verified"][1] == 2
    assert found["verified"][0] == pytest.approx((1 + math.sqrt(3) / 2) / 2)
    alone = measure_contributions(
        batch, CountingPolicy(), Attribution.counterfactual, "", replay, compare=True
    )
    assert "counterfactual" not in agreements(batch, alone, Attribution.counterfactual)
    unseen = measure_contributions(
        batch, CountingPolicy(), Attribution.verified, "", None, compare=True
    )
    assert agreements(batch, unseen, Attribution.verified) == {}


def test_scores_behind_the_made_episodes():
    made = trajectory("t", [["a"], ["b"], []])
    assert score(made.calls, GOALS).reward == pytest.approx(0.8)
