"""Stage `implemented`: a verified tool for every step that needs one, or none for the instance.

Per step: document, richer document, call, implementation; then the certificate examines a trial
arena of that step alone, in the sandbox. What it finds goes back to the teacher, which tries again
from the call, a bounded number of times. One failed step fails the instance.

What a row guarantees: each tool passed the checks of the certificate on its own. Not that the steps
work together (the certificate of the whole arena says that), nor that answers are true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from astra.arenas.certificate.function_signature import MAX_SOURCE
from astra.arenas.synthesis.asking import together
from astra.arenas.synthesis.build import (
    failed_check,
    implementation_problem,
    said,
    trial_arena,
)
from astra.arenas.synthesis.documents import call_problem, document_problem
from astra.arenas.synthesis.records import DecomposedItem, ImplementedItem, JudgedItem, StepTool
from astra.arenas.synthesis.screen import source_problem
from astra.errors import Rejected
from astra.protocols import Sandbox
from astra.runs.cost import StageMeter
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.arenas import (
    CALL,
    DOCUMENT,
    SCALE,
    TOOL,
    CallIn,
    DecompositionStep,
    DocumentIn,
    DocumentOut,
    EarlierAnswer,
    Implementation,
    ScaleIn,
    ToolIn,
)
from astra.types import Json, Scalar

IMPLEMENTED = "implemented"
DOCUMENT_TRIES = 3
"""Documents asked for per step, and richer ones of a document."""


@dataclass(frozen=True, slots=True)
class ImplementationFault:
    """Why a try failed: the check's id and the finding as the teacher gets it."""

    check: str
    finding: str


def implemented_stage(
    teacher: Teacher, sandbox: Sandbox, meter: StageMeter, *, tries: int = 4, seed: int = 0
) -> Stage[JudgedItem, ImplementedItem]:
    """Validated instances to instances with tools. `tries`: calls written per step, at most."""

    async def work(judged: JudgedItem) -> ImplementedItem:
        instance = judged.instance
        steps = [step for step in instance.steps if step.needs_tool]
        documents = await _documents(teacher, instance, steps)
        made = await together(
            _StepWork(teacher, sandbox, instance, step, document, tries, seed).run()
            for step, document in zip(steps, documents, strict=True)
        )
        return ImplementedItem(key=judged.key, judged=judged, tools=tuple(made))

    return Stage(
        name=IMPLEMENTED,
        work=work,
        key=lambda judged: judged.key,
        stored_key=lambda row: row["key"],
        stored_id=lambda row: row["key"],
        meter=meter,
    )


# --- documents --------------------------------------------------------------------------------


async def _documents(
    teacher: Teacher, instance: DecomposedItem, steps: Sequence[DecompositionStep]
) -> list[DocumentOut]:
    """A document per step, one after the other, so that their names differ."""
    answers = [instance.answer, *(step.answer for step in instance.steps)]
    found: list[DocumentOut] = []
    for step in steps:
        taken = tuple(document.name for document in found)
        document = await _document(teacher, instance, step, answers, taken)
        found.append(await _scaled(teacher, instance, step, document, answers, taken))
    return found


async def _document(
    teacher: Teacher,
    instance: DecomposedItem,
    step: DecompositionStep,
    answers: Sequence[Scalar | tuple[Scalar, ...]],
    taken: tuple[str, ...],
) -> DocumentOut:
    given = DocumentIn(
        domain=instance.domain,
        language=instance.language,
        question=step.question,
        main_question=instance.question,
        taken=taken,
    )
    problem = ""
    for index in range(DOCUMENT_TRIES):
        document = await teacher.ask(DOCUMENT, given, index=index)
        problem = document_problem(document, instance.language, answers, taken)
        if not problem:
            return document
    raise Rejected("document", f"step {step.id!r}: {problem}")


async def _scaled(
    teacher: Teacher,
    instance: DecomposedItem,
    step: DecompositionStep,
    document: DocumentOut,
    answers: Sequence[Scalar | tuple[Scalar, ...]],
    taken: tuple[str, ...],
) -> DocumentOut:
    given = ScaleIn(language=instance.language, question=step.question, document=document)
    problem = ""
    for index in range(DOCUMENT_TRIES):
        richer = await teacher.ask(SCALE, given, index=index)
        problem = document_problem(richer, instance.language, answers, taken)
        if not problem and richer.name != document.name:
            problem = f"the richer document renames {document.name!r} to {richer.name!r}"
        if not problem:
            return richer
    raise Rejected("document", f"step {step.id!r}: {problem}")


# --- one step ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _StepWork:
    """A call and an implementation for one step, tried until the certificate is content."""

    teacher: Teacher
    sandbox: Sandbox
    instance: DecomposedItem
    step: DecompositionStep
    document: DocumentOut
    tries: int
    seed: int

    async def run(self) -> StepTool:
        problem = ImplementationFault("call", "")
        source = ""
        for attempt in range(self.tries):
            arguments = await self._call(problem.finding, attempt)
            if refused := call_problem(
                self.document, arguments, self.instance.question, self._needed()
            ):
                problem = ImplementationFault("call", f"{refused}; the call was {arguments!r:.500}")
                continue
            implementation = await self._tool(arguments, problem.finding, source, attempt)
            made = StepTool(
                step=self.step.id,
                document=self.document,
                arguments=arguments,
                implementation=implementation,
                tries=attempt + 1,
            )
            found = await tool_problem(self.instance, [self.step], [made], self.sandbox, self.seed)
            if found is None:
                return made
            problem = found
            # One that is too long to be used is too long to be sent back.
            source = implementation.source[:MAX_SOURCE]
        raise Rejected(problem.check, f"step {self.step.id!r}: {problem.finding}")

    def _needed(self) -> list[DecompositionStep]:
        return [self.instance.step(name) for name in self.step.depends_on]

    async def _call(self, finding: str, attempt: int) -> dict[str, Json]:
        given = CallIn(
            language=self.instance.language,
            main_question=self.instance.question,
            question=self.step.question,
            document=self.document,
            known=tuple(
                EarlierAnswer(question=s.question, answer=s.answer) for s in self._needed()
            ),
            finding=finding,
        )
        # The same question with the same finding must not get the recorded answer again.
        return (await self.teacher.ask(CALL, given, index=attempt)).arguments

    async def _tool(
        self, arguments: dict[str, Json], finding: str, source: str, attempt: int
    ) -> Implementation:
        given = ToolIn(
            language=self.instance.language,
            main_question=self.instance.question,
            question=self.step.question,
            answer=self.step.answer,
            document=self.document,
            arguments=arguments,
            finding=finding,
            last_source=source,
        )
        return await self.teacher.ask(TOOL, given, index=attempt)


async def tool_problem(
    instance: DecomposedItem,
    steps: Sequence[DecompositionStep],
    made: Sequence[StepTool],
    sandbox: Sandbox,
    seed: int,
) -> ImplementationFault | None:
    """What is wrong with the tool of these steps: statically, then under the certificate."""
    for item in made:
        refused = source_problem(item.implementation.source, item.document.name)
        refused = refused or implementation_problem(item.implementation, item.arguments)
        if refused:
            return ImplementationFault("screen", refused)
    check = await failed_check(trial_arena(instance, steps, made), sandbox, seed)
    return None if check is None else ImplementationFault(check.check, said(check))
