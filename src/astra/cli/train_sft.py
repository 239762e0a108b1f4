"""`astra train sft`: supervised fine-tuning on conversations with tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from astra.cli.console import out, print_json, print_settings
from astra.cli.options import AsJson, require_training
from astra.types import Json

if TYPE_CHECKING:
    from astra.training.sft.presets import SFTPreset

Preset = Literal["paper-14b", "paper-32b", "h200", "laptop", "nano"]


def sft_command(
    rows: Annotated[
        Path, typer.Option("--rows", help="JSONL of conversations.", show_default=False)
    ],
    model: Annotated[str, typer.Option(help="HuggingFace id or folder.", show_default=False)],
    out_folder: Annotated[
        Path, typer.Option("--out", help="The run folder to write.", show_default=False)
    ],
    preset: Annotated[Preset, typer.Option(help="Settings that go together.")] = "laptop",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Rows per optimiser step, over all processes.")
    ] = None,
    rows_at_once: Annotated[
        int | None, typer.Option(min=1, help="Rows per forward pass and process.")
    ] = None,
    context_parallel: Annotated[
        int | None, typer.Option(min=1, help="Processes that share one row's tokens.")
    ] = None,
    lora: Annotated[
        int | None, typer.Option(min=0, help="Rank of LoRA; 0: train all weights.")
    ] = None,
    whole: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the rows that have loss on every token."),
    ] = None,
    vector_lr: Annotated[
        float | None,
        typer.Option(min=0, help="Learning rate of embeddings, norms and biases; 0: the rest's."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any option of TRL's SFTConfig."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first rows.")] = None,
    keep_states: Annotated[
        int, typer.Option(min=1, help="Checkpoints that keep the optimiser's state.")
    ] = 2,
    keep_weights: Annotated[
        int | None, typer.Option(min=1, help="Checkpoints in all.  [default: every one]")
    ] = None,
    report_to: Annotated[
        list[str] | None, typer.Option(help="tensorboard, wandb, trackio, … beside metrics.jsonl.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of order and dropout.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a stopped run was.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a model on rows of `messages` and `tools`; loss where the model writes only.

    The run folder gets metrics.jsonl, checkpoints/ and, at the end, final/: a normal model folder.

    \b
    Examples:
      astra train sft --rows sft/train.jsonl --model runs/nano --preset nano --out runs/sft
      astra train sft --rows sft/train.jsonl --model Qwen/Qwen3-0.6B --out runs/sft
      astra train sft --rows r.jsonl --model M --out runs/x --set learning_rate=1e-5 --lora 0
      astra train sft --rows r.jsonl --model M --out runs/x --report-to tensorboard --resume
      accelerate launch -m astra train sft --preset paper-14b --rows r.jsonl --model M --out runs/x
    """
    require_training()
    from trl.trainer.sft_config import SFTConfig

    from astra.training.processes import leave, processes_of
    from astra.training.sft.presets import PRESETS, parse_settings
    from astra.training.sft.train import SFTJob, train_sft, with_settings

    chosen = with_settings(
        PRESETS[preset],
        parse_settings(settings or [], SFTConfig),
        batch=batch,
        rows_at_once=rows_at_once,
        context_parallel=context_parallel,
        whole=whole,
        vector_lr=vector_lr,
    )
    if lora is not None:
        chosen = with_settings(chosen, {}, lora=lora) if lora else without_lora(chosen)
        if lora and vector_lr is None:
            chosen = with_settings(chosen, {}, vector_lr=0.0)  # these are frozen
    first = processes_of(chosen.trl).is_main_process
    if first:
        _print_preset(preset, chosen)
    job = SFTJob(
        model=model,
        rows=rows,
        out=out_folder,
        preset=chosen,
        seed=seed,
        limit=limit,
        resume=resume,
        keep_states=keep_states,
        keep_weights=keep_weights,
        report_to=tuple(report_to or ()),
        quiet=as_json or not sys.stderr.isatty(),
    )
    report = train_sft(job)
    leave()
    if not first:
        return
    if as_json:
        print_json(report.model_dump())
    else:
        _print(report)


def without_lora(preset: SFTPreset) -> SFTPreset:
    """The preset with all weights trained."""
    import dataclasses

    return dataclasses.replace(preset, lora=None)


def _print_preset(name: str, preset: SFTPreset) -> None:
    """What is set, so that nobody has to look it up."""
    ours: dict[str, Json] = {
        "batch": preset.batch,
        "rows_at_once": preset.rows_at_once,
        "context_parallel": preset.context_parallel,
        "lora": preset.lora or "no",
        "grouped": preset.grouped,
        "whole": preset.whole,
        "vector_lr": preset.vector_lr or "no",
    }
    print_settings(f"preset {name} ({preset.about})", {**ours, **preset.trl})


def _print(report: Any) -> None:
    if report.cut or report.dropped:
        out().print(f"{report.cut} rows were cut at max_length, {report.dropped} left out")
    loss = "finished before" if report.loss is None else f"loss {report.loss:.3f}"
    out().print(
        f"{report.steps} steps on {report.rows} rows, {report.tokens:,} tokens, "
        f"{report.trained_tokens:,} of them with loss ({loss})\nmodel: {report.model}",
        markup=False,
        soft_wrap=True,
    )
