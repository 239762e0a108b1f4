"""verl 0.9: Parquet rows, and an agent loop that sets the reward itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from astra.exports.huggingface import parquet_file
from astra.exports.publish import ExportContents, ExportFormat, template

LOOP = "astra_arena"


def files(contents: ExportContents) -> Mapping[str, bytes | Iterable[bytes]]:
    """The agent loop, the rows, and how to train with them."""
    tables = {
        f"data/{split}.parquet": parquet_file(
            {
                "prompt": row["messages"],
                "agent_name": LOOP,
                "data_source": "astra",
                # verl asks for one; the loop sets the reward.
                "reward_model": {"style": "rule", "ground_truth": ""},
                "extra_info": json.dumps({"arena": row["id"]}),
            }
            for row in rows
        )
        for split, rows in contents.rows.items()
    }
    return {
        "astra_verl.py": template("verl/astra_verl.py.txt"),
        "README.md": template(
            "verl/README.md.txt",
            arenas=contents.arenas,
            stateful=contents.stateful,
            conversations=contents.conversations,
            split=next(iter(contents.rows)),
        ),
        **tables,
    }


VERL = ExportFormat(title="verl 0.9", files=files)
