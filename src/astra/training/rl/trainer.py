"""TRL's GRPOTrainer with rollouts in arenas, batch filling, and algorithms that give credit.

What stays TRL's: the loop, the loss with all its variants, the optimiser, checkpoints, reporters.
What is ours: where rollouts come from, which of them make up a batch, and each token's advantage.
The data set that TRL asks for only counts steps; prompts come from `PromptSource`, which loses
none.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from astra.engines.engine import Engine, EngineTimings
from astra.errors import ConfigError
from astra.training.algorithm import Algorithm, Credit
from astra.training.policy import ModelPolicy
from astra.training.rates import last_norm, set_rate
from astra.training.rl.batch import RolloutGroup, from_json, loss_inputs, scored_batch, to_json
from astra.training.rl.filling import BatchFilling, FilledBatch
from astra.training.rl.loss import further_loss, kl_to_reference
from astra.training.rl.playing import GroupPlayer, PlayedRound, require_some, tallied
from astra.training.rl.prompts import PromptSource
from astra.training.rl.reference import ReferenceWeights
from astra.training.rl.shared import shared_logprobs

STATE = "rl_state.json"
"""Written into each checkpoint: buffer, prompts, algorithm."""
TRIES = 3
"""How often an arena whose rollouts break on our side is drawn before it is passed over."""


@dataclass(frozen=True, slots=True)
class RolloutSetup:
    """What a trainer plays in and with. Functions, for the model is only ready later."""

    engine: Callable[[Any], Engine]
    """From the trainer, whose model is where it will be."""
    sandbox: Callable[[], Any]
    """An async context that gives a `Sandbox`."""
    player: Callable[[Engine, Any], GroupPlayer]


class ArenaTrainer(GRPOTrainer):
    """GRPO in arenas. One process, or several that hold whole models (data parallel)."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: GRPOConfig,
        tokenizer: PreTrainedTokenizerBase,
        *,
        field: RolloutSetup,
        prompts: PromptSource,
        filling: BatchFilling[RolloutGroup],
        algorithm: Algorithm,
        callbacks: Sequence[TrainerCallback] = (),
        peft_config: Any = None,
        share_prompts: bool = False,
        scale_lr: float = 0.0,
    ) -> None:
        """`scale_lr`: learning rate of the last norm's weights, 0: that of the rest.

        Raises ConfigError for options that have no effect here, and for a scale_lr without such
        weights.
        """
        _require_supported(args)
        super().__init__(
            model=model,
            reward_funcs=_never_asked,
            args=args,
            train_dataset=_steps(args),
            processing_class=tokenizer,
            callbacks=list(callbacks),
            peft_config=peft_config,
        )
        self.prompts = prompts
        self.filling = filling
        self.algorithm = algorithm
        self.reference = ReferenceWeights()
        self._options = args
        self._padding = cast(int, tokenizer.pad_token_id)
        self._field = field
        self._loop = asyncio.Runner()
        self._open = AsyncExitStack()
        self._player: GroupPlayer | None = None
        self._engine: Engine | None = None
        self._last: tuple[Tensor, Tensor] | None = None
        self._still_B: Tensor | None = None
        self._share_prompts = share_prompts
        self._scale_lr = scale_lr
        if scale_lr:
            last_norm(self.model)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        made = super().create_optimizer(model)
        if self._scale_lr:
            # With a rate that its matrices can bear, a small model's temperature hardly moves.
            set_rate(made, [last_norm(self.model if model is None else model)], self._scale_lr)
        return made

    # --- rollouts --------------------------------------------------------------------------

    def _ready(self) -> tuple[GroupPlayer, Engine]:
        if self._player is None or self._engine is None:
            self._engine = self._field.engine(self)
            sandbox = self._loop.run(self._open.enter_async_context(self._field.sandbox()))
            self._player = self._field.player(self._engine, sandbox)
        return self._player, self._engine

    def close(self) -> None:
        """End the sandbox and the event loop."""
        self._loop.run(self._open.aclose())
        self._loop.close()

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Tensor]:
        """A filled batch, as TRL's loss takes it; `inputs` only says that a step begins."""
        step = self.state.global_step
        player, engine = self._ready()
        engine.clock.reset()
        start = time.perf_counter()
        broken = 0
        sampled: list[RolloutGroup] = []
        while not self.filling.enough:
            groups, failures = self._whole_round(player, step)
            broken += failures
            sampled += groups
            self.filling.add(groups)
        seconds = time.perf_counter() - start
        filled = self.filling.take(step)
        self._note(filled, sampled, broken)
        self._note_time(engine.clock, seconds)
        if hasattr(engine, "forget") and self.accelerator.device.type != "cpu":
            engine.forget()  # pyright: ignore[reportAttributeAccessIssue] - looked for above
        return self._batch(filled.groups)

    def _whole_round(self, player: GroupPlayer, step: int) -> tuple[list[RolloutGroup], int]:
        """A round; what broke on our side is drawn again, as often as a prompt is tried, and then
        others in its place.

        Not where it is most of a round: what is left then are rollouts that called no tool.
        """
        groups: list[RolloutGroup] = []
        broken = 0
        for attempt in range(TRIES + 1):
            missing = self._places - len(groups)
            if not missing or (attempt and 2 * missing > self._places):
                break
            new, failures = self._round(player, step, missing, first=not attempt)
            groups += new
            broken += failures
        return groups, broken

    def _round(
        self, player: GroupPlayer, step: int, count: int, *, first: bool
    ) -> tuple[list[RolloutGroup], int]:
        """Rollouts for so many prompts, shared out over the processes, each of which gets all of
        them. `first`: StageError if none worked."""
        draws = self.prompts.take(count, step)
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        played = self._loop.run(player.play(draws[rank::world], step))
        parts: list[PlayedRound] = gather_object([played])
        if first:
            require_some(parts)
        order = {(draw.task, draw.number): place for place, draw in enumerate(draws)}
        whole: dict[int, RolloutGroup] = {}
        for share, part in zip((draws[r::world] for r in range(world)), parts, strict=True):
            lost = {draw.number for draw in part.incomplete}
            kept = [draw for draw in share if draw.number not in lost]
            for draw, group in zip(kept, part.groups, strict=True):
                whole[order[draw.task, draw.number]] = group
        again = [draw for part in parts for draw in part.incomplete if draw.tries < TRIES]
        self.prompts.give_back(sorted(again, key=lambda draw: draw.number))
        groups = [whole[place] for place in sorted(whole)]
        for group in groups:
            self.prompts.learn(group.episodes[0].task, group.rewards)
        return groups, sum(part.failures for part in parts)

    @property
    def _places(self) -> int:
        """Groups of a batch, over all processes."""
        return _places(self._options)

    # --- the batch -------------------------------------------------------------------------

    def _batch(self, groups: Sequence[RolloutGroup]) -> dict[str, Tensor]:
        scored = scored_batch(groups)
        model = self.accelerator.unwrap_model(self.model)
        credit = self.algorithm.credit(scored, ModelPolicy(model, self.processing_class))
        for name, value in credit.metrics.items():
            self._log_step(f"{self.algorithm.name}/{name}", value)
        share = len(scored.episodes) // self.accelerator.num_processes
        first = share * self.accelerator.process_index
        episodes = scored.episodes[first : first + share]
        batch = loss_inputs(episodes, self._padding)
        width = batch["completion_ids"].shape[1]
        local = slice(first, first + share)
        batch["advantages"] = credit.advantages_BT[local, :width]
        if credit.entropy_bonus_BT is not None:
            batch["entropy_bonus"] = credit.entropy_bonus_BT[local, :width]
        batch["num_items_in_batch"] = scored.policy_mask_BT.sum()
        batch = {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}
        return self._with_reference(batch, credit)

    def _with_reference(self, batch: dict[str, Tensor], credit: Credit) -> dict[str, Tensor]:
        """Log-probabilities of TRL's reference model (`beta`), or of the policy as it was."""
        arguments = (
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].shape[1],
        )
        size = self.args.per_device_train_batch_size
        if self.beta and self.ref_model is not None:
            with torch.no_grad():
                batch["ref_per_token_logps"], *_ = self._get_per_token_logps_and_entropies(
                    self.ref_model, *arguments, batch_size=size
                )
        if credit.kl_coefficient:
            with self.reference.of(self.accelerator.unwrap_model(self.model)), torch.no_grad():
                batch["reference_logps"], *_ = self._get_per_token_logps_and_entropies(
                    self.model, *arguments, batch_size=size
                )
            batch["kl_coefficient"] = torch.tensor(
                credit.kl_coefficient, device=self.accelerator.device
            )
        return batch

    # --- the loss --------------------------------------------------------------------------

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, width: int, **kwargs: Any
    ) -> Any:
        if self._share_prompts:
            with self.accelerator.autocast():
                found = shared_logprobs(
                    model,
                    input_ids,
                    attention_mask,
                    width,
                    temperature=self.temperature,
                    still_B=self._still_B,
                )
            self._last = found
            return *found, None
        found = super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, width, **kwargs
        )
        self._last = found[0], found[1]
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """TRL's loss, and the terms that it does not have."""
        bonus_BT, reference_BT = inputs.get("entropy_bonus"), inputs.get("reference_logps")
        if not self.beta and bonus_BT is None and reference_BT is None:
            self._still_B = _still(inputs["advantages"])
        loss = super()._compute_loss(model, inputs)
        self._still_B = None
        if self._last is None or (bonus_BT is None and reference_BT is None):
            return loss
        logprobs_BT, entropies_BT = self._last
        self._last = None
        if reference_BT is not None:
            kl_BT = kl_to_reference(logprobs_BT.detach(), reference_BT) * inputs["tool_mask"]
            self._log_step("kl", float(kl_BT.sum() / inputs["tool_mask"].sum().clamp(min=1)))
        return loss + further_loss(
            logprobs_BT,
            entropies_BT,
            inputs["tool_mask"],
            bonus_BT=bonus_BT,
            reference_BT=reference_BT,
            kl_coefficient=float(inputs.get("kl_coefficient", 0.0)),
            tokens=self._tokens(inputs),
        )

    def _tokens(self, inputs: dict[str, Tensor]) -> Tensor:
        """What the sum over a slice of the batch is divided by, as in TRL's `dapo`."""
        slices = cast(int, self._options.steps_per_generation)
        accumulated = self.current_gradient_accumulation_steps / slices
        return inputs["num_items_in_batch"] / self.accelerator.num_processes * accumulated

    # --- numbers ---------------------------------------------------------------------------

    def _log_step(self, name: str, value: float) -> None:
        self._metrics["train"][name].append(value)

    def _note(
        self, filled: FilledBatch[RolloutGroup], sampled: Sequence[RolloutGroup], broken: int
    ) -> None:
        """What was sampled in this step, whether or not it was used."""
        for name, value in tallied(sampled).items():
            self._log_step(name, value)
        rewards = [reward for group in filled.groups for reward in group.rewards]
        self._log_step("filling/reward", sum(rewards) / len(rewards))
        self._log_step("filling/rounds", filled.rounds)
        self._log_step("filling/groups", filled.sampled)
        self._log_step("filling/valid_share", filled.valid_share)
        self._log_step("filling/flat", filled.flat)
        self._log_step("filling/waiting", filled.waiting)
        self._log_step("filling/age_mean", sum(filled.ages) / len(filled.ages))
        self._log_step("filling/age_max", max(filled.ages))
        self._log_step("broken_rollouts", broken)

    def _note_time(self, clock: EngineTimings, seconds: float) -> None:
        self._log_step("time/rollouts", seconds)
        self._log_step("time/generation", clock.busy)
        self._log_step("time/waiting", clock.waiting)
        self._log_step("time/tools", clock.tools)
        self._log_step("tokens/prompt", clock.prompt_tokens)
        self._log_step("tokens/sampled", clock.sampled_tokens)
        self._log_step("tokens/sampled_per_second", clock.sampled_tokens / max(seconds, 1e-9))

    # --- checkpoints -----------------------------------------------------------------------

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Called before `trainer_state.json`, which completes a checkpoint, is written."""
        super()._save_optimizer_and_scheduler(output_dir)
        if not self.args.should_save:
            return
        self.reference.save(Path(output_dir))
        state = {
            "waiting": [to_json(group) for group in self.filling.waiting],
            "prompts": self.prompts.state_dict(),
            "algorithm": self.algorithm.state_dict(),
        }
        path = Path(output_dir) / STATE
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(state))
        os.replace(temporary, path)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        state = json.loads((Path(checkpoint) / STATE).read_text())
        self.filling.restore(from_json(group) for group in state["waiting"])
        self.prompts.load_state_dict(state["prompts"])
        self.algorithm.load_state_dict(state["algorithm"])
        self.reference.load(Path(checkpoint))


def _still(advantages_BT: Tensor) -> Tensor | None:
    """The rows without any advantage, which the policy term does not move; None: all would be."""
    still_B = (advantages_BT == 0).flatten(1).all(1)
    return None if bool(still_B.all()) else still_B


def _never_asked(**_: Any) -> list[float | None]:
    raise AssertionError("rewards come from arenas")


def _steps(args: GRPOConfig) -> Dataset:
    """Rows that say nothing, enough for every step of the run."""
    return Dataset.from_dict({"prompt": [""] * (_places(args) * max(1, args.max_steps))})


def _places(args: GRPOConfig) -> int:
    """Groups of a batch, over all processes."""
    return cast(int, args.generation_batch_size) // cast(int, args.num_generations)


def _require_supported(args: GRPOConfig) -> None:
    """Raise ConfigError for options that would be ignored, or mean something else here."""
    refused = {
        "eval_strategy": (str(getattr(args.eval_strategy, "value", args.eval_strategy)), "no"),
        "repetition_penalty": (args.repetition_penalty, 1.0),
        "min_p": (args.min_p or 0.0, 0.0),
        "mask_truncated_completions": (args.mask_truncated_completions, False),
        "use_transformers_continuous_batching": (args.use_transformers_continuous_batching, False),
        "generation_kwargs": (args.generation_kwargs or None, None),
        "cache_implementation": (args.cache_implementation, None),
        "reward_weights": (args.reward_weights, None),
        "log_completions": (args.log_completions, False),
        "chat_template_kwargs": (args.chat_template_kwargs or None, None),
        "max_tool_calling_iterations": (args.max_tool_calling_iterations, None),
    }
    for name, (given, wanted) in refused.items():
        if given != wanted:
            raise ConfigError(
                f"{name}={given!r} has no effect on rollouts in arenas: leave it at {wanted!r}"
            )
    if args.scale_rewards not in ("group", "none"):
        raise ConfigError(f"scale_rewards={args.scale_rewards!r}: 'group' and 'none' are supported")
    if args.max_steps <= 0:
        raise ConfigError(f"max_steps={args.max_steps!r}: say how many steps to train")
