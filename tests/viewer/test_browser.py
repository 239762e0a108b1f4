"""The pages in a browser: two widths, light and dark, by keyboard, without script, from the disk.

`make test-browser` runs this, with Chromium, Node.js and npm. ASTRA_SCREENSHOTS names the folder
for the screenshots.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import astra
from astra.runs.jsonl import to_line
from astra.viewer.export import export_site
from astra.viewer.shelf import Shelf
from tests.support.arenas import single_hop_arena
from tests.support.talking_desk import talking_desk
from tests.viewer.made import ARABIC, Pages, sampled, world
from tests.viewer.test_hostile import MARKUP, hostile_runs

pytestmark = pytest.mark.browser
DRIVER = Path(__file__).parent / "browser"
PROGRAMS = ("chromium", "node", "npm")


def addresses(pages: Pages) -> dict[str, str]:
    """An address of each kind of page."""
    arenas = world()
    found = list(pages.crawl())

    def first(start: str) -> str:
        return min(a for a in found if a.startswith(start) and a.endswith(".html"))

    return {
        "runs": "index.html",
        "run": "world/index.html",
        "report": "world-half/index.html",
        "arenas": "world/arenas.html",
        "filtered": "world/arenas.html?q=the&least-hops=2&sort=-hops",
        "arena": f"world/arenas/{arenas[4].id}.html",
        "arena-arabic": f"world/arenas/{arenas[6].id}.html",
        "arena-failed": f"world/arenas/{arenas[2].id}.html",
        "arena-state": f"desk/arenas/{talking_desk().id}.html",
        "set-aside": "world/set-aside/0.html",
        "episode": "world-gold/episodes/3.html",
        "episode-state": "desk-careless/episodes/1.html",
        "episode-benchmark": "toy-gold/episodes/1.html",
        "episode-tokens": "rl/conversations/0.html",
        "episodes": "world-gold/episodes.html",
        "credit": first("rl/credit/"),
        "trajectory": first("talks/trajectories/"),
        "server": first("tools/servers/"),
        "tool": first("world/tools/"),
        "transitions": "talks/tool-graph.html",
        "training": "training.html",
        "compare": "compare.html",
        "compared": "world-half/compare/world-random.html",
        "benchmarks": "benchmarks.html",
        "hostile-arena": first("evil-run-b/arenas/"),
        "hostile-episode": first("evil-run-b/episodes/"),
        "missing": "world/arenas/none.html",
    }


@pytest.fixture(scope="module")
def task(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, Any]]:
    """What the driver is to look at, served while the tests run."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.fail(f"{', '.join(missing)} not found: the pages were not looked at in a browser")
    path = tmp_path_factory.mktemp("browser")
    growing = path / "growing"
    growing.mkdir()
    line = to_line(sampled(single_hop_arena())).decode()
    (growing / "episodes.jsonl").write_text(line, "utf-8")
    paths = [runs, growing, hostile_runs(path / "hostile", MARKUP)]
    export_site(Shelf([runs]), path / "site", rows=20)
    with closing(astra.view(paths, port=0)) as served:
        yield {
            "base": f"{served.url}/",
            "chromium": shutil.which("chromium"),
            "pages": addresses(Pages(*paths)),
            "missing": "none.html",
            "growing": {
                "address": "growing/episodes.html",
                "file": str(growing / "episodes.jsonl"),
                "line": line,
            },
            "exported": str(path / "site"),
            "screenshots": os.environ.get("ASTRA_SCREENSHOTS") or str(path / "screenshots"),
        }


@pytest.fixture(scope="module")
def seen(task: dict[str, Any]) -> dict[str, Any]:
    """What the driver saw."""
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=DRIVER, check=True)
    command = ["node", "walk.mjs", json.dumps(task)]
    walked = subprocess.run(command, cwd=DRIVER, check=True, capture_output=True, timeout=900)
    return json.loads(walked.stdout)


def test_no_page_is_at_fault(seen: dict[str, Any], task: dict[str, Any]) -> None:
    """No error in the console, no request to elsewhere, no page that is too wide, and nothing of
    weight that axe finds."""
    assert seen["problems"] == [], "\n".join(seen["problems"])
    assert seen["visited"] == 4 * len(task["pages"]) + 2
    shots = list(Path(task["screenshots"]).rglob("*.png"))
    assert len(shots) >= 4 * len(task["pages"]) and all(shot.stat().st_size for shot in shots)


def test_keys(seen: dict[str, Any]) -> None:
    arenas = [arena.id for arena in world()]
    assert (seen["search"], seen["typed"], seen["chosen"]) == ("search", "jk", 1)
    assert seen["entered"].endswith(f"world/arenas/{arenas[1]}.html")
    assert seen["next"].endswith(f"world/arenas/{arenas[2]}.html")
    assert seen["up"].endswith("world/arenas.html") and seen["help"]
    light, dark, kept = seen["themes"]
    assert light != dark == kept


def test_filters(seen: dict[str, Any]) -> None:
    assert seen["filtered"] == [8, 1, "zh"] and seen["found"] == 2


def test_curves_are_drawn(seen: dict[str, Any]) -> None:
    assert len(seen["charts"]) >= 2 and all(seen["charts"])
    assert seen["smoothed"] == "0.9" and all(seen["smoothedCharts"])
    assert seen["runs"] == "rl-other,evil-run-b"


def test_pages_are_read_without_script(seen: dict[str, Any]) -> None:
    arenas = world()
    assert arenas[4].question in seen["plain"]["arena"]
    assert ARABIC in seen["plain"]["arena-arabic"] and "reward" in seen["plain"]["training"]
    assert all(len(text) > 40 for text in seen["plain"].values())


def test_a_page_follows_a_run_that_grows(seen: dict[str, Any]) -> None:
    assert seen["grown"] == [1, 2]


def test_an_export_opens_from_the_disk(seen: dict[str, Any]) -> None:
    assert seen["exportedTitle"].startswith(f"Arena {world()[0].id}")
    assert seen["exportedThemes"][0] != seen["exportedThemes"][1]
    assert len(seen["exportedCharts"]) >= 2 and all(seen["exportedCharts"])
