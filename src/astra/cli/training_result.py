"""The end of `astra train`: what both commands print."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from astra.cli.console import out, plain, print_json

if TYPE_CHECKING:
    from astra.training.result import TrainResult


def print_result(
    result: TrainResult, summary: Callable[[dict[str, float]], str], *, as_json: bool
) -> None:
    """Print the result in the first of a run's processes, and end its process group.

    `summary`: one line, from the metrics.
    """
    from astra.training.processes import is_first, leave

    first = is_first()
    leave()
    if not first:
        return
    if as_json:
        print_json({"model": str(result.model), "steps": result.steps, **result.metrics})
        return
    out().print(f"{result.steps} steps on {summary(result.metrics)}")
    out().print(plain(f"model: {result.model}"), soft_wrap=True)
