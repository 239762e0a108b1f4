"""`@file.toml` on the command line: the options that stand in a TOML file.

The file's top-level keys are names of options, with dashes or underscores. Lists repeat the
option, or are joined by commas where it takes one value; booleans switch flags. What is typed on
the command line wins. Sections `[table_options.*]` and `[prices.*]` are not options: the file's
path goes on to the command as `--tables-config` and `--prices`. `from` stands for `tables`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any, Protocol

from astra.errors import ConfigError
from astra.types import Json

_SECTIONS = {"table_options": "--tables-config", "prices": "--prices"}
"""Sections that are no options, and the option by which the command gets the file itself."""
_LONGEST = 2**20
_OTHER_NAMES = {"from": "tables"}


class OptionParameter(Protocol):
    """What is read of an option of typer's."""

    opts: Sequence[str]
    secondary_opts: Sequence[str]
    param_type_name: str
    nargs: int


def expand(arguments: Sequence[str], parameters: Sequence[Any]) -> list[str]:
    """A command's arguments with `@file.toml` replaced by what it says.

    `parameters`: those of the command. ConfigError for a file that can't be read, and for keys
    that are no options of the command.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    files = [a for a in arguments[:end] if a.startswith("@")]
    if not files:
        return list(arguments)
    if len(files) > 1:
        raise ConfigError(f"give one @file, not {len(files)}: {' '.join(files)}")
    typed = [a for a in arguments if a != files[0]]
    path = Path(files[0][1:])
    options: list[OptionParameter] = [p for p in parameters if p.param_type_name == "option"]
    return [*_from_file(path, options, typed), *typed]


def _from_file(path: Path, options: Sequence[OptionParameter], typed: Sequence[str]) -> list[str]:
    by_name = {spelling: option for option in options for spelling in option.opts}
    arguments: list[str] = []
    seen: dict[int, str] = {}
    for key, value in _read(path).items():
        section = _SECTIONS.get(key) if isinstance(value, Mapping) else None
        spelling = section or f"--{_OTHER_NAMES.get(key, key).replace('_', '-')}"
        option = by_name.get(spelling)
        if option is None or (isinstance(value, Mapping) and not section):
            raise _unknown(path, key, value, by_name)
        if other := seen.get(id(option)):
            raise ConfigError(f"{str(path)!r}: {key!r} and {other!r} are one option: keep one")
        seen[id(option)] = key
        if not _is_typed(option, typed):
            arguments += _spelled(path, key, str(path) if section else value, spelling, option)
    return arguments


def _read(path: Path) -> dict[str, Json]:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise ConfigError(f"{str(path)!r} is larger than {_LONGEST} bytes: give a TOML file")
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file {str(path)!r}: give @ and a path to a TOML file"
        ) from None
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{str(path)!r} is no TOML file: {error}") from error


def _unknown(
    path: Path, key: str, value: Json, known: Mapping[str, OptionParameter]
) -> ConfigError:
    if isinstance(value, Mapping):
        return ConfigError(
            f"{str(path)!r}: section [{key}] means nothing to this command; only "
            "[table_options.*] and [prices.*] do, to commands that read tables or ask a model"
        )
    names = [name[2:] for name in known if name.startswith("--")]
    near = difflib.get_close_matches(key.replace("_", "-"), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "see --help for the options"
    return ConfigError(f"{str(path)!r}: {key!r} is no option of this command: {hint}")


def _is_typed(option: OptionParameter, typed: Sequence[str]) -> bool:
    spellings = [*option.opts, *option.secondary_opts]
    return any(
        argument == spelling
        or argument.startswith(f"{spelling}=")
        or (not spelling.startswith("--") and argument.startswith(spelling))
        for argument in typed
        for spelling in spellings
    )


def _spelled(path: Path, key: str, value: Json, spelling: str, option: Any) -> list[str]:
    """An option and its value as they would be typed."""
    if getattr(option, "is_flag", False):
        if not isinstance(value, bool):
            raise ConfigError(f"{str(path)!r}: {key} = {value!r}: write true or false")
        if value:
            return [spelling]
        return list(option.secondary_opts[:1])
    if not isinstance(value, list):
        return [f"{spelling}={_text(path, key, value)}"]
    texts = [_text(path, key, item) for item in value]
    if option.nargs > 1:
        return [spelling, *texts]
    if getattr(option, "multiple", False):
        return [f"{spelling}={text}" for text in texts]
    return [f"{spelling}={','.join(texts)}"] if texts else []


def _text(path: Path, key: str, value: Json) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | date | time):
        raise ConfigError(
            f"{str(path)!r}: {key} = {value!r}: write a text, a number, or a list of them"
        )
    return str(value)
