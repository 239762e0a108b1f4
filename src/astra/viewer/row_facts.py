"""The parts of stored rows that lists show and search: a record of each kind of row.

Fields of others are passed over, so that a list of long rows costs little.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Cell = str | float | int | None


class RowFacts(BaseModel):
    """Base of the parts of a row that a listing reads: fields of others are passed over."""

    model_config = ConfigDict(extra="ignore")

    def cells(self) -> dict[str, Cell]:
        """Column -> value. `id` is the row's own id, empty if it has none; `text` is searched."""
        raise NotImplementedError


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Provenance(_Part):
    level: int | str | None = None


class ArenaFacts(RowFacts):
    """Of a row of `arenas.jsonl`."""

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


class EpisodeFacts(RowFacts):
    """Of an episode of an evaluation, of a benchmark, or with tokens."""

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


class RolloutFacts(RowFacts):
    """Of a row of `rollouts.jsonl`."""

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


class CreditFacts(RowFacts):
    """Of a row of `credit.jsonl`."""

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


class ToolFacts(RowFacts):
    """Of a row of `tools.jsonl`."""

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


class ServerFacts(RowFacts):
    """Of a row of `servers.jsonl`."""

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


class FailureFacts(RowFacts):
    """Of a row of a file of failures."""

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
