"""What all commands print with: text that can't drive the terminal, JSON, errors.

Results go to stdout, everything else to stderr. Data is hostile: it may hold escape sequences,
right-to-left overrides and rich's own markup.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from astra.runs.config_file import SECRET

# Control characters but tab and newline, and those that turn the direction of writing.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_UNPRINTABLE = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")


class _Console(Console):
    """A console that leaves a closed pipe to the command's outermost layer."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def out(width: int | None = None) -> Console:
    """The console for results; `width` None: the terminal's."""
    return _Console(highlight=False, width=width)


def err() -> Console:
    """The console for progress and messages."""
    return _Console(stderr=True, highlight=False)


@contextmanager
def counting(items: str, *, shown: bool = True) -> Generator[Callable[[int, int], None]]:
    """A progress bar on a terminal: call what is yielded with (all, failed so far) per item."""
    console = err()
    with Progress(
        TextColumn(items),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    ) as progress:
        bar = progress.add_task(items, total=None, failed=0)

        def show(total: int, failed: int) -> None:
            progress.update(bar, advance=1, total=total, failed=failed)

        yield show


def clean(text: str) -> str:
    """The text with what could drive a terminal spelled out, e.g. `\\x1b`."""
    text = _SURROGATES.sub("\ufffd", text)
    return _UNSAFE.sub(lambda match: ascii(match.group())[1:-1], text)


def plain(value: object, style: str = "", *, limit: int | None = None) -> Text:
    """A value from outside as it can be shown: cleaned, never read as markup."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = clean(text)
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters)"
    return Text(text, style=style)


def shares(title: str, items: str, counts: Mapping[str, int], total: int) -> Table:
    """A table of how often each value occurs among `total` items."""
    table = Table(title, items, "share")
    for value, count in counts.items():
        table.add_row(plain(value or "(none)", limit=80), str(count), f"{count / total:.1%}")
    return table


def reasons(*counts: Mapping[str, int]) -> str:
    """Why items were set aside: `3 by leak, 1 by replay`."""
    merged = {reason: number for each in counts for reason, number in each.items()}
    return ", ".join(f"{number} by {reason}" for reason, number in sorted(merged.items()))


def print_json(value: Any) -> None:
    """The only thing on stdout under `--json`: one JSON value."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not unicode, indent=2)
    # Still the same JSON, with nothing in it that a terminal would act upon.
    text = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    sys.stdout.write(text + "\n")


def print_error(message: str) -> None:
    """One red line on stderr, whatever the message holds."""
    line = " ".join(clean(message).split())
    err().print(Text.assemble(("error: ", "bold red"), (line, "red")), soft_wrap=True)


def print_settings(title: str, settings: Mapping[str, Any]) -> None:
    """Settings on one line of stderr, where logs are kept: secrets are not shown."""
    shown = without_secrets(settings)
    listed = ", ".join(f"{key}={value}" for key, value in shown.items())
    err().print(plain(f"{title}: {listed}"), soft_wrap=True)


def without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the values masked that a run folder leaves out by their name."""
    return {
        key: "***" if SECRET.search(str(key)) else _without_secrets(value)
        for key, value in settings.items()
    }


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_secrets(value)
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value
