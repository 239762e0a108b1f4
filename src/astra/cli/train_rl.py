"""`astra train rl`: multi-turn RL in arenas, from a model folder to a better one."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from astra.cli.console import out, plain, print_json, print_settings
from astra.cli.options import AsJson, PerBand, SandboxLevel, require_training
from astra.rewards import Reward

if TYPE_CHECKING:
    from astra.training.rl.presets import RLPreset

Distractors = Literal["stored", "none", "random", "banded"]
PresetName = Literal["paper-14b", "h200", "laptop", "nano"]


def rl_command(
    model: Annotated[str, typer.Option(help="A model folder, or a HuggingFace id.")],
    out_path: Annotated[Path, typer.Option("--out", help="The run folder to write.")],
    arenas: Annotated[Path, typer.Option(help="A run folder of arenas; split train is played.")],
    algorithm: Annotated[
        Literal["grpo", "gigpo", "acpo"], typer.Option(help="Who gives credit.")
    ] = "grpo",
    credit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of acpo, e.g. attribution=likelihood."),
    ] = None,
    reward: Annotated[Reward, typer.Option(help="The reward of an episode.")] = "f1",
    distractors: Annotated[
        Distractors,
        typer.Option(help="Irrelevant tools: drawn anew every epoch, or fixed: the folder's."),
    ] = "banded",
    per_band: PerBand = None,
    preset: Annotated[PresetName, typer.Option(help="Settings that go together.")] = "nano",
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.")] = None,
    prompts: Annotated[int | None, typer.Option(min=1, help="Groups of a batch.")] = None,
    group: Annotated[int | None, typer.Option(min=2, help="Rollouts of a prompt.")] = None,
    rows_at_once: Annotated[
        int | None, typer.Option(min=1, help="Rollouts per forward pass of the loss.")
    ] = None,
    turns: Annotated[int | None, typer.Option(min=1, help="Most messages an episode.")] = None,
    message_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of one message.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=2, help="Most tokens of an episode, prompt included.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Episodes at once and process.")
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="Most rounds of rollouts to fill a batch; 1: no filling."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, help="δ: Std(R) above which a group is valid.")
    ] = None,
    lockstep: Annotated[
        bool | None,
        typer.Option(
            "--lockstep/--no-lockstep", help="Same bits for the same seed, or join at any token."
        ),
    ] = None,
    curriculum: Annotated[
        int | None, typer.Option(min=0, help="Steps over which the hops rise; 0: all at once.")
    ] = None,
    lora: Annotated[int | None, typer.Option(min=1, help="Rank of LoRA.")] = None,
    share_prompts: Annotated[
        bool | None,
        typer.Option(help="Work a group's prompt through once in the loss; for short episodes."),
    ] = None,
    scale_lr: Annotated[
        float | None,
        typer.Option(
            min=0, help="Learning rate of the last norm, which scales all logits; 0: the rest's."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of TRL's GRPOConfig."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    keep_states: Annotated[
        int, typer.Option(min=1, help="Checkpoints that can be gone on from.")
    ] = 2,
    keep_weights: Annotated[
        int | None, typer.Option(min=1, help="Checkpoints in all; default: every one.")
    ] = None,
    report_to: Annotated[
        list[str] | None, typer.Option(help="Trackers: tensorboard, wandb, trackio.")
    ] = None,
    sandbox: SandboxLevel = "auto",
    as_json: AsJson = False,
) -> None:
    """Train a model by multi-turn RL in arenas.

    The preset's settings are printed; what is typed wins. The final model is a normal folder,
    OUT/final; metrics stand in OUT/metrics.jsonl.

    \b
    Examples:
      astra train rl --arenas runs/world --model runs/sft/final --out runs/rl
      astra train rl --arenas runs/world --model Qwen/Qwen3-4B --out runs/rl --preset h200
      astra train rl --arenas runs/world --model runs/sft/final --out runs/rl --resume
    """
    require_training()
    from trl.trainer.grpo_config import GRPOConfig

    from astra.training.processes import leave, processes_of
    from astra.training.rl.presets import OURS, PRESETS
    from astra.training.rl.run import RLJob, train_rl
    from astra.training.sft.presets import parse_settings

    typed: dict[str, Any] = {
        "steps": steps,
        "prompts": prompts,
        "group": group,
        "rows_at_once": rows_at_once,
        "turns": turns,
        "message_tokens": message_tokens,
        "context": context,
        "concurrency": concurrency,
        "rounds": rounds,
        "threshold": threshold,
        "lockstep": lockstep,
        "curriculum": curriculum,
        "lora": lora,
        "share_prompts": share_prompts,
        "scale_lr": scale_lr,
    }
    chosen = PRESETS[preset]
    given = {name: value for name, value in typed.items() if value is not None}
    if (prompts or group) and not rows_at_once:
        rollouts = given.get("prompts", chosen.prompts) * given.get("group", chosen.group)
        given["rows_at_once"] = min(chosen.rows_at_once, rollouts)
    if lora and scale_lr is None:
        given["scale_lr"] = 0.0  # the norm is frozen
    trl = {**chosen.trl, **parse_settings(settings or [], GRPOConfig, OURS)}
    job = RLJob(
        arenas=arenas,
        credit=tuple(credit or ()),
        model=model,
        out=out_path,
        preset=dataclasses.replace(chosen, **given, trl=trl),
        algorithm=algorithm,
        reward=reward,
        distractors=distractors,
        per_band=per_band,
        seed=seed,
        sandbox=sandbox,
        resume=resume,
        keep_states=keep_states,
        keep_weights=keep_weights,
        report_to=tuple(report_to or ()),
        quiet=as_json or not sys.stderr.isatty(),
    )
    first = processes_of(trl).is_main_process
    if first:
        _print_preset(preset, job.preset)
    report = train_rl(job)
    leave()
    if not first:
        return
    if as_json:
        print_json(report.model_dump(mode="json"))
        return
    console = out()
    reached = "–" if report.reward is None else f"{report.reward:.3f}"
    console.print(f"{report.steps} steps in {report.tasks} arenas; reward at the end {reached}")
    console.print(plain(f"model: {report.model}"), soft_wrap=True)


def _print_preset(name: str, preset: RLPreset) -> None:
    """What is set, so that nobody has to look it up."""
    fields = {f.name: getattr(preset, f.name) for f in dataclasses.fields(preset)}
    about, trl = fields.pop("about"), fields.pop("trl")
    print_settings(f"preset {name} ({about})", {**fields, **trl})
