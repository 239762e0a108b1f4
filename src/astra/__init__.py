"""Make tool-use environments from your own data, prove that each one works, train agents in them.

Use it as `import astra`: names such as `Message` and `evaluate` exist in other packages, too. The
functions wait for their result, also inside a running event loop; `astra.aio` has them awaitable.
Names are imported when they are first used, so that `import astra` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astra import aio
    from astra.api import (
        certify,
        collect_tools,
        evaluate,
        make_arenas,
        make_trajectories,
        paraphrase_arenas,
        rollout,
        rollout_groups,
        synthesize_arenas,
        train_rl,
        train_sft,
    )
    from astra.arenas.certificates import Certificate
    from astra.arenas.sets import ArenaSet, load_arenas
    from astra.engines.local import LocalModel
    from astra.episodes import Episode, Score
    from astra.errors import AstraError, ConfigError
    from astra.evaluation.evaluate import EvaluationReport, compare
    from astra.hosts.functions import FunctionHost
    from astra.models.openai import OpenAIModel
    from astra.models.policies import policy as reference_policy
    from astra.rewards import score_trajectory as score
    from astra.rollouts.adapters import UserModel as Model
    from astra.rollouts.adapters import UserToolHost as ToolHost
    from astra.rollouts.environment import ArenaEnvironment, StepResult
    from astra.training.result import TrainResult
    from astra.trajectories.sets import TrajectorySet, load_trajectories
    from astra.types import Arena, Message, Tool, ToolSchema, Trajectory

    __version__: str

_HOME = {
    "Arena": "astra.types",
    "ArenaEnvironment": "astra.rollouts.environment",
    "ArenaSet": "astra.arenas.sets",
    "AstraError": "astra.errors",
    "Certificate": "astra.arenas.certificates",
    "ConfigError": "astra.errors",
    "Episode": "astra.episodes",
    "EvaluationReport": "astra.evaluation.evaluate",
    "FunctionHost": "astra.hosts.functions",
    "LocalModel": "astra.engines.local",
    "Message": "astra.types",
    "Model": "astra.rollouts.adapters:UserModel",
    "OpenAIModel": "astra.models.openai",
    "Score": "astra.episodes",
    "StepResult": "astra.rollouts.environment",
    "Tool": "astra.types",
    "ToolHost": "astra.rollouts.adapters:UserToolHost",
    "ToolSchema": "astra.types",
    "TrainResult": "astra.training.result",
    "Trajectory": "astra.types",
    "TrajectorySet": "astra.trajectories.sets",
    "certify": "astra.api",
    "collect_tools": "astra.api",
    "compare": "astra.evaluation.evaluate",
    "evaluate": "astra.api",
    "load_arenas": "astra.arenas.sets",
    "load_trajectories": "astra.trajectories.sets",
    "make_arenas": "astra.api",
    "make_trajectories": "astra.api",
    "paraphrase_arenas": "astra.api",
    "reference_policy": "astra.models.policies:policy",
    "rollout": "astra.api",
    "rollout_groups": "astra.api",
    "score": "astra.rewards:score_trajectory",
    "synthesize_arenas": "astra.api",
    "train_rl": "astra.api",
    "train_sft": "astra.api",
}
"""Where each name comes from: a module, and its name there if that is another."""

__all__ = [
    "Arena",
    "ArenaEnvironment",
    "ArenaSet",
    "AstraError",
    "Certificate",
    "ConfigError",
    "Episode",
    "EvaluationReport",
    "FunctionHost",
    "LocalModel",
    "Message",
    "Model",
    "OpenAIModel",
    "Score",
    "StepResult",
    "Tool",
    "ToolHost",
    "ToolSchema",
    "TrainResult",
    "Trajectory",
    "TrajectorySet",
    "__version__",
    "aio",
    "certify",
    "collect_tools",
    "compare",
    "evaluate",
    "load_arenas",
    "load_trajectories",
    "make_arenas",
    "make_trajectories",
    "paraphrase_arenas",
    "reference_policy",
    "rollout",
    "rollout_groups",
    "score",
    "synthesize_arenas",
    "train_rl",
    "train_sft",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("astra-arenas")
    if name == "aio":
        return importlib.import_module("astra.aio")
    if name in _HOME:
        module, _, attribute = _HOME[name].partition(":")
        value = getattr(importlib.import_module(module), attribute or name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
