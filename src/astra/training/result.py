"""The result of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from astra.configs.training import TrainRLConfig, TrainSFTConfig
from astra.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A trained model, the last metrics, and the resolved options."""

    model: Path
    """Folder of the final model."""
    steps: int
    """Optimizer steps of the run, those before a stop included."""
    metrics: dict[str, float]
    """The last value of each metric that was logged, and counts of the data."""
    config: TrainSFTConfig | TrainRLConfig
    """The options with the values of the preset."""

    @classmethod
    def of_run(
        cls, folder: RunFolder, model: Path, config: TrainSFTConfig | TrainRLConfig, **counts: float
    ) -> TrainResult:
        """The result of a finished run, from its metrics."""
        # Late: a result can be looked at without torch.
        from astra.training.metrics import METRICS, STEP

        metrics: dict[str, float] = {}
        if folder.exists(f"{METRICS}.jsonl"):
            for _, row in folder.values(METRICS):
                metrics |= row
        steps = int(metrics.pop(STEP, 0))
        return cls(model, steps, metrics | counts, config)
