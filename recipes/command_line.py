"""Runs a recipe as a program of its own, with the options, errors and exit statuses of `astra`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from cyclopts import App

from astra.cli.console import out
from astra.cli.help_layout import WIDTH, HelpLayout
from astra.cli.main import parse_with, run, run_program


class Recipe:
    """`main` of a recipe, made from a command (`astra.cli.command.command_from`)."""

    def __init__(self, program: str, command: App) -> None:
        command.usage = f"{program}{command.usage}"
        command.help_format = "plaintext"
        command.help_formatter = HelpLayout()
        command.console = out(width=WIDTH)
        command.version_flags = ()
        command["--help"].show = False
        self._app = command

    def parse(self, words: Sequence[str]) -> Callable[[], int]:
        """What a command line calls, with its options read and checked."""
        return parse_with(self._app, words)

    def __call__(self, words: Sequence[str] | None = None) -> int:
        """Run with these words (None: the process's own). Returns the exit status."""
        if words is None:
            return run_program(sys.argv[1:], self.parse)
        return run(words, self.parse)
