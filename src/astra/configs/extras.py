"""Packages that only some parts need, and the extras of `astra-arenas` that bring them.

Playing published arenas needs none of them.
"""

from __future__ import annotations

from astra.errors import ConfigError

MAKE = (
    *("jinja2", "duckdb", "networkx", "numpy", "openai", "yaml", "datasketch"),
    *("docstring_parser", "python_calamine", "py3langid", "mimesis"),
)
"""Of the extra `make`: making arenas and trajectories, asking endpoints, evaluating."""
MCP = ("mcp", "mcp_types", "starlette", "uvicorn", "httpx2")
TRAIN = ("torch", "transformers", "trl", "datasets", "accelerate", "peft", "matplotlib")
_EXTRAS = dict.fromkeys(MAKE, "make") | dict.fromkeys(MCP, "mcp") | dict.fromkeys(TRAIN, "train")
_EXTRAS["ray"] = "ray"


def missing_package(error: ImportError) -> ConfigError | None:
    """The error that says which extra to install. None for any other import that failed."""
    package = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(package)
    if extra is None:
        return None
    return ConfigError(
        f"this needs the package {package!r}, which is not installed: pip install "
        f"'astra-arenas[{extra}]' (in a clone: make install)"
    )
