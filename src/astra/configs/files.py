"""Options in a TOML file: `@arenas.toml` on the command line."""

import json
import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astra.configs.options import did_you_mean, options, sections
from astra.errors import ConfigError

_log = logging.getLogger(__name__)
_MAX_BYTES = 2**20
_UNSAFE: dict[str, tuple[object, str]] = {
    "sandbox": ("unsafe", "tool code of this run may do whatever you may do"),
    "confine_servers": (False, "servers of this run may do whatever you may do"),
}
"""Values that take protection away. On the command line they are plain to see, in a file not."""


def read_options(path: Path, cls: type) -> dict[str, Any]:
    """The options of a class that stand in a TOML file, checked; ConfigError names file and key.

    Keys are names of options, with dashes or underscores. A section with the name of a path
    option, e.g. `[prices."model"]`, stands for this very file.
    """
    nested = sections(cls)
    values: dict[str, Any] = {}
    for written, value in read_toml(path).items():
        key = written.replace("-", "_")
        if key in values:
            raise ConfigError(f"{str(path)!r}: {written!r} stands there twice: keep one")
        if key in nested and isinstance(value, Mapping):
            values[key] = _accepted(path, value, cls, section=key)
        else:
            values.update(_accepted(path, {written: value}, cls, section=""))
    for field, (unsafe, danger) in _UNSAFE.items():
        if field in values and values[field] == unsafe:
            _log.warning("%r sets %s = %s: %s", str(path), field, json.dumps(unsafe), danger)
    return values


def _accepted(path: Path, values: Mapping[str, Any], cls: type, section: str) -> dict[str, Any]:
    known = {option.field: option for option in options(cls) if option.section == section}
    accepted: dict[str, Any] = {}
    for written, value in values.items():
        option = known.get(written.replace("-", "_"))
        where = f"{section}.{written}" if section else written
        if option is None:
            hint = did_you_mean(written.replace("-", "_"), list(known))
            raise ConfigError(
                f"{str(path)!r}: {where!r} is not an option of this command"
                f"{hint or ': see --help for the options'}"
            )
        if option.kind == "path" and isinstance(value, Mapping):
            value = path
        try:
            accepted[option.field] = option.accept(value)
        except ValueError as error:
            shown = f"{where} = {option.shown(value)}"
            raise ConfigError(f"{str(path)!r}: {shown}: {error}") from None
    return accepted


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. ConfigError for one that can't be read, or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ConfigError(f"{str(path)!r} is larger than {_MAX_BYTES} bytes: give a TOML file")
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file {str(path)!r}: check the path of the TOML file"
        ) from None
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{str(path)!r} is not a TOML file: {error}") from error
