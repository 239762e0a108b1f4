"""Environment variables: API keys, and what a user's program gets of them. The one place outside of
`cli/` that reads the environment.

Options name the variable and never hold the key, so that no run folder can hold it either.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

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


_CLEAN = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


def clean_environment(names: Sequence[str]) -> dict[str, str]:
    """An environment for a program of the user's: what programs need to start, and what is named.

    Keys are not in it unless they are named. Raises ConfigError for a name that is not set.
    """
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ConfigError(f"there is no environment variable {missing[0]!r}: set it")
    return {name: os.environ[name] for name in (*_CLEAN, *names) if name in os.environ}
