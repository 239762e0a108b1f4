"""Costs are billed to the stage whose item is being worked on.

Whoever pays for a model's reply calls `bill`; `run` knows the stage. A context variable carries it
into every task that an item's work starts, so no stage passes a meter along.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from astra.types import Usage


class StageMeter:
    """Adds up what the items of one stage cost in this run."""

    def __init__(self, stage: str = "") -> None:
        self.stage = stage
        self.usage = Usage()
        self.dollars = 0.0
        self.unpriced: dict[str, Usage] = {}

    def add(self, usage: Usage, dollars: float | None, model: str) -> None:
        """Count one reply of a model."""
        self.usage += usage
        if dollars is not None:
            self.dollars += dollars
        elif usage != Usage():
            self.unpriced[model] = self.unpriced.get(model, Usage()) + usage


_METER: ContextVar[StageMeter | None] = ContextVar("stage_meter", default=None)


def bill(usage: Usage, dollars: float | None = None, *, model: str = "") -> None:
    """Count one reply of a model for the current stage. Outside of a stage nothing is counted.

    `dollars`: None if the model has no price; a later run of the folder may know it.
    """
    if (meter := _METER.get()) is not None:
        meter.add(usage, dollars, model)


def billed_stage() -> str:
    """Name of the stage that `bill` counts for. Empty outside of a stage."""
    meter = _METER.get()
    return "" if meter is None else meter.stage


@contextmanager
def billing(meter: StageMeter) -> Generator[None]:
    """Bill to this meter within the block, and in tasks that are created there."""
    token = _METER.set(meter)
    try:
        yield
    finally:
        _METER.reset(token)
