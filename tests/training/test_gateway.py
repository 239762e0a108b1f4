"""A program that nobody looks into, before a local model: what is recorded can be trained on."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

import astra
from astra.engines.episode import EngineEpisode
from astra.evaluation.agents import AgentRun
from astra.runs.folder import RunFolder
from astra.training.algorithm import SampledEpisode
from astra.training.rl.batch import RolloutGroup, loss_inputs, scored_batch
from astra.training.rl.grpo import group_advantages
from tests.training import rl_given

AGENT = f"{sys.executable} -P -I {Path(__file__).parents[2] / 'examples/agent.py'}"
SAMPLES = 4
Written = list[tuple[int, float]]
"""The tokens of a conversation that the model wrote, with their log-probabilities."""


@pytest.fixture(scope="module")
def played(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The conversations that were recorded, and what the engine sampled in each."""
    sampled: dict[int, Written] = defaultdict(list)
    kept: list[EngineEpisode] = []  # so that no two of them have the same identity
    add = EngineEpisode.add

    def watched(self: EngineEpisode, token: int, logprob: float, entropy: float) -> None:
        kept.append(self)
        sampled[id(self)].append((token, logprob))
        add(self, token, logprob, entropy)

    out = tmp_path_factory.mktemp("gateway") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EngineEpisode, "add", watched)
        report = astra.evaluate(
            astra.ArenaSet.of(rl_given.ARENAS[:2]),
            agent=AGENT,
            model=model,
            max_length=400,
            max_turns=4,
            max_tokens=24,
            temperature=1.0,
            samples=SAMPLES,
            concurrency=4,
            split="all",
            seed=1,
            out=out,
        )
    assert report.infrastructure_failures == 0
    folder = RunFolder.open(out)
    assert not any(run.unattributed_calls for run in folder.rows("agent_runs", AgentRun))
    return list(folder.rows("conversations", astra.Episode)), list(sampled.values())


def test_what_is_recorded_is_what_the_engine_sampled(played: Any) -> None:
    conversations, sampled = played
    assert len(conversations) == 2 * SAMPLES
    assert sorted(map(written, conversations)) == sorted(sampled)
    # Of several turns, with results of tools between them.
    assert any(e.trajectory.turns > 2 and e.trajectory.calls for e in conversations)
    # Broken calls among them, which clients get, and send back, in another spelling.
    assert any(c.status == "unknown_tool" for e in conversations for c in e.trajectory.calls)


def test_it_is_trained_on_as_what_was_sampled_here(played: Any, model: Path) -> None:
    conversations, _ = played
    local = astra.LocalModel(model, max_length=400, device="cpu")
    groups: dict[str, list[SampledEpisode]] = defaultdict(list)
    for episode in conversations:
        told = [logprob for _, logprob in written(episode)]
        assert local.logprobs(episode).tolist() == pytest.approx(told, abs=1e-4)
        groups[episode.trajectory.task].append(sampled_episode(episode))
    batch = scored_batch([RolloutGroup(tuple(group), 0) for group in groups.values()])
    advantages = group_advantages(batch.rewards_B, batch.group_B)
    assert advantages.abs().sum() > 0 and advantages.sum().item() == pytest.approx(0, abs=1e-4)
    inputs = loss_inputs(batch.episodes, padding=0)
    assert torch.equal(inputs["tool_mask"].bool(), batch.policy_mask_BT)
    loss = -sum(
        advantage * local.logprobs(episode).sum()
        for advantage, episode in zip(advantages, by_group(conversations), strict=True)
    )
    loss.backward()
    gradients = [p.grad for p in local.module.parameters() if p.grad is not None]
    assert any(gradient.abs().sum() > 0 for gradient in gradients)


def written(episode: astra.Episode) -> Written:
    tokens = episode.tokens
    assert tokens is not None
    pairs = zip(tokens.ids, tokens.logprobs, strict=True)
    return [pair for pair, own in zip(pairs, tokens.policy_mask, strict=True) if own]


def by_group(conversations: list[astra.Episode]) -> list[astra.Episode]:
    tasks = list(dict.fromkeys(episode.trajectory.task for episode in conversations))
    return sorted(conversations, key=lambda episode: tasks.index(episode.trajectory.task))


def sampled_episode(episode: astra.Episode) -> SampledEpisode:
    """A recorded conversation as the trainer has its own."""
    tokens, score = episode.tokens, episode.score
    assert tokens is not None and score is not None
    start = tokens.policy_mask.index(True)
    mask = tokens.policy_mask[start:]
    turns = [own and not before for own, before in zip(mask, (False, *mask), strict=False)]
    return SampledEpisode(
        task=episode.trajectory.task,
        prompt_ids=tokens.ids[:start],
        completion_ids=tokens.ids[start:],
        policy_mask=mask,
        logprobs=tokens.logprobs[start:],
        entropies=(0.0,) * len(mask),
        steps=tuple(sum(turns[: i + 1]) - 1 if own else -1 for i, own in enumerate(mask)),
        reward=score.reward,
        trajectory=episode.trajectory,
        score=score,
    )
