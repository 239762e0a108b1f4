"""A command of the command line, made from an option class.

cyclopts reads the line: which command, which option has which text, where the help goes. The texts
become values in `astra.configs`, as keywords in Python and keys in TOML files do, so that a range
or a choice is checked in one place and named in one way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Concatenate, TypeVar

from cyclopts import App, Group, Parameter

from astra.cli.help_layout import help_text, metavar
from astra.configs.files import read_options
from astra.configs.options import Config, Option, options
from astra.configs.spelling import spelled
from astra.configs.values import SEVERAL
from astra.errors import ConfigError

C = TypeVar("C", bound=Config)
FILE = "_file"
"""Keyword by which the frame hands over the path of `@FILE.toml`."""


def command_from(
    config: type[C], *, examples: Sequence[str]
) -> Callable[[Callable[Concatenate[C, ...], int | None]], App]:
    """Make a function of an option class a command; its docstring is the description.

    The function returns the exit status, None for 0. `--json` is an option if it has a parameter
    `as_json`.
    """

    def decorate(function: Callable[Concatenate[C, ...], int | None]) -> App:
        declared = options(config)
        has_json = "as_json" in inspect.signature(function).parameters

        def read(*positional: Any, **typed: Any) -> Callable[[], int]:
            names = (option.field for option in declared if option.positional)
            typed |= dict(zip(names, positional, strict=False))
            extra = {"as_json": typed.pop("json", False)} if has_json else {}
            file: Path | None = typed.pop(FILE, None)
            values = {} if file is None else read_options(file, config)
            in_file = {
                option.path
                for option in declared
                if option.field in (values.get(option.section, {}) if option.section else values)
            }
            # What is typed wins over the file, in sections option by option.
            for option in declared:
                texts = typed.get(option.path.replace(".", "_"))
                if texts is not None:
                    target = values.setdefault(option.section, {}) if option.section else values
                    target[option.field] = _value(option, texts)
                    in_file.discard(option.path)
            for option in declared:
                # An estimate writes nothing.
                needless = option.field == "out" and values.get("dry_run")
                if option.cli_required and option.field not in values and not needless:
                    raise ConfigError(f"{_label(option)} is needed: see --help")
            labels = {o.path: _label(o) for o in declared if o.path not in in_file}

            def spell(field: str) -> str:
                return labels.get(field, field)

            with spelled(spell):
                ready = config(**values)

            def call() -> int:
                with spelled(spell):
                    return function(ready, **extra) or 0

            return call

        # cyclopts wants one Group object for a title, and sorts groups by their key.
        titles = list(dict.fromkeys(option.group for option in declared))
        groups = {title: Group(title, sort_key=index) for index, title in enumerate(titles)}
        signature = [_parameter(option, groups[option.group]) for option in declared]
        other = Group("Other", sort_key=len(titles))
        if has_json:
            signature.append(_other("json", "Print the result as JSON.", other))
        # `--debug` is read by the frame, before there is a command; here for the help.
        signature.append(_other("debug", "Show the traceback of an error.", other))
        signature.sort(key=lambda parameter: parameter.kind)
        setattr(read, "__signature__", inspect.Signature(signature))  # noqa: B010 - not declared
        positional = "".join(
            f" {_label(option)}" if option.required else f" [{_label(option)}]"
            for option in declared
            if option.positional
        )
        return App(
            usage=f"{positional} [@FILE.toml] [OPTIONS]",
            help=inspect.cleandoc(function.__doc__ or ""),
            help_epilogue="\n".join(["Examples:", *(f"  {example}" for example in examples)]),
            default_command=read,
        )

    return decorate


def _value(option: Option, typed: str | list[str] | bool) -> Any:
    """What was typed as a value of the option class; ConfigError names the option as typed."""
    if isinstance(typed, bool):
        return typed
    texts = [typed] if isinstance(typed, str) else typed
    try:
        return option.parse(texts)
    except ValueError as error:
        # Of an option that is given twice, the last one counts.
        shown = option.shown(",".join(texts if option.kind in SEVERAL else texts[-1:]))
        raise ConfigError(f"{_label(option)} {shown}: {error}") from None


def _label(option: Option) -> str:
    if option.positional:
        return option.field.upper() + ("..." if option.kind == "paths" else "")
    return f"--{option.name}"


def _parameter(option: Option, group: Group) -> inspect.Parameter:
    """The option as cyclopts reads it: as text, or as a flag."""
    # A list, so that an option may be repeated: the last one wins, or all of a list's.
    several = option.kind in SEVERAL or not option.positional
    kind: Any = bool if option.kind == "flag" else list[str] if several else str
    parameter = Parameter(
        name=f"--{option.name}",
        help=help_text(option),
        metavar=metavar(option) or None,
        group=group,
        # A flag that is off needs no `--no-`; `--flag=false` overrides a file.
        negative=f"--no-{option.name}"
        if option.kind == "flag" and option.default is not False
        else (),
        required=False,  # a file may give it
        show_default=False,
    )
    return inspect.Parameter(
        option.path.replace(".", "_"),
        inspect.Parameter.POSITIONAL_OR_KEYWORD
        if option.positional
        else inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, parameter],
    )


def _other(name: str, text: str, group: Group) -> inspect.Parameter:
    parameter = Parameter(help=text, group=group, negative=())
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=False, annotation=Annotated[bool, parameter])
