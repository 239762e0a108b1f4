"""A list of rows: found by words and values, sorted, page by page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from astra.viewer.listings import Listing
from astra.viewer.pages.asked import INDEX_SECONDS, PAGE_ROWS, Asked, Shown
from astra.viewer.row_index import RowQuery
from astra.viewer.shelf import Run

_ALWAYS = ("certificate", "stop", "why")


def listing_page(asked: Asked, run: Run, listing: Listing) -> Shown:
    """`RUN/LISTING.html`."""
    query = row_query(listing, asked.query)
    index = run.index(listing)
    state = index.refresh(INDEX_SECONDS)
    if asked.links.static:
        # What is exported holds all that there is, or says that it does not.
        while not state.complete:
            state = index.refresh(INDEX_SECONDS)
    page = max(1, whole(asked.query.get("page", "")) or 1)
    start = (page - 1) * PAGE_ROWS
    count = PAGE_ROWS if asked.most_rows is None else min(PAGE_ROWS, asked.most_rows - start)
    found = index.find(query, start=start, count=max(0, count))
    reached = found.total if asked.most_rows is None else min(found.total, asked.most_rows)
    choices = index.choices()
    return "listing.html", {
        "title": f"{listing.title} of {run.name}",
        "run": run,
        "listing": listing,
        "rows": found.rows,
        "total": found.total,
        "left_out": found.total - reached,
        "state": state,
        "query": query,
        "asked": {name: value for name, value in asked.query.items() if name != "page"},
        "page": page,
        "pages": max(1, math.ceil(reached / PAGE_ROWS)),
        "choices": choices,
        # A column that tells no row from another takes room and says nothing.
        "columns": [
            column
            for column in listing.columns
            if column.kind != "choice" or len(choices[column.name]) > 1 or column.name in _ALWAYS
        ],
    }


def row_query(listing: Listing, asked: Mapping[str, str]) -> RowQuery:
    """The query of an address. Values that are no numbers where one is wanted are passed over."""
    sort = asked.get("sort", "")
    bounds: dict[str, dict[str, float]] = {"least": {}, "most": {}}
    for column in listing.columns:
        for which, wanted in bounds.items():
            value = _number(asked.get(f"{which}-{column.name}", ""))
            if column.kind == "number" and value is not None:
                wanted[column.name] = value
    return RowQuery(
        words=asked.get("q", ""),
        chosen={
            column.name: asked[column.name]
            for column in listing.columns
            if column.kind == "choice" and asked.get(column.name)
        },
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        **bounds,
    )


def whole(text: str) -> int | None:
    """A whole number that SQLite can hold, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
