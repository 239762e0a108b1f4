"""Templates of the source of tools."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from astra.arenas.tables.sql import quoted


def tool_templates(package: str, folder: str) -> Environment:
    """The templates of a package's folder. `py` writes a value as Python, `sql` a name as SQL."""
    templates = Environment(
        loader=PackageLoader(package, folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    templates.filters["py"] = repr
    templates.filters["sql"] = quoted
    return templates
