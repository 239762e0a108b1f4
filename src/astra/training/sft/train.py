"""Supervised fine-tuning on conversations with tools, on TRL's SFTTrainer.

What is ours: rows encoded with exact masks (training.encode), presets, checkpoints whose optimiser
state is kept for the last two only, metrics in the run folder, and going on after a kill on the
same curve. Everything else is TRL's, and every option of its SFTConfig can be set.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from astra.chat.template import ChatTemplate
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.training.parameter_lrs import set_parameter_lrs
from astra.training.processes import on_cpu, processes_of
from astra.training.sft.encode import EncodedRow, EncodedRows, encode_rows
from astra.training.sft.presets import SFTPreset
from astra.training.sft.rows import read_rows
from astra.types import Json, Record

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerCallback
    from trl.trainer.grpo_trainer import GRPOTrainer
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from astra.training.metrics import MetricsLog

FINAL = "final"
CHECKPOINTS = "checkpoints"
_TOKENS = "num_tokens"


@dataclass(frozen=True, slots=True)
class SFTJob:
    """What to train, on what, and where to write."""

    model: str
    """A HuggingFace id or folder."""
    rows: Path
    out: Path
    preset: SFTPreset
    """With what was typed already in it."""
    seed: int = 0
    limit: int | None = None
    """Rows to train on; None: all."""
    resume: bool = False
    keep_states: int = 2
    """Checkpoints that keep the optimiser's state."""
    keep_weights: int | None = None
    """Checkpoints in all; None: every one."""
    report_to: tuple[str, ...] = ()
    """Trackers beside the run folder: tensorboard, wandb, trackio, …"""
    quiet: bool = False
    """No progress bar."""
    callbacks: Sequence[TrainerCallback] = field(default=())


class SFTReport(Record):
    """What a run has come to."""

    model: str
    """The folder of the final model."""
    rows: int
    cut: int
    dropped: int
    tokens: int
    """Of all rows together, once."""
    trained_tokens: int
    """Those with loss."""
    steps: int
    loss: float | None
    """The last that was logged, or the run's mean; None when the run had been finished before."""


def train_sft(job: SFTJob) -> SFTReport:
    """Train and write `final`. Raises ConfigError for what can't be trained so.

    A run that was stopped goes on with `resume`; one that is finished is left as it is.
    """
    from transformers import AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    from astra.training.metrics import MetricsLog

    state = processes_of(job.preset.trl)
    if job.quiet:
        disable_progress_bar()
    _require_fresh(job)
    chat = ChatTemplate(AutoTokenizer.from_pretrained(job.model))
    rows = read_rows(job.rows)
    kept = [row for index, row in enumerate(rows) if job.limit is None or index < job.limit]
    encoded = encode_rows(chat, kept, cast("int | None", job.preset.trl.get("max_length")))
    with state.main_process_first():
        folder = _folder(job) if state.is_main_process else RunFolder(job.out)
    if (job.out / FINAL).exists():
        return _report(job, encoded, 0, None)
    with closing(MetricsLog(folder)) as metrics:
        trainer = _trainer(job, chat, encoded, metrics, state.num_processes)
        done = trainer.train(resume_from_checkpoint=_checkpoint(job, trainer))
        save_final(trainer, chat, job.out)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    # A run can be shorter than the interval of its log.
    return _report(job, encoded, done.global_step, losses[-1] if losses else done.training_loss)


def _report(job: SFTJob, encoded: EncodedRows, steps: int, loss: float | None) -> SFTReport:
    return SFTReport(
        model=str(job.out / FINAL),
        rows=len(encoded.rows),
        cut=encoded.cut,
        dropped=encoded.dropped,
        tokens=encoded.tokens,
        trained_tokens=encoded.trained,
        steps=steps,
        loss=loss,
    )


# --- the run folder --------------------------------------------------------------------------


def _require_fresh(job: SFTJob) -> None:
    if not job.resume and (job.out / "config.toml").exists():
        raise ConfigError(
            f"{str(job.out)!r} holds a run: go on with --resume, or give another --out"
        )


def _folder(job: SFTJob) -> RunFolder:
    config: dict[str, Json] = {
        "model": job.model,
        "rows": str(job.rows),
        "limit": job.limit,
        "batch": job.preset.batch,
        "rows_at_once": job.preset.rows_at_once,
        "grouped": job.preset.grouped,
        "context_parallel": job.preset.context_parallel,
        "lora": job.preset.lora,
        "whole": job.preset.whole,
        "vector_lr": job.preset.vector_lr,
        "seed": job.seed,
        "trl": {name: value for name, value in job.preset.trl.items() if value is not None},
    }
    return RunFolder.create(job.out, config, seeds={"seed": job.seed})


def _checkpoint(job: SFTJob, trainer: SFTTrainer) -> str | None:
    """Where to go on from; None: from the beginning."""
    from astra.training.checkpoints import note_of, to_resume

    found = to_resume(job.out / CHECKPOINTS) if job.resume else None
    if found is None:
        return None
    trainer._total_train_tokens = note_of(found)[_TOKENS]  # pyright: ignore[reportPrivateUsage]
    return str(found)


# --- TRL -------------------------------------------------------------------------------------


def _trainer(
    job: SFTJob, chat: ChatTemplate, encoded: EncodedRows, metrics: MetricsLog, processes: int
) -> SFTTrainer:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    from astra.training.checkpoints import CheckpointMarker

    rows = some_whole(encoded.rows, job.preset.whole, job.seed)
    if job.preset.grouped:
        rows = grouped(rows, job.preset.batch, job.seed)
    dataset = Dataset.from_dict(
        {"input_ids": [r.input_ids for r in rows], "labels": [r.labels for r in rows]}
    )

    decoupled = CheckpointMarker(job.keep_states, job.keep_weights)

    class Trainer(SFTTrainer):
        def create_optimizer(self, model: Any = None) -> Any:
            made = super().create_optimizer(model)
            if job.preset.vector_lr:
                lr = job.preset.vector_lr
                rates = {"*norm*": lr, "*embed*": lr, "*.bias": lr}
                set_parameter_lrs(made, self.model if model is None else model, rates)
            return made

    trainer = Trainer(
        job.model,
        args=_config(job, processes),
        train_dataset=dataset,
        processing_class=chat.tokenizer,
        peft_config=lora_config(job.preset.lora),
        callbacks=[
            decoupled,
            metrics,
            *job.callbacks,
        ],
    )
    # TRL counts on from 0 after a stop.
    decoupled.note = lambda: {_TOKENS: trainer._total_train_tokens}  # pyright: ignore[reportPrivateUsage]
    trainer.remove_callback(PrinterCallback)
    return trainer


def some_whole(rows: Sequence[EncodedRow], share: float, seed: int) -> Sequence[EncodedRow]:
    """Rows of which a share, drawn by seed, has loss on every token."""
    if not share:
        return rows
    chosen = set(random.Random(f"whole:{seed}").sample(range(len(rows)), round(share * len(rows))))
    return [
        EncodedRow(row.input_ids, row.input_ids) if index in chosen else row
        for index, row in enumerate(rows)
    ]


def grouped(rows: Sequence[EncodedRow], batch: int, seed: int) -> list[EncodedRow]:
    """Rows in a random order in which those of a batch are of like length: little padding."""
    rng = random.Random(f"rows:{seed}")
    order = rng.sample(range(len(rows)), len(rows))
    window = 32 * batch
    batches: list[list[int]] = []
    for start in range(0, len(order), window):
        some = sorted(order[start : start + window], key=lambda i: len(rows[i].input_ids))
        batches += [some[i : i + batch] for i in range(0, len(some), batch)]
    rest = batches.pop() if len(batches[-1]) < batch else []
    rng.shuffle(batches)
    return [rows[i] for some in [*batches, rest] for i in some]


def _config(job: SFTJob, processes: int) -> SFTConfig:
    from trl.trainer.sft_config import SFTConfig

    preset = job.preset
    settings: dict[str, Any] = {**preset.trl, "use_cpu": on_cpu(preset.trl)}
    if preset.grouped:
        settings["train_sampling_strategy"] = "sequential"
    if preset.context_parallel > 1:
        settings |= _context_parallel(preset.context_parallel, processes)
    try:
        return SFTConfig(
            **settings,
            output_dir=str(job.out / CHECKPOINTS),
            per_device_train_batch_size=preset.rows_at_once,
            gradient_accumulation_steps=accumulation(preset, processes),
            seed=job.seed,
            data_seed=job.seed,
            report_to=list(job.report_to) or "none",
            disable_tqdm=job.quiet,
            dataset_kwargs={"skip_prepare_dataset": True},  # the rows are cut and labelled
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"TRL refuses these settings: {error}") from error


def accumulation(preset: SFTPreset, processes: int) -> int:
    """Forward passes per optimiser step; ConfigError when the batch can't be made so."""
    replicas, left = divmod(processes, preset.context_parallel)
    if left or not replicas:
        raise ConfigError(
            f"{processes} processes can't be split into groups of {preset.context_parallel}, which "
            "share a row: start with `accelerate launch --num_processes N`, or set "
            "--context-parallel 1"
        )
    steps, left = divmod(preset.batch, replicas * preset.rows_at_once)
    if left or not steps:
        raise ConfigError(
            f"a batch of {preset.batch!r} can't be made of {replicas} × {preset.rows_at_once} rows "
            "at once: change --batch or --rows-at-once"
        )
    return steps


def _context_parallel(size: int, processes: int) -> dict[str, Any]:
    """Several processes share a row; each takes an equal part, twice (ring attention)."""
    from accelerate import ParallelismConfig

    shards = max(1, processes // size)
    parallel = ParallelismConfig(cp_size=size, dp_shard_size=shards)
    return {"parallelism_config": parallel, "pad_to_multiple_of": 2 * size}


def lora_config(rank: int | None) -> Any:
    """LoRA on all linear layers; None for None."""
    if rank is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def save_final(trainer: SFTTrainer | GRPOTrainer, chat: ChatTemplate, out: Path) -> None:
    """The model as a normal folder: adapters merged, the tokenizer beside it, in one step."""
    new = out / f".{FINAL}.new"
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.save_model(str(new))  # gathers the shards; every process takes part
    elif trainer.accelerator.is_main_process:
        _whole(trainer, out).save_pretrained(str(new))
    if trainer.accelerator.is_main_process:
        chat.tokenizer.save_pretrained(str(new))
        shutil.rmtree(out / FINAL, ignore_errors=True)
        os.replace(new, out / FINAL)
    trainer.accelerator.wait_for_everyone()


def _whole(trainer: SFTTrainer | GRPOTrainer, out: Path) -> PreTrainedModel:
    from peft import PeftModel

    model: Any = trainer.accelerator.unwrap_model(cast(Any, trainer.model))
    if not isinstance(model, PeftModel):
        return model
    model.save_pretrained(str(out / "adapter"))
    return cast(Any, model).merge_and_unload()


def with_settings(preset: SFTPreset, settings: Mapping[str, Json], **ours: Any) -> SFTPreset:
    """A preset with what was typed in its place; options of ours that are None leave it."""
    import dataclasses

    given = {name: value for name, value in ours.items() if value is not None}
    return dataclasses.replace(preset, **given, trl={**preset.trl, **settings})
