"""Supervised fine-tuning on conversations with tools, on TRL's SFTTrainer.

Ours are the rows with exact loss masks (`training.sft.encode`), presets, checkpoints that keep the
optimizer state for the last few only, metrics in the run folder, and a resumed run that continues
the same curve. The rest is TRL's, and every option of its SFTConfig can be set.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from astra.chat.template import ChatTemplate
from astra.configs.spelling import option_name
from astra.configs.training import TrainSFTConfig
from astra.engines.loading import load_skeleton, load_tokenizer, reading_weights
from astra.errors import ConfigError, StoreError
from astra.training.final_model import CHECKPOINTS, FINAL, adding_adapters, lora_config, save_final
from astra.training.parameter_lrs import set_parameter_lrs
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
from astra.training.sft.encode import IGNORED, EncodedRow, encode_rows
from astra.training.sft.rows import read_rows
from astra.training.trl_options import trl_options

if TYPE_CHECKING:
    from transformers import TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from astra.training.metrics import MetricsLog

_TOKENS = "num_tokens"


def train_sft(config: TrainSFTConfig, *, callbacks: Sequence[TrainerCallback] = ()) -> TrainResult:
    """Fine-tune a model on conversations, and write it to OUT/final.

    A stopped run is resumed; a finished one is returned as it is. Raises ConfigError for options
    that contradict each other.
    """
    from transformers.utils.logging import disable_progress_bar
    from trl.trainer.sft_config import SFTConfig

    from astra.training.checkpoints import note_of, to_resume
    from astra.training.metrics import MetricsLog

    require_known(config.trl, SFTConfig)
    micro_batch_size = config.micro_batch_size
    config, preset = resolve(config, "sft")
    state = processes_of(config.trl)
    if micro_batch_size is None:
        config = with_fitting_micro_batch(config, state.num_processes)
    if state.is_main_process:
        announce(config, settings_line(config, preset))
    if quiet(config):
        disable_progress_bar()
    out = Path(config.out)
    args = _trl_config(config, state.num_processes)
    with training_run(config, state, {}) as folder:
        # Before rows are read. TRL loads the model itself, with errors that advise to let the
        # model's own code run.
        load_skeleton(str(config.model))
        chat = ChatTemplate(load_tokenizer(str(config.model), template_args=config.template_args))
        rows = read_rows(Path(config.dataset))
        limited = [row for i, row in enumerate(rows) if config.limit is None or i < config.limit]
        encoded = encode_rows(chat, limited, config.max_length)
        counts = {
            "rows": len(encoded.rows),
            "cut": encoded.cut,
            "dropped": encoded.dropped,
            "tokens": encoded.tokens,
            "trained_tokens": encoded.trained,
        }
        if (out / FINAL).exists():
            return TrainResult.of_run(folder, out / FINAL, config, **counts)
        if state.is_main_process:
            line = f"{len(encoded.rows)} rows, {encoded.tokens} tokens, {encoded.trained} with loss"
            if encoded.cut:
                line += f"; {encoded.cut} cut at max_length, {encoded.dropped} left out"
            announce(config, line)
        with closing(MetricsLog(folder)) as metrics:
            trainer = _trainer(config, args, chat, encoded.rows, [metrics, *callbacks])
            checkpoint = to_resume(out / CHECKPOINTS)
            if checkpoint is not None:
                # TRL counts from 0 after a stop.
                tokens = note_of(checkpoint).get(_TOKENS)
                if not isinstance(tokens, int):
                    raise StoreError(
                        f"{str(checkpoint)!r} is not a checkpoint of such a run (its mark says "
                        f"{_TOKENS} = {tokens!r:.100}): remove it to resume from the one before"
                    )
                trainer._total_train_tokens = tokens  # pyright: ignore[reportPrivateUsage]
            with reading_weights(str(checkpoint)):
                done = trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
            save_final(trainer, chat, out)
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        # A run can be shorter than the interval of its log.
        loss = losses[-1] if losses else done.training_loss
        result = TrainResult.of_run(folder, out / FINAL, config, **counts, loss=loss)
        return TrainResult(result.model, done.global_step, result.metrics, config)


def _trainer(
    config: TrainSFTConfig,
    args: SFTConfig,
    chat: ChatTemplate,
    encoded: Sequence[EncodedRow],
    callbacks: Sequence[MetricsLog | TrainerCallback],
) -> SFTTrainer:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    from astra.training.checkpoints import CheckpointMarker

    rows = with_full_loss(encoded, config.full_loss_fraction or 0.0, config.seed)
    if config.group_by_length:
        rows = grouped_by_length(rows, cast(int, config.batch_size), config.seed)
    dataset = Dataset.from_dict(
        {"input_ids": [r.input_ids for r in rows], "labels": [r.labels for r in rows]}
    )
    marker = CheckpointMarker(config.keep_resumable, config.keep_checkpoints)

    class Trainer(SFTTrainer):
        def create_optimizer(self, model: Any = None) -> Any:
            optimizer = super().create_optimizer(model)
            set_parameter_lrs(
                optimizer, self.model if model is None else model, config.parameter_lrs
            )
            return optimizer

    with adding_adapters(), reading_weights(str(config.model)):
        trainer = Trainer(
            str(config.model),
            args=args,
            train_dataset=dataset,
            processing_class=chat.tokenizer,
            peft_config=lora_config(config.lora_rank or 0),
            callbacks=[marker, *callbacks],
        )
    marker.note = lambda: {_TOKENS: trainer._total_train_tokens}  # pyright: ignore[reportPrivateUsage]
    trainer.remove_callback(PrinterCallback)
    return trainer


def with_full_loss(rows: Sequence[EncodedRow], fraction: float, seed: int) -> Sequence[EncodedRow]:
    """The rows, a fraction of which (drawn by the seed) has loss on every token.

    Messages of weight 0 are left out there, too.
    """
    if not fraction:
        return rows
    rng = random.Random(f"whole:{seed}")
    chosen = set(rng.sample(range(len(rows)), round(fraction * len(rows))))
    return [
        row._replace(
            labels=[IGNORED if i in row.unlearned else x for i, x in enumerate(row.input_ids)]
        )
        if index in chosen
        else row
        for index, row in enumerate(rows)
    ]


def grouped_by_length(rows: Sequence[EncodedRow], batch_size: int, seed: int) -> list[EncodedRow]:
    """Rows in random order in which those of a batch have similar lengths: little padding."""
    rng = random.Random(f"rows:{seed}")
    order = rng.sample(range(len(rows)), len(rows))
    # Sorting within windows, not over all rows, keeps batches of one length from clustering.
    window = 32 * batch_size
    batches: list[list[int]] = []
    for start in range(0, len(order), window):
        part = sorted(order[start : start + window], key=lambda i: len(rows[i].input_ids))
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    rest = batches.pop() if len(batches[-1]) < batch_size else []
    rng.shuffle(batches)
    return [rows[i] for batch in [*batches, rest] for i in batch]


def _trl_config(config: TrainSFTConfig, processes: int) -> SFTConfig:
    from trl.trainer.sft_config import SFTConfig

    settings: dict[str, Any] = {
        "packing": False,  # as in the paper; TRL's needs flash attention to separate rows
        "num_train_epochs": config.epochs,
        **trl_options(config),
    }
    settings["max_length"] = config.max_length
    if config.group_by_length:
        settings["train_sampling_strategy"] = "sequential"  # the rows are in their final order
    size = config.context_parallel or 1
    if size > 1:
        # Several processes share a row; each takes an equal part, twice (ring attention).
        from accelerate import ParallelismConfig

        shards = max(1, processes // size)
        settings["parallelism_config"] = ParallelismConfig(cp_size=size, dp_shard_size=shards)
        settings["pad_to_multiple_of"] = 2 * size
    try:
        return SFTConfig(
            **settings,
            gradient_accumulation_steps=accumulation_steps(config, processes),
            dataset_kwargs={"skip_prepare_dataset": True},  # the rows are cut and labelled
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"TRL refuses these settings: {error}") from error


def accumulation_steps(config: TrainSFTConfig, processes: int) -> int:
    """Forward passes per optimizer step. Raises ConfigError if the batch does not divide."""
    context_parallel = config.context_parallel or 1
    batch_size, micro_batch_size = cast(int, config.batch_size), cast(int, config.micro_batch_size)
    replicas, rest = divmod(processes, context_parallel)
    if rest or not replicas:
        raise ConfigError(
            f"{processes} processes can't be split into groups of {context_parallel}, which share "
            "a row: start with `accelerate launch --num_processes N`, or set "
            f"{option_name('context_parallel')} to 1"
        )
    steps, rest = divmod(batch_size, replicas * micro_batch_size)
    if rest or not steps:
        raise ConfigError(
            f"a batch of {batch_size!r} can't be made of {replicas} × {micro_batch_size} rows: "
            f"change {option_name('batch_size')} or {option_name('micro_batch_size')}"
        )
    return steps
