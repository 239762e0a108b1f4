"""Runs over a cluster of several raylets, in the environment with Ray: says what came of them.

Called with a folder to write to, also `told.json`. One raylet is killed while arenas are made, and
so is a process that makes them, and one that plays episodes; `test_ray.py` compares what they wrote
with what one process writes.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

WORLD = Path(__file__).parents[2] / "examples" / "world"
MAKE = [
    *(sys.executable, "-m", "astra", "arenas", "make", str(WORLD / "countries.csv")),
    *("--count", "40", "--seed", "5", "--if-exists", "resume"),
]


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def make(
    out: Path, *more: str, kill: Callable[[subprocess.Popen[bytes]], object] | None = None
) -> int:
    """The exit status of making arenas. `kill` is called when some of them are certified."""
    with (out.parent / f"{out.name}.log").open("ab") as log:
        process = subprocess.Popen([*MAKE, "--out", str(out), *more], stdout=log, stderr=log)
        while kill is not None and process.poll() is None:
            if lines(out / "candidates.jsonl") >= 5:
                kill(process)
                break
            time.sleep(0.02)
        return process.wait(600)


def said(command: list[str], address: str) -> str:
    """What a command prints that can't join a cluster."""
    done = subprocess.run([*command, "--ray", address], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    return done.stderr


def main(out: Path) -> None:
    told: dict[str, Any] = {"plain": make(out / "plain")}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        told |= with_cluster(cluster, out)
    finally:
        cluster.shutdown()
    (out / "told.json").write_text(json.dumps(told))


def with_cluster(cluster: Cluster, out: Path) -> dict[str, Any]:
    """What came of runs, while nodes come and go."""
    told: dict[str, Any] = {}
    cluster.add_node(num_cpus=1)
    doomed = cluster.add_node(num_cpus=1)
    address = ("--ray", cluster.address)

    def lose_node(process: subprocess.Popen[bytes]) -> None:
        told["certified before the node was lost"] = lines(out / "node" / "candidates.jsonl")
        cluster.remove_node(doomed, allow_graceful=False)

    told["node"] = make(out / "node", *address, kill=lose_node)
    cluster.add_node(num_cpus=1)
    told["killed driver"] = make(
        out / "driver", *address, kill=lambda process: process.send_signal(signal.SIGKILL)
    )
    told["certified before the driver was killed"] = lines(out / "driver" / "candidates.jsonl")
    told["driver"] = make(out / "driver", *address)
    told["local"] = make(out / "local", "--ray", "local")
    certify = [sys.executable, "-m", "astra", "arenas", "certify", str(out / "plain")]
    told["certify"] = subprocess.run([*certify, *address], stdout=subprocess.DEVNULL).returncode
    evaluate = [sys.executable, "-m", "astra", "evaluate", "arenas", str(out / "plain")]
    evaluate += ["--split", "all", "--policy", "shuffled", "--samples", "2"]
    for name, more in {"played here": (), "played there": address}.items():
        command = [*evaluate, "--out", str(out / name.replace(" ", "-")), *more]
        told[name] = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    told |= with_a_player_lost([*evaluate, "--out", str(out / "player"), *address], out / "player")
    told["nobody listens"] = said(certify, "127.0.0.1:9")
    return told


def with_a_player_lost(command: list[str], out: Path) -> dict[str, Any]:
    """What came of an evaluation, of which a process that plays episodes is killed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and lines(out / "episodes.jsonl") < 5:
        time.sleep(0.02)
    killed = subprocess.run(["pkill", "-KILL", "-o", "-f", "ray::_Player"]).returncode == 0
    before = lines(out / "episodes.jsonl")
    return {"player": process.wait(600), "played before a player was lost": before * killed}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
