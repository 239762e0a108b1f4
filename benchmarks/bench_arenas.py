"""Making arenas: how many a minute, and whether memory stays flat as the run grows.

Each run is a process of its own, from its start to its end: on `examples/world`, and with actions
and conversations on `examples/shop`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def make(
    count: int, folder: Path, tables: str = "world", options: Sequence[str] = ()
) -> tuple[dict[str, Any], float, int]:
    """The report of a run, its wall time in seconds and its peak memory in MiB."""
    arguments = ["arenas", "make", str(EXAMPLES / tables), "--languages", "en,zh", "--seed", "7"]
    arguments += ["--count", str(count), "--out", str(folder / f"{tables}-{count}"), "--json"]
    arguments += options
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    seconds = time.perf_counter() - start
    return json.loads(done.stdout), seconds, int(done.stderr.strip().splitlines()[-1])


def measure() -> dict[str, dict[str, Any]]:
    """Arenas per minute with all that belongs to it, and peak memory of two sizes of run."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        few, few_seconds, few_memory = make(FEW, folder)
        many, many_seconds, many_memory = make(MANY, folder)
        acting, acting_seconds, _ = make(ACTING, folder, "shop", ACTIONS)
    rate = few["arenas"] / few_seconds * 60
    ratio = many_memory / few_memory
    acting_rate = acting["arenas"] / acting_seconds * 60
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
        f"arenas with actions and conversations a minute ({ACTING}, from start to end)": {
            "value": round(acting_rate),
            "goal": ">= 300",
            "unit": "1/min",
            "ok": acting_rate >= 300,
        },
        f"peak memory of making {MANY} arenas against {FEW}": {
            "value": round(ratio, 2),
            "goal": "<= 1.5",
            "unit": f"x ({few_memory} and {many_memory} MiB)",
            "ok": ratio <= 1.5,
        },
    }
