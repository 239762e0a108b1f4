"""The data card: README.md in the form that the HuggingFace hub reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from astra.chat import CHAT_FAMILIES
from astra.configs.trajectories import ExportTrajectoriesConfig
from astra.runs.folder import RunFolder
from astra.teacher.opening import RULES
from astra.trajectories.statistics import TrajectoryTally

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


def data_card(
    run: RunFolder,
    options: ExportTrajectoriesConfig,
    tallies: Mapping[str, TrajectoryTally],
    unrenderable: Mapping[str, int],
    *,
    excluded: int,
    ending: str,
) -> str:
    """The text of the card. `ending`: of the files of rows, jsonl or parquet."""
    filled = {split: tally for split, tally in tallies.items() if tally.rows}
    languages = sum((tally.languages for tally in filled.values()), Counter[str]())
    rows = sum(tally.rows for tally in filled.values())
    several = sum(tally.multi_turn for tally in filled.values())
    kind = "Tool-calling conversations with one user turn each"
    if several:
        kind = "Multi-turn tool-calling conversations"
        kind += "" if several == rows else f" ({several} of {rows} have several user turns)"
    files = [{"split": split, "path": f"{split}.{ending}"} for split in filled]
    front = {
        "license": options.license,
        "language": sorted(languages),
        "task_categories": ["text-generation"],
        "tags": ["tool-calling", "function-calling", "agent", "synthetic"],
        "size_categories": [next((name for most, name in _SIZES if rows < most), "n>1M")],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    manifest = run.manifest()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["cell"] = table_cell
    return environment.get_template("card.md.j2").render(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True),
        name=run.path.name,
        kind=kind,
        by_rule=sum(tally.judges[RULES] for tally in filled.values()),
        options=options,
        splits={split: tally.report() for split, tally in filled.items()},
        manifest=manifest,
        money=sum(stage.dollars for stage in manifest.stages.values()),
        unrenderable={family: unrenderable.get(family, 0) for family in CHAT_FAMILIES},
        excluded=excluded,
        # Where and how fast it was made is nobody's business: paths, addresses.
        config={name: value for name, value in run.config().items() if name != "runtime"},
    )


def table_cell(value: object) -> str:
    """Untrusted text in one cell of a Markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("`", "'")[:120]
