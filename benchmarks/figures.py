"""Figures beside their goals. Every one with a goal can fall short of it."""

from __future__ import annotations

from typing import Any

Figures = dict[str, dict[str, Any]]
"""By name, with the fields of `benchmarks.run.Figure`."""


def plain(value: float, unit: str) -> dict[str, Any]:
    """A figure without a goal."""
    return {"value": value, "goal": None, "unit": unit, "ok": None}


def at_least(value: float, goal: float, unit: str) -> dict[str, Any]:
    """A figure that is to be as large as its goal."""
    return {"value": value, "goal": f">= {goal:g}", "unit": unit, "ok": value >= goal}


def at_most(value: float, goal: float, unit: str) -> dict[str, Any]:
    """A figure that is to be as small as its goal."""
    return {"value": value, "goal": f"<= {goal:g}", "unit": unit, "ok": value <= goal}
