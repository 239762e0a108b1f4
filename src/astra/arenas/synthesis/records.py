"""The rows that the stages of synthesis hand to each other through the run folder."""

from __future__ import annotations

from typing import Literal

from astra.teacher.prompts.arenas import AnswerKind, DecompositionStep, DocumentOut, Implementation
from astra.types import Answer, Arena, Json, Language, Record, Scenario

SynthesisMode = Literal["question", "corpus", "domain"]


class SynthesisItem(Record):
    """What one instance is to be made from: a question, or a source to invent one about."""

    key: str
    """Content hash of all other fields except `origin`."""
    mode: SynthesisMode
    domain: str
    language: Language
    question: str = ""
    """Set in the mode `question`, else empty."""
    corpus: str = ""
    number: int = 0
    """Which of several questions about the same source."""
    origin: str
    """File name and line, for people."""


class DecomposedItem(Record):
    """A row of `decompositions.jsonl`: a question with its steps, sound by itself."""

    key: str
    mode: SynthesisMode
    origin: str
    domain: str
    language: Language
    question: str
    corpus: str = ""
    """Background text of the source; "": none."""
    answer: Answer
    kind: AnswerKind
    steps: tuple[DecompositionStep, ...]
    scenario: Scenario

    def step(self, name: str) -> DecompositionStep:
        """The step of that id; KeyError if there is none."""
        for step in self.steps:
            if step.id == name:
                return step
        raise KeyError(name)


class DecompositionScores(Record):
    """Scores by judges (ASTRA paper, validation of decomposed QA). All in [0, 1]."""

    dependency: float
    """DC: mean over steps of "every listed dependency is necessary"."""
    atomicity: float
    """SA: mean over steps of "can't be split further"."""
    rationality: float
    """SR: mean over steps of "runs only after what it needs, and is no padding"."""
    completeness: float
    """TC: 1 if the steps suffice for the question, else 0."""

    @property
    def quality(self) -> float:
        """QS, the mean of the four."""
        return (self.dependency + self.atomicity + self.rationality + self.completeness) / 4


class JudgedItem(Record):
    """A row of `judged.jsonl` and `validated.jsonl`: a decomposition with its scores."""

    key: str
    instance: DecomposedItem
    """`needs_tool` of its steps is the judges' verdict."""
    scores: DecompositionScores
    votes: dict[str, tuple[bool, ...]]
    """Prompt name, and step after a colon, -> the single verdicts."""


class StepTool(Record):
    """A tool that serves one step, verified for it."""

    step: str
    document: DocumentOut
    arguments: dict[str, Json]
    implementation: Implementation
    attempts: int
    """Calls written until one was verified."""


class StepGroup(Record):
    """Steps that ask the same kind of thing, so that one tool is to serve them."""

    steps: tuple[str, ...]
    problem: str = ""
    """Why the group can't be used. Empty if it can."""


class ImplementedItem(Record):
    """A row of `implemented.jsonl`: every group, and every step in none, has a verified tool."""

    key: str
    judged: JudgedItem
    tools: tuple[StepTool, ...]
    """A group's tool serves its first step; the others' are extensions of it."""
    groups: tuple[StepGroup, ...] = ()


class MergedGroup(Record):
    """The outcome of a group of steps that one tool was to serve."""

    steps: tuple[str, ...]
    merged: bool
    reason: str = ""
    """Why the steps stay separate. Empty if merged."""


class MergedItem(Record):
    """A row of `merged.jsonl`: the arena, not yet certified as a whole."""

    key: str
    arena: Arena
    groups: tuple[MergedGroup, ...]

    @property
    def outcome(self) -> Arena:
        """The arena as a candidate for certification (`CandidateArena`)."""
        return self.arena
