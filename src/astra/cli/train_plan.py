"""`astra train plan`: memory, time and money of a training, before it is started."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.plan import PlanTrainingConfig
from astra.training.requirements import require_training

if TYPE_CHECKING:
    from astra.training.plan.plan import TrainingPlan

_GIB = 2**30
_LINES = {
    "weights": "weights in fp32",
    "gradients": "gradients in fp32",
    "optimizer": "state of AdamW in fp32",
    "activations": "activations kept for the backward pass",
    "working_set": "working set of the passes",
    "attention_mask": "attention mask of padded rows",
    "rollouts": "rollouts: key-value cache and prefill",
    "vllm_weights": "vLLM's weights in bf16",
    "policy_copy": "copy of the trained weights in fp32",
}
_FORMULA = """\
N parameters: weights 4·N, gradients 4·N, AdamW 8·N bytes, split over the GPUs with fsdp;
with LoRA weights 4·N and 16 bytes a parameter of the adapters.
Activations: layers × tokens × width × {stream} bytes with checkpointing, else what layers keep.
Working set: the largest of a layer, log-probabilities in chunks and weights in bf16.
FLOPs a token: {factor}·active + 6·heads·head size·layers·length.
Seconds: FLOPs / (GPUs × peak × MFU){rl}.
In full, with sources and what is not counted: docs/train-plan.md"""


@command_from(
    PlanTrainingConfig,
    examples=[
        "astra train plan --model Qwen/Qwen3-14B --gpus 8 --max-length 32768",
        "astra train plan --model Qwen/Qwen3-4B --method rl --preset h200 --price 3.5",
        "astra train plan --model runs/sft/final --gpu rtx4090 --preset laptop --json",
    ],
)
def command(config: PlanTrainingConfig, *, as_json: bool) -> int:
    """Estimate memory, time and money of a training.

    Nothing is trained: the model's config.json is all that is read. Prints whether the training
    fits the GPUs, what to change first if not, and the formula. The exit status is 1 if it does
    not fit.
    """
    require_training()
    from astra.training.plan.plan import plan_training

    plan = plan_training(config)
    if as_json:
        print_json(_json(plan))
    else:
        _print(plan, config)
    return 0 if plan.fits else 1


def _json(plan: TrainingPlan) -> dict[str, Any]:
    """Bytes and seconds as numbers; sums beside what they are of."""
    value = dataclasses.asdict(plan)
    del value["sizes"]["linear"]
    value["gpu"] = plan.gpu._asdict()
    value["memory"]["total"] = plan.memory.total
    return value | {"fits": plan.fits, "hours": plan.hours, "money": plan.money}


def _print(plan: TrainingPlan, config: PlanTrainingConfig) -> None:
    console = out()
    sizes, s, memory, time = plan.sizes, plan.settings, plan.memory, plan.time
    active = "" if sizes.active > sizes.parameters / 2 else f", {sizes.active:,} active a token"
    console.print(plain(f"{sizes.name}: {sizes.parameters:,} parameters{active}"))
    split = "split over them (fsdp)" if s.sharded else "a whole model on each"
    console.print(
        f"{config.method} on {s.gpus} × {config.gpu}, {split}; sequences of {s.max_length:,} "
        f"tokens, {s.micro_batch_size} a pass, {s.sequences} a step",
        soft_wrap=True,
    )
    if sizes.positions and s.max_length > sizes.positions:
        console.print(f"note: the model was made for {sizes.positions:,} tokens", soft_wrap=True)
    table = Table("per GPU", "GiB")
    table.columns[1].justify = "right"
    for name, title in _LINES.items():
        if number := getattr(memory, name):
            table.add_row(title, f"{number / _GIB:.1f}")
    table.add_section()
    table.add_row("peak", f"{memory.total / _GIB:.1f}")
    table.add_row("of the GPU", f"{plan.gpu.memory / _GIB:.1f}")
    console.print(table)
    console.print(
        f"Logits of a whole pass would take {memory.whole_logits / _GIB:.1f} GiB more: the loss "
        "computes them in chunks.",
        soft_wrap=True,
    )
    if plan.fits:
        console.print("It fits.")
    elif plan.changes:
        console.print("It does not fit. What to change, one after the other:")
        for change in plan.changes:
            fits = ", fits" if change.fits else ""
            console.print(plain(f"  {change.option}: {change.total / _GIB:.1f} GiB{fits}"))
    if not plan.fits and not (plan.changes and plan.changes[-1].fits):
        console.print("No change that is known here makes it fit: take a smaller model.")
    rollouts = f" and {time.rollout_seconds:,.0f} s of rollouts" if s.rl else ""
    console.print(
        f"A step: {time.tokens:,.0f} tokens, {time.flops:.2e} FLOPs, {time.training_seconds:,.0f} s"
        f"{rollouts}",
        soft_wrap=True,
    )
    money = "" if plan.money is None else f", {plan.money:,.2f} at {plan.price:g} per GPU hour"
    console.print(f"{plan.steps:,} steps: {plan.hours:,.1f} hours{money}")
    stream = 2 if s.dtype == "bf16" else 4
    console.print(
        _FORMULA.format(
            stream=stream,
            factor=4 if s.lora_rank else 6,
            rl=",\nof rollouts: tokens in a row × bytes read / bandwidth" if s.rl else "",
        ),
        markup=False,
        soft_wrap=True,
    )
