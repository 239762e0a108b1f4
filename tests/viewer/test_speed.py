"""A folder of many arenas opens at once, and is filtered while one waits."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.bench_view import REAL, view_figures, write_many

import astra


@pytest.mark.slow
def test_many_arenas_open_at_once(tmp_path: Path) -> None:
    """A fifth of what the benchmark measures: what it checks is that the first page and pages
    meanwhile wait for no whole file."""
    astra.make_arenas("examples/world", count=REAL, seed=7, out=tmp_path / "real")
    write_many(tmp_path / "real", tmp_path / "many", 20_000)
    figures = view_figures(tmp_path / "many", 20_000)
    value = {name.partition(": ")[2]: figure["value"] for name, figure in figures.items()}
    assert value["start to first list"] < value["all indexed after"]
    assert value["slowest list (median)"] < 300 and value["slowest page meanwhile"] < 2000
    assert value["peak memory"] < 1000
