"""Objects named `module:name` in options: own rewards, own algorithms."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from astra.configs.spelling import option_name
from astra.errors import ConfigError


def load_object(text: str, option: str) -> Any:
    """The object that `module:name` names; modules of the working directory are found, too.

    Raises ConfigError, which names the option, if there is no such object.
    """
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise ConfigError(
            f"{option_name(option)} {text!r}: write module:name, as in my_rewards:concise"
        )
    folder = str(Path.cwd())
    # The console script leaves the working directory out of the path; `python -m` does not.
    sys.path.append(folder)
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{option_name(option)} {text!r}: {type(error).__name__}: {error}. Give a module that "
            "can be imported and a name in it"
        ) from error
    finally:
        sys.path.remove(folder)
    return found
