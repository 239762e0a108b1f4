"""What a page is asked for: the runs, the address's query, and the rows that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from astra.errors import AstraError, StoreError
from astra.types import Json, Record
from astra.viewer.links import Links
from astra.viewer.listings import Listing
from astra.viewer.row_index import RowIndex
from astra.viewer.shelf import Run, Shelf

R = TypeVar("R", bound=Record)
Shown = tuple[str, Mapping[str, Any]]
"""A template and its values."""
PAGE_ROWS = 50
"""Rows on a page of a list."""
INDEX_SECONDS = 0.2
"""How long a page waits for an index that is not complete."""


class NoSuchPageError(AstraError):
    """An address that leads nowhere."""


class Row(NamedTuple):
    """A row that an address names."""

    run: Run
    listing: Listing
    id: str
    file: str
    offset: int
    before: str | None
    """Id of the row before it in the list."""
    after: str | None

    def record(self, kind: type[R]) -> R:
        """The row. Raises StoreError if it is damaged."""
        return self.run.folder.row_at(self.file, self.offset, kind)

    def value(self) -> Json:
        """The row as JSON, unchecked. Raises StoreError if it is none."""
        try:
            return json.loads(self.line())
        except (ValueError, RecursionError) as error:
            raise StoreError(f"row {self.id!r} of {self.file}.jsonl is no JSON: {error}") from error

    def line(self) -> bytes:
        """The row as it is stored."""
        for _, line in self.run.folder.lines(self.file, start=self.offset):
            return line
        raise StoreError(f"{str(self.run.path)!r} changed while it was read: load the page again")

    @property
    def address(self) -> str:
        return f"{self.run.name}/{self.listing.name}/{self.id}.html"


@dataclass(frozen=True)
class Asked:
    """The request for one page."""

    shelf: Shelf
    links: Links
    query: Mapping[str, str]
    most_rows: int | None
    """Rows of a list that have a page. None: all."""

    def with_query(self, query: Mapping[str, str]) -> Asked:
        """The same request, with values added to its query."""
        return replace(self, query={**self.query, **query})

    def run(self, name: str) -> Run:
        run = self.shelf.runs().get(name)
        if run is None:
            raise NoSuchPageError(f"there is no run {name!r} in the folders that are shown")
        return run

    def listing(self, run: Run, name: str) -> Listing:
        for listing in run.listings:
            if listing.name == name:
                return listing
        raise NoSuchPageError(f"the run {run.name!r} has no {name!r}")

    def row(self, run: Run, listing: str, row_id: str) -> Row:
        """The row of an id. Waits for the index where it has not come so far."""
        table = self.listing(run, listing)
        index = run.index(table)
        state = index.refresh(INDEX_SECONDS)
        place = index.place(row_id)
        while place is None and not state.complete:
            state = index.refresh(INDEX_SECONDS)
            place = index.place(row_id)
        if place is None:
            raise NoSuchPageError(f"{run.name!r} has no row {row_id!r} among its {listing}")
        number, file, offset = place
        before, after = index.neighbours(number)
        if self.most_rows is not None and number + 1 >= self.most_rows:
            after = None
        return Row(run, table, row_id, file, offset, before, after)

    def find(self, listing: str, row_id: str, *, first: Run | None = None) -> Row | None:
        """A row of that id in any run, looked for in `first` before the others."""
        runs = [run for run in self.shelf.runs().values() if run is not first]
        for run in [first, *runs] if first is not None else runs:
            for table in run.listings:
                if table.name == listing and self.index(run, table).place(row_id) is not None:
                    return self.row(run, listing, row_id)
        return None

    def index(self, run: Run, listing: Listing) -> RowIndex:
        """The index of a table, read on for a moment if it is not complete."""
        index = run.index(listing)
        index.refresh(INDEX_SECONDS)
        return index
