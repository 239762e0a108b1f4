"""How help pages look: plain text, one column of options and one of what they do."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from astra.configs.options import Option

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

COLUMN = 30
"""Where the right column begins, for options; that of commands fits their names."""
WIDTH = 100
_CHOICES_IN_METAVAR = 3
_TRIVIAL = {("≥", 0), (">", 0), ("≥", 1)}
"""Limits that help leaves out: anyone expects them."""


def metavar(option: Option) -> str:
    """What stands for the value of an option. Empty for a flag."""
    short = option.choices and len(option.choices) <= _CHOICES_IN_METAVAR
    names = "|".join(option.choices) if short else "NAME"
    match option.kind:
        case "choice":
            return "|".join((*option.choices, *(["FILE"] if option.open_choices else [])))
        case "list":
            return f"{names},..." if option.choices else "TEXT,..."
        case "weights":
            return f"{names}[=WEIGHT],..."
        case "mapping":
            return "NAME=VALUE,..."
        case "paths" | "path":
            return "PATH"
        case "text":
            return "TEXT"
        case "address":
            return "URL"
        case "variable":
            return "NAME"
        case "flag":
            return ""
        case "integer":
            return "INT"
        case "number":
            return "FLOAT"


def help_text(option: Option) -> str:
    """The text beside an option: its documentation, then range and default."""
    sentences: list[str] = []
    default = ""
    for sentence in re.split(r"(?<=[.;]) (?=[A-Z])", option.documentation):
        if sentence.startswith("None: "):
            default = sentence.removeprefix("None: ").rstrip(".")
        elif not sentence.startswith("In Python"):
            sentences.append(sentence)
    if option.kind in ("list", "weights") and len(option.choices) > _CHOICES_IN_METAVAR:
        sentences.append(f"One or more of: {', '.join(option.choices)}.")
    notes = [
        f"{limit.sign} {limit.number:g}"
        for limit in option.limits
        if (limit.sign, limit.number) not in _TRIVIAL
    ]
    if option.cli_required:
        notes.append("required")
    elif default := default or _as_typed(option.default):
        notes.append(f"default: {default}")
    return " ".join(sentences) + (f" [{'; '.join(notes)}]" if notes else "")


def _as_typed(value: Any) -> str:
    """A default as it would be typed. Empty for what needs no mention."""
    if value is True:
        return "on"
    if value is None or value is False or value in ((), {}, "", []):
        return ""
    if isinstance(value, Mapping):
        return ",".join(k if v == 1 else f"{k}={_as_typed(v)}" for k, v in value.items())
    if isinstance(value, tuple | list):
        return ",".join(map(_as_typed, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


class HelpLayout:
    """cyclopts's HelpFormatter of all commands.

    Its own ones show neither the range of a number nor a name beside its value, and draw boxes.
    """

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one group of options or commands."""
        if not panel.entries:
            return
        entries: list[tuple[str, str]] = []
        for entry in panel.entries:
            names = [*entry.positive_names, *entry.positive_shorts, *entry.negative_names]
            label = ", ".join(names) + (f" {entry.metavar}" if entry.metavar else "")
            # A positional argument has names, too, by which nobody gives it.
            entries.append((entry.positional_label or label, _plain(entry.description)))
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
