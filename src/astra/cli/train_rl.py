"""`astra train rl`: multi-turn reinforcement learning in arenas."""

from __future__ import annotations

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.cli.requirements import require_training
from astra.configs.training import TrainRLConfig


@command_from(
    TrainRLConfig,
    examples=[
        "astra train rl --model Qwen/Qwen3-4B --arenas runs/world --out runs/rl",
        "astra train rl @rl.toml --learning-rate 1e-6 --batch-size 32",
        "accelerate launch -m astra train rl @rl.toml --engine vllm",
    ],
)
def command(config: TrainRLConfig, *, as_json: bool) -> None:
    """Train a model by multi-turn reinforcement learning in arenas."""
    require_training()
    from astra.training.processes import is_first, leave
    from astra.training.rl.train import train_rl

    result = train_rl(config)
    first = is_first()
    leave()
    if not first:
        return
    if as_json:
        print_json({"model": str(result.model), "steps": result.steps, **result.metrics})
        return
    reward = result.metrics.get("reward")
    out().print(
        f"{result.steps} steps on {int(result.metrics['tasks'])} arenas; reward of the last step "
        f"{'–' if reward is None else f'{reward:.3f}'}"
    )
    out().print(plain(f"model: {result.model}"), soft_wrap=True)
