"""API keys from environment variables: the one place outside of `cli/` that reads the environment.

Options name the variable and never hold the key, so that no run folder can hold it either.
"""

from __future__ import annotations

import os

from astra.errors import ConfigError


def api_key(variable: str | None) -> str | None:
    """The key in an environment variable, without the line break that some files leave on it.

    None as its name: no key is sent. Raises ConfigError.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"there is no environment variable {variable!r} with an API key: set it")
    return key
