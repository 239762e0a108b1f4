"""How much of a trajectory is this machine's work, and how much waiting for models.

    python -m benchmarks.trajectory_work TOOLS COUNT

TOOLS is a folder of collected tools. Teacher and agent are the rule teacher's, behind an endpoint
in a process of its own that takes half a second an answer. Not part of `make bench`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import astra

CONCURRENCY, LATENCY = 32, 0.5


def processor_seconds() -> tuple[float, float]:
    """Of this process, and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, children = (usage.ru_utime + usage.ru_stime for usage in used)
    return own, children


def made(tools: str, count: int, out: Path, url: str) -> int:
    """How many rollouts a run holds that is made here."""
    return len(
        astra.make_trajectories(
            tools=tools,
            out=out,
            count=count,
            model="rules",
            base_url=f"{url}/v1",
            teacher="rules",
            teacher_url=f"{url}/v1",
            concurrency=CONCURRENCY,
            progress=False,
        )
    )


def requests(url: str) -> int:
    """How many the endpoint has had."""
    with urllib.request.urlopen(f"{url}/stats") as reply:
        return json.load(reply)["requests"]


def measure(tools: str, count: int, folder: Path, url: str) -> None:
    """Print what a rollout took, with its task and its judgement."""
    made(tools, 1, folder / "first", url)  # imports
    asked, start, before = requests(url), time.perf_counter(), processor_seconds()
    rollouts = made(tools, count, folder / "run", url)
    wall, after = time.perf_counter() - start, processor_seconds()
    own, servers = ((b - a) / rollouts for a, b in zip(before, after, strict=True))
    print(f"{rollouts} rollouts of {(requests(url) - asked) / rollouts:.1f} requests")
    print(f"seconds each: {wall / rollouts:.2f}; of the processor {own:.3f} here, {servers:.2f} in")
    print(f"servers of tools; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def main(tools: str, count: str) -> None:
    """Measure against an endpoint that ends with the measurement."""
    with tempfile.TemporaryDirectory() as temporary:
        port = Path(temporary) / "port"
        command = [sys.executable, "-m", "astra.testing.rule_teacher", "--latency", f"{LATENCY}"]
        command += ["--port-file", str(port)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
            try:
                while not port.exists():
                    time.sleep(0.1)
                url = f"http://127.0.0.1:{int(port.read_text())}"
                measure(tools, int(count), Path(temporary), url)
            finally:
                server.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
