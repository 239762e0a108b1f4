"""Addresses of pages, as they are written into a page: relative, so that an exported site works
from the disk and a server works under any prefix.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode


class Links:
    """The links of one page, and which pages they led to."""

    def __init__(self, path: str, *, static: bool) -> None:
        """`path`: of the page itself, e.g. `world/arenas.html`. `static`: no server answers, so
        there are no queries: pages of lists have addresses of their own."""
        self.static = static
        self.root = "../" * path.count("/")
        self.used: dict[str, None] = {}

    def __call__(self, path: str, **query: object) -> str:
        """The address of a page from this page. Values of None and "" are left out."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        if self.static:
            # Of the first page of a list, the plain address.
            if (page := given.get("page", 1)) != 1:
                path = re.sub(r"(?=\.html$)", f"-page-{page}", path)
            given = {}
        self.used[path] = None
        asked = f"?{urlencode(given)}" if given else ""
        return f"{self.root}{quote(path)}{asked}"

    def asset(self, name: str) -> str:
        """The address of a file of `static/`."""
        return f"{self.root}static/{name}"


def page_of(path: str) -> tuple[str, int | None]:
    """The address of a list without its page, as `Links` writes it for an exported site."""
    match = re.fullmatch(r"(.+)-page-(\d{1,9})\.html", path)
    return (path, None) if match is None else (f"{match[1]}.html", int(match[2]))
