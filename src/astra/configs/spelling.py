"""How errors name an option: as whoever reads the error gave it.

A keyword of Python and a key of a TOML file are `max_hops`, an option of the command line is
`--max-hops`. The code that finds out about a wrong value knows its field alone, so the command line
sets the spelling for as long as a command runs.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

# A context variable: asyncio's tasks and threads that a command starts inherit it.
_SPELLING: ContextVar[Callable[[str], str]] = ContextVar("spelling", default=str)


def option_name(field: str) -> str:
    """The name of an option in an error, by its field; `credit.options` for one in a section."""
    return _SPELLING.get()(field)


@contextmanager
def spelled(spell: Callable[[str], str]) -> Generator[None]:
    """Names options by `spell`, which takes a field, within the block."""
    token = _SPELLING.set(spell)
    try:
        yield
    finally:
        _SPELLING.reset(token)
