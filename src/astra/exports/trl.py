"""TRL's GRPOTrainer: a module with an environment factory, a data set and one reward function."""

from __future__ import annotations

from collections.abc import Mapping

from astra.exports.publish import ExportContents, ExportFormat, template
from astra.types import Arena

RESERVED = frozenset({"reset", "get_reward"})
"""Names of methods that TRL does not take for tools, as those that begin with an underscore."""


def files(contents: ExportContents) -> Mapping[str, bytes]:
    """The module, and how to train with it."""
    return {
        "astra_trl.py": template("trl/astra_trl.py.txt"),
        "README.md": template(
            "trl/README.md.txt",
            arenas=contents.arenas,
            stateful=contents.stateful,
            conversations=contents.conversations,
            split=next(iter(contents.rows)),
        ),
    }


def refuses(arena: Arena) -> str:
    """Some names are TRL's own."""
    for tool in (*arena.tools, *arena.distractors):
        if tool.name in RESERVED or tool.name.startswith("_"):
            return "a tool has a name that TRL keeps for itself (reset, get_reward, or with _)"
    return ""


TRL = ExportFormat(title="TRL 1.16", files=files, refuses=refuses, user_tool=True)
