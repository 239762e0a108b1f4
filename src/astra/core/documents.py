"""Files of JSON or YAML that others wrote, read up to a bound."""

from __future__ import annotations

import json
from pathlib import Path

from astra.core.yaml_text import parse_yaml
from astra.errors import ConfigError, Rejected
from astra.types import Json


def read_document(path: Path, most_bytes: int, *, remedy: str) -> Json:
    """The value of a JSON or YAML file. Raises ConfigError.

    `remedy`: what to do about a file of more bytes.
    """
    if (size := path.stat().st_size) > most_bytes:
        raise ConfigError(f"{str(path)!r} has {size / 2**20:.0f} MiB, over {remedy}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(path)!r} is not UTF-8 text: save it as such") from error
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            # Flow-style YAML also begins with a bracket.
            if path.suffix in (".json", ".jsonl"):
                raise ConfigError(f"{str(path)!r} is not JSON ({error}): correct it") from error
    try:
        return parse_yaml(text)
    except Rejected as rejected:
        raise ConfigError(f"{str(path)!r}: {rejected.reason}") from rejected
