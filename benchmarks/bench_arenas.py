"""Making arenas: how many a minute, and whether memory stays flat as the run grows.

Each run is a process of its own, from its start to its end, on `examples/world`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORLD = Path(__file__).parents[1] / "examples" / "world"
FEW, MANY = 500, 5000

_RUN = """
import resource, sys
from astra.cli.main import run
status = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
sys.exit(status)
"""


def make(count: int, folder: Path) -> tuple[dict[str, Any], float, int]:
    """The report of a run, its wall time in seconds and its peak memory in MiB."""
    arguments = ["arenas", "make", str(WORLD), "--languages", "en,zh", "--seed", "7"]
    arguments += ["--count", str(count), "--out", str(folder / f"run-{count}"), "--json"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - start
    return json.loads(done.stdout), seconds, int(done.stderr.strip().splitlines()[-1])


def measure() -> dict[str, dict[str, Any]]:
    """Arenas per minute with all that belongs to it, and peak memory of two sizes of run."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        few, few_seconds, few_memory = make(FEW, folder)
        many, many_seconds, many_memory = make(MANY, folder)
    rate = few["arenas"] / few_seconds * 60
    ratio = many_memory / few_memory
    return {
        f"arenas made, certified, mixed, written a minute ({FEW}, from start to end)": {
            "value": round(rate),
            "goal": ">= 1000",
            "unit": "1/min",
            "ok": rate >= 1000,
        },
        f"the same for {MANY}": {
            "value": round(many["arenas"] / many_seconds * 60),
            "goal": None,
            "unit": "1/min",
            "ok": None,
        },
        f"peak memory of making {MANY} arenas against {FEW}": {
            "value": round(ratio, 2),
            "goal": "<= 1.5",
            "unit": f"x ({few_memory} and {many_memory} MiB)",
            "ok": ratio <= 1.5,
        },
    }
