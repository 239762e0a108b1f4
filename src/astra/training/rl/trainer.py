"""TRL's GRPOTrainer with rollouts of our own, batch filling, and credit-assignment algorithms.

TRL keeps the loop, the loss with all its variants, the optimizer, checkpoints and reporters. Ours
are the rollouts, the choice of groups for a batch, and each token's advantage. The data set that
TRL asks for only counts steps: prompts come from a `PromptSource`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from astra.core.files import write_file
from astra.engines.engine import Engine
from astra.errors import ConfigError, StoreError
from astra.protocols import Sampling
from astra.runs.folder import RunFolder
from astra.training.algorithm import Algorithm, HasState
from astra.training.environment import RolloutEnvironment
from astra.training.event_loop import CallerLoop
from astra.training.parameter_lrs import set_parameter_lrs
from astra.training.policy import ModelPolicy
from astra.training.rl.batch import RolloutGroup, from_json, loss_inputs, scored_batch, to_json
from astra.training.rl.filling import BatchFilling, FilledBatch
from astra.training.rl.loss import further_loss, kl_to_reference
from astra.training.rl.prompts import PromptSource
from astra.training.rl.reference import ReferenceWeights
from astra.training.rl.rollout_metrics import rollout_means
from astra.training.rl.rollouts import GroupPlayer, PlayedRound, require_completed
from astra.training.rl.shared import shared_logprobs, zero_advantage_rows_B

STATE = "rl_state.json"
"""File of each checkpoint: waiting groups, prompts, the algorithm's state."""
STATE_BYTES = 2**31
"""Largest state that is read: some hundred waiting groups of long rollouts."""
TRIES = 3
"""How often a prompt is drawn whose rollouts end in infrastructure failures, before it is
skipped."""


class RolloutTrainer(GRPOTrainer):
    """GRPO on a rollout environment. One process, or several with whole models (data parallel)."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: GRPOConfig,
        tokenizer: PreTrainedTokenizerBase,
        *,
        environment: RolloutEnvironment,
        open_engine: Callable[[Any], Engine],
        prompts: PromptSource,
        filling: BatchFilling[RolloutGroup],
        algorithm: Algorithm,
        sampling: Sampling = Sampling(),
        concurrency: int = 64,
        callbacks: Sequence[TrainerCallback] = (),
        peft_config: Any = None,
        share_prefix: bool = False,
        parameter_lrs: dict[str, float] | None = None,
    ) -> None:
        """`open_engine`: from the trainer, once its model is on its device.

        Raises ConfigError for options without effect here.
        """
        _require_supported(args)
        self._group_count = cast(int, args.generation_batch_size) // cast(int, args.num_generations)
        """Groups of a batch, over all processes."""
        # As many rows as the run has prompts, so that for TRL it is one epoch.
        steps = self._group_count * max(1, args.max_steps)
        super().__init__(
            model=model,
            reward_funcs=_unused_reward,
            args=args,
            train_dataset=Dataset.from_dict({"prompt": [""] * steps}),
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
        self._environment = environment
        self._open_engine = open_engine
        self._sampling = sampling
        self._concurrency = concurrency
        self._loop = CallerLoop()
        self._contexts = AsyncExitStack()
        self._player: GroupPlayer | None = None
        self._engine: Engine | None = None
        self._last_logprobs: tuple[Tensor, Tensor] | None = None
        """Log-probabilities and entropies of the last forward pass of the loss."""
        self._zero_advantage_rows_B: Tensor | None = None
        self._share_prefix = share_prefix
        self._parameter_lrs = parameter_lrs or {}

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        optimizer = super().create_optimizer(model)
        set_parameter_lrs(optimizer, self.model if model is None else model, self._parameter_lrs)
        return optimizer

    # --- rollouts --------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the environment and close the event loop."""
        self._loop.run(self._contexts.aclose())
        self._loop.close()

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Tensor]:
        """A filled batch in the form of TRL's loss. `inputs` only says that a step begins."""
        step = self.state.global_step
        if self._player is None or self._engine is None:
            # Not in __init__: the model reaches its device only when training begins.
            self._engine = self._open_engine(self)
            if isinstance(self._environment, AbstractAsyncContextManager):
                self._loop.run(self._contexts.enter_async_context(self._environment))
            self._player = GroupPlayer(
                self._environment,
                self._engine,
                group_size=cast(int, self._options.num_generations),
                seed=self._options.seed,
                concurrency=self._concurrency,
                sampling=self._sampling,
            )
        engine, player = self._engine, self._player
        engine.timings.reset()
        start = time.perf_counter()
        failures = 0
        sampled: list[RolloutGroup] = []
        while not self.filling.enough:
            groups, failed = self._full_round(player, step)
            failures += failed
            sampled += groups
            self.filling.add(groups)
        seconds = time.perf_counter() - start
        filled = self.filling.take(step)
        self._log_rollouts(filled, sampled, failures)
        timings = engine.timings
        self._log_step("time/rollouts", seconds)
        self._log_step("time/generation", timings.generation)
        self._log_step("time/idle", timings.idle)
        self._log_step("time/tools", timings.tools)
        self._log_step("tokens/prompt", timings.prompt_tokens)
        self._log_step("tokens/sampled", timings.sampled_tokens)
        self._log_step("tokens/sampled_per_second", timings.sampled_tokens / max(seconds, 1e-9))
        # Between rollouts and loss: on a GPU the key-value cache takes memory that the loss needs.
        free_cache = getattr(engine, "free_cache", None)
        if free_cache is not None and self.accelerator.device.type != "cpu":
            free_cache()
        return self._loss_batch(filled.groups)

    def _full_round(self, player: GroupPlayer, step: int) -> tuple[list[RolloutGroup], int]:
        """Groups of a round and its infrastructure failures.

        Failed prompts are drawn again, and others in their place once their tries are used up.
        """
        groups: list[RolloutGroup] = []
        failures = 0
        for attempt in range(TRIES + 1):
            missing = self._group_count - len(groups)
            # Not if most of a round failed: what remains would mostly be rollouts that called no
            # tool, and training on them would teach that.
            if not missing or (attempt and 2 * missing > self._group_count):
                break
            new, failed = self._round(player, step, missing, first=not attempt)
            groups += new
            failures += failed
        return groups, failures

    def _round(
        self, player: GroupPlayer, step: int, count: int, *, first: bool
    ) -> tuple[list[RolloutGroup], int]:
        """Rollouts of `count` prompts, split over the processes; every process gets all of them.

        `first`: raises StageError if none was completed.
        """
        draws = self.prompts.take(count, step)
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        played = self._loop.run(player.play(draws[rank::world], step))
        rounds: list[PlayedRound] = gather_object([played])
        if first:
            require_completed(rounds)
        order = {(draw.task, draw.number): index for index, draw in enumerate(draws)}
        group_at: dict[int, RolloutGroup] = {}
        for share, part in zip((draws[r::world] for r in range(world)), rounds, strict=True):
            incomplete = {draw.number for draw in part.incomplete}
            complete = [draw for draw in share if draw.number not in incomplete]
            for draw, group in zip(complete, part.groups, strict=True):
                group_at[order[draw.task, draw.number]] = group
        again = [draw for part in rounds for draw in part.incomplete if draw.tries < TRIES]
        self.prompts.give_back(sorted(again, key=lambda draw: draw.number))
        groups = [group_at[index] for index in sorted(group_at)]
        for group in groups:
            self.prompts.observe(group.episodes[0].task, group.rewards)
        return groups, sum(part.failures for part in rounds)

    # --- the batch -------------------------------------------------------------------------

    def _loss_batch(self, groups: Sequence[RolloutGroup]) -> dict[str, Tensor]:
        scored = scored_batch(groups)
        model = self.accelerator.unwrap_model(self.model)
        credit = self.algorithm.credit(scored, ModelPolicy(model, self.processing_class))
        for name, value in credit.metrics.items():
            self._log_step(f"{self.algorithm.name}/{name}", value)
        share = len(scored.episodes) // self.accelerator.num_processes
        first = share * self.accelerator.process_index
        local = slice(first, first + share)
        batch = loss_inputs(scored.episodes[local], self._padding)
        width = batch["completion_ids"].shape[1]
        batch["advantages"] = credit.advantages_BT[local, :width]
        if credit.entropy_bonus_BT is not None:
            batch["entropy_bonus"] = credit.entropy_bonus_BT[local, :width]
        batch["num_items_in_batch"] = scored.policy_mask_BT.sum()
        batch = {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}
        # Log-probabilities of TRL's reference model (`beta`) and of the algorithm's.
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
        if self._share_prefix:
            with self.accelerator.autocast():
                self._last_logprobs = shared_logprobs(
                    model,
                    input_ids,
                    attention_mask,
                    width,
                    zero_advantage_rows_B=self._zero_advantage_rows_B,
                )
            return *self._last_logprobs, None
        result = super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, width, **kwargs
        )
        self._last_logprobs = result[0], result[1]
        return result

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """TRL's loss plus the terms that it does not have."""
        bonus_BT, reference_BT = inputs.get("entropy_bonus"), inputs.get("reference_logps")
        if not self.beta and bonus_BT is None and reference_BT is None:
            self._zero_advantage_rows_B = zero_advantage_rows_B(inputs["advantages"])
        loss = super()._compute_loss(model, inputs)
        self._zero_advantage_rows_B = None
        if self._last_logprobs is None or (bonus_BT is None and reference_BT is None):
            return loss
        logprobs_BT, entropies_BT = self._last_logprobs
        self._last_logprobs = None  # frees the graph of this pass
        if reference_BT is not None:
            kl_BT = kl_to_reference(logprobs_BT.detach(), reference_BT) * inputs["tool_mask"]
            self._log_step("kl", float(kl_BT.sum() / inputs["tool_mask"].sum().clamp(min=1)))
        # The sum over a slice of the batch is divided by the same count as in TRL's `dapo`.
        slices = cast(int, self._options.steps_per_generation)
        accumulated = self.current_gradient_accumulation_steps / slices
        tokens = inputs["num_items_in_batch"] / self.accelerator.num_processes * accumulated
        return loss + further_loss(
            logprobs_BT,
            entropies_BT,
            inputs["tool_mask"],
            bonus_BT=bonus_BT,
            reference_BT=reference_BT,
            kl_coefficient=float(inputs.get("kl_coefficient", 0.0)),
            tokens=tokens,
        )

    # --- metrics ---------------------------------------------------------------------------

    def _log_step(self, name: str, value: float) -> None:
        self._metrics["train"][name].append(value)

    def _log_rollouts(
        self, filled: FilledBatch[RolloutGroup], sampled: Sequence[RolloutGroup], failures: int
    ) -> None:
        """Log everything that was sampled in this step, used or not."""
        for name, value in rollout_means(sampled).items():
            self._log_step(name, value)
        for name, value in filled.metrics().items():
            self._log_step(name, value)
        self._log_step("infrastructure_failures", failures)

    # --- checkpoints -----------------------------------------------------------------------

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        # TRL writes trainer_state.json, which completes a checkpoint, after this.
        super()._save_optimizer_and_scheduler(output_dir)
        if not self.args.should_save:
            return
        self.reference.save(Path(output_dir))
        algorithm = self.algorithm
        state = {
            "waiting": [to_json(group) for group in self.filling.waiting],
            "prompts": self.prompts.state_dict(),
            "algorithm": algorithm.state_dict() if isinstance(algorithm, HasState) else {},
        }
        write_file(Path(output_dir) / STATE, json.dumps(state).encode())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        state: Any = RunFolder(checkpoint).read_json(STATE, limit=STATE_BYTES)
        try:
            self.filling.restore(from_json(group) for group in state["waiting"])
            self.prompts.load_state_dict(state["prompts"])
            if isinstance(self.algorithm, HasState):
                self.algorithm.load_state_dict(state["algorithm"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{str(Path(checkpoint) / STATE)!r} is not the state of such a run "
                f"({error!r:.200}): restore it, or remove the checkpoint to resume from the one "
                "before"
            ) from error
        self.reference.load(Path(checkpoint))


def _unused_reward(**_: Any) -> list[float | None]:
    """TRL requires a reward function."""
    raise AssertionError("rewards come from the environment")


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
    for name, (value, supported) in refused.items():
        if value != supported:
            raise ConfigError(
                f"{name}={value!r} has no effect on these rollouts: leave it at {supported!r}"
            )
    if args.scale_rewards not in ("group", "none"):
        raise ConfigError(f"scale_rewards={args.scale_rewards!r}: 'group' and 'none' are supported")
    if args.max_steps <= 0:
        raise ConfigError(f"max_steps={args.max_steps!r}: set how many steps to train")
