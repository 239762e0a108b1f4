"""verifiers 0.4: a taskset package, with one process that serves the tools of all rollouts."""

from __future__ import annotations

from collections.abc import Mapping

from astra.exports.publish import ExportContents, ExportFormat, template

_MODULES = ("__init__", "published", "taskset", "tools")


def files(contents: ExportContents) -> Mapping[str, bytes]:
    """The package, and how to validate and evaluate with it."""
    return {
        "pyproject.toml": template("verifiers/pyproject.toml.txt"),
        "README.md": template(
            "verifiers/README.md.txt",
            arenas=contents.arenas,
            stateful=contents.stateful,
            conversations=contents.conversations,
        ),
        **{f"{name}.py": template(f"verifiers/{name}.py.txt") for name in _MODULES},
    }


VERIFIERS = ExportFormat(title="verifiers 0.4", files=files)
