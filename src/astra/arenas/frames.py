"""Arenas and failures as tables: pandas frames, and a Hugging Face dataset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from astra.errors import ConfigError
from astra.types import Arena, Json

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(rows: Iterable[Json], columns: list[str] | None = None) -> DataFrame:
    """A row each. Raises ConfigError where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise ConfigError("tables need the package pandas: pip install pandas") from error
    return pandas.DataFrame(list(rows), columns=columns)


def dataset_of(arenas: Iterable[Arena]) -> Any:
    """The flat rows, and `arena`, the whole as JSON. Raises ConfigError without datasets."""
    try:
        from datasets import Dataset
    except ImportError as error:
        raise ConfigError("to_dataset needs the package datasets: pip install datasets") from error
    return Dataset.from_list(
        [
            flat(arena) | {"answer": str(arena.answer), "arena": arena.model_dump_json()}
            for arena in arenas
        ]
    )


def flat(arena: Arena) -> dict[str, Json]:
    """An arena as one row of a table."""
    return {
        "id": arena.id,
        "question": arena.question,
        "answer": arena.answer,
        "hops": arena.hops,
        "scenario": arena.scenario.value,
        "language": arena.language,
        "domain": arena.domain,
        "split": arena.split,
        "tools": [tool.name for tool in arena.tools],
        "distractors": [tool.name for tool in arena.distractors],
    }
