"""Options of an export."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from astra.trajectories.export.rows import RowFormat
from astra.types import Json


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Which rollouts go into a data set, and how it is written."""

    format: RowFormat = "trl"
    min_score: float = 0.0
    """Smallest reward of a row."""
    max_per_task: int | None = None
    """Most rows per task, the best first; None: all."""
    test_fraction: float = 0.1
    """Fraction of the rows that are held out, by server."""
    seed: int = 0
    judgements: str = "judgements"
    """Name of the file of judgements."""
    license: str = "other"
    """License of the data, as the HuggingFace hub names it."""
    parquet: bool = False

    def config(self) -> dict[str, Json]:
        """What identifies the data set, for `config.toml`."""
        return {name: value for name, value in asdict(self).items() if name != "parquet"}
