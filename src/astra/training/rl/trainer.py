"""TRL's GRPOTrainer with rollouts of our own, batch filling, and credit-assignment algorithms.

TRL keeps the loop, the loss with all its variants, the optimizer, checkpoints and reporters. Ours
are the rollouts, the choice of groups for a batch, and each token's advantage. The data set that
TRL asks for only counts steps: prompts come from a `PromptSource`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from astra.core.files import write_file
from astra.engines.engine import Engine
from astra.errors import StoreError
from astra.protocols import Sampling
from astra.runs.folder import RunFolder
from astra.training.algorithm import Algorithm, HasState
from astra.training.environment import RolloutEnvironment
from astra.training.event_loop import CallerLoop, ThreadLoop
from astra.training.parameter_lrs import set_parameter_lrs
from astra.training.policy import ModelPolicy
from astra.training.rl.batch import RolloutGroup, from_json, loss_inputs, scored_batch, to_json
from astra.training.rl.filling import BatchFilling, FilledBatch
from astra.training.rl.loss import further_loss, kl_to_reference
from astra.training.rl.partial import PartialSampler
from astra.training.rl.policy_copy import PolicyCopy
from astra.training.rl.prompts import PromptDraw, PromptSource
from astra.training.rl.reference import ReferenceWeights
from astra.training.rl.rollout_metrics import rollout_means
from astra.training.rl.rollouts import GroupPlayer
from astra.training.rl.sampling import BatchSampler, SampledBatch
from astra.training.rl.shared import shared_logprobs, zero_advantage_rows_B
from astra.training.rl.supported import require_one_step_ahead, require_supported

STATE = "rl_state.json"
"""File of each checkpoint: waiting groups, prompts, the algorithm's state."""
STATE_BYTES = 2**31
"""Largest state that is read: some hundred waiting groups of long rollouts."""


class RolloutTrainer(GRPOTrainer):
    """GRPO on a rollout environment. One process, or several with whole models (data parallel)."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: GRPOConfig,
        tokenizer: PreTrainedTokenizerBase,
        *,
        environment: RolloutEnvironment,
        open_engine: Callable[[Any, Any], Engine],
        prompts: PromptSource,
        filling: BatchFilling[RolloutGroup],
        algorithm: Algorithm,
        sampling: Sampling = Sampling(),
        concurrency: int = 64,
        max_staleness: int | None = None,
        partial_rollouts: bool = False,
        callbacks: Sequence[TrainerCallback] = (),
        peft_config: Any = None,
        share_prefix: bool = False,
        parameter_lrs: dict[str, float] | None = None,
    ) -> None:
        """`open_engine`: from the trainer and the model to sample with, once it is on its device.

        `max_staleness`: steps that episodes may be older than the weights they train. From 1 on,
        the next batch is sampled on a thread of its own while this one trains. None: in turns, no
        limit. `partial_rollouts`: see `partial`; for a `max_staleness` from 2 on. Raises
        ConfigError for options without effect here.
        """
        require_supported(args)
        ahead = bool(max_staleness)
        if ahead:
            require_one_step_ahead(args)
        # Not from the trainer's model, whose forward pass is wrapped.
        self._copy = PolicyCopy(model) if ahead else None
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
        if self._copy is not None and peft_config is not None:
            self._copy.add_adapters(peft_config)
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
        self._max_staleness = max_staleness
        self._partial = partial_rollouts
        self._threads = torch.get_num_threads()
        self._loop = ThreadLoop() if ahead else CallerLoop()
        self._contexts = AsyncExitStack()
        self._engine: Engine | None = None
        self._sampler: BatchSampler | None = None
        self._next: Future[SampledBatch] | None = None
        """The batch of the next step, which is being sampled."""
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
        """Leave the environment and close the event loop. What is being sampled is lost."""
        if isinstance(self._loop, ThreadLoop):
            self._loop.cancel()
        self._loop.run(self._contexts.aclose())
        self._loop.close()
        if self._copy is not None:
            torch.set_num_threads(self._threads)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Tensor]:
        """A filled batch in the form of TRL's loss. `inputs` only says that a step begins."""
        step = self.state.global_step
        if self._sampler is None:
            # Not in __init__: the model reaches its device only when training begins.
            self._sampler = self._opened_sampler()
        start = time.perf_counter()
        if self._next is None:
            self._copy_weights()
            sampled = self._loop.run(self._sampler.sample(step, step))
        else:
            sampled = self._next.result()
            self._next = None
        if self._copy is not None:
            self._log_step("time/waiting", time.perf_counter() - start)
        filled = self.filling.take(step)
        self._log_rollouts(filled, sampled)
        # Between rollouts and loss: on a GPU the key-value cache takes memory that the loss needs.
        # Partial rollouts are using it.
        free_cache = getattr(self._engine, "free_cache", None)
        on_cpu = self.accelerator.device.type == "cpu"
        if free_cache is not None and not on_cpu and not self._partial:
            free_cache()
        batch = self._loss_batch(filled.groups)
        # From here until the result is taken, prompts, filling and algorithm are the sampler's.
        if isinstance(self._loop, ThreadLoop):
            self._copy_weights()
            if step + 1 < self.args.max_steps:
                self._next = self._loop.start(self._sampler.sample(step + 1, step))
        return batch

    def _opened_sampler(self) -> BatchSampler:
        policy: Any = self.accelerator.unwrap_model(cast(Any, self.model))
        if self._copy is not None:
            # Frozen weights are shared before the copy moves, or a GPU would hold them twice.
            self._copy.update(policy)
            self._copy.place(self.accelerator)
            # Two of them compute at the same time. The sampling thread has not computed yet, and
            # will begin with this number.
            torch.set_num_threads(max(1, self._threads // 2))
            policy = self._copy.model
        self._engine = self._open_engine(self, policy)
        if isinstance(self._environment, AbstractAsyncContextManager):
            self._loop.run(self._contexts.enter_async_context(self._environment))
        player = GroupPlayer(
            self._environment,
            self._engine,
            group_size=cast(int, self._options.num_generations),
            seed=self._options.seed,
            concurrency=self._concurrency,
            sampling=self._sampling,
            places=asyncio.Semaphore(self._concurrency) if self._partial else None,
        )
        parts = (player, self.prompts, self.filling)
        size = self._group_count
        if self._partial:
            staleness = cast(int, self._max_staleness)
            return PartialSampler(*parts, size=size, max_staleness=staleness)
        return BatchSampler(
            *parts,
            size=size,
            max_staleness=self._max_staleness,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
        )

    def _copy_weights(self) -> None:
        """What runs on samples nothing from here until the next batch is begun."""
        if isinstance(self._sampler, PartialSampler):
            self._loop.run(self._sampler.pause())
        if self._copy is not None:
            self._copy.update(self.accelerator.unwrap_model(cast(Any, self.model)))

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

    def _log_rollouts(self, filled: FilledBatch[RolloutGroup], sampled: SampledBatch) -> None:
        """Log everything that was sampled for this step, used or not."""
        for name, value in rollout_means(sampled.groups).items():
            self._log_step(name, value)
        for name, value in filled.metrics().items():
            self._log_step(name, value)
        if self._max_staleness is not None:
            self._log_step("filling/dropped", sampled.dropped)
        self._log_step("infrastructure_failures", sampled.failures)
        for name, value in sampled.metrics.items():
            self._log_step(name, value)

    # --- checkpoints -----------------------------------------------------------------------

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        # TRL writes trainer_state.json, which completes a checkpoint, after this.
        super()._save_optimizer_and_scheduler(output_dir)
        if not self.args.should_save:
            return
        self.reference.save(Path(output_dir))
        algorithm = self.algorithm
        # Training waits for what is being sampled: the state is the one after it.
        sampled = None if self._next is None else self._next.result()
        waiting = self.filling.waiting if sampled is None else sampled.waiting
        state: dict[str, Any] = {
            "waiting": [to_json(group) for group in waiting],
            "prompts": self.prompts.state_dict(),
            "algorithm": algorithm.state_dict() if isinstance(algorithm, HasState) else {},
        }
        if sampled is not None:
            state["sampled"] = sampled.to_json()
        if isinstance(self._sampler, PartialSampler):
            state["unfinished"] = [asdict(draw) for draw in self._sampler.unfinished]
        write_file(Path(output_dir) / STATE, json.dumps(state).encode())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        state: Any = RunFolder(checkpoint).read_json(STATE, limit=STATE_BYTES)
        try:
            waiting = tuple(from_json(group) for group in state["waiting"])
            self.filling.restore(waiting)
            if "sampled" in state:
                sampled = SampledBatch.from_json(state["sampled"], waiting)
                for groups in sampled.rounds:
                    self.filling.add(groups)
                self._next = Future()
                self._next.set_result(sampled)
            self.prompts.load_state_dict(state["prompts"])
            # Groups that were unfinished then are begun anew.
            unfinished = [PromptDraw(**draw) for draw in state.get("unfinished", ())]
            self.prompts.give_back(unfinished)
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
