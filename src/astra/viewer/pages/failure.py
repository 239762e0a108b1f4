"""An item that was set aside: which check rejected it, or what broke."""

from __future__ import annotations

from astra.runs.jsonl import FailureRow
from astra.viewer.pages.asked import Asked, Row, Shown


def failure_page(asked: Asked, row: Row) -> Shown:
    """`RUN/set-aside/ID.html`."""
    failure = row.record(FailureRow)
    return "failure.html", {
        "title": f"{failure.check or failure.type}: {failure.key}",
        "row": row,
        "failure": failure,
    }
