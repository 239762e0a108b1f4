"""Single-turn RL on problems: what is sampled and rewarded, and a run of ACPO on them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from astra.chat.template import ChatTemplate
from astra.configs.training import CreditConfig, TrainRLConfig
from astra.engines.transformers import TransformersEngine
from astra.errors import ConfigError, StageError
from astra.protocols import Sampling
from astra.training.credit.log import read_credit
from astra.training.rl.prompts import PromptDraw
from astra.training.rl.rollouts import GroupPlayer, require_completed
from astra.training.rl.train import train_rl
from astra.types import Message
from recipes.problems.arithmetic import make_problems
from recipes.problems.player import ProblemRollouts
from recipes.problems.records import MathProblem, problem_messages, worked_response
from recipes.problems.verify import AnswerVerdict, MathVerifier
from tests.training import rl_given

PROBLEMS = {p.id: p for p in make_problems(6, (1, 1), 1) if p.split == "train"}
SAMPLING = Sampling(temperature=1.0, max_tokens=48)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that half knows the answers."""
    folder = rl_given.taught(tmp_path_factory.mktemp("model"), steps=0)
    words = PreTrainedTokenizerFast.from_pretrained(folder)
    policy = Qwen3ForCausalLM.from_pretrained(folder)
    chat = ChatTemplate(words)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=4e-3)
    rng = random.Random(0)
    rows = [_row(chat, problem) for problem in PROBLEMS.values()]
    for _ in range(160):
        ids, labels = rng.choice(rows)
        policy(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    policy.save_pretrained(folder)
    return folder


def _row(chat: ChatTemplate, problem: MathProblem) -> tuple[list[int], list[int]]:
    said = [*problem_messages(problem), Message(role="assistant", content=worked_response(problem))]
    ids: list[int] = []
    labels: list[int] = []
    for piece in chat.pieces(said, []):
        new = chat.encode(piece.text)
        ids += new
        labels += new if piece.policy else [-100] * len(new)
    return ids, labels


def player(model: Path, verifier: Any, **options: Any) -> GroupPlayer:
    chat = ChatTemplate(PreTrainedTokenizerFast.from_pretrained(model))
    engine = TransformersEngine(Qwen3ForCausalLM.from_pretrained(model), chat, max_length=500)
    environment = ProblemRollouts(PROBLEMS, verifier)
    fixed: dict[str, Any] = {"group_size": 4, "seed": 3, "sampling": SAMPLING}
    return GroupPlayer(environment, engine, **(fixed | options))


class Told:
    """A verifier whose verdicts are known."""

    def __init__(self, verdicts: Sequence[bool | None]) -> None:
        self.verdicts = list(verdicts)
        self.asked: list[str] = []

    async def verify(self, response: str, gold: str) -> AnswerVerdict:
        self.asked.append(response)
        return AnswerVerdict(self.verdicts.pop(0) if self.verdicts else True, "x", "late")


def draws() -> list[PromptDraw]:
    return [PromptDraw(task, 0, number) for number, task in enumerate(PROBLEMS)]


async def test_right_answers_are_rewarded(model: Path):
    async with MathVerifier(workers=1) as verifier:
        played = await player(model, verifier).play(draws(), 0)
    assert len(played.groups) == len(PROBLEMS)
    assert not played.failures
    rewards = [reward for group in played.groups for reward in group.rewards]
    assert set(rewards) == {0.0, 1.0}
    for group in played.groups:
        for episode in group.episodes:
            assert episode.trajectory is None
            assert episode.answer == PROBLEMS[episode.task].answer
            assert set(episode.steps) == {0}
            assert all(episode.policy_mask)


async def test_what_has_no_verdict_is_sampled_again_and_never_scored(model: Path):
    verifier = Told([True, None, False, True])
    played = await player(model, verifier).play(draws()[:1], 0)
    assert played.failures == 1
    assert sorted(played.groups[0].rewards) == [0.0, 1.0, 1.0, 1.0]
    assert len(verifier.asked) == 5
    assert "late" in played.error
    nothing = await player(model, Told([None] * 99)).play(draws()[:1], 0)
    assert (nothing.groups, nothing.completed) == ([], 0)
    with pytest.raises(StageError, match="no verdict"):
        require_completed([nothing])


def config(model: Path, path: Path, out: Path, **options: Any) -> TrainRLConfig:
    return TrainRLConfig(
        arenas=ProblemRollouts.of_file(path),
        model=model,
        out=out,
        preset="nano",
        batch_size=2,
        group_size=4,
        max_steps=2,
        max_length=500,
        save_every=1,
        progress=False,
        algorithm="acpo",
        **options,
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    file.write_text("".join(problem.model_dump_json() + "\n" for problem in PROBLEMS.values()))
    return file


def test_a_run_of_acpo_on_problems(model: Path, path: Path, tmp_path: Path):
    credit = CreditConfig(
        attribution="likelihood",
        explore_steps=1,
        confidence_gamma=0.2,
        options={"segmentation.shortest": 4},
    )
    result = train_rl(config(model, path, tmp_path / "run", credit=credit))
    assert result.metrics["tasks"] == len(PROBLEMS)
    assert result.steps == 2
    rows = list(read_credit(tmp_path / "run"))
    assert {row.attribution.value for row in rows} == {"likelihood"}
    assert next(row.phase.value for row in rows if row.step == 0) == "exploration"
    assert next(row.phase.value for row in rows if row.step == 1) == "convergence"
    assert all(step.contribution is not None for row in rows for step in row.steps)
    logged = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert "acpo/credit/attribution_seconds" in logged[0]
    assert "acpo/contribution/step_0" in logged[0]
    assert "acpo/difficulty/1_of_5" in logged[0]


def test_attribution_needs_no_goals(model: Path, path: Path, tmp_path: Path):
    credit = CreditConfig(attribution="counterfactual")
    with pytest.raises(ConfigError, match="counterfactual"):
        train_rl(config(model, path, tmp_path / "other", credit=credit))
