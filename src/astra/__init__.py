"""Train tool-using agents on certified arenas. The names below are the public ones.

They are imported when they are first asked for, so that `import astra` costs nothing.
"""

from __future__ import annotations

import importlib

_HOME = {
    "Arena": "astra.types",
    "ArenaSet": "astra.arenas.sets",
    "load_arenas": "astra.arenas.sets",
    "Certificate": "astra.types",
    "Goal": "astra.types",
    "Tool": "astra.types",
    "Trajectory": "astra.types",
    "AstraError": "astra.errors",
    "ArenaHost": "astra.hosts.arena",
    "OpenAIModel": "astra.models.openai",
    "certify": "astra.arenas.certificate",
    "evaluate": "astra.evaluation.arenas",
    "open_sandbox": "astra.sandbox",
    "score": "astra.rewards",
}


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOME)
