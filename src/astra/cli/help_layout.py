"""How help pages look: plain text, one column of options and one of what they do."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

COLUMN = 30
"""Where the right column begins, for options; that of commands fits their names."""
WIDTH = 100


class HelpLayout:
    """cyclopts's HelpFormatter of all commands.

    Its own ones show neither the range of a number nor a name beside its value, and draw boxes.
    """

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one group of options or commands."""
        if not panel.entries:
            return
        entries = [(_label(entry), _plain(entry.description)) for entry in panel.entries]
        commands = panel.format == "command"
        column = max((len(label) for label, _ in entries), default=0) + 4 if commands else COLUMN
        lines = [f"{panel.title}:"]
        for label, text in entries:
            wrapped = textwrap.wrap(text, WIDTH - column, break_on_hyphens=False) or [""]
            if len(label) + 4 > column:
                lines.append(f"  {label}")
            else:
                wrapped[0] = f"  {label}".ljust(column) + wrapped[0]
                lines.append(wrapped.pop(0))
            lines += [" " * column + line for line in wrapped]
        _print(console, "\n".join(lines) + "\n")

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the line that shows how the command is called."""
        _print(console, f"usage: {str(usage).strip()}\n")

    def render_description(self, console: Console, options: ConsoleOptions, text: Any) -> None:
        """Print what the command does."""
        _print(console, f"{_plain(text)}\n")


def _plain(text: Any) -> str:
    """The text of what cyclopts wraps for rich to print."""
    return str(getattr(text, "primary_renderable", text) or "").strip()


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _label(entry: HelpEntry) -> str:
    if entry.positional_label:
        return entry.positional_label
    names = [*entry.positive_names, *entry.positive_shorts, *entry.negative_names]
    return ", ".join(names) + (f" {entry.metavar}" if entry.metavar else "")
