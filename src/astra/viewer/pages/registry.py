"""Which function makes which page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from astra.viewer.pages.arena import arena_page
from astra.viewer.pages.asked import Asked, Row, Shown
from astra.viewer.pages.benchmarks import benchmarks_page
from astra.viewer.pages.compare import compare_page
from astra.viewer.pages.credit import credit_page
from astra.viewer.pages.episode import episode_page
from astra.viewer.pages.failure import failure_page
from astra.viewer.pages.listing import listing_page
from astra.viewer.pages.run import run_page
from astra.viewer.pages.runs import runs_page
from astra.viewer.pages.tools import server_page, tool_graph_page, tool_page
from astra.viewer.pages.training import training_page
from astra.viewer.pages.trajectory import trajectory_page
from astra.viewer.shelf import Run

SITE_PAGES: Mapping[str, Callable[[Asked], Shown]] = {
    "index.html": runs_page,
    "training.html": training_page,
    "compare.html": compare_page,
    "benchmarks.html": benchmarks_page,
}
RUN_PAGES: Mapping[str, Callable[[Asked, Run], Shown]] = {
    "index.html": run_page,
    "tool-graph.html": tool_graph_page,
}
LISTS = listing_page
ROWS: Mapping[str, Callable[[Asked, Row], Shown]] = {
    "arenas": arena_page,
    "set-aside": failure_page,
    "episodes": episode_page,
    "conversations": episode_page,
    "trajectories": trajectory_page,
    "credit": credit_page,
    "servers": server_page,
    "tools": tool_page,
}
"""Listing -> the page of one of its rows."""
