"""`astra train sft`: supervised fine-tuning on conversations with tools."""

from __future__ import annotations

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.cli.requirements import require_training
from astra.configs.training import TrainSFTConfig


@command_from(
    TrainSFTConfig,
    examples=[
        "astra train sft --model Qwen/Qwen3-0.6B --dataset sft.jsonl --out runs/sft",
        "astra train sft @sft.toml --learning-rate 1e-5 --lora-rank 0",
        "accelerate launch -m astra train sft @sft.toml --preset paper-14b",
    ],
)
def command(config: TrainSFTConfig, *, as_json: bool) -> None:
    """Fine-tune a model on conversations with tools.

    Loss falls on what the model writes only. The run folder gets metrics.jsonl, checkpoints/ and,
    at the end, final/: a normal model folder.
    """
    require_training()
    from astra.training.processes import is_first, leave
    from astra.training.sft.train import train_sft

    result = train_sft(config)
    first = is_first()
    leave()
    if not first:
        return
    if as_json:
        print_json({"model": str(result.model), "steps": result.steps, **result.metrics})
        return
    counts = {name: int(result.metrics[name]) for name in ("rows", "tokens", "trained_tokens")}
    loss = result.metrics.get("loss")
    out().print(
        f"{result.steps} steps on {counts['rows']} rows, {counts['tokens']:,} tokens, "
        f"{counts['trained_tokens']:,} of them with loss; "
        f"last loss {'–' if loss is None else f'{loss:.3f}'}"
    )
    out().print(plain(f"model: {result.model}"), soft_wrap=True)
