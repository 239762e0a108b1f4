"""Tools of a certificate that make a call of another tool and break it off in the middle."""

from __future__ import annotations

from typing import Literal

from astra.types import Json, Tool, ToolSchema

INTERRUPTED = "certificate_interrupted_"
Fault = Literal["statement", "step"]
"""Before a statement, or within one, at a step of SQLite's machine."""
# An interrupt within a write ends the transaction and its process: so statements fail as well.
_SOURCE = """

def {name}(fault, stop, arguments):
    global DATABASE
    import sqlite3

    real, statements, steps = DATABASE, 0, 0

    class Faulty:
        def __getattr__(self, attribute):
            return getattr(real, attribute)

        def execute(self, *given):
            nonlocal statements
            statements += 1
            if fault == "statement" and statements == stop:
                raise sqlite3.OperationalError("disk I/O error")
            return real.execute(*given)

    def tick():
        nonlocal steps
        steps += 1
        return steps >= stop

    DATABASE = Faulty()
    if fault == "step":
        real.set_progress_handler(tick, 1)
    try:
        value = {tool}(**arguments)
    finally:
        DATABASE = real
        real.set_progress_handler(None, 0)
    failed = isinstance(value, dict) and isinstance(value.get("error"), dict)
    return value if failed else {{"statements": statements}}
"""


def interrupted(
    tool: str, arguments: dict[str, Json], fault: Fault, stop: int
) -> tuple[str, dict[str, Json]]:
    """A call that is broken off."""
    return INTERRUPTED + tool, {"fault": fault, "stop": stop, "arguments": arguments}


def interruptible(tool: Tool) -> Tool:
    """The tool that makes such calls of another, and says how many statements they made."""
    name = INTERRUPTED + tool.name
    document = ToolSchema(
        name=name, description="", parameters={"type": "object", "properties": {}}
    )
    source = tool.source + _SOURCE.format(name=name, tool=tool.name)
    return tool.model_copy(update={"document": document, "source": source})
