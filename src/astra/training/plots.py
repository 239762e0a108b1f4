"""Curves of training runs from their `metrics.jsonl`: a PNG and a CSV per metric."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.types import Json

METRICS = "metrics"

Points = list[tuple[float, float]]


def plot(runs: Sequence[Path], out: Path, metrics: Sequence[str] | None, over: str) -> list[Path]:
    """Draw each metric over another. Returns the files written, in order.

    `metrics`: None draws every number that is logged more than once. Raises ConfigError for runs
    without metrics and for names that no run has logged, StoreError if another process is writing
    `out`.
    """
    logged: dict[str, list[dict[str, Json]]] = {}
    for path in runs:
        # The folder's name, or its whole path where two runs have the same name.
        unique = sum(other.name == path.name for other in runs) == 1
        rows = [row for _, row in RunFolder.open(path).values(METRICS)]
        if not rows:
            raise ConfigError(f"{str(path)!r} has logged nothing: it holds no {METRICS}.jsonl")
        logged[path.name if unique else str(path)] = rows
    names = {n: None for rows in logged.values() for row in rows for n in row if n != over}
    known = [name for name in names if name not in ("step", "epoch", "seconds")]
    for name in [*(metrics or ()), over]:
        if not any(name in row for rows in logged.values() for row in rows):
            raise ConfigError(f"no run has logged {name!r}: there are {', '.join(known)}")
    contents: dict[str, bytes] = {}
    for name in metrics or known:
        curves = {
            label: [(row[over], row[name]) for row in rows if name in row and over in row]
            for label, rows in logged.items()
        }
        if metrics or any(len(points) > 1 for points in curves.values()):
            stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
            table = io.StringIO(newline="")
            writer = csv.writer(table)
            writer.writerow(["run", over, name])
            for label, points in curves.items():
                writer.writerows([label, x, y] for x, y in points)
            contents[f"{stem}.csv"] = table.getvalue().encode()
            contents[f"{stem}.png"] = _png(curves, name, over)
    folder = RunFolder(out)
    with folder.lock():
        for file, content in contents.items():
            folder.replace(file, [content])
    return [out / file for file in contents]


def _png(curves: dict[str, Points], name: str, over: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for label, points in curves.items():
        axes.plot([x for x, _ in points], [y for _, y in points], label=label, linewidth=1.2)
    axes.set_xlabel(over)
    axes.set_ylabel(name)
    axes.grid(visible=True, alpha=0.3)
    if len(curves) > 1:
        axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    return content.getvalue()
