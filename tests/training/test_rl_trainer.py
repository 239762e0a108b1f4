"""A real run of TRL's trainer in arenas: what it logs, what it trains on, what it resumes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import Tensor

from astra.chat.template import ChatTemplate
from astra.configs.training import ALGORITHMS, CreditConfig
from astra.errors import ConfigError, SandboxDied, SandboxInterrupted, StageError
from astra.training.algorithm import ChoosesTasks, Credit, PolicyAccess, ScoredBatch
from astra.training.environment import RolloutOutcome
from astra.training.rl.algorithms import make_algorithm
from astra.training.rl.arenas import ArenaRollouts
from astra.training.rl.batch import from_json, scored_batch, to_json
from astra.training.rl.filling import BatchFilling, reward_std
from astra.training.rl.grpo import GRPO, group_advantages
from astra.training.rl.loss import clipped_objective, kl_to_reference
from astra.training.rl.prompts import AlgorithmChosenPrompts, ShuffledEpochs
from tests.support.fakes import InProcessSandbox
from tests.training import rl_given

CLOCKS = ("time/", "tokens/sampled_per_second", "step_time", "train_", "total_flos")


def train(trainer: Any, resume: Path | None = None) -> list[dict[str, Any]]:
    """The rows it logs, without those that tell time."""
    try:
        trainer.train(resume_from_checkpoint=resume and str(resume))
    finally:
        trainer.close()
    rows = [
        {name: value for name, value in row.items() if not name.startswith(CLOCKS)}
        for row in trainer.state.log_history
    ]
    return [row for row in rows if "loss" in row]


def weights(trainer: Any) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def test_a_few_steps(model: Path, tmp_path: Path) -> None:
    trainer = rl_given.trainer(model, tmp_path)
    before = weights(trainer)
    rows = train(trainer)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert any(not torch.equal(p, before[name]) for name, p in weights(trainer).items())
    for row in rows:
        assert 0 < row["f1"] <= 1 and row["reward"] == row["f1"]
        assert row["turns"] >= 1 and row["infrastructure_failures"] == 0
        assert row["filling/rounds"] * 2 == row["filling/groups"] <= 6
        # What was sampled is what the loss sees: the ratio of a fresh group is 1.
        if row["filling/age_max"] == 0:
            assert row["clip_ratio/region_mean"] == 0
    assert all(math.isfinite(row["loss"]) for row in rows)


def test_prompts_worked_through_once_train_as_rows_apart_do(model: Path, tmp_path: Path) -> None:
    apart, shared = (
        rl_given.trainer(model, tmp_path / name, share_prefix=share)
        for name, share in (("apart", False), ("shared", True))
    )
    for mine, theirs in zip(train(apart), train(shared), strict=True):
        for name in ("loss", "grad_norm", "entropy", "reward"):
            assert mine[name] == pytest.approx(theirs[name], abs=2e-4, rel=1e-3), name


def test_the_same_seed_gives_the_same_run_and_a_resumed_one_too(
    model: Path, tmp_path: Path
) -> None:
    options = {
        "max_steps": 3,
        "save_strategy": "steps",
        "save_steps": 1,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 12,
    }
    whole = rl_given.trainer(model, tmp_path / "whole", args=options, filling=picky())
    rows = train(whole)
    # The buffer matters here: what waits after the first step is used in the second, with the
    # log-probabilities that it was sampled with.
    assert rows[0]["filling/waiting"] == 1
    assert rows[1]["filling/age_max"] == 1 and rows[1]["clip_ratio/region_mean"] > 0
    resumed = rl_given.trainer(model, tmp_path / "resumed", args=options, filling=picky())
    again = train(resumed, tmp_path / "whole" / "checkpoint-1")
    assert again == rows
    for name, parameter in weights(resumed).items():
        assert torch.equal(parameter, weights(whole)[name])


def picky() -> BatchFilling[Any]:
    return BatchFilling(3, min_reward_std=0.3, max_rounds=4)


# --- what the batch is made of ----------------------------------------------------------------


class Watching(GRPO):
    """GRPO that keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[ScoredBatch] = []

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        self.batches.append(batch)
        return super().credit(batch, policy)


@pytest.fixture(scope="module")
def watched(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A trainer that has made its first batch, and the batch."""
    trainer = rl_given.trainer(
        model,
        tmp_path_factory.mktemp("watched"),
        algorithm=Watching(),
        filling=BatchFilling(2, min_reward_std=0.01, max_rounds=5),
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    batch = trainer._generate_and_score_completions([])
    yield trainer, batch
    trainer.close()


def test_the_mask_is_that_of_the_text(watched: Any) -> None:
    trainer, batch = watched
    chat = ChatTemplate(trainer.processing_class)
    for row, episode in enumerate(trainer.algorithm.batches[0].episodes):
        width = int(batch["completion_mask"][row].sum())
        ids = batch["completion_ids"][row, :width].tolist()
        mask = batch["tool_mask"][row, :width].tolist()
        said = episode.trajectory.messages[2:]
        at = 0
        for index, message in enumerate(said):
            if message.role != "assistant":
                continue
            end = at + mask[at:].index(0) if 0 in mask[at:] else width
            written = chat.parse(ids[at:end], list(documents(episode.task)))
            assert (written.content, [c.arguments for c in written.tool_calls]) == (
                message.content,
                [call.arguments for call in message.tool_calls],
            )
            results = said[index + 1 : index + 1 + len(message.tool_calls)]
            between = (
                chat.following(written, results, ids[end - 1]) if results and end < width else []
            )
            assert ids[end : end + len(between)] == between
            assert not any(mask[end : end + len(between)])
            at = end + len(between)
        assert at == width
        assert not batch["tool_mask"][row, width:].any()


def documents(task: str) -> Any:
    return (tool.document for tool in rl_given.SHOWN[task].tools)


def test_old_logprobs_are_those_of_sampling_and_agree_with_the_loss(watched: Any) -> None:
    trainer, batch = watched
    for row, episode in enumerate(trainer.algorithm.batches[0].episodes):
        old = batch["old_per_token_logps"][row, : len(episode.logprobs)]
        assert torch.equal(old, torch.tensor(episode.logprobs))
    new, _ = logprobs_of(trainer, batch)
    mask = batch["tool_mask"].bool()
    assert torch.allclose(new[mask], batch["old_per_token_logps"][mask], atol=2e-5)


def logprobs_of(trainer: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """By one plain forward pass per row, without padding."""
    width = batch["completion_ids"].shape[1]
    logprobs, entropies = torch.zeros(8, width), torch.zeros(8, width)
    for row in range(8):
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()]
        completion = batch["completion_ids"][row][batch["completion_mask"][row].bool()]
        ids = torch.cat([prompt, completion])[None]
        with torch.no_grad():
            logits = trainer.model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        logprobs[row, : len(completion)] = logits.gather(1, completion[:, None])[:, 0]
        entropies[row, : len(completion)] = -(logits.exp() * logits).sum(-1)
    return logprobs, entropies


def test_advantages_are_group_relative(watched: Any) -> None:
    trainer, batch = watched
    rewards = trainer.algorithm.batches[0].rewards_B.view(2, 4)
    wanted = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    for row in range(8):
        own = batch["tool_mask"][row].bool()
        assert torch.allclose(batch["advantages"][row][own], wanted.view(-1)[row])
        assert not batch["advantages"][row][~own].any()
    assert int(batch["num_items_in_batch"]) == int(batch["tool_mask"].sum())


def test_loss_is_the_papers_objective(watched: Any) -> None:
    trainer, batch = watched
    batch = dict(batch)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(batch["old_per_token_logps"].shape, generator=generator)
    batch["old_per_token_logps"] = batch["old_per_token_logps"] + 0.4 * noise
    loss = trainer._compute_loss(trainer.model, batch).detach()
    new, _ = logprobs_of(trainer, batch)
    total = clipped = 0
    for row in range(8):
        for t in range(new.shape[1]):
            if batch["tool_mask"][row, t]:
                ratio = math.exp(float(new[row, t] - batch["old_per_token_logps"][row, t]))
                a = float(batch["advantages"][row, t])
                total += min(ratio * a, min(max(ratio, 0.8), 1.2) * a)
                clipped += ratio * a > min(max(ratio, 0.8), 1.2) * a
    by_hand = -total / int(batch["tool_mask"].sum())
    assert clipped > 5
    assert float(loss) == pytest.approx(by_hand, abs=1e-4)
    ours = clipped_objective(
        new, batch["old_per_token_logps"], batch["advantages"], batch["tool_mask"]
    )
    assert -float(ours) == pytest.approx(by_hand, abs=1e-5)


def test_further_terms_of_the_loss_and_their_gradients(watched: Any) -> None:
    trainer, batch = watched
    plain = float(trainer._compute_loss(trainer.model, dict(batch)).detach())
    mask = batch["tool_mask"]
    bonus = 0.1 * torch.rand(mask.shape, generator=torch.Generator().manual_seed(1))
    new, entropies = logprobs_of(trainer, batch)
    further = dict(batch) | {"entropy_bonus": bonus}
    loss = trainer._compute_loss(trainer.model, further)
    wanted = -float((bonus * entropies * mask).sum() / mask.sum())
    assert float(loss.detach()) - plain == pytest.approx(wanted, abs=1e-4)
    reference = new - 0.3
    further = dict(batch) | {
        "reference_logps": reference,
        "kl_coefficient": torch.tensor(0.5),
    }
    loss = trainer._compute_loss(trainer.model, further)
    wanted = 0.5 * float((kl_to_reference(new, reference) * mask).sum() / mask.sum())
    assert float(loss.detach()) - plain == pytest.approx(wanted, abs=1e-4)
    assert_bonus_gradient(trainer, batch, bonus)


def assert_bonus_gradient(trainer: Any, batch: Mapping[str, Tensor], bonus: Tensor) -> None:
    """The bonus pulls where the derivative of a plain forward pass says."""
    head = trainer.model.get_input_embeddings().weight
    flat = dict(batch) | {"advantages": torch.zeros_like(batch["advantages"])}
    loss = trainer._compute_loss(trainer.model, flat | {"entropy_bonus": bonus})
    (found,) = torch.autograd.grad(loss, head)
    total = 0
    for row in range(8):
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()]
        completion = batch["completion_ids"][row][batch["completion_mask"][row].bool()]
        ids = torch.cat([prompt, completion])[None]
        logits = trainer.model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        weight = (bonus * batch["tool_mask"])[row, : len(completion)]
        total = total + (weight * (logits.exp() * logits).sum(-1)).sum()
    (wanted,) = torch.autograd.grad(total / batch["tool_mask"].sum(), head)
    assert torch.allclose(found, wanted, atol=1e-5) and wanted.abs().max() > 1e-4


class Cautious(GRPO):
    """Asks for a reference from its second batch on."""

    batches = 0

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        found = super().credit(batch, policy)
        self.batches += 1
        return Credit(found.advantages_BT, kl_coefficient=0.1 * (self.batches > 1))


def test_the_reference_is_the_policy_at_the_time_it_was_first_asked_for(
    model: Path, tmp_path: Path
) -> None:
    options = {"max_steps": 3, "save_strategy": "steps", "save_steps": 1}
    trainer = rl_given.trainer(model, tmp_path, args=options, algorithm=Cautious())
    train(trainer)
    first = rl_given.trainer(model, tmp_path / "a", args={"max_steps": 1})
    train(first)
    kept = trainer.reference._weights
    assert kept is not None
    for name, parameter in weights(first).items():
        assert torch.equal(kept[name], parameter)
    assert not (tmp_path / "checkpoint-1" / "reference.safetensors").exists()
    assert (tmp_path / "checkpoint-3" / "reference.safetensors").exists()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_scale_of_the_logits_can_have_a_rate_of_its_own(model: Path, tmp_path: Path) -> None:
    options = {"max_steps": 2, "learning_rate": 0.0}
    moved = rl_given.trainer(
        model, tmp_path, args=options, parameter_lrs={"model.norm.weight": 0.1}
    )
    before = {name: weight.clone() for name, weight in weights(moved).items()}
    train(moved)
    changed = [n for n, weight in weights(moved).items() if not torch.equal(weight, before[n])]
    assert changed == ["model.norm.weight"]
    peft: Any = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    with pytest.raises(ConfigError, match="matches no trained parameter"):
        train(
            rl_given.trainer(
                model, tmp_path / "b", parameter_lrs={"model.norm.weight": 0.1}, peft_config=peft
            )
        )


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != "grpo"])
def test_algorithms_with_credit_per_step(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    # Something to distill in each step, and both stages of drift.
    config = CreditConfig(success=0.1, warm_up_steps=1)
    shown = {arena.id: arena for arena in rl_given.ARENAS}
    algorithm = make_algorithm(name, config, seed=0, arenas=shown)
    tasks = {arena.id: arena.hops for arena in rl_given.ARENAS}
    prompts: Any = ShuffledEpochs(tasks, seed=0)
    if isinstance(algorithm, ChoosesTasks):
        prompts = AlgorithmChosenPrompts(sorted(tasks), algorithm)
    trainer = rl_given.trainer(
        model, tmp_path, algorithm=algorithm, prompts=prompts, args={"max_steps": 2}
    )
    given: list[tuple[Any, Any]] = []
    credit, as_batch = algorithm.credit, trainer._loss_batch

    def credited(scored: Any, policy: Any) -> Any:
        found = credit(scored, policy)
        given.append((found, group_advantages(scored.rewards_B, scored.group_B)))
        return found

    def batch(groups: Any) -> Any:
        made = as_batch(groups)
        width = made["advantages"].shape[1]
        assert torch.equal(made["advantages"], given[-1][0].advantages_BT[:, :width])
        return made

    monkeypatch.setattr(algorithm, "credit", credited)
    monkeypatch.setattr(trainer, "_loss_batch", batch)
    rows = train(trainer)
    assert all(math.isfinite(row["loss"]) and row["grad_norm"] > 0 for row in rows)
    # Tokens of one rollout differ in credit, as they don't in GRPO.
    assert any(
        (found.advantages_BT - plain_B[:, None])[found.advantages_BT != 0].abs().max() > 1e-3
        for found, plain_B in given
    )


def test_the_entropy_of_crucial_steps_is_held_up(model: Path, tmp_path: Path) -> None:
    arenas = {arena.id: arena for arena in rl_given.ARENAS}

    def trained(**options: float) -> dict[str, torch.Tensor]:
        named = {f"entropy.{name}": value for name, value in options.items()}
        credit = CreditConfig(options=named)
        algorithm: Any = make_algorithm("acpo", credit, seed=0, arenas=arenas)
        folder = tmp_path / str(len(options))
        prompts: Any = AlgorithmChosenPrompts(sorted(arenas), algorithm)
        trainer = rl_given.trainer(
            model, folder, algorithm=algorithm, prompts=prompts, args={"max_steps": 1}
        )
        train(trainer)
        return weights(trainer)

    # An entropy that can't be reached, at a rate that shows in a single step.
    held = trained(target=9.0, rate=1.0, largest=1.0)
    left = trained(largest=0.0)
    assert any(not torch.equal(weight, left[name]) for name, weight in held.items())


def test_an_algorithm_chooses_the_tasks_and_sees_every_group() -> None:
    class Picky:
        def __init__(self) -> None:
            self.seen: list[tuple[str, Any]] = []

        def observe(self, task: str, rewards: Any) -> None:
            self.seen.append((task, tuple(rewards)))

        def choose(self, tasks: Any, count: int) -> list[str]:
            return sorted(tasks, reverse=True)[:count]

    algorithm = Picky()
    prompts = AlgorithmChosenPrompts(["a", "b", "c"], algorithm)
    drawn = prompts.take(5, 0)
    assert [draw.task for draw in drawn] == ["c", "b", "a", "c", "b"]
    assert [(draw.number, draw.epoch) for draw in drawn] == [(i, i // 3) for i in range(5)]
    prompts.observe("a", [0.0, 1.0])
    assert algorithm.seen == [("a", (0.0, 1.0))]
    prompts.give_back(drawn[:1])
    again = AlgorithmChosenPrompts(["a", "b", "c"], algorithm)
    again.load_state_dict(prompts.state_dict())
    assert again.take(2, 1)[0] == drawn[0] == prompts.take(2, 1)[0]


# --- advantages -------------------------------------------------------------------------------


def test_flat_groups_and_single_rollouts_have_no_advantage() -> None:
    rewards = torch.tensor([0.1, 0.1, 0.1, 0.9, 0.2, 0.4])
    found = group_advantages(rewards, torch.tensor([0, 0, 0, 1, 2, 2]))
    assert found[:4].tolist() == [0, 0, 0, 0]
    assert found[4:].tolist() == pytest.approx([-0.1 / (0.02**0.5 + 1e-4), 0.1 / 0.1415213562])
    unscaled = group_advantages(rewards, torch.tensor([0, 0, 0, 1, 2, 2]), scale=False)
    assert unscaled[4:].tolist() == pytest.approx([-0.1, 0.1])


def test_a_group_survives_a_checkpoint(watched: Any) -> None:
    trainer, _ = watched
    filling: BatchFilling[Any] = BatchFilling(2, max_rounds=1)
    groups, _ = trainer._loop.run(trainer._sampler._full_round(7, 7))
    filling.add(groups)
    for group in groups:
        assert from_json(to_json(group)) == group and group.step == 7
        assert reward_std(group.rewards) >= 0
    assert scored_batch(groups).group_B.tolist() == [0] * 4 + [1] * 4


# --- failures ---------------------------------------------------------------------------------


class Breaking(InProcessSandbox):
    """Every n-th process can't be started, or none."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self.count = 0

    async def open(self, tools: Any, episode: Any = None) -> Any:
        self.count += 1
        if self.count % self.every == 0:
            raise SandboxInterrupted("killed from outside")
        return await super().open(tools)


def breaking(every: int) -> Any:
    return rl_given.environment(Breaking(every))


def test_what_breaks_on_our_side_is_counted_and_never_rewarded(model: Path, tmp_path: Path) -> None:
    trainer = rl_given.trainer(
        model, tmp_path, environment=breaking(3), algorithm=Watching(), args={"max_steps": 2}
    )
    rows = train(trainer)
    assert sum(row["infrastructure_failures"] for row in rows) > 0
    for batch in trainer.algorithm.batches:
        assert len(batch.episodes) == 8
        assert not any(e.trajectory.infrastructure_failure for e in batch.episodes)
        assert batch.group_B.tolist() == [0] * 4 + [1] * 4


def test_a_prompt_that_always_breaks_is_given_up_and_replaced(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = rl_given.ARENAS[0].id
    play = ArenaRollouts.play

    async def failing(self: ArenaRollouts, task: str, model: Any, **more: Any) -> RolloutOutcome:
        if task == bad:
            raise SandboxDied("this task kills it")
        return await play(self, task, model, **more)

    monkeypatch.setattr(ArenaRollouts, "play", failing)
    trainer = rl_given.trainer(
        model,
        tmp_path,
        algorithm=Watching(),
        filling=BatchFilling(2, active=False),
        args={"max_steps": len(rl_given.ARENAS)},
    )
    rows = train(trainer)
    assert sum(row["infrastructure_failures"] for row in rows) >= 4
    for batch in trainer.algorithm.batches:
        assert len(batch.episodes) == 8
        assert bad not in {episode.task for episode in batch.episodes}


def test_a_sandbox_that_never_works_stops_the_run(model: Path, tmp_path: Path) -> None:
    trainer = rl_given.trainer(model, tmp_path, environment=breaking(1))
    # Rollouts without calls need no sandbox, and there are some.
    with pytest.raises(StageError, match=r"killed|too many rollouts had"):
        train(trainer)


@pytest.mark.parametrize(
    "options",
    [
        {"eval_strategy": "steps", "eval_steps": 1},
        {"repetition_penalty": 1.1},
        {"generation_kwargs": {"top_k": 5}},
        {"cache_implementation": "static"},
        {"reward_weights": [2.0]},
        {"log_completions": True},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"max_tool_calling_iterations": 0},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_without_effect_are_refused(model: Path, tmp_path: Path, options: Any) -> None:
    with pytest.raises(ConfigError, match="has no effect"):
        rl_given.trainer(model, tmp_path, args=options)
