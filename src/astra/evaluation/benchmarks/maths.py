"""Problems with answers that `math-verify` compares. The files are the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from astra.configs.benchmarks import MathsConfig
from astra.evaluation.benchmarks.environments import Benchmark, no_averages


def _options(config: MathsConfig) -> dict[str, Any]:
    return {"problems": str(Path(config.problems).absolute())}


MATHS = Benchmark(
    name="maths",
    packages=(),
    requirements=("math-verify[antlr4_13_2]==0.9.0",),
    script="maths.py",
    options=_options,
    averages=no_averages,
)
