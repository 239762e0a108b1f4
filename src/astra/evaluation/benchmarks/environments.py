"""Python environments of the benchmarks, made once from the package index.

Their pins exclude each other and ours, so that each has its own. `installed.json` is written last:
an environment without it is not complete.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

from astra.configs.benchmarks import BenchmarkConfig, UserConfig
from astra.core.files import read_bounded, write_file
from astra.errors import ConfigError, HostError
from astra.types import Message

_MARK = "installed.json"
_MARK_BYTES = 2**20
WORKERS = Path(__file__).with_name("workers")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is installed for a benchmark, and what plays it."""

    name: str
    packages: tuple[str, ...]
    """Installed without what they require, most of which nothing here imports."""
    requirements: tuple[str, ...]
    """Installed with what they require."""
    script: str
    """File in `workers/`."""
    options: Callable[[Any], dict[str, Any]]
    """Options of the worker, from those of the command."""
    averages: Callable[[dict[str, float], dict[str, int]], dict[str, float]]
    """Averages of the benchmark's own tables, from mean and number of tasks of each category."""
    floors: Mapping[str, tuple[str, tuple[Message, ...]]] = field(default_factory=dict)
    """What is written in every task of a category by a policy that does not try, by its name."""

    def worker_options(self, config: BenchmarkConfig) -> dict[str, Any]:
        """What the worker is told first."""
        gold = config.policy == "gold" or config.dry_run
        return {**self.options(config), "gold": gold, "seconds": config.step_timeout}


def no_averages(means: dict[str, float], tasks: dict[str, int]) -> dict[str, float]:
    """For a benchmark without tables of its own."""
    return {}


def played_by(config: UserConfig) -> Literal["script", "model"]:
    """Who plays the user of a benchmark."""
    return "script" if config.user_model is None or config.dry_run else "model"


def set_up(benchmark: Benchmark, environments: Path, *, overwrite: bool = False) -> dict[str, str]:
    """Make the environment of a benchmark if it is not there. Versions by name of package.

    Raises HostError if a package can't be installed.
    """
    folder = environments / benchmark.name
    if not overwrite and (versions := _installed(benchmark, folder)) is not None:
        return versions
    rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True, symlinks=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    wanted = (("--no-deps", benchmark.packages), ("", benchmark.requirements))
    for arguments in [(*options.split(), *names) for options, names in wanted if names]:
        done = subprocess.run([*pip, "install", *arguments], capture_output=True, text=True)
        if done.returncode:
            raise HostError(
                f"{' '.join(arguments)!r} can't be installed into {str(folder)!r}: "
                f"{done.stderr.strip()[-500:]}. Check the connection to the package index, and "
                "run the same command again"
            )
    frozen = subprocess.run([*pip, "list", "--format", "json"], capture_output=True, check=True)
    versions = {entry["name"]: entry["version"] for entry in json.loads(frozen.stdout)}
    mark = {"wanted": wanted_packages(benchmark), "packages": dict(sorted(versions.items()))}
    write_file(folder / _MARK, json.dumps(mark, indent=2).encode())
    return versions


def environment_of(benchmark: Benchmark, environments: Path) -> tuple[Path, dict[str, str]]:
    """The Python of a benchmark's environment, and the versions of its packages.

    Raises ConfigError if it was not set up.
    """
    folder = environments / benchmark.name
    versions = _installed(benchmark, folder)
    if versions is None:
        raise ConfigError(
            f"there is no complete environment of {benchmark.name!r} in {str(environments)!r}: "
            f"make it with `astra evaluate setup {shlex.quote(benchmark.name)}`"
        )
    return folder / "bin" / "python", versions


def wanted_packages(benchmark: Benchmark) -> list[str]:
    """What an environment of the benchmark was made from, if it can still be used."""
    return [*benchmark.packages, *benchmark.requirements, f"python {sys.version.split()[0]}"]


def _installed(benchmark: Benchmark, folder: Path) -> dict[str, str] | None:
    """Versions in an environment that is complete and has what is wanted now. None without one."""
    if not (folder / _MARK).exists():
        return None
    mark = json.loads(read_bounded(folder / _MARK, _MARK_BYTES, "delete it and set up again"))
    return mark["packages"] if mark["wanted"] == wanted_packages(benchmark) else None
