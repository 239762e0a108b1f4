"""NeMo Gym: rows with ids of arenas, and a resources server that plays them in its own process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from astra.exports.publish import ExportContents, ExportFormat, json_line, template
from astra.types import Arena, Json

AGENT = "astra_arenas_agent"
_SERVER = "resources_servers/astra_arenas"
_SPLITS = {"train": "train", "test": "validation"}
"""Ours -> theirs."""
_LICENSES = {
    "apache-2.0": "Apache 2.0",
    "mit": "MIT",
    "cc-by-4.0": "Creative Commons Attribution 4.0 International",
    "cc-by-sa-4.0": "Creative Commons Attribution-ShareAlike 4.0 International",
}
"""NeMo Gym asks for one of its own list, and has TBD for the others."""
_RESERVED = frozenset({"seed_session", "close_session", "verify", "aggregate_metrics", "sessions"})
"""Addresses of resources servers, theirs and ours, which no tool can have."""


def files(contents: ExportContents) -> Mapping[str, bytes | Iterable[bytes]]:
    """Rows per split, the server, and the configuration that starts it."""
    splits = [_SPLITS[split] for split in contents.rows]
    license = _LICENSES.get(contents.license.lower(), "TBD")
    datasets = "\n".join(
        f"      - {{name: {split}, type: {split}, jsonl_fpath: data/{split}.jsonl,"
        f" license: {license}}}"
        for split in splits
    )
    rows = {
        f"data/{_SPLITS[split]}.jsonl": (json_line(_row(row)) for row in some)
        for split, some in contents.rows.items()
    }
    return {
        f"{_SERVER}/app.py": template("nemo_gym/app.py.txt"),
        f"{_SERVER}/configs/astra_arenas.yaml": template(
            "nemo_gym/astra_arenas.yaml.txt", datasets=datasets
        ),
        f"{_SERVER}/requirements.txt": b"astra-arenas\n",
        "README.md": template(
            "nemo_gym/README.md.txt",
            arenas=contents.arenas,
            stateful=contents.stateful,
            conversations=contents.conversations,
            split=splits[0],
        ),
        **rows,
    }


def _row(row: Mapping[str, Any]) -> dict[str, Json]:
    """A row in the form of the Responses API, where functions stand flat."""
    tools: list[Json] = [
        {"type": "function", "strict": False, **tool["function"]} for tool in row["tools"]
    ]
    return {
        "responses_create_params": {
            "input": row["messages"],
            "tools": tools,
            "parallel_tool_calls": False,
        },
        "verifier_metadata": {"arena": row["id"]},
        "agent_ref": {"type": "responses_api_agents", "name": AGENT},
    }


def refuses(arena: Arena) -> str:
    """Some addresses are the server's own."""
    if any(tool.name in _RESERVED for tool in (*arena.tools, *arena.distractors)):
        return "a tool has the name of one of the server's addresses (seed_session, verify)"
    return ""


NEMO_GYM = ExportFormat(title="NeMo Gym", files=files, refuses=refuses, user_tool=True)
