"""Runs one function as a command, with the errors and exit statuses of `astra`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from astra.cli.console import print_error
from astra.errors import AstraError


@dataclass(frozen=True, slots=True)
class RecipeCommand:
    """A recipe's `main`: reads options and calls the function with them."""

    name: str
    function: Callable[..., None]

    def parser(self) -> Any:
        """The click command."""
        app = typer.Typer(
            add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
        )
        app.command()(self.function)
        return typer.main.get_command(app)

    def __call__(self, words: Sequence[str] | None = None) -> int:
        """Run with these words (None: the process's own). Returns the exit status."""
        try:
            self.parser().main(
                args=list(sys.argv[1:] if words is None else words), prog_name=self.name
            )
        except SystemExit as end:
            return int(end.code or 0)
        except AstraError as error:
            print_error(str(error))
            return 2
        return 0
