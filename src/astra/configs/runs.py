"""Options of the commands on run folders of any kind."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from astra.configs.base import RUNTIME, Config, Paths


@dataclass(frozen=True)
class PlotConfig(Config):
    """Metrics."""

    runs: Paths
    """Run folders of training runs."""
    _: KW_ONLY
    out: Annotated[Path | str, RUNTIME]
    """Folder to write."""
    metric: Sequence[str] = ()
    """Metrics to plot. Empty: all."""
    x_axis: str = "step"
    """Logged number on the horizontal axis."""
