"""A data set folder for the HuggingFace hub: Parquet files and a card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from io import BytesIO
from itertools import islice

from astra.errors import ConfigError
from astra.exports.publish import ExportContents, ExportFormat, template
from astra.types import Json

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
_GROUP = 1000
"""Rows that are in memory at once, and stand in one row group."""


def files(contents: ExportContents) -> Mapping[str, bytes]:
    """One Parquet file a split, and the card."""
    total = len(contents.certificates)
    certificates = [each for each in contents.certificates.values() if each is not None]
    certified = sum(certificate.certified for certificate in certificates)
    versions = Counter(certificate.version for certificate in certificates)
    passed = Counter(check.check for each in certificates for check in each.checks if check.passed)
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
        certified=certified,
        versions=", ".join(sorted(versions)) or "none",
        checks="\n".join(f"| {check} | {count} |" for check, count in passed.items()),
    )
    tables = {
        # Schemas of tools differ, and Arrow would fill gaps with nulls: they are JSON text.
        f"data/{split}-00000-of-00001.parquet": parquet_file(
            {**row, "tools": json.dumps(row["tools"], ensure_ascii=False)} for row in rows
        )
        for split, rows in contents.rows.items()
    }
    return {"README.md": card, **tables}


def parquet_file(rows: Iterable[Mapping[str, Json]]) -> bytes:
    """Rows of the same columns as a Parquet file. Raises ConfigError without pyarrow."""
    try:
        import pyarrow  # late: in the extra `train`
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            "Parquet needs the package 'pyarrow': pip install 'astra-arenas[train]'"
        ) from error
    buffer, remaining = BytesIO(), iter(rows)
    first = pyarrow.Table.from_pylist(list(islice(remaining, _GROUP)))
    with parquet.ParquetWriter(buffer, first.schema) as writer:
        writer.write_table(first)
        while group := list(islice(remaining, _GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=first.schema))
    return buffer.getvalue()


HUGGINGFACE = ExportFormat(title="HuggingFace data set", files=files)
