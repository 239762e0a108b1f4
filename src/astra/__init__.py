"""Make tool-use environments from your own data, prove that each one works, train agents in them.

Use it as `import astra`: names such as `Message` and `evaluate` exist in other packages, too. The
functions wait for their result, also inside a running event loop; `astra.aio` has them awaitable.
Names are imported when they are first used, so that `import astra` costs nothing.
"""

from __future__ import annotations

import importlib
import os


def _homes() -> dict[str, tuple[str, str]]:
    """Public name -> module that it comes from, and its name there: what the stub imports."""
    # The stub is the one list of names, since type checkers understand nothing that is computed.
    # Late: a name that has been used is in this module's globals and needs no list.
    import ast

    with open(os.path.join(os.path.dirname(__file__), "__init__.pyi"), encoding="utf-8") as stub:
        tree = ast.parse(stub.read())
    return {
        (alias.asname or alias.name).lstrip("_"): (node.module or "", alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("astra-arenas")
    # Other dunders are asked for by the import system itself, on every import.
    if name == "__all__" or not name.startswith("__"):
        homes = _homes()
        if name == "__all__":
            return sorted([*homes, "__version__"])
        if name in homes:
            module, attribute = homes[name]
            try:
                value = (
                    importlib.import_module(f"{__name__}.{attribute}")
                    if module == __name__
                    else getattr(importlib.import_module(module), attribute)
                )
            except ModuleNotFoundError as error:
                from astra.configs.extras import missing_package

                if (told := missing_package(error)) is not None:
                    raise told from error
                raise
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_homes(), "__version__"])
