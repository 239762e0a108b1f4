"""NeMo Gym: rows with ids of arenas, and the configuration of the server that plays them.

What this does not guarantee: the rows and the server follow NeMo Gym's documents; its own runner
was not run on them here, since it needs a newer Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from astra.exports.publish import ExportContents, ExportFormat, json_line, template
from astra.types import Arena, Json


def files(contents: ExportContents) -> Mapping[str, bytes | Iterable[bytes]]:
    """Rows per split, the server's configuration, and how to start it."""
    values = {"arenas": len(contents.certificates), "stateful": contents.stateful}
    rows = {
        f"data/{split}.jsonl": (json_line(_row(row)) for row in some)
        for split, some in contents.rows.items()
    }
    return {
        "resources_server.yaml": template("nemo_gym/resources_server.yaml.txt"),
        "README.md": template("nemo_gym/README.md.txt", **values),
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
    }


def refuses(arena: Arena) -> str:
    """Its agent has no turns of a user, and some addresses are the server's own."""
    if arena.state is not None and arena.state.turns:
        return "a user answers in it, which the agent of NeMo Gym can't"
    taken = {"seed_session", "verify", "sessions"}
    if any(tool.name in taken for tool in (*arena.tools, *arena.distractors)):
        return "a tool has the name of one of the server's addresses (seed_session, verify)"
    return ""


NEMO_GYM = ExportFormat(title="NeMo Gym 0.7", files=files, refuses=refuses)
