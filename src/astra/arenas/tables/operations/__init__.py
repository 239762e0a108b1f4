"""The operations of table arenas, one file each.

To add one, write a `TableOperation` and put an instance into `OPERATIONS`.
"""

from __future__ import annotations

from astra.arenas.tables.operations.aggregate import Aggregate
from astra.arenas.tables.operations.base import TableOperation
from astra.arenas.tables.operations.compare import COMPARE
from astra.arenas.tables.operations.convert import Convert
from astra.arenas.tables.operations.count import Count
from astra.arenas.tables.operations.count_where import CountWhere
from astra.arenas.tables.operations.days_between import DAYS_BETWEEN
from astra.arenas.tables.operations.difference import DIFFERENCE
from astra.arenas.tables.operations.filter import FilterRows
from astra.arenas.tables.operations.find import FIND
from astra.arenas.tables.operations.list import ListRows
from astra.arenas.tables.operations.lookup import LOOKUP
from astra.arenas.tables.operations.rank import RANK
from astra.arenas.tables.operations.search import SEARCH

# The order is part of what a seed stands for: the planner draws from the operations in it.
OPERATIONS: dict[str, TableOperation] = {
    operation.name: operation
    for operation in (
        LOOKUP,
        Count(),
        Aggregate(),
        CountWhere(),
        ListRows(),
        RANK,
        FilterRows(),
        FIND,
        COMPARE,
        Convert(),
        DIFFERENCE,
        DAYS_BETWEEN,
        SEARCH,
    )
}
