"""OpenEnv: an environment with `openenv.yaml`, whose validation block says what was certified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from astra.errors import ConfigError
from astra.exports.publish import ExportContents, ExportFormat, template
from astra.types import Arena

NAME = "astra_arenas"
SESSIONS = 64
RESERVED = frozenset({"reset", "step", "state", "close"})
"""Names of tools that OpenEnv keeps for itself."""


def files(contents: ExportContents) -> Mapping[str, bytes]:
    """The environment, its server, the oracle and the manifest."""
    values = {"arenas": contents.arenas, "stateful": contents.stateful}
    # YAML has JSON as a part of itself, and this package needs no writer of YAML then.
    manifest = json.dumps(manifest_of(contents), indent=2, ensure_ascii=False)
    return {
        "openenv.yaml": manifest.encode() + b"\n",
        "arena_environment.py": template("openenv/arena_environment.py.txt"),
        "server/__init__.py": b"",
        "server/app.py": template("openenv/app.py.txt", environment=NAME, sessions=SESSIONS),
        "oracle.py": template("openenv/oracle.py.txt"),
        "README.md": template("openenv/README.md.txt", **values),
    }


def manifest_of(contents: ExportContents) -> dict[str, Any]:
    """`openenv.yaml`. Raises ConfigError for arenas whose certificates do not prove what it says.

    A certificate proves that gold calls score 1 and no calls 0: so the oracle reaches the maximum
    exactly, and the floor lies a whole reward below it.
    """
    certificates = contents.certificates
    if bad := contents.arenas - certificates.certified:
        raise ConfigError(
            f"{bad} of {contents.arenas} arenas have no good certificate, which the manifest of "
            f"OpenEnv would state; the first is {certificates.first_without!r}: certify them first"
        )
    return {
        "spec_version": 1,
        "name": NAME,
        "version": "0.1.0",
        "type": "space",
        "runtime": "fastapi",
        "app": "server.app:app",
        "port": 8000,
        "validation": {
            "reward": {"range": [0.0, 1.0], "oracle_tolerance": 0.0, "floor_margin": 1.0},
            "resources": {
                "cpu": 1.0,
                "memory_mb": 2048,
                "disk_mb": 1024,
                "episode_timeout_s": 600.0,
            },
            "network": {"mode": "no-network"},
            "capabilities": {
                "verifier": {"kind": "reward_channel"},
                "oracle": {"form": "script", "location": "oracle.py"},
                "declared_task_count": {split: len(rows) for split, rows in contents.rows.items()},
            },
            "types": {"tags": ["tool-use"]},
        },
        "certificates": {
            "certified": certificates.certified,
            "versions": sorted(certificates.versions),
            "checks_passed": dict(certificates.passed),
        },
    }


def refuses(arena: Arena) -> str:
    """OpenEnv reserves some names of tools."""
    if any(tool.name in RESERVED for tool in (*arena.tools, *arena.distractors)):
        return "a tool has a name that OpenEnv keeps for itself (reset, step, state, close)"
    return ""


OPENENV = ExportFormat(title="OpenEnv 0.10", files=files, refuses=refuses)
