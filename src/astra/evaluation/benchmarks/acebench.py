"""ACEBench: the agent tasks of a checkout, multi-step and multi-turn, in English and Chinese."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from astra.configs.benchmarks import AceBenchConfig
from astra.configs.spelling import option_name
from astra.errors import ConfigError
from astra.evaluation.benchmarks.environments import Benchmark, no_averages, played_by

GROUPS = {kind: (f"{kind}_en", f"{kind}_zh") for kind in ("multi_step", "multi_turn")}


def _options(config: AceBenchConfig) -> dict[str, Any]:
    if not (Path(config.data) / "eval_main.py").is_file():
        raise ConfigError(
            f"{option_name('data')} {str(config.data)!r} is no checkout of ACEBench: clone its "
            "repository, and give the folder"
        )
    named = [name for given in config.categories for name in GROUPS.get(given, (given,))]
    return {
        "data": str(Path(config.data).absolute()),
        "categories": list(dict.fromkeys(named)),
        "native": config.function_calling == "native",
        "user": played_by(config),
    }


ACEBENCH = Benchmark(
    name="acebench",
    packages=(),
    requirements=(),
    script="acebench.py",
    options=_options,
    averages=no_averages,
)
