"""JSONL rows as Parquet, through the `datasets` library (in the extra `train`)."""

from __future__ import annotations

import json
from pathlib import Path

from astra.configs.spelling import option_name
from astra.core.files import replacing
from astra.errors import ConfigError

_JSON_LISTS = ("messages", "tools", "conversations")
_JSON_OBJECTS = ("scores",)


def write_parquet(source: Path, target: Path, *, json_columns: bool) -> None:
    """Write a JSONL file's rows as Parquet, which `load_dataset` reads back as they were.

    `json_columns`: what differs from row to row is JSON text already. Then the file needs no type
    of the library's own, and every version reads it, with null for keys that a message lacks.
    """
    try:
        import datasets  # late: an optional package
    except ImportError as error:
        raise ConfigError(
            f"{option_name('parquet')} needs the package `datasets`: pip install "
            "'astra-arenas[train]'"
        ) from error
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    if json_columns:
        import pyarrow  # with `datasets`, and as late
        from pyarrow import parquet

        with replacing(target) as temporary:
            parquet.write_table(pyarrow.Table.from_pylist(rows), temporary)
        return
    # Schemas and arguments differ from row to row. Arrow's structs would fill the gaps with nulls,
    # so such columns are `Json`, as TRL's documentation asks for.
    features: dict[str, object] = {}
    for name, value in rows[0].items():
        if name in _JSON_LISTS and isinstance(value, list):
            features[name] = datasets.List(datasets.Json())
        elif name in _JSON_OBJECTS:
            features[name] = datasets.Json()
        elif isinstance(value, list):
            features[name] = datasets.List(datasets.Value("string"))
        else:
            features[name] = datasets.Value("float64" if isinstance(value, float) else "string")
    dataset = datasets.Dataset.from_list(rows, features=datasets.Features(features))
    with replacing(target) as temporary:
        dataset.to_parquet(temporary)
