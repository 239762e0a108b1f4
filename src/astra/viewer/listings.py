"""The tables of rows that a run folder can show: from which files, with which columns.

For each row a listing takes what can be searched, filtered and sorted by, and nothing else: the
rest is read when the row's own page is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from astra.arenas.certificates import defect_of
from astra.runs.folder import RunFolder
from astra.viewer.row_facts import (
    ArenaFacts,
    CreditFacts,
    EpisodeFacts,
    FailureFacts,
    RolloutFacts,
    RowFacts,
    ServerFacts,
    ToolFacts,
)

ColumnKind = Literal["choice", "number", "text"]
"""choice: few values, offered as a filter. number: sorted as one. text: free words."""


@dataclass(frozen=True)
class ListColumn:
    """One column of a listing."""

    name: str
    title: str
    kind: ColumnKind


@dataclass(frozen=True)
class Listing:
    """Rows of some files of a run folder as a table."""

    name: str
    """As in addresses."""
    title: str
    files: tuple[str, ...]
    """Names of the files without `.jsonl`; `*.failed` stands for all files of failures."""
    columns: tuple[ListColumn, ...]
    facts: type[RowFacts]
    kept: tuple[str, ...] = ()
    """Values of a row that are kept beside those of the columns."""
    beside: str = ""
    """File of rows about these rows, by `arena`: the certificates."""

    def present_files(self, folder: RunFolder) -> list[str]:
        """The files of the listing that the folder has, without empty files of failures."""
        if self.files == ("*.failed",):
            failed = sorted(folder.path.glob("*.failed.jsonl"))
            return [path.name.removesuffix(".jsonl") for path in failed if _size(path)]
        return [file for file in self.files if folder.exists(f"{file}.jsonl")]

    def column(self, name: str) -> ListColumn | None:
        return next((column for column in self.columns if column.name == name), None)


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except OSError:  # the run was removed meanwhile
        return 0


def certificate_cell(row: Mapping[str, Any]) -> str:
    """What a listing says of an arena's certificate: `certified`, or the check that failed."""
    if not (defect := defect_of(row)):
        return "certified"
    checks = row.get("checks")
    for check in checks if isinstance(checks, list) else ():
        if isinstance(check, dict) and check.get("passed") is not True:
            return f"failed: {check.get('check')}"
    return defect


def _columns(**kinds: ColumnKind) -> tuple[ListColumn, ...]:
    return tuple(ListColumn(name, _TITLES.get(name, name), kind) for name, kind in kinds.items())


_TITLES = {"f1": "F1", "text": "question", "axis": "origin"}

LISTINGS: tuple[Listing, ...] = (
    Listing(
        "arenas",
        "Arenas",
        ("arenas",),
        _columns(
            text="text",
            certificate="choice",
            scenario="choice",
            hops="number",
            language="choice",
            domain="choice",
            split="choice",
            state="choice",
            level="choice",
            tools="number",
        ),
        ArenaFacts,
        beside="certificates",
    ),
    Listing(
        "set-aside",
        "Set aside",
        ("*.failed",),
        _columns(message="text", kind="choice", stage="choice", why="choice"),
        FailureFacts,
    ),
    Listing(
        "episodes",
        "Episodes",
        ("episodes",),
        _columns(
            text="text",
            category="choice",
            sample="number",
            f1="number",
            stop="choice",
            turns="number",
            calls="number",
        ),
        EpisodeFacts,
        kept=("task",),
    ),
    Listing(
        "conversations",
        "Conversations with tokens",
        ("conversations",),
        _columns(text="text", sample="number", f1="number", stop="choice", turns="number"),
        EpisodeFacts,
        kept=("task",),
    ),
    Listing(
        "trajectories",
        "Trajectories",
        ("rollouts",),
        _columns(
            text="text",
            kind="choice",
            axis="choice",
            language="choice",
            model="choice",
            host="choice",
            stop="choice",
            turns="number",
            calls="number",
        ),
        RolloutFacts,
    ),
    Listing(
        "credit",
        "Credit",
        ("credit",),
        _columns(
            task="text",
            step="number",
            reward="number",
            advantage="number",
            phase="choice",
            attribution="choice",
            steps="number",
        ),
        CreditFacts,
    ),
    Listing(
        "servers",
        "Servers",
        ("servers",),
        _columns(name="text", source="choice", domain="choice", language="choice", tools="number"),
        ServerFacts,
    ),
    Listing(
        "tools",
        "Tools",
        ("tools",),
        _columns(name="text", domain="choice", language="choice", split="choice"),
        ToolFacts,
    ),
)
