"""One RL run, from a folder of arenas and a model to a better model, resumable after a kill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from astra.arenas.sets import DistractorSource, load_arenas
from astra.chat.template import ChatTemplate
from astra.engines.engine import Engine
from astra.errors import ConfigError
from astra.protocols import Sampling
from astra.rewards import Reward
from astra.rollouts.loop import RolloutLimits
from astra.runs.folder import RunFolder
from astra.sandbox import open_sandbox
from astra.training.algorithm import Algorithm, ChoosesTasks
from astra.training.credit.log import CreditLog
from astra.training.credit.options import acpo_settings
from astra.training.environment import HasDifficulty, RolloutEnvironment
from astra.training.processes import on_cpu, processes_of
from astra.training.rl.algorithms import Algorithms, make_algorithm
from astra.training.rl.arenas import ArenaRollouts
from astra.training.rl.filling import BatchFilling
from astra.training.rl.presets import RLPreset
from astra.training.rl.prompts import AlgorithmChosenPrompts, PromptSource, ShuffledEpochs
from astra.training.sft.train import CHECKPOINTS, FINAL, lora_config, save_final
from astra.types import Json, Record

if TYPE_CHECKING:
    from transformers import TrainerCallback
    from trl.trainer.grpo_config import GRPOConfig

    from astra.training.metrics import MetricsLog
    from astra.training.rl.trainer import RolloutTrainer

SandboxLevelName = Literal["auto", "namespaces", "landlock", "unsafe"]


@dataclass(frozen=True, slots=True)
class RLJob:
    """What to train, in which arenas or on which other tasks, and where to write."""

    arenas: Path | None
    """A run folder of arenas; those of split `train` are played. None: `environment` is."""
    model: str
    """A HuggingFace id or folder."""
    out: Path
    preset: RLPreset
    """With what was typed already in it."""
    environment: RolloutEnvironment | None = None
    """Tasks that are not arenas. `str` gives its name for the run folder. None: `arenas` are
    played."""
    algorithm: Algorithms = "grpo"
    credit: tuple[str, ...] = ()
    """Settings of ACPO, as `name=value`."""
    reward: Reward = "f1"
    distractors: DistractorSource = "banded"
    per_band: int | None = None
    """Most distractors per band that are drawn; None: what the folder was made with."""
    seed: int = 0
    sandbox: SandboxLevelName = "auto"
    resume: bool = False
    keep_states: int = 2
    """Checkpoints that keep the optimiser's state."""
    keep_weights: int | None = None
    """Checkpoints in all; None: every one."""
    report_to: tuple[str, ...] = ()
    """Trackers beside the run folder: tensorboard, wandb, trackio, …"""
    quiet: bool = False
    """No progress bar."""
    callbacks: Sequence[TrainerCallback] = ()


class RLReport(Record):
    """What a run has come to."""

    model: str
    """The folder of the final model."""
    tasks: int
    """Arenas, or other tasks, that there were to train on."""
    steps: int
    """Of this run of the command; 0 when it had been finished before."""
    reward: float | None
    """Mean reward of the rollouts of the last step."""


def _environment(job: RLJob) -> RolloutEnvironment:
    if job.environment is not None and job.arenas is None:
        return job.environment
    if job.arenas is None or job.environment is not None:
        raise ConfigError("give either a folder of arenas or an environment to train on")
    arenas = load_arenas(job.arenas, "train").with_distractors(
        job.distractors, per_band=job.per_band, seed=job.seed
    )
    # No time limit: the time that passes is our engine's, not the policy's.
    limits = RolloutLimits(turns=job.preset.turns, seconds=math.inf)
    return ArenaRollouts(arenas, lambda: open_sandbox(job.sandbox), limits, reward=job.reward)


_OWN: dict[str, Json] = {"vllm_importance_sampling_correction": False}
"""TRL's correction wants rollouts of TRL's. Ours carry the log-probabilities of whoever sampled,
which the ratio of the loss is to."""


def train_rl(job: RLJob) -> RLReport:
    """Train and write `final`. Raises ConfigError for what can't be trained so.

    A run that was stopped goes on with `resume`; one that is finished is left as it is.
    """
    from transformers import AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    from astra.training.metrics import MetricsLog

    if job.quiet:
        disable_progress_bar()
    state = processes_of(job.preset.trl)
    if not job.resume and (job.out / "config.toml").exists():
        raise ConfigError(
            f"{str(job.out)!r} holds a run: go on with --resume, or give another --out"
        )
    environment = _environment(job)
    if (job.out / FINAL).exists():
        return RLReport(
            model=str(job.out / FINAL), tasks=len(environment.tasks()), steps=0, reward=None
        )
    with state.main_process_first():
        folder = _folder(job) if state.is_main_process else RunFolder(job.out)
    chat = ChatTemplate(AutoTokenizer.from_pretrained(job.model, padding_side="left"))
    with closing(MetricsLog(folder)) as metrics:
        trainer = _trainer(job, environment, chat, metrics)
        with closing(trainer):
            first = _train(trainer, job)
        save_final(trainer, chat, job.out)
    rewards = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    return RLReport(
        model=str(job.out / FINAL),
        tasks=len(environment.tasks()),
        steps=trainer.state.global_step - first,
        reward=rewards[-1] if rewards else None,
    )


def check_settings(job: RLJob) -> None:
    """Raise ConfigError for what is wrong with a job whatever its arenas and model are."""
    _config(job)
    if job.algorithm == "acpo":
        acpo_settings(job.credit)


def _folder(job: RLJob) -> RunFolder:
    preset = asdict(job.preset)
    del preset["about"], preset["concurrency"]
    config: dict[str, Json] = {
        "arenas": None if job.arenas is None else str(job.arenas),
        "environment": None if job.environment is None else str(job.environment),
        "credit": list(job.credit) or None,
        "model": job.model,
        "algorithm": job.algorithm,
        "reward": job.reward,
        "distractors": job.distractors,
        "per_band": job.per_band,
        "seed": job.seed,
        **preset,
    }
    return RunFolder.create(job.out, config, seeds={"seed": job.seed})


def _train(trainer: RolloutTrainer, job: RLJob) -> int:
    """Train to the end; returns the step that the run began after."""
    from astra.training.checkpoints import step_of, to_resume

    found = to_resume(job.out / CHECKPOINTS) if job.resume else None
    trainer.train(resume_from_checkpoint=found and str(found))
    return step_of(found) if found else 0


# --- parts -----------------------------------------------------------------------------------


def _trainer(
    job: RLJob,
    environment: RolloutEnvironment,
    chat: ChatTemplate,
    metrics: MetricsLog,
) -> RolloutTrainer:
    from transformers import AutoModelForCausalLM, PrinterCallback

    from astra.training.checkpoints import CheckpointMarker
    from astra.training.rl.trainer import RolloutTrainer

    preset = job.preset
    # With `bf16` passes are computed in bfloat16. The weights themselves stay in float32: of small
    # learning rates, most updates would be lost to bfloat16's rounding.
    model = AutoModelForCausalLM.from_pretrained(
        job.model, dtype="float32", attn_implementation="sdpa"
    )
    args = _config(job)
    algorithm = make_algorithm(
        job.algorithm,
        seed=job.seed,
        arenas=environment.arenas if isinstance(environment, ArenaRollouts) else {},
        reward=job.reward,
        settings=job.credit,
        scale=args.scale_rewards != "none",  # TRL spells True and False as words
        keep=CreditLog(job.out) if processes_of(preset.trl).is_main_process else None,
    )
    trainer = RolloutTrainer(
        model,
        args,
        chat.tokenizer,
        environment=environment,
        open_engine=_engine(job, chat),
        prompts=_prompts(job, environment, algorithm),
        filling=BatchFilling(
            preset.prompts,
            min_reward_std=preset.threshold,
            max_rounds=preset.rounds,
            active=preset.rounds > 1,
        ),
        algorithm=algorithm,
        callbacks=[
            CheckpointMarker(job.keep_states, job.keep_weights),
            metrics,
            *job.callbacks,
        ],
        peft_config=lora_config(preset.lora),
        sampling=_sampling(preset),
        concurrency=preset.concurrency,
        share_prefix=preset.share_prompts,
        parameter_lrs={"model.norm.weight": preset.scale_lr} if preset.scale_lr else {},
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _prompts(job: RLJob, environment: RolloutEnvironment, algorithm: Algorithm) -> PromptSource:
    if isinstance(algorithm, ChoosesTasks):
        return AlgorithmChosenPrompts(sorted(environment.tasks()), algorithm)
    rated = environment if isinstance(environment, HasDifficulty) else None
    difficulty = {task: rated.difficulty(task) if rated else 1 for task in environment.tasks()}
    return ShuffledEpochs(difficulty, seed=job.seed, curriculum_steps=job.preset.curriculum)


def _sampling(preset: RLPreset) -> Sampling:
    temperature = float(preset.trl.get("temperature", 1.0))
    top_p = cast("float | None", preset.trl.get("top_p"))
    return Sampling(temperature=temperature, top_p=top_p, max_tokens=preset.message_tokens)


def _engine(job: RLJob, chat: ChatTemplate) -> Any:
    from astra.engines.prompts import PromptEngine
    from astra.engines.transformers import TransformersEngine
    from astra.training.rl.vllm import trl_continue

    preset = job.preset

    def engine(trainer: RolloutTrainer) -> Engine:
        if trainer.use_vllm:
            back_end = trl_continue(trainer, chat.stop_ids)
            return PromptEngine(back_end, chat, max_length=preset.context, deterministic=True)
        model = cast(Any, trainer.accelerator.unwrap_model(cast(Any, trainer.model)))
        return TransformersEngine(
            model,
            chat,
            max_length=preset.context,
            deterministic=preset.lockstep,
            top_k=cast("int | None", preset.trl.get("top_k")),
        )

    return engine


def _config(job: RLJob) -> GRPOConfig:
    from trl.trainer.grpo_config import GRPOConfig

    preset, processes = job.preset, processes_of(job.preset.trl).num_processes
    rollouts = preset.prompts * preset.group
    steps, left = divmod(rollouts, processes * preset.rows_at_once)
    if left or not steps:
        raise ConfigError(
            f"a batch of {preset.prompts} × {preset.group} rollouts can't be made of {processes} × "
            f"{preset.rows_at_once} at once: change --prompts, --group or --rows-at-once"
        )
    try:
        return GRPOConfig(
            **cast(Any, {**_OWN, **preset.trl, "use_cpu": on_cpu(preset.trl)}),
            output_dir=str(job.out / CHECKPOINTS),
            per_device_train_batch_size=preset.rows_at_once,
            gradient_accumulation_steps=steps,
            num_generations=preset.group,
            max_completion_length=preset.message_tokens,
            max_steps=preset.steps,
            seed=job.seed,
            data_seed=job.seed,
            report_to=list(job.report_to) or "none",
            disable_tqdm=job.quiet,
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"TRL refuses these settings: {error}") from error
