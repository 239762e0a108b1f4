"""The packages that training needs and the rest does not."""

from __future__ import annotations

from importlib.util import find_spec

from astra.errors import ConfigError


def require_training() -> None:
    """ConfigError, with what to install, where the packages for training are missing."""
    missing = [name for name in ("torch", "trl", "peft") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training needs {missing[0]!r}, which is not installed: pip install "
            "'astra-arenas[train]' (in a clone: make install)"
        )
