"""What a long `astra arenas make` takes as it grows, written down while it runs.

    python -m benchmarks.making_curve CURVE.jsonl -- arenas make TABLES --count 50000 --out RUN

A line whenever a stage has come to 500, 1,000, 2,000, 5,000, 10,000, … rows, and one at the end:
seconds and processor seconds so far (all processes), peak memory of the command's own process, and
the bytes of the folder. Run it again to go on: times count from then on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_mib

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process: int) -> float:
    """Of a process and all below it, those that have ended included."""
    children: dict[int, list[int]] = defaultdict(list)
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        children[int(fields[1])].append(int(path.parent.name))
        used[int(path.parent.name)] = sum(map(int, fields[11:15])) / _TICKS
    found, total = [process], 0.0
    while found:
        one = found.pop()
        total += used.get(one, 0.0)
        found += children[one]
    return total


def accepted(run: Path) -> dict[str, int]:
    """Rows of each stage so far, as the manifest tells them every two seconds."""
    try:
        stages = json.loads((run / "manifest.json").read_bytes())["stages"]
    except (OSError, ValueError):
        return {}
    return {name: counts["accepted"] for name, counts in stages.items()}


def next_mark(count: int) -> int:
    """The next of 500, 1,000, 2,000, 5,000, … above a count."""
    marks = (number * 10**power for power in range(2, 9) for number in (1, 2, 5))
    return next(mark for mark in marks if mark > max(count, 200))


def point(run: Path, process: int, seconds: float) -> dict[str, Any]:
    """One line of the curve."""
    return {
        "accepted": accepted(run),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds(process), 1),
        "peak_mib": peak_mib(process),
        "bytes": {path.name: path.stat().st_size for path in sorted(run.glob("*.jsonl"))},
    }


def main(curve: Path, arguments: list[str]) -> int:
    """Exit status: that of the command."""
    run = Path(arguments[arguments.index("--out") + 1])
    marks = {name: next_mark(count) for name, count in accepted(run).items()}
    last: dict[str, Any] | None = None
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "astra", *arguments]) as command:
        while command.poll() is None:
            time.sleep(2)
            due = [n for n, count in accepted(run).items() if count >= marks.setdefault(n, 500)]
            try:
                last = point(run, command.pid, time.perf_counter() - start)
            except OSError:  # it has just ended
                break
            if due:
                _write(curve, last)
                marks |= {name: next_mark(last["accepted"][name]) for name in due}
    if last is not None:
        _write(curve, last | {"ended": command.returncode})
    return command.returncode


def _write(curve: Path, row: dict[str, Any]) -> None:
    with curve.open("a") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    file, dashes, *rest = sys.argv[1:]
    if dashes != "--" or "--out" not in rest:
        sys.exit(__doc__)
    sys.exit(main(Path(file), rest))
