"""`astra train rl`: multi-turn reinforcement learning in arenas."""

from __future__ import annotations

from astra.cli.command import command_from
from astra.cli.training_result import print_result
from astra.configs.training import TrainRLConfig
from astra.training.requirements import require_training


@command_from(
    TrainRLConfig,
    examples=[
        "astra train rl --model Qwen/Qwen3-4B --arenas runs/world --out runs/rl",
        "astra train rl @rl.toml --learning-rate 1e-6 --batch-size 32",
        "astra train rl @rl.toml --exclude-rows sft.jsonl",
        "accelerate launch -m astra train rl @rl.toml --engine vllm",
    ],
)
def command(config: TrainRLConfig, *, as_json: bool) -> None:
    """Train a model by multi-turn reinforcement learning in arenas."""
    require_training()
    from astra.training.rl.train import train_rl

    def summary(metrics: dict[str, float]) -> str:
        reward = f"{metrics['reward']:.3f}" if "reward" in metrics else "–"
        return f"{int(metrics['tasks'])} arenas; reward of the last step {reward}"

    print_result(train_rl(config), summary, as_json=as_json)
