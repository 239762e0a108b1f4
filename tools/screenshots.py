"""The screenshots of the README: makes arenas of the example shop, plays them, takes pictures.

    python tools/screenshots.py docs/images

Needs Chromium (`apt-get install chromium`), or another one by `--browser`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import astra
from astra.viewer.serving import view

ROOT = Path(__file__).parents[1]
SIZE = "1280,900"
_BROWSER_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def main() -> None:
    """Write `arena.png` and `episode.png`."""
    parser = argparse.ArgumentParser(description="Screenshots of the README.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--browser", default=shutil.which("chromium"))
    given = parser.parse_args()
    if given.browser is None:
        parser.error("there is no chromium here: install it, or name a browser by --browser")
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        arenas = astra.make_arenas(
            ROOT / "examples/shop",
            count=10,
            actions=True,
            max_user_turns=3,
            conversations=["missing_parameter", "revision"],
            seed=4,
            out=runs / "shop",
        )
        report = astra.evaluate(arenas, policy="careless", split="all", out=runs / "careless")
        arena = next(each for each in arenas if each.state and len(each.state.turns) > 1)
        numbers = {e.trajectory.task: n for n, e in enumerate(report.episodes)}
        pages = view(runs, port=0)
        try:
            _picture(
                given.browser, f"{pages.url}/shop/arenas/{arena.id}.html", given.out / "arena.png"
            )
            address = f"{pages.url}/careless/episodes/{numbers[arena.id]}.html"
            _picture(given.browser, address, given.out / "episode.png")
        finally:
            pages.close()


def _picture(browser: str, address: str, out: Path) -> None:
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *_BROWSER_OPTIONS, f"--user-data-dir={profile}"]
        command += [f"--window-size={SIZE}", f"--screenshot={out.resolve()}", address]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main()
