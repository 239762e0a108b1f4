"""The prompts of arena synthesis: their records (ASTRA paper, arena synthesis; spec section 2).

Field docstrings double as the descriptions in the JSON Schema that a model gets.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field

from astra.teacher.prompt import JudgeVerdict, Prompt, TeacherAnswer
from astra.types import Json, Language, Record, Scalar, Scenario

AnswerKind = Literal["text", "number", "date", "list"]


class DecompositionStep(TeacherAnswer):
    """One sub-question of a decomposition."""

    id: str
    """Short identifier, s1, s2, …"""
    question: str
    """The sub-question. It names what earlier steps found by description, never by value."""
    depends_on: tuple[str, ...] = ()
    """Ids of the steps whose answers this one cannot do without."""
    needs_tool: bool = True
    """False only for a last step that merely combines what the others found."""
    answer: Scalar | tuple[Scalar, ...]
    """Specific: a name, a number, an ISO date, or a list of such."""
    kind: AnswerKind
    """What the answer is."""


class QuestionSource(Record):
    """What a question is to be about."""

    domain: str
    corpus: str = ""
    """Background text; "": none."""
    language: Language
    least_hops: int
    most_hops: int


class ProposeIn(QuestionSource):
    """Unconditional mode: invent a question and decompose it."""

    scenario: Scenario
    number: int
    """Which of several questions about the same source."""


class DecomposeIn(QuestionSource):
    """Question-conditional mode: decompose a given question."""

    question: str


class Decomposition(TeacherAnswer):
    """A main question with its steps; or why there is none."""

    answerable: bool
    """False when the question can't be answered by tools with a specific answer."""
    acts: bool = False
    """True when the question asks to do something: book, buy, send, cancel, change a setting."""
    reason: str = ""
    """Why it is not answerable, or what it asks to do."""
    question: str = ""
    """The main question; "" when not answerable, as is the answer, and there are no steps."""
    steps: tuple[DecompositionStep, ...] = ()
    """In an order in which they can be taken."""
    answer: Scalar | tuple[Scalar, ...] = ""
    """The main question's, which follows from the steps' answers."""
    kind: AnswerKind = "text"
    """What the main answer is."""


class StepsIn(Record):
    """Steps to judge on one point, seen in their decomposition; the judge sees no answers."""

    domain: str
    language: Language
    question: str
    steps: tuple[DecompositionStep, ...]
    judge: tuple[str, ...]
    """Ids of the steps in question."""


class StepVerdict(TeacherAnswer):
    """A judgement on one step."""

    step: str
    """Its id."""
    reason: str
    """One sentence, before the verdict."""
    holds: bool


class StepVerdicts(TeacherAnswer):
    """Judgements on steps."""

    verdicts: tuple[StepVerdict, ...]
    """One for each id in `judge`, in that order."""


def verdicts_problem(given: StepsIn, answer: StepVerdicts) -> str:
    """Why an answer is not exactly one verdict for each step in question. Empty if it is."""
    found = Counter(verdict.step for verdict in answer.verdicts)
    problems = (
        ("no verdict", [step for step in given.judge if step not in found]),
        ("more than one verdict", [step for step, number in found.items() if number > 1]),
        ("a verdict that was not asked for", [step for step in found if step not in given.judge]),
    )
    told = [f"{what} on {', '.join(map(repr, steps[:9]))}" for what, steps in problems if steps]
    return f"there is {'; '.join(told)}: give one for each id in `judge`" if told else ""


class InstanceIn(Record):
    """A whole decomposition."""

    domain: str
    language: Language
    question: str
    answer: Scalar | tuple[Scalar, ...]
    steps: tuple[DecompositionStep, ...]


class DocumentIn(Record):
    """The step that a tool is wanted for. The answer is not shown."""

    domain: str
    language: Language
    question: str
    """The sub-question."""
    main_question: str
    also: tuple[str, ...] = ()
    """Other sub-questions of that kind, which the same tool will answer, too."""
    taken: tuple[str, ...] = ()
    """Tool names that must not be used again."""
    finding: str = ""
    """Why the last document was refused; "": this is the first."""


class DocumentOut(TeacherAnswer):
    """A tool document: the `function` object of the OpenAI tools format."""

    name: str
    description: str
    parameters: dict[str, Json] = Field(description="JSON Schema of type object")


class ScaleIn(Record):
    """A document to make richer: optional parameters, enumerations, defaults."""

    language: Language
    question: str
    document: DocumentOut
    finding: str = ""


class EarlierAnswer(Record):
    """What an earlier step found."""

    question: str
    answer: Scalar | tuple[Scalar, ...]


class CallIn(Record):
    """A tool and what it is to be asked."""

    language: Language
    main_question: str
    question: str
    document: DocumentOut
    known: tuple[EarlierAnswer, ...]
    finding: str = ""
    """What was wrong with the last try; "": this is the first."""


class CallOut(TeacherAnswer):
    """The arguments of one call."""

    arguments: dict[str, Json]


class ToolIn(Record):
    """Everything that an implementation must satisfy."""

    language: Language
    main_question: str
    question: str
    answer: Scalar | tuple[Scalar, ...]
    document: DocumentOut
    arguments: dict[str, Json]
    corpus: str = ""
    """Background text, whose facts the tool holds; "": none."""
    finding: str = ""
    """What the certificate found wrong with the last try: check, call and output."""
    last_source: str = ""


class Implementation(TeacherAnswer):
    """A Python module that defines the function of the document."""

    source: str
    """Python, standard library only, no files, no network, no clock, no chance."""
    field: str | None = None
    """Key of the result under which the answer stands; null when the result is plain text."""
    key_fields: tuple[str, ...] = ()
    """Keys of the result that repeat the arguments of the same name."""
    decoys: tuple[dict[str, Json], ...]
    """Arguments of at least five other calls that are answered, for other entities, most of them
    with other answers."""


class GroupIn(Record):
    """Steps that need tools, to be grouped by the kind of thing they ask."""

    language: Language
    question: str
    """The main question."""
    steps: tuple[DecompositionStep, ...]


class GroupOut(TeacherAnswer):
    """Groups of at least two steps that one tool can serve."""

    groups: tuple[tuple[str, ...], ...]


class ServedCall(Record):
    """A call that a tool must keep answering."""

    question: str
    answer: Scalar | tuple[Scalar, ...]
    arguments: dict[str, Json]


class AddedStep(Record):
    """A step that a tool is to answer, too."""

    question: str
    answer: Scalar | tuple[Scalar, ...]
    known: tuple[EarlierAnswer, ...]
    """What the steps found that it depends on."""


class ExtendIn(Record):
    """A tool to be extended by what another step asks."""

    language: Language
    main_question: str
    document: DocumentOut
    implementation: Implementation
    serves: tuple[ServedCall, ...]
    adds: AddedStep
    finding: str = ""


class ExtendOut(TeacherAnswer):
    """The extended tool, with the new step's arguments for it."""

    document: DocumentOut
    implementation: Implementation
    arguments: dict[str, Json]


class ParaphraseIn(Record):
    """A question to be put into natural words."""

    language: Language
    question: str
    keep: tuple[str, ...]
    """Names and values that must stand in the new wording as they are."""
    avoid: tuple[str, ...] = ()
    """What must not be said."""
    finding: str = ""


class Paraphrase(TeacherAnswer):
    """The same question in other words."""

    question: str


class WordingIn(Record):
    """Two wordings that must ask the same."""

    language: Language
    question: str
    wording: str
    """The new one."""
    plan: tuple[str, ...]
    """The sub-questions by which `question` is answered."""


PROPOSE = Prompt("propose", 2, ProposeIn, Decomposition)
DECOMPOSE = Prompt("decompose", 3, DecomposeIn, Decomposition)
NECESSITY = Prompt("judge_necessity", 2, StepsIn, StepVerdicts, problem=verdicts_problem)
DEPENDENCY = Prompt("judge_dependency", 2, StepsIn, StepVerdicts, problem=verdicts_problem)
ATOMICITY = Prompt("judge_atomicity", 2, StepsIn, StepVerdicts, problem=verdicts_problem)
RATIONALITY = Prompt("judge_rationality", 2, StepsIn, StepVerdicts, problem=verdicts_problem)
COMPLETENESS = Prompt("judge_completeness", 1, InstanceIn, JudgeVerdict)
DOCUMENT = Prompt("write_document", 3, DocumentIn, DocumentOut)
SCALE = Prompt("scale_document", 2, ScaleIn, DocumentOut)
CALL = Prompt("write_call", 2, CallIn, CallOut)
TOOL = Prompt("write_tool", 2, ToolIn, Implementation)
GROUP = Prompt("group_steps", 2, GroupIn, GroupOut)
EXTEND = Prompt("extend_tool", 2, ExtendIn, ExtendOut)
PARAPHRASE = Prompt("paraphrase", 2, ParaphraseIn, Paraphrase)
WORDING = Prompt("judge_wording", 1, WordingIn, JudgeVerdict)

ALL: tuple[Prompt[Record, Record], ...] = (  # pyright: ignore[reportAssignmentType] - read only
    *(PROPOSE, DECOMPOSE, NECESSITY, DEPENDENCY, ATOMICITY, RATIONALITY, COMPLETENESS),
    *(DOCUMENT, SCALE, CALL, TOOL, GROUP, EXTEND, PARAPHRASE, WORDING),
)
