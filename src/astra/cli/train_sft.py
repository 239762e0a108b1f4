"""`astra train sft`: supervised fine-tuning on conversations with tools."""

from __future__ import annotations

from astra.cli.command import command_from
from astra.cli.training_result import print_result
from astra.configs.training import TrainSFTConfig
from astra.training.requirements import require_training


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
    from astra.training.sft.train import train_sft

    def summary(metrics: dict[str, float]) -> str:
        loss = f"{metrics['loss']:.3f}" if "loss" in metrics else "–"
        return (
            f"{int(metrics['rows'])} rows, {int(metrics['tokens']):,} tokens, "
            f"{int(metrics['trained_tokens']):,} of them with loss; last loss {loss}"
        )

    print_result(train_sft(config), summary, as_json=as_json)
