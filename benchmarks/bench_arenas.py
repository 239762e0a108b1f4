"""Making arenas: how many a minute, and whether memory stays flat as the run grows.

Each run is a process of its own, from its start to its end: on `examples/world`, and with actions
and conversations on `examples/shop`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Figures, at_least, at_most, plain

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
FEW, MANY = 500, 5000
ACTING = 200
"""Arenas with actions that are made."""
ACTIONS = (
    *("--actions", "--max-hops", "3", "--max-user-turns", "3"),
    *("--conversations", "missing_parameter,missing_tool,revision"),
)

_RUN = """
import sys
from astra.cli.main import main
from benchmarks.memory import peak_mib
try:
    main()
finally:
    print(peak_mib(), file=sys.stderr)
"""


class Made(NamedTuple):
    """What a run made, and what it took."""

    arenas: int
    seconds: float
    cpu_seconds: float
    """Of the process and all of its children."""
    mib: int
    """Peak memory of the process that draws and judges."""


def make(count: int, folder: Path, tables: str = "world", options: Sequence[str] = ()) -> Made:
    """Run the command in a process of its own."""
    arguments = ["arenas", "make", str(EXAMPLES / tables), "--languages", "en,zh", "--seed", "7"]
    arguments += ["--count", str(count), "--out", str(folder / f"{tables}-{count}"), "--json"]
    arguments += options
    start, used = time.perf_counter(), _cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    seconds, used = time.perf_counter() - start, _cpu_seconds() - used
    mib = int(done.stderr.strip().splitlines()[-1])
    return Made(json.loads(done.stdout)["arenas"], seconds, used, mib)


def _cpu_seconds() -> float:
    """Of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure() -> Figures:
    """Arenas per minute with all that belongs to it, what one more takes, and peak memory."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        few, many = make(FEW, folder), make(MANY, folder)
        acting = make(ACTING, folder, "shop", ACTIONS)
    rates = {made: round(made.arenas / made.seconds * 60) for made in (few, many, acting)}
    # Beside other work, too: without the start, and whoever else has the processors meanwhile.
    more = (many.cpu_seconds - few.cpu_seconds) / (many.arenas - few.arenas) * 100
    return {
        f"arenas made, certified, mixed, written a minute ({FEW}, from start to end)": at_least(
            rates[few], 2000, "1/min"
        ),
        f"the same for {MANY}": plain(rates[many], "1/min"),
        "processor time of 100 more arenas": at_most(round(more, 2), 6, "s"),
        f"arenas with actions and conversations a minute ({ACTING}, from start to end)": at_least(
            rates[acting], 300, "1/min"
        ),
        f"peak memory of making {MANY} arenas against {FEW}": at_most(
            round(many.mib / few.mib, 2), 1.5, f"x ({few.mib} and {many.mib} MiB)"
        ),
    }
