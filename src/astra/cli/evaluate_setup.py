"""`astra evaluate setup`: install a benchmark into an environment of its own."""

from __future__ import annotations

from astra.cli.benchmark_report import environments_folder
from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.benchmarks import BenchmarkName, SetupBenchmarkConfig
from astra.evaluation.benchmarks.acebench import ACEBENCH
from astra.evaluation.benchmarks.bfcl import BFCL
from astra.evaluation.benchmarks.environments import Benchmark, set_up
from astra.evaluation.benchmarks.maths import MATHS
from astra.evaluation.benchmarks.tau2 import TAU2

BENCHMARKS: dict[BenchmarkName, Benchmark] = {
    "bfcl": BFCL,
    "tau2": TAU2,
    "acebench": ACEBENCH,
    "maths": MATHS,
}


@command_from(SetupBenchmarkConfig, examples=["astra evaluate setup bfcl"])
def command(config: SetupBenchmarkConfig, *, as_json: bool) -> None:
    """Install a benchmark into an environment of its own.

    From the package index, once. An environment that is complete is left as it is.
    """
    folder = environments_folder(config)
    benchmark = BENCHMARKS[config.benchmark]
    versions = set_up(benchmark, folder, overwrite=config.if_exists == "overwrite")
    if as_json:
        print_json({"environment": str(folder / benchmark.name), "packages": versions})
        return
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    out().print(plain(f"{folder / benchmark.name}: {listed}"), soft_wrap=True)
