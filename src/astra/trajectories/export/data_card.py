"""The data card: README.md in the form that the HuggingFace hub reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from astra.chat import DIALECTS
from astra.runs.store import RunFolder
from astra.trajectories.statistics import TrajectoryTally

if TYPE_CHECKING:
    from astra.trajectories.export.dataset import ExportOptions

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


def card(
    run: RunFolder,
    options: ExportOptions,
    tallies: Mapping[str, TrajectoryTally],
    unrenderable: Mapping[str, int],
    excluded: int,
    files: Sequence[str],
) -> str:
    """The card's text. `files`: the Parquet files, if any were written."""
    filled = {split: tally for split, tally in tallies.items() if tally.rows}
    manifest = run.manifest()
    return _template().render(
        front=yaml.safe_dump(_front(options, filled, files), sort_keys=False, allow_unicode=True),
        name=run.path.name,
        options=options,
        splits={split: tally.report() for split, tally in filled.items()},
        manifest=manifest,
        money=sum(stage.dollars for stage in manifest.stages.values()),
        unrenderable={name: unrenderable.get(name, 0) for name in DIALECTS},
        excluded=excluded,
        config=run.config(),
    )


def _front(
    options: ExportOptions, filled: Mapping[str, TrajectoryTally], files: Sequence[str]
) -> dict[str, Any]:
    languages: Counter[str] = Counter()
    for tally in filled.values():
        languages.update(tally.languages)
    rows = sum(tally.rows for tally in filled.values())
    ending = "parquet" if files else "jsonl"
    return {
        "license": options.license,
        "language": sorted(languages),
        "task_categories": ["text-generation"],
        "tags": ["tool-calling", "function-calling", "agent", "synthetic"],
        "size_categories": [next((name for most, name in _SIZES if rows < most), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}.{ending}"} for split in filled],
            }
        ],
    }


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["cell"] = _cell
    return environment.get_template("card.md.j2")


def _cell(value: object) -> str:
    """Text from outside in one cell of a table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("`", "'")[:120]
