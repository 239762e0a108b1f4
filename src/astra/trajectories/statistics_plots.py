"""Plots of the statistics of trajectories, as PNG and SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from astra.configs.spelling import option_name
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.types import Json

_MOST_DOMAINS = 30


def plot_statistics(report: dict[str, Json], folder: Path) -> None:
    """Write histograms of messages and calls, and the domains. `report`: `trajectory_statistics`.

    Raises ConfigError if matplotlib is not installed, StoreError if another process is writing
    `folder`.
    """
    try:
        from matplotlib.figure import Figure  # late: an optional package
    except ImportError as error:
        raise ConfigError(
            f"{option_name('plots')} needs the package `matplotlib`: pip install "
            "'astra-arenas[train]'"
        ) from error
    bars: dict[str, tuple[str, list[tuple[Any, int]]]] = {
        name: (f"{name} per rollout", [(int(k), n) for k, n in report[f"{name}_histogram"].items()])
        for name in ("messages", "calls")
    }
    domains = list(report["domains"].items())[:_MOST_DOMAINS]
    bars["domains"] = ("domain", [(name or "(none)", n) for name, n in domains])
    contents: dict[str, bytes] = {}
    for file, (label, pairs) in bars.items():
        figure = Figure(figsize=(6, 3.5), layout="constrained")
        axes: Any = figure.subplots()
        names, counts = zip(*pairs, strict=True)
        axes.bar(names, counts)
        axes.set_xlabel(label)
        axes.set_ylabel("rollouts")
        if file == "domains":
            axes.tick_params(axis="x", rotation=60)
        for form in ("png", "svg"):
            content = io.BytesIO()
            # Without the date, so that the same statistics give the same bytes.
            metadata = {"Date": None} if form == "svg" else None
            figure.savefig(content, format=form, metadata=metadata)
            contents[f"{file}.{form}"] = content.getvalue()
    plots = RunFolder(folder)
    with plots.lock():
        for file, content in contents.items():
            plots.replace(file, [content])
