"""What a request may ask for: one kind of task a file. The order is that of the registry."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from astra.arenas.stateful.operations.base import TaskKind
from astra.arenas.stateful.operations.branch import branch
from astra.arenas.stateful.operations.bulk import bulk
from astra.arenas.stateful.operations.cancel import cancel
from astra.arenas.stateful.operations.compute import compute
from astra.arenas.stateful.operations.conditional import conditional
from astra.arenas.stateful.operations.create import create
from astra.arenas.stateful.operations.delete import delete
from astra.arenas.stateful.operations.tell import tell
from astra.arenas.stateful.operations.transfer import transfer
from astra.arenas.stateful.operations.update import update

TASK_KINDS: Mapping[str, TaskKind] = MappingProxyType(
    {
        "update": update,
        "conditional": conditional,
        "branch": branch,
        "create": create,
        "transfer": transfer,
        "bulk": bulk,
        "compute": compute,
        "tell": tell,
        "cancel": cancel,
        "delete": delete,
    }
)
"""Name -> what draws a task of the kind."""
