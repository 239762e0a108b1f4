"""Reading run folders of arenas: whether memory stays flat as they grow.

Each job is a process of its own over folders of few and of many arenas (`benchmarks.multiplied`).
Certifying does all but the checks, which take a tenth of a second each and see one arena at a time.
`python -m benchmarks.bench_folders RUN ...` does the jobs over folders of yours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.bench_arenas import ROOT, make
from benchmarks.figures import Figures, at_most
from benchmarks.multiplied import multiply

REAL, FEW, MANY = 40, 200, 2000

_OPEN = """
import astra
arenas = astra.load_arenas(sys.argv[1])
arenas[arenas[-1].id]
"""
_CERTIFY = """
from astra.arenas import recertify
from astra.arenas.certificates import VERSION, Certificate, CheckResult

async def spread(certify, arena, *rest, **options):
    passed = tuple(CheckResult(check=str(number), passed=True) for number in range(16))
    return Certificate(arena=arena.id, certified=True, checks=passed, seeds=(0,), sandbox="none",
                       version=VERSION, seconds=0.1)

recertify.spread = spread
sys.argv[1:] = ["arenas", "certify", sys.argv[1], "--json"]
main()
"""
_STATS = """
sys.argv[1:] = ["arenas", "stats", sys.argv[1], "--json"]
main()
"""
_EXPORT = """
sys.argv[1:] = ["arenas", "export", sys.argv[1], "--format", FORMAT, "--out", sys.argv[2]]
main()
"""
JOBS = {
    "open": _OPEN,
    "stats": _STATS,
    "certify, without its checks": _CERTIFY,
    "export --format astra-rl": _EXPORT.replace("FORMAT", '"astra-rl"'),
    "export --format trl": _EXPORT.replace("FORMAT", '"trl"'),
}
_RUN = """
import sys, time
from astra.cli.main import main
from benchmarks.memory import peak_mib
try:
    {}
finally:
    print(peak_mib(), time.process_time(), file=sys.stderr)
"""


class Taken(NamedTuple):
    """What a job took of one folder."""

    mib: int
    """Peak memory."""
    seconds: float
    """Of a processor."""


def take(job: str, folder: Path) -> Taken:
    """Do a job in a process of its own."""
    program = _RUN.format(JOBS[job].strip().replace("\n", "\n    "))
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder), f"{out}/export"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
    mib, seconds = done.stderr.split()[-2:]
    return Taken(int(mib), float(seconds))


def measure() -> Figures:
    """Peak memory with many arenas against that with few."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary)
        make(REAL, path)
        folders = [multiply(path / f"world-{REAL}", path / f"{n}", n) for n in (FEW, MANY)]
        taken = {job: [take(job, folder) for folder in folders] for job in JOBS}
    return {
        f"peak memory of {job}, {MANY} arenas against {FEW}": at_most(
            round(many.mib / few.mib, 2), 1.2, f"x ({few.mib} and {many.mib} MiB)"
        )
        for job, (few, many) in taken.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Peak memory and processor time of reading.")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--job", action="append", choices=JOBS, help="repeatable; default: all")
    options = parser.parse_args()
    for run in options.runs:
        for job in options.job or JOBS:
            start = time.perf_counter()
            taken = take(job, run.absolute())
            wall = time.perf_counter() - start
            print(f"{run}  {job}: {taken.mib} MiB, {taken.seconds:.1f} s of CPU, {wall:.1f} s")
