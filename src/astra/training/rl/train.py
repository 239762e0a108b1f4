"""RL on a rollout environment: from a model and arenas to a better model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from astra.arenas.sets import ArenaSet, open_arenas
from astra.chat.template import ChatTemplate
from astra.configs.spelling import option_name
from astra.configs.training import TrainRLConfig
from astra.core.files import read_text_option
from astra.engines.engine import Engine
from astra.engines.loading import load_model, load_skeleton, load_tokenizer, reading_weights
from astra.errors import ConfigError
from astra.protocols import Sampling
from astra.records import content_hash
from astra.rewards import load_reward
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import sandbox_from
from astra.sandbox.opening import kept_sandbox
from astra.training.algorithm import ChoosesTasks
from astra.training.credit.log import CreditLog
from astra.training.environment import HasDifficulty, RolloutEnvironment
from astra.training.final_model import CHECKPOINTS, FINAL, adding_adapters, lora_config, save_final
from astra.training.presets.resolve import (
    announce,
    require_known,
    resolve,
    settings_line,
    with_fitting_micro_batch,
)
from astra.training.processes import processes_of, training_run
from astra.training.progress import quiet
from astra.training.result import TrainResult
from astra.training.rl.algorithms import make_algorithm
from astra.training.rl.arenas import ArenaRollouts, unseen
from astra.training.rl.filling import BatchFilling
from astra.training.rl.prompts import AlgorithmChosenPrompts, PromptSource, ShuffledEpochs
from astra.training.trl_options import trl_options
from astra.types import Json

if TYPE_CHECKING:
    from transformers import TrainerCallback
    from trl.trainer.grpo_config import GRPOConfig

    from astra.training.metrics import MetricsLog
    from astra.training.rl.trainer import RolloutTrainer

_TRL_DEFAULTS: dict[str, Any] = {
    "loss_type": "dapo",
    "beta": 0.0,
    "epsilon": 0.2,
    "num_iterations": 1,
    "max_grad_norm": 1.0,
    "logging_steps": 1,
    # TRL's correction expects TRL's own rollouts. Ours carry the log-probabilities of the engine
    # that sampled, which the ratio of the loss refers to.
    "vllm_importance_sampling_correction": False,
}


def train_rl(config: TrainRLConfig, *, callbacks: Sequence[TrainerCallback] = ()) -> TrainResult:
    """Train a model by multi-turn RL, and write it to OUT/final.

    A stopped run is resumed; a finished one is returned as it is. Raises ConfigError for options
    that contradict each other.
    """
    from transformers.utils.logging import disable_progress_bar

    from astra.training.metrics import MetricsLog

    micro_batch_size = config.micro_batch_size
    config, preset = resolve(config, "rl")
    state = processes_of(config.trl)
    if micro_batch_size is None:
        config = with_fitting_micro_batch(config, state.num_processes)
    batch, group = cast(int, config.batch_size), cast(int, config.group_size)
    if state.is_main_process:
        episodes = f"a step: {batch} arenas × {group} = {batch * group} episodes"
        announce(config, settings_line(config, preset), episodes)
    if quiet(config):
        disable_progress_bar()
    out = Path(config.out)
    args = trl_config(config, state.num_processes)
    environment = open_environment(config)
    tasks = environment.tasks()
    prompt = read_text_option(config.system_prompt, "system_prompt")
    inputs: dict[str, Json] = {} if prompt is None else {"system_prompt": prompt}
    if config.exclude_rows is not None:
        inputs["tasks"] = content_hash(list(tasks))  # the rows may have been made anew
    with training_run(config, state, inputs) as folder:
        # Even a finished run has its options compared with the folder's before (`training_run`).
        if (out / FINAL).exists():
            return TrainResult.of_run(folder, out / FINAL, config, tasks=len(tasks))
        load_skeleton(str(config.model))  # what is no such model is refused before its template
        chat = ChatTemplate(
            load_tokenizer(
                str(config.model), padding_side="left", template_args=config.template_args
            )
        )
        with closing(MetricsLog(folder)) as metrics, closing(CreditLog(folder)) as credit:
            keep = credit if state.is_main_process else None
            trainer = _trainer(config, args, environment, chat, keep, [metrics, *callbacks])
            with closing(trainer):
                from astra.training.checkpoints import to_resume

                checkpoint = to_resume(out / CHECKPOINTS)
                with reading_weights(str(checkpoint)):
                    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
            save_final(trainer, chat, out)
        result = TrainResult.of_run(folder, out / FINAL, config, tasks=len(tasks))
        return TrainResult(result.model, trainer.state.global_step, result.metrics, config)


def open_environment(config: TrainRLConfig) -> RolloutEnvironment:
    """The environment of a run: arenas of split `train`, or one of the user's own."""
    if not isinstance(config.arenas, str | Path | ArenaSet):
        for option, value in (
            ("truncated", config.truncated),
            ("exclude_rows", config.exclude_rows),
        ):
            if value not in (None, "score"):
                raise ConfigError(
                    f"{option_name(option)} {str(value)!r} is for arenas: an environment of your "
                    "own says its tasks and rewards itself"
                )
        return cast(RolloutEnvironment, config.arenas)
    arenas = open_arenas(config.arenas, "train", uncertified=config.uncertified)
    if config.exclude_rows is not None:
        arenas = unseen(arenas, config.exclude_rows)
    arenas = arenas.with_distractors(
        config.distractors, per_band=config.distractors_per_band, seed=config.seed
    )
    # No time limit: the time that passes is the engine's, not the policy's.
    limits = RolloutLimits(turns=cast(int, config.max_turns), seconds=math.inf)
    return ArenaRollouts(
        arenas,
        lambda: sandbox_from(config),
        limits,
        reward=load_reward(config.reward),
        system_prompt=read_text_option(config.system_prompt, "system_prompt"),
        truncated=config.truncated,
    )


# --- parts -----------------------------------------------------------------------------------


def _trainer(
    config: TrainRLConfig,
    args: GRPOConfig,
    environment: RolloutEnvironment,
    chat: ChatTemplate,
    keep: CreditLog | None,
    callbacks: Sequence[MetricsLog | TrainerCallback],
) -> RolloutTrainer:
    from transformers import PrinterCallback

    from astra.training.checkpoints import CheckpointMarker
    from astra.training.rl.trainer import RolloutTrainer

    # With bf16 only the passes are computed in bfloat16. The weights stay in float32: at small
    # learning rates, most updates would be lost to bfloat16's rounding.
    model = load_model(str(config.model), dtype="float32")
    arenas = environment.arenas if isinstance(environment, ArenaRollouts) else {}
    algorithm = make_algorithm(
        config.algorithm,
        config.credit,
        seed=config.seed,
        arenas=arenas,
        reward=load_reward(config.reward),
        scale=args.scale_rewards != "none",  # TRL spells True and False as words
        keep=keep,
        sandbox=lambda: kept_sandbox(config),
    )
    prompts: PromptSource
    if isinstance(algorithm, ChoosesTasks):
        prompts = AlgorithmChosenPrompts(sorted(environment.tasks()), algorithm)
    else:
        rated = environment if isinstance(environment, HasDifficulty) else None
        difficulty = {t: rated.difficulty(t) if rated else 1 for t in environment.tasks()}
        prompts = ShuffledEpochs(
            difficulty, seed=config.seed, curriculum_steps=config.curriculum_steps
        )
    rounds = cast(int, config.max_sampling_rounds)
    top_p = cast("float | None", config.trl.get("top_p"))
    with adding_adapters():
        trainer = RolloutTrainer(
            model,
            args,
            chat.tokenizer,
            environment=environment,
            open_engine=_engine(config, chat),
            prompts=prompts,
            filling=BatchFilling(
                cast(int, config.batch_size),
                min_reward_std=config.min_reward_std,
                max_rounds=rounds,
                active=rounds > 1,
            ),
            algorithm=algorithm,
            sampling=Sampling(
                temperature=config.temperature, top_p=top_p, max_tokens=config.max_tokens
            ),
            concurrency=cast(int, config.concurrency),
            max_staleness=config.max_staleness,
            partial_rollouts=config.partial_rollouts,
            callbacks=[
                CheckpointMarker(config.keep_resumable, config.keep_checkpoints),
                *callbacks,
            ],
            peft_config=lora_config(config.lora_rank or 0),
            share_prefix=bool(config.share_prefix),
            parameter_lrs=dict(config.parameter_lrs),
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _engine(config: TrainRLConfig, chat: ChatTemplate) -> Callable[[RolloutTrainer, Any], Engine]:
    from astra.engines.prompts import PromptEngine
    from astra.engines.transformers import TransformersEngine
    from astra.training.rl.vllm import trl_continue

    def engine(trainer: RolloutTrainer, model: Any) -> Engine:
        length = cast(int, config.max_length)
        if trainer.use_vllm:
            back_end = trl_continue(trainer, chat.stop_ids)
            return PromptEngine(back_end, chat, max_length=length, deterministic=True)
        return TransformersEngine(
            model,
            chat,
            max_length=length,
            deterministic=bool(config.deterministic),
            top_k=cast("int | None", config.trl.get("top_k")),
        )

    return engine


def trl_config(config: TrainRLConfig, processes: int) -> GRPOConfig:
    """TRL's options from resolved ones. Raises ConfigError for what TRL refuses."""
    from trl.trainer.grpo_config import GRPOConfig

    require_known(config.trl, GRPOConfig)
    batch_size, group_size = cast(int, config.batch_size), cast(int, config.group_size)
    micro_batch_size = cast(int, config.micro_batch_size)
    steps, rest = divmod(batch_size * group_size, processes * micro_batch_size)
    if rest or not steps:
        raise ConfigError(
            f"a batch of {batch_size} × {group_size} episodes can't be made of {processes} × "
            f"{micro_batch_size} sequences: change {option_name('batch_size')}, "
            f"{option_name('group_size')} or {option_name('micro_batch_size')}"
        )
    try:
        return GRPOConfig(
            **{**_TRL_DEFAULTS, **trl_options(config)},
            gradient_accumulation_steps=steps,
            num_generations=group_size,
            max_completion_length=config.max_tokens,
            max_steps=cast(int, config.max_steps),
            temperature=config.temperature,
            use_vllm=config.engine == "vllm",
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"TRL refuses these settings: {error}") from error
