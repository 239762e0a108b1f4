"""The pages by their addresses. The server and the export both ask here.

index.html                    all runs
training.html compare.html    curves of several runs; two runs on the same items
benchmarks.html               runs of the field's benchmarks beside each other
RUN/index.html                one run
RUN/compare/RUN.html          as compare.html
RUN/LISTING.html              rows: arenas, episodes, … (listings.py)
RUN/LISTING/ID.html           one row; ID.json is the whole of it as it is stored
RUN/tool-graph.html           which tools' outputs feed which inputs
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from astra.errors import AstraError
from astra.viewer import formats
from astra.viewer.links import Links, page_of
from astra.viewer.pages.asked import Asked, NoSuchPageError
from astra.viewer.pages.registry import LISTS, ROWS, RUN_PAGES, SITE_PAGES
from astra.viewer.shelf import Shelf

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """What is sent for an address."""

    body: bytes
    media_type: str = HTML
    status: int = 200
    leads_to: tuple[str, ...] = ()
    """Addresses that the page links to, from the root."""


class Site:
    """All pages over the runs of a shelf."""

    def __init__(self, shelf: Shelf, *, static: bool = False, most_rows: int | None = None) -> None:
        """`static`: pages for an exported site. `most_rows`: rows of a list that have pages there;
        None: all of them."""
        self.shelf = shelf
        self.static = static
        self.most_rows = most_rows
        templates = resources.files("astra.viewer") / "templates"
        self._templates = Environment(
            loader=FileSystemLoader(str(templates)),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(formats.FILTERS)
        self._templates.filters["json_data"] = _json_data

    def answer(self, address: str, query: Mapping[str, str] | None = None) -> Answer:
        """The page at an address. One that does not exist, or can't be read, is told as a page."""
        path, number = page_of(address.removeprefix("/") or "index.html")
        asked = dict(query or {}) | ({} if number is None else {"page": str(number)})
        links = Links(address.removeprefix("/"), static=self.static)
        try:
            return self._page(path, asked, links)
        except NoSuchPageError as error:
            return self._problem(links, "There is no such page", str(error), 404)
        except AstraError as error:
            return self._problem(links, "This can't be shown", str(error), 500)

    def _page(self, path: str, query: dict[str, str], links: Links) -> Answer:
        asked = Asked(self.shelf, links, query, self.most_rows)
        match path.split("/"):
            case [name] if name in SITE_PAGES:
                return self._shown(SITE_PAGES[name](asked), links)
            case [first, "compare", second] if second.endswith(".html"):
                # An address without a query: an exported site has it, too.
                runs = {"first": first, "second": second.removesuffix(".html")}
                return self._shown(SITE_PAGES["compare.html"](asked.with_query(runs)), links)
            case [run, name] if name in RUN_PAGES:
                return self._shown(RUN_PAGES[name](asked, asked.run(run)), links)
            case [run, name] if name.endswith(".html"):
                listing = asked.listing(asked.run(run), name.removesuffix(".html"))
                return self._shown(LISTS(asked, asked.run(run), listing), links)
            case [run, listing, name] if name.endswith(".json"):
                row = asked.row(asked.run(run), listing, name.removesuffix(".json"))
                return Answer(_laid_out(row.line()), TEXT)
            case [run, listing, name] if name.endswith(".html"):
                row = asked.row(asked.run(run), listing, name.removesuffix(".html"))
                return self._shown(ROWS[listing](asked, row), links)
            case _:
                raise NoSuchPageError(f"nothing has the address {path!r}")

    def _shown(self, page: tuple[str, Mapping[str, Any]], links: Links) -> Answer:
        template, values = page
        return Answer(self._render(template, links, values), leads_to=tuple(links.used))

    def _problem(self, links: Links, title: str, message: str, status: int) -> Answer:
        body = self._render("problem.html", links, {"title": title, "message": message})
        return Answer(body, status=status)

    def _render(self, template: str, links: Links, values: Mapping[str, Any]) -> bytes:
        text = self._templates.get_template(template).render(
            link=links, asset=links.asset, static=self.static, **values
        )
        # JSON may hold halves of surrogate pairs, which UTF-8 can't.
        return text.encode("utf-8", "replace")


def _laid_out(line: bytes) -> bytes:
    """A row as people read it, or as it is stored."""
    try:
        text = json.dumps(json.loads(line), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return line
    # JSON may hold halves of surrogate pairs, which UTF-8 can't.
    return text.encode("utf-8", "replace")


def _json_data(value: object) -> Markup:
    """A value for `<script type="application/json">`, where nothing of it can end the element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
