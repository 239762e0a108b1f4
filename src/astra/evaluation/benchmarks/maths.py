"""Problems with answers that `math-verify` compares. The files are the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from astra.configs.benchmarks import MathsConfig
from astra.configs.spelling import option_name
from astra.errors import ConfigError
from astra.evaluation.benchmarks.environments import Benchmark, no_averages


def _options(config: MathsConfig) -> dict[str, Any]:
    if not Path(config.problems).is_file():
        raise ConfigError(
            f"{option_name('problems')} {str(config.problems)!r} is no file: give a JSONL file, "
            "whose rows have `problem` and `answer`"
        )
    return {"problems": str(Path(config.problems).absolute())}


MATHS = Benchmark(
    name="maths",
    packages=(),
    requirements=("math-verify[antlr4_13_2]==0.9.0",),
    script="maths.py",
    options=_options,
    averages=no_averages,
)
