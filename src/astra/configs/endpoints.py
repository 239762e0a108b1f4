"""Addresses and keys of services that options name: a secret must not stand in either.

An address is stored in run folders and stands in errors, so one that holds a password or a query
(where keys are written, too) is refused, without showing it. Keys come from environment variables,
which options name.
"""

import re
from urllib.parse import urlsplit

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_VARIABLE = 64


def check_address(url: str) -> None:
    """Raise ValueError, whose text quotes nothing of the address, if it can't be an endpoint's."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not a URL: write one like http://host:8000/v1") from None
    if "@" in parts.netloc:
        raise ValueError(
            "the address holds a user or a password, which would be stored: leave it out, and "
            "give a key by the environment variable that an option names"
        )
    if parts.query or parts.fragment:
        raise ValueError("the address has a part after ? or #, which is not sent: leave it out")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("not a URL: write one like http://host:8000/v1")


def check_variable(name: str) -> None:
    """Raise ValueError, without the value, if this can't be an environment variable's name."""
    if not _VARIABLE.fullmatch(name) or len(name) > _LONGEST_VARIABLE:
        raise ValueError(
            "not a name of an environment variable: put the key into a variable, and write its name"
        )
