"""Conversations in training: tokens of a local model over several turns of the user, rows, RL."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch

import astra
from astra.arenas.sets import ArenaSet
from astra.chat.template import ChatTemplate
from astra.cli.main import run
from astra.hosts.arena import ArenaHost
from astra.models.policies import policy
from astra.rewards import score_calls
from astra.rollouts.loop import RolloutLimits
from astra.sandbox.server import open_sandbox
from astra.training.credit.counterfactual import leave_one_out_again, made_again
from astra.types import CallRecord
from tests.support.fakes import InProcessSandbox
from tests.support.nano_models import labelled, qwen3, teach
from tests.support.talking_desk import talking_desk
from tests.training import rl_given

ARENA = talking_desk()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk") / "run"
    test = ARENA.model_copy(update={"split": "test", "provenance": {"source": "hand", "key": "b"}})
    ArenaSet.of([ARENA, test.with_content_id()], folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that half knows the conversation."""
    folder, words = tmp_path_factory.mktemp("model"), rl_given.tokenizer()
    net = qwen3(words, width=64, layers=2, heads=2, length=8192)
    trajectory = astra.rollout(ARENA, policy("gold", ARENA)).trajectory
    tools = ArenaHost(ARENA, InProcessSandbox()).tools()
    row = labelled(ChatTemplate(words), trajectory.messages, tools)
    teach(net, [row], steps=60, rate=5e-3)
    net.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def test_tokens_over_several_turns_of_the_user(model: Path) -> None:
    local = astra.LocalModel(model, max_length=8000, device="cpu")
    # What is sampled depends on prompt and seed: the first episode that goes on for a while.
    played = (
        astra.rollout(ARENA, local, max_tokens=60, temperature=1.0, seed=seed) for seed in range(20)
    )
    episode = next(
        episode
        for episode in played
        if sum(message.role == "user" for message in episode.trajectory.messages) >= 3
    )
    assert episode.tokens is not None
    segments = [
        (own, [token for _, token in group])
        for own, group in itertools.groupby(
            zip(episode.tokens.policy_mask, episode.tokens.ids, strict=True), lambda pair: pair[0]
        )
    ]
    words = rl_given.tokenizer()
    written = [ids for own, ids in segments if own]
    assert len(written) == episode.trajectory.turns
    between = [words.decode(ids) for own, ids in segments[1:] if not own]
    said = [m.content for m in episode.trajectory.messages[2:] if m.role != "assistant"]
    assert len(between) == len(said)
    assert all(text in decoded for text, decoded in zip(said, between, strict=True))
    with torch.no_grad():
        logprobs = local.logprobs(episode)
    pairs = zip(episode.tokens.logprobs, episode.tokens.policy_mask, strict=True)
    assert logprobs.tolist() == pytest.approx([v for v, own in pairs if own], abs=1e-4)


def test_a_gold_row_holds_the_whole_conversation(desk: Path, tmp_path: Path) -> None:
    rows = ArenaSet(desk, uncertified=True).split("train").export(tmp_path / "sft.jsonl")
    (row,) = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    roles = [message["role"] for message in row["messages"]]
    assert roles.count("user") == 5 and roles[-1] == "assistant"
    names = {tool["function"]["name"] for tool in row["tools"]}
    assert "cancel_order" not in names  # it comes with the user's message
    assert any(
        "cancel_order" in (m["content"] or "") for m in row["messages"] if m["role"] == "user"
    )


def test_rl_takes_a_step_of_conversations(desk: Path, model: Path, tmp_path: Path) -> None:
    options = ["--batch-size", "1", "--group-size", "4", "--max-turns", "6", "--max-tokens", "60"]
    options += ["--max-steps", "1", "--preset", "nano", "--uncertified", "--min-reward-std", "0"]
    options += ["--max-sampling-rounds", "1", "--max-length", "8000"]
    where = ["--arenas", str(desk), "--model", str(model), "--out", str(tmp_path / "rl")]
    assert run(["train", "rl", *where, *options, "--algorithm", "acpo", "--json"]) == 0
    (row,) = [json.loads(x) for x in (tmp_path / "rl" / "metrics.jsonl").read_text().splitlines()]
    assert row["step"] == 1 and row["turns"] > 1


async def test_every_call_of_gold_contributes() -> None:
    episode = await astra.aio.rollout(ARENA, policy("gold", ARENA))
    trajectory = episode.trajectory

    async def rerun(_: str, calls: list[CallRecord]) -> list[CallRecord]:
        async with open_sandbox(workers=1, spares=0) as sandbox:
            return await made_again(calls, ArenaHost(ARENA, sandbox), RolloutLimits())

    assert score_calls(ARENA, trajectory.calls, messages=trajectory.messages).f1 == 1
    contributions = await leave_one_out_again(trajectory, ARENA, rerun)  # type: ignore[arg-type]
    writing = {call.turn for call in trajectory.calls if call.effect is not None}
    assert all((contributions[turn] > 0) == (turn in writing) for turn in range(trajectory.turns))
