"""Commands that are not yet made from option classes; `cli/main.py` calls `run_legacy` for them.

Each command lives in a module of its own, which is imported when it is called: its function is
named `<verb>_command`. To convert one, remove it here and list it in `GROUPS` of `cli/main.py`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, NamedTuple, cast

import typer
from typer.core import TyperGroup

from astra.cli.config_file import expand

_OPTIONS: dict[str, Any] = {
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "rich_markup_mode": None,
}


class Verb(NamedTuple):
    """Where a verb lives, and what the list of verbs says of it."""

    module: str
    about: str


class LazyGroup(TyperGroup):
    """A group whose verbs are imported when they are asked for, not to list them."""

    verbs: ClassVar[Mapping[str, Verb]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        lazy = [name for name, verb in self.verbs.items() if find_spec(verb.module)]
        return [*lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        verb = self.verbs.get(cmd_name)
        if verb is None or not find_spec(verb.module):
            return super().get_command(ctx, cmd_name)
        function = getattr(importlib.import_module(verb.module), f"{cmd_name}_command")
        single = typer.Typer(add_completion=False, **_OPTIONS)
        single.command(cmd_name, context_settings=_OPTIONS["context_settings"])(function)
        return typer.main.get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._about(ctx, name)) for name in self.list_commands(ctx)])

    def _about(self, ctx: Any, name: str) -> str:
        if name in self.verbs:
            return self.verbs[name].about
        return self.get_command(ctx, name).get_short_help_str(limit=100)


class ArenasGroup(LazyGroup):
    verbs = {
        "synthesize": Verb("astra.cli.arenas_synthesize", "Make arenas with a teacher."),
    }


class TeacherGroup(LazyGroup):
    verbs = {}


class ToolsGroup(LazyGroup):
    verbs = {}


class TrajectoriesGroup(LazyGroup):
    verbs = {}


app = typer.Typer(cls=LazyGroup, add_completion=False, no_args_is_help=True, **_OPTIONS)
arenas = typer.Typer(cls=ArenasGroup, no_args_is_help=True, **_OPTIONS)
app.add_typer(arenas, name="arenas")
teacher = typer.Typer(cls=TeacherGroup, no_args_is_help=True, **_OPTIONS)
app.add_typer(teacher, name="teacher")


def print_version(asked: bool) -> None:
    """Print the installed version and leave, if asked."""
    if asked:
        typer.echo(f"astra {installed_version('astra-arenas')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and leave.", is_eager=True, callback=print_version
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the trace of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Train tool-using agents on certified arenas made from your own tables.

    Options can also stand in a TOML file, given as @FILE; what is typed wins.

    \b
    Examples:
      astra demo
      astra arenas make --tables data/ --count 100 --out runs/mine
      astra arenas make @arenas.toml --count 5
    """
    del version, debug  # the one is eager, the other was taken off the arguments by `run`


@arenas.callback()
def arenas_root() -> None:
    """Arenas: questions with working tools and rule-verifiable answers.

    \b
    Examples:
      astra arenas make --tables data/ --count 100 --seed 7 --out runs/mine
      astra arenas certify runs/mine
      astra arenas stats runs/mine
    """


@teacher.callback()
def teacher_root() -> None:
    """The teacher: what proposes questions and writes tools.

    \b
    Examples:
      astra teacher prompts
    """


def parse_legacy(arguments: Sequence[str]) -> Callable[[], int]:
    """A command line of one of these commands; usage errors come when it is called."""
    command = typer.main.get_command(app)
    return lambda: _status(command, _expanded(command, arguments))


def _expanded(command: Any, arguments: Sequence[str]) -> list[str]:
    """The arguments with `@file.toml` replaced; it may stand anywhere after the verb."""
    depth = 0
    while hasattr(command, "get_command") and depth < len(arguments):
        context = typer.Context(command)
        found = command.get_command(context, arguments[depth])
        if found is None:
            return list(arguments)
        command, depth = found, depth + 1
    return [*arguments[:depth], *expand(arguments[depth:], command.params)]


def _status(command: Any, arguments: Sequence[str]) -> int:
    """Run typer, which ends in SystemExit, also for its own messages on usage."""
    try:
        command.main(args=list(arguments), prog_name="astra", standalone_mode=True)
    except SystemExit as end:
        return cast(int, end.code or 0)
    return 0
