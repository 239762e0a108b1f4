"""Regular expressions that others wrote, matched in linear time.

Python's engine takes exponential time for some pairs of a pattern and a text, and nothing can stop
it. It gets only patterns of fixed length; all others go to RE2, which never backtracks.

Not guaranteed: RE2 has no look-ahead, no look-behind and no back-references. Patterns that it can't
read are not matched at all.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

import re2

_FIXED = re.compile(r"(?:[^()*+?{}|\\]|\\[dwsDWS.\-/]|\{\d{1,3}\})*")
_OPTIONS: Any = re2.Options()
_OPTIONS.log_errors = False


def is_fixed(pattern: str) -> bool:
    """Whether all matches of a pattern have one length, so that any engine is fast with it."""
    return _FIXED.fullmatch(pattern) is not None


def is_matchable(pattern: str) -> bool:
    """Whether `matches` can decide about this pattern. False for what is not a pattern, too."""
    try:
        re.compile(pattern)
        return is_fixed(pattern) or _linear(pattern) is not None
    except (re.error, RecursionError, OverflowError):
        return False


def matches(pattern: str, text: str) -> bool | None:
    """Whether some part of the text matches. None if that can't be decided in linear time.

    `re.error` for what is not a pattern.
    """
    if is_fixed(pattern):
        return re.search(pattern, text) is not None
    compiled = _linear(pattern)
    if compiled is None:
        re.compile(pattern)  # raises, if it is the pattern's fault and not RE2's limits
        return None
    return compiled.search(text) is not None


@lru_cache(maxsize=1024)
def _linear(pattern: str) -> Any | None:
    try:
        return cast(Any, re2.compile(pattern, _OPTIONS))
    except re2.error:
        return None
