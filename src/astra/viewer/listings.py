"""The tables of rows that a run folder can show: from which files, with which columns.

For each row a listing takes what can be searched, filtered and sorted by, and nothing else: the
rest is read when the row's own page is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from astra.arenas.certificates import defect_of
from astra.runs.folder import RunFolder

ColumnKind = Literal["choice", "number", "text"]
"""choice: few values, offered as a filter. number: sorted as one. text: free words."""
Cell = str | float | int | None


@dataclass(frozen=True)
class ListColumn:
    """One column of a listing."""

    name: str
    title: str
    kind: ColumnKind


class RowFacts(BaseModel):
    """Base of the parts of a row that a listing reads: fields of others are passed over."""

    model_config = ConfigDict(extra="ignore")

    def cells(self) -> dict[str, Cell]:
        """Column -> value. `id` is the row's own id, empty if it has none; `text` is searched."""
        raise NotImplementedError


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


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Provenance(_Part):
    level: int | str | None = None


class _ArenaFacts(RowFacts):
    id: str
    question: str = ""
    scenario: str = ""
    language: str = ""
    domain: str = ""
    split: str = ""
    goals: list[_Part] = []
    tools: list[_Part] = []
    distractors: list[_Part] = []
    state: _Part | None = None
    provenance: _Provenance = _Provenance()

    def cells(self) -> dict[str, Cell]:
        return {
            "id": self.id,
            "text": self.question,
            "scenario": self.scenario,
            "hops": len(self.goals),
            "language": self.language,
            "domain": self.domain,
            "split": self.split,
            "tools": len(self.tools) + len(self.distractors),
            "state": "no" if self.state is None else "yes",
            "level": self.provenance.level,
        }


class _Message(_Part):
    role: str = ""
    content: str = ""


class _Score(_Part):
    f1: float | None = None
    reward: float | None = None
    goals: int | None = None
    solved: int | None = None


class _Trajectory(_Part):
    task: str = ""
    sample: int = 0
    messages: list[_Message] = []
    calls: list[_Part] = []
    stop: str = ""
    turns: int = 0
    error: str = ""

    def said(self) -> str:
        """The request, and the answer: what one looks for."""
        asked = next((m.content for m in self.messages if m.role == "user"), "")
        return f"{asked}\n{self.messages[-1].content if self.messages else ''}"


class _EpisodeFacts(RowFacts):
    trajectory: _Trajectory = _Trajectory()
    score: _Score | float | None = None
    # Of benchmarks:
    task: str = ""
    category: str = ""
    trial: int = 0
    error: str = ""
    messages: list[_Message] = []

    def cells(self) -> dict[str, Cell]:
        if not isinstance(self.score, _Score) and self.task:
            told = _Trajectory(messages=self.messages).said()
            return {
                "id": "",
                "text": f"{self.task}\n{told}",
                "task": self.task,
                "sample": self.trial,
                "category": self.category,
                "f1": None if isinstance(self.score, _Score) else self.score,
                "stop": self.error or ("solved" if self.score == 1 else ""),
                "turns": sum(m.role == "assistant" for m in self.messages),
                "calls": None,
            }
        score = self.score if isinstance(self.score, _Score) else _Score()
        trajectory = self.trajectory
        return {
            "id": "",
            "text": f"{trajectory.task}\n{trajectory.said()}",
            "task": trajectory.task,
            "sample": trajectory.sample,
            "category": "",
            "f1": score.f1,
            "stop": trajectory.stop,
            "turns": trajectory.turns,
            "calls": len(trajectory.calls),
        }


class _Task(_Part):
    request: str = ""
    kind: str = ""
    language: str = ""
    axis: str = ""


class _RolloutFacts(RowFacts):
    id: str
    task: _Task = _Task()
    sample: int = 0
    model: str = ""
    host: str = ""
    trajectory: _Trajectory = _Trajectory()

    def cells(self) -> dict[str, Cell]:
        return {
            "id": self.id,
            "text": f"{self.task.request}\n{self.trajectory.said()}",
            "kind": self.task.kind,
            "axis": self.task.axis,
            "language": self.task.language,
            "model": self.model,
            "host": self.host,
            "stop": self.trajectory.stop,
            "turns": self.trajectory.turns,
            "calls": len(self.trajectory.calls),
        }


class _CreditFacts(RowFacts):
    id: str
    step: int = 0
    task: str = ""
    reward: float = 0.0
    advantage: float = 0.0
    phase: str | int = ""
    attribution: str = ""
    steps: list[_Part] = []

    def cells(self) -> dict[str, Cell]:
        return {
            "id": self.id,
            "text": self.task,
            "task": self.task,
            "step": self.step,
            "reward": self.reward,
            "advantage": self.advantage,
            "phase": str(self.phase),
            "attribution": self.attribution,
            "steps": len(self.steps),
        }


class _Document(_Part):
    name: str = ""
    description: str = ""


class _Tool(_Part):
    document: _Document = _Document()
    domain: str = ""
    language: str = ""


class _ToolFacts(RowFacts):
    id: str
    tool: _Tool = _Tool()
    arena: str = ""
    split: str = ""

    def cells(self) -> dict[str, Cell]:
        document = self.tool.document
        return {
            "id": self.id,
            "text": f"{document.name}\n{document.description}",
            "name": document.name,
            "domain": self.tool.domain,
            "language": self.tool.language,
            "split": self.split,
        }


class _CollectedTool(_Part):
    document: _Document = _Document()


class _ServerFacts(RowFacts):
    id: str
    name: str = ""
    description: str = ""
    domain: str = ""
    language: str = ""
    source: str = ""
    tools: list[_CollectedTool] = []

    def cells(self) -> dict[str, Cell]:
        names = " ".join(tool.document.name for tool in self.tools)
        return {
            "id": self.id,
            "text": f"{self.name}\n{self.description}\n{names}",
            "name": self.name,
            "source": self.source,
            "domain": self.domain,
            "language": self.language,
            "tools": len(self.tools),
        }


class _FailureFacts(RowFacts):
    key: str = ""
    stage: str = ""
    kind: str = ""
    check: str | None = None
    type: str | None = None
    message: str = ""

    def cells(self) -> dict[str, Cell]:
        return {
            "id": "",
            "text": f"{self.key}\n{self.message}",
            "stage": self.stage,
            "kind": self.kind,
            "why": self.check or self.type or "",
            "message": self.message,
        }


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
        _ArenaFacts,
        beside="certificates",
    ),
    Listing(
        "set-aside",
        "Set aside",
        ("*.failed",),
        _columns(message="text", kind="choice", stage="choice", why="choice"),
        _FailureFacts,
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
        _EpisodeFacts,
        kept=("task",),
    ),
    Listing(
        "conversations",
        "Conversations with tokens",
        ("conversations",),
        _columns(text="text", sample="number", f1="number", stop="choice", turns="number"),
        _EpisodeFacts,
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
        _RolloutFacts,
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
        _CreditFacts,
    ),
    Listing(
        "servers",
        "Servers",
        ("servers",),
        _columns(name="text", source="choice", domain="choice", language="choice", tools="number"),
        _ServerFacts,
    ),
    Listing(
        "tools",
        "Tools",
        ("tools",),
        _columns(name="text", domain="choice", language="choice", split="choice"),
        _ToolFacts,
    ),
)
