"""Measure everything: `python -m benchmarks.run [--only NAME ...] [--json] [--out PATH]`.

A benchmark is a module `benchmarks/bench_*.py` with a function

    def measure() -> dict[str, {"value": ..., "goal": ..., "unit": ..., "ok": ...}]

that returns its figures by name, each with the fields of `Figure`. One runs after the other, each
in a process of its own, so that what one has loaded slows no other. A goal that is missed is shown,
not fatal; a module that crashes makes the exit status 1, and the others still run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter
from rich.console import Console
from rich.table import Table

import benchmarks

PREFIX = "bench_"


class Figure(BaseModel):
    """One measured figure beside its goal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    goal: str | float | None
    """As it is shown, e.g. "<= 2.5"; None: reported only."""
    unit: str
    ok: bool | None
    """Whether the goal is met; None where there is none."""


_FIGURES = TypeAdapter(dict[str, Figure])


def names() -> list[str]:
    """The benchmarks there are, without their prefix, sorted."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name.removeprefix(PREFIX) for name in found if name.startswith(PREFIX))


def measure(name: str) -> dict[str, Figure]:
    """The figures of one benchmark; raises what it raises, or ValidationError."""
    # Forked, which this process, with neither threads nor much memory, can afford.
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as alone:
        return _FIGURES.validate_python(alone.submit(_measured, name).result())


def _measured(name: str) -> object:
    return importlib.import_module(f"benchmarks.{PREFIX}{name}").measure()


def collect(chosen: Sequence[str]) -> tuple[dict[str, Figure], list[str]]:
    """The figures of the chosen benchmarks, and the names of those that crashed."""
    figures: dict[str, Figure] = {}
    crashed: list[str] = []
    for name in chosen:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            measured = measure(name)
            if twice := figures.keys() & measured.keys():
                raise ValueError(f"the figures {sorted(twice)!r} were measured before: rename them")
        except Exception:  # noqa: BLE001  the boundary: shown in full, and in the exit status
            traceback.print_exc()
            crashed.append(name)
        else:
            figures.update(measured)
    return figures, crashed


def table(figures: dict[str, Figure]) -> Table:
    """The figures as a table for the terminal."""
    shown = Table("figure", "value", "goal", "unit", "met")
    for name, figure in figures.items():
        met = {True: "[green]yes", False: "[red]no", None: ""}[figure.ok]
        goal = "" if figure.goal is None else str(figure.goal)
        value = f"{figure.value:,.0f}" if abs(figure.value) >= 1000 else f"{figure.value:.4g}"
        shown.add_row(name, value, goal, figure.unit, met)
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 if a benchmark crashed."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.run", description="Measure the figures of the README."
    )
    parser.add_argument("--only", action="append", choices=names(), help="repeatable")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument(
        "--out", type=Path, help="file to write; default bench.json, but none with --only"
    )
    options = parser.parse_args(arguments)
    figures, crashed = collect(options.only or names())
    plain = {name: figure.model_dump() for name, figure in figures.items()}
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    # A part of the figures must not pass for all of them.
    out = options.out or (None if options.only else Path("bench.json"))
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    if options.json:
        print(text)
    else:
        Console().print(table(figures))
    if crashed:
        print(f"crashed: {', '.join(crashed)} (see above)", file=sys.stderr)
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
