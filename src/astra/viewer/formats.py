"""How values are shown: numbers, times, JSON, long texts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

LONG = 20_000
"""Characters of a text that stand on a page; the whole row is a page of its own."""


class CutText(NamedTuple):
    """A text for a page."""

    text: str
    left_out: int
    """Characters that are not shown."""


def cut(value: object, limit: int = LONG) -> CutText:
    """A text up to a length."""
    text = as_text(value)
    return CutText(text[:limit], max(0, len(text) - limit))


def pretty(value: object) -> str:
    """A JSON value as people read it: on one line if it is short."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    return (
        line if len(line) <= 100 else json.dumps(value, ensure_ascii=False, indent=2, default=str)
    )


def as_text(value: object) -> str:
    """A text as it is, any other value as JSON."""
    return value if isinstance(value, str) else pretty(value)


def parsed(text: str) -> str:
    """A text as people read it: JSON laid out, anything else as it is."""
    if len(text) > LONG or text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return pretty(json.loads(text))
    except (ValueError, RecursionError):
        return text


def number(value: object) -> str:
    """A number with up to three digits after the point; None as a dash."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value.is_integer():
        return f"{int(value):,}" if abs(value) < 1e15 else str(value)
    if not math.isfinite(value):
        return str(value)
    return f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.2e}"


def duration(seconds: float) -> str:
    """A time as hours, minutes and seconds."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def percent(value: float | None) -> str:
    """A fraction as a percentage."""
    return "–" if value is None else f"{100 * value:.1f} %"


def heat(value: float | None, scale: float = 1.0) -> str:
    """A class of the style sheet for a value: `heat-n5` … `heat-p5`, grey without one.

    `scale`: the value that is shown in the strongest colour.
    """
    if value is None or not math.isfinite(value) or scale <= 0:
        return "heat-none"
    step = max(-5, min(5, round(5 * value / scale)))
    return f"heat-{'n' if step < 0 else 'p'}{abs(step)}"


FILTERS: dict[str, Callable[..., Any]] = {
    "as_text": as_text,
    "cut": cut,
    "duration": duration,
    "heat": heat,
    "number": number,
    "parsed": parsed,
    "percent": percent,
    "pretty": pretty,
}
