"""Options of TRL's trainer that rollouts of our own can follow."""

from __future__ import annotations

from typing import cast

from trl.trainer.grpo_config import GRPOConfig

from astra.configs.spelling import option_name
from astra.errors import ConfigError


def require_supported(args: GRPOConfig) -> None:
    """Raise ConfigError for options that would be ignored, or mean something else here."""
    refused = {
        "eval_strategy": (str(getattr(args.eval_strategy, "value", args.eval_strategy)), "no"),
        "repetition_penalty": (args.repetition_penalty, 1.0),
        "min_p": (args.min_p or 0.0, 0.0),
        "mask_truncated_completions": (args.mask_truncated_completions, False),
        "use_transformers_continuous_batching": (args.use_transformers_continuous_batching, False),
        "generation_kwargs": (args.generation_kwargs or None, None),
        "cache_implementation": (args.cache_implementation, None),
        "reward_weights": (args.reward_weights, None),
        "log_completions": (args.log_completions, False),
        "chat_template_kwargs": (args.chat_template_kwargs or None, None),
        "max_tool_calling_iterations": (args.max_tool_calling_iterations, None),
    }
    for name, (value, supported) in refused.items():
        if value != supported:
            raise ConfigError(
                f"{name}={value!r} has no effect on these rollouts: leave it at {supported!r}"
            )
    if args.scale_rewards not in ("group", "none"):
        raise ConfigError(f"scale_rewards={args.scale_rewards!r}: 'group' and 'none' are supported")
    if args.max_steps <= 0:
        raise ConfigError(f"max_steps={args.max_steps!r}: set how many steps to train")


def require_one_step_ahead(args: GRPOConfig) -> None:
    """Raise ConfigError if the next batch can't be sampled while this one trains."""
    micro_steps = cast(int, args.steps_per_generation) * args.num_iterations
    reasons = {
        "one optimizer step per batch": micro_steps == args.gradient_accumulation_steps,
        "one process": args.world_size == 1,
        "the engine transformers": not args.use_vllm,
    }
    for reason, met in reasons.items():
        if not met:
            raise ConfigError(
                f"{option_name('max_staleness')} above 0 needs {reason}: leave it out, or set 0"
            )
