"""The pages as files that open from the disk, without a server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from astra.configs.spelling import option_name
from astra.core.files import write_file
from astra.errors import StoreError
from astra.viewer.shelf import Shelf
from astra.viewer.site import Site


def export_site(
    shelf: Shelf, out: Path, *, rows: int, on_page: Callable[[int], None] = lambda count: None
) -> int:
    """Write every page that can be reached from the list of runs. How many there are.

    `rows`: rows of each list that are exported; the list tells how many there are. `on_page`
    receives the number of pages so far. Raises StoreError if `out` holds something already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"{str(out)!r} is not empty: choose another {option_name('export')}")
    site = Site(shelf, static=True, most_rows=rows)
    with resources.as_file(resources.files("astra.viewer") / "static") as files:
        shutil.copytree(files, out / "static")
    waiting = ["index.html"]
    known = set(waiting)
    written = 0
    while waiting:
        address = waiting.pop()
        answer = site.answer(address)
        path = out / address
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, [answer.body])
        written += 1
        on_page(written)
        for found in answer.leads_to:
            if found not in known:
                known.add(found)
                waiting.append(found)
    return written
