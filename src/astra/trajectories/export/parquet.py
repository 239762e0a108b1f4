"""JSONL rows as Parquet, through the `datasets` library (in the extra `train`).

Schemas and arguments differ from row to row, which Arrow's structs can't hold without filling the
gaps with nulls. Such columns are `Json`, as TRL's documentation asks for.
"""

from __future__ import annotations

import json
from pathlib import Path

from astra.errors import ConfigError
from astra.types import Json

_LISTS = ("messages", "tools", "conversations")
_OBJECTS = ("scores",)


def write_parquet(source: Path, target: Path) -> None:
    """Write a JSONL file's rows as Parquet, which `load_dataset` reads back as they were."""
    try:
        import datasets  # late: an optional package
    except ImportError as error:
        raise ConfigError(
            "--parquet needs the package `datasets`: pip install 'astra-arenas[train]'"
        ) from error
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    features = datasets.Features({name: _feature(name, value) for name, value in rows[0].items()})
    temporary = target.with_name(f".{target.name}.new")
    datasets.Dataset.from_list(rows, features=features).to_parquet(temporary)
    temporary.replace(target)


def _feature(name: str, value: Json) -> object:
    from datasets import Json as JsonColumn
    from datasets import List, Value

    if name in _LISTS and isinstance(value, list):
        return List(JsonColumn())
    if name in _OBJECTS:
        return JsonColumn()
    if isinstance(value, list):
        return List(Value("string"))
    return Value("float64" if isinstance(value, float) else "string")
