"""A local model in loops of one's own: token-exact, with gradient, on the caller's thread."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

import astra
from astra.protocols import Sampling
from astra.types import Message
from tests.training import rl_given


@pytest.fixture(scope="module")
def local(model: Path) -> astra.LocalModel:
    return astra.LocalModel(model, max_length=400, device="cpu")


def groups(local: Any, **options: Any) -> list[list[astra.Episode]]:
    fixed: dict[str, Any] = {"group_size": 4, "max_tokens": 24, "temperature": 1.0, "max_turns": 4}
    return list(astra.rollout_groups(rl_given.ARENAS[:3], local, **(fixed | options)))


def test_groups_are_token_exact_and_repeatable(local: astra.LocalModel) -> None:
    first, again, other = groups(local), groups(local), groups(local, seed=1)
    assert [[e.tokens for e in group] for group in first] == [
        [e.tokens for e in group] for group in again
    ]
    assert [[e.tokens for e in group] for group in first] != [
        [e.tokens for e in group] for group in other
    ]
    for episode in (episode for group in first for episode in group):
        assert episode.tokens is not None and episode.score is not None
        with torch.no_grad():
            logprobs = local.logprobs(episode)
        written = [
            value
            for value, own in zip(episode.tokens.logprobs, episode.tokens.policy_mask, strict=True)
            if own
        ]
        assert logprobs.tolist() == pytest.approx(written, abs=1e-4)


def test_a_bare_loop_learns_through_logprobs(local: astra.LocalModel) -> None:
    (group, *_) = groups(local, group_size=2)
    (-local.logprobs(group[0]).mean()).backward()
    gradients = [p.grad for p in local.module.parameters() if p.grad is not None]
    assert gradients and any(gradient.abs().sum() > 0 for gradient in gradients)
    local.module.zero_grad()
    arena = rl_given.ARENAS[0]
    scripted = astra.rollout(arena, astra.reference_policy("gold", arena))
    with pytest.raises(astra.ConfigError, match="no tokens of a local model"):
        local.logprobs(scripted)


def test_forward_passes_run_on_the_calling_thread(
    local: astra.LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[threading.Thread] = set()
    forward = local.module.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        threads.add(threading.current_thread())
        return forward(*args, **kwargs)

    monkeypatch.setattr(local.module, "forward", watched)
    astra.rollout(rl_given.ARENAS[0], local, max_tokens=8, max_turns=1)
    assert threads == {threading.current_thread()}


async def test_it_plays_inside_a_running_loop(local: astra.LocalModel) -> None:
    arena = rl_given.ARENAS[0]
    waiting = astra.rollout(arena, local, max_tokens=8, max_turns=1, seed=3)
    awaited = await astra.aio.rollout(arena, local, max_tokens=8, max_turns=1, seed=3)
    assert waiting.tokens == awaited.tokens is not None
    await asyncio.sleep(0)


def test_an_evaluation_converses_token_exactly(
    local: astra.LocalModel, model: Path, tmp_path: Path
) -> None:
    """As the model's folder does: no turn is encoded anew."""

    def episodes(played: Any, out: str) -> list[astra.Trajectory]:
        report = astra.evaluate(
            astra.ArenaSet.of(rl_given.ARENAS[:3]),
            split="all",
            model=played,
            max_length=400,
            max_turns=4,
            max_tokens=24,
            temperature=1.0,
            samples=2,
            out=tmp_path / out,
        )
        blank = {"seconds": 0.0}
        return [
            e.trajectory.model_copy(
                update=blank
                | {"calls": tuple(c.model_copy(update=blank) for c in e.trajectory.calls)}
            )
            for e in report.episodes
        ]

    loaded = episodes(local, "loaded")
    assert loaded == episodes(model, "folder")
    longer = [trajectory for trajectory in loaded if trajectory.turns > 1]
    assert longer and all(trajectory.usage.cached_tokens for trajectory in longer)


async def test_a_cached_conversation_reads_what_is_new_and_another_one_anew(model: Path) -> None:
    # A deterministic engine would wait for both conversations.
    local = astra.LocalModel(model, max_length=400, device="cpu", deterministic=False)
    greedy = Sampling(temperature=0.0, max_tokens=8, seed=3)
    tool = rl_given.ARENAS[0].tools[0].document
    messages = [Message(role="user", content="What is it?")]
    with closing(local.cached()) as cached:
        for turn in range(3):
            reply = await cached.generate(messages, [tool], greedy)
            assert (reply.usage.cached_tokens > 0) is (turn > 0)
            messages += [reply.message, Message(role="user", content=f"And {turn}?")]
        for told, tools in (
            (messages, []),  # other tools
            ([*messages[:-1], Message(role="user", content="Or?")], []),
            ([Message(role="user", content="Why?"), *messages[1:]], []),
            ([Message(role="user", content="Why?"), *messages[1:]], []),  # nothing new
        ):
            reply = await cached.generate(told, tools, greedy)
            assert reply.usage.cached_tokens == 0
            alone = await local.generate(told, tools, greedy)
            assert reply.message.content == alone.message.content


async def test_the_seed_of_a_message_decides_it_whatever_was_written_before(
    local: astra.LocalModel,
) -> None:
    messages = [Message(role="user", content="What is it?")]
    told = [*messages, Message(role="assistant", content="So"), *messages]
    drawn = Sampling(temperature=1.0, max_tokens=8, seed=5)
    with closing(local.cached()) as cached:
        await cached.generate(messages, [], Sampling(max_tokens=3, seed=1))
        late = await cached.generate(told, [], drawn)
        other = await cached.generate(told, [], Sampling(temperature=1.0, max_tokens=8, seed=6))
    assert late.message == (await local.generate(told, [], drawn)).message != other.message
