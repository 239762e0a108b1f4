"""A data set folder for the HuggingFace hub: Parquet files and a card."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from itertools import islice

from astra.errors import ConfigError
from astra.exports.publish import ExportContents, ExportFormat, template
from astra.types import Json

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
_GROUP = 1000
"""Rows that are in memory at once, and stand in one row group."""


def files(contents: ExportContents) -> Mapping[str, bytes | Iterable[bytes]]:
    """One Parquet file a split, and the card."""
    total, certificates = contents.arenas, contents.certificates
    data_files = "\n".join(
        f"  - split: {split}\n    path: data/{split}-00000-of-00001.parquet"
        for split in contents.rows
    )
    card = template(
        "hf/README.md.txt",
        languages="\n".join(f"- {language}" for language in sorted(contents.languages)),
        license=contents.license,
        size=next((name for most, name in _SIZES if total < most), "n>1M"),
        data_files=data_files,
        split=next(iter(contents.rows)),
        splits="\n".join(f"| {split} | {len(rows)} |" for split, rows in contents.rows.items()),
        arenas=total,
        stateful=contents.stateful,
        conversations=contents.conversations,
        certified=certificates.certified,
        versions=", ".join(sorted(certificates.versions)) or "none",
        checks="\n".join(f"| {check} | {count} |" for check, count in certificates.passed.items()),
    )
    tables = {
        # Schemas of tools differ, and Arrow would fill gaps with nulls: they are JSON text.
        f"data/{split}-00000-of-00001.parquet": parquet_file(
            {**row, "tools": json.dumps(row["tools"], ensure_ascii=False)} for row in rows
        )
        for split, rows in contents.rows.items()
    }
    return {"README.md": card, **tables}


def parquet_file(rows: Iterable[Mapping[str, Json]]) -> Iterator[bytes]:
    """Rows of the same columns as the pieces of a Parquet file.

    Raises ConfigError without pyarrow.
    """
    try:
        import pyarrow  # late: in the extra `train`
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            "Parquet needs the package 'pyarrow': pip install 'astra-arenas[train]'"
        ) from error
    written, remaining = BytesIO(), iter(rows)

    def piece() -> bytes:
        content = written.getvalue()
        # The writer counts for itself where it is.
        written.seek(0)
        written.truncate()
        return content

    first = pyarrow.Table.from_pylist(list(islice(remaining, _GROUP)))
    with parquet.ParquetWriter(written, first.schema) as writer:
        writer.write_table(first)
        yield piece()
        while group := list(islice(remaining, _GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=first.schema))
            yield piece()
    yield piece()


HUGGINGFACE = ExportFormat(title="HuggingFace data set", files=files)
