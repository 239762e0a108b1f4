"""Opening the run folder of a command: new, resumed, or overwritten."""

from __future__ import annotations

import re
import shutil
import weakref
from collections.abc import Collection, Mapping
from pathlib import Path

from astra.configs.base import OutputConfig, identity, runtime
from astra.configs.spelling import option_name
from astra.core.files import temporary_folder
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.types import Json


def open_run(
    config: OutputConfig,
    out: Path | str | None,
    *,
    inputs: Mapping[str, Json] | None = None,
    lowerable: Collection[str] = (),
) -> RunFolder:
    """The run folder of a command's options.

    `out`: None makes a temporary folder that lives as long as the `RunFolder`. `inputs`: hashes of
    what the options point to, e.g. of the tables; part of the identity. `lowerable`: fields whose
    number may be smaller than when the folder was made.
    Raises ConfigError if the folder was made with other options (it names the first), or exists
    and `if_exists` is "fail"; StoreError if it holds something else.
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(config).__name__.removesuffix("Config")).lower()
    stored: dict[str, Json] = {"command": name, **identity(config)}
    stored |= {"inputs": dict(inputs)} if inputs else {}
    stored["runtime"] = runtime(config)
    seeds = {"seed": config.seed}
    if out is None:
        with temporary_folder() as path:
            folder = RunFolder.create(path, stored, seeds=seeds)
        weakref.finalize(folder, shutil.rmtree, path, ignore_errors=True)
        return folder
    folder = RunFolder(out)
    if config.if_exists == "fail" and folder.exists("config.toml"):
        raise ConfigError(
            f"{str(out)!r} exists: choose another {option_name('out')}, or leave "
            f"{option_name('if_exists')} out to resume"
        )
    overwrite = config.if_exists == "overwrite" and folder.exists("config.toml")
    return RunFolder.create(out, stored, seeds=seeds, overwrite=overwrite, lowerable=lowerable)
