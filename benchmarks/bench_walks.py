"""Random walks on the transition graph of a large server."""

from __future__ import annotations

import random
import time
from itertools import islice

from astra.trajectories.tasks.transition_graph import WeightedWalker, transition_graph
from astra.types import Json

TOOLS = 500
CHAINS = 3_000
WALKS = 10_000


def measure() -> dict[str, dict[str, Json]]:
    """Walks a second, the slower kind: no tool twice, 2 to 5 tools."""
    rng = random.Random(0)
    names = [f"tool_{number}" for number in range(TOOLS)]
    chains = [rng.choices(names, k=rng.randint(2, 5)) for _ in range(CHAINS)]
    walker = WeightedWalker(transition_graph(names, chains), acyclic=True)
    start = time.perf_counter()
    walks = list(islice(walker.walks(random.Random(1)), WALKS))
    rate = len(walks) / (time.perf_counter() - start)
    return {
        f"random walks on a graph of {TOOLS} tools": {
            "value": rate,
            "goal": "≥ 10,000",
            "unit": "a second",
            "ok": rate >= 10_000,
        }
    }
