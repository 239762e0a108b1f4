"""Two processes train in lockstep (gloo): the same batches, the same weights, nothing lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from astra.training.processes import leave
from tests.training import rl_given

STEPS = 3


def work(model: Path, out: Path) -> None:
    """One process of the run; writes what it saw."""
    from tests.training.test_rl_trainer import Watching, picky, train

    options = {"max_steps": STEPS, "per_device_train_batch_size": 6, "learning_rate": 3e-3}
    watching = Watching()
    trainer = rl_given.trainer(model, out, args=options, filling=picky(), algorithm=watching)
    rows = train(trainer)
    seen: dict[str, Any] = {
        "rows": rows,
        "tasks": [[episode.task for episode in batch.episodes] for batch in watching.batches],
        "ids": [[e.completion_ids for e in batch.episodes] for batch in watching.batches],
        "waiting": [group.episodes[0].task for group in trainer.filling.waiting],
        "prompts": trainer.prompts.state_dict(),
        "weights": {n: float(p.double().sum()) for n, p in trainer.model.named_parameters()},
    }
    rank = trainer.accelerator.process_index
    (out / f"rank{rank}.json").write_text(json.dumps(seen))
    leave()


@pytest.mark.slow
def test_two_processes_stay_in_step(tmp_path: Path) -> None:
    model, out = rl_given.taught(tmp_path / "model"), tmp_path / "out"
    out.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.training.test_rl_processes", str(model), str(out)]
    running = [
        subprocess.Popen(
            command,
            env=os.environ
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
            | {"ACCELERATE_USE_CPU": "true"},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=600) for process in running] == [0, 0]
    first, second = (json.loads((out / f"rank{rank}.json").read_text()) for rank in range(2))
    for name in ("tasks", "ids", "waiting", "prompts", "weights"):
        assert first[name] == second[name], name
    assert [row["step"] for row in first["rows"]] == list(range(1, STEPS + 1))
    for tasks in first["tasks"]:
        assert len(tasks) == 12 and all(len(set(tasks[i : i + 4])) == 1 for i in (0, 4, 8))
    # Both processes' rollouts are in the batch, and no draw is missing or there twice.
    sampled = sum(int(row["filling/groups"]) for row in first["rows"])
    assert first["prompts"]["number"] == sampled
    flat = sum(int(row["filling/zero_variance"]) for row in first["rows"])
    valid = sum(row["filling/valid_share"] * row["filling/groups"] for row in first["rows"])
    assert round(valid) == 3 * STEPS - flat + len(first["waiting"])


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]))
