"""Stage `implemented`: verified tools for an instance, one per kind of step, or none at all.

First the steps that one tool can serve are grouped; of a group only the first step gets a tool
here, which the stage `merged` extends. Per step: document, richer document, call, implementation;
then the certificate examines a trial arena of that step alone, in the sandbox. A finding goes back
to the prompt that can mend it (the document, the call or the code), a bounded number of times, and
the others are not asked again. One failed step fails the instance.

What a row guarantees: each tool passed the checks of the certificate on its own. Not that the steps
work together (the certificate of the whole arena says that), nor that answers are true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from astra.arenas.certificate.function_signature import MAX_SOURCE
from astra.arenas.certificates import CheckResult
from astra.arenas.synthesis.asking import together
from astra.arenas.synthesis.build import (
    certificate_finding,
    finding_text,
    implementation_problem,
    trial_arena,
)
from astra.arenas.synthesis.group import step_groups
from astra.arenas.synthesis.records import DecomposedItem, ImplementedItem, JudgedItem, StepTool
from astra.arenas.synthesis.source_screen import source_problem
from astra.arenas.synthesis.tool_documents import call_problem, document_problem
from astra.errors import Rejected
from astra.protocols import Sandbox
from astra.runs.stage import Stage
from astra.teacher.prompt import In, Prompt, Teacher
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
from astra.types import Json

IMPLEMENTED = "implemented"
DOCUMENT_ATTEMPTS = 3
"""Documents requested per step, and richer versions of a document."""


@dataclass(frozen=True, slots=True)
class ImplementationFault:
    """Why an attempt failed: the check's id, the finding that the teacher is told, and who is."""

    check: str
    finding: str
    mend: Literal["document", "call", "code"] = "code"
    """What must be written anew."""


def implemented_stage(
    teacher: Teacher, sandbox: Sandbox, *, max_attempts: int = 4, seed: int = 0
) -> Stage[JudgedItem, ImplementedItem]:
    """Validated instances to instances with tools. `max_attempts`: calls written per step."""

    async def work(judged: JudgedItem) -> ImplementedItem:
        instance = judged.instance
        groups = await step_groups(teacher, instance)
        others = {group.steps[0]: group.steps[1:] for group in groups if not group.problem}
        shared = {name for names in others.values() for name in names}
        writer = StepToolWriter(teacher, sandbox, instance, max_attempts, seed, others)
        names = [step.id for step in instance.steps if step.needs_tool and step.id not in shared]
        tools = await writer.tools(names)
        return ImplementedItem(key=judged.key, judged=judged, tools=tools, groups=groups)

    return Stage(IMPLEMENTED, work)


@dataclass(frozen=True, slots=True)
class StepToolWriter:
    """Writes verified tools for single steps of one instance."""

    teacher: Teacher
    sandbox: Sandbox
    instance: DecomposedItem
    max_attempts: int
    """Calls written per step."""
    seed: int
    others: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Step -> steps of the same kind that its tool will serve, too."""

    async def tools(self, names: Sequence[str], taken: Sequence[str] = ()) -> tuple[StepTool, ...]:
        """One tool for each of these steps. `taken`: names of tools that there are already."""
        documents: list[DocumentOut] = []
        # Documents come one after the other, so that their names differ; tools come together.
        for name in names:
            used = (*taken, *(document.name for document in documents))
            documents.append(await self._document(self.instance.step(name), used))
        return tuple(
            await together(
                self._tool(
                    self.instance.step(name),
                    document,
                    (*taken, *(other.name for other in documents if other is not document)),
                )
                for name, document in zip(names, documents, strict=True)
            )
        )

    async def _document(
        self, step: DecompositionStep, names: tuple[str, ...], finding: str = ""
    ) -> DocumentOut:
        """A document for a step, then a richer one.

        `names`: names of other tools. `finding`: why the last document can't serve.
        """
        instance = self.instance
        answers = [instance.answer, *(other.answer for other in instance.steps)]

        async def sound(
            prompt: Prompt[In, DocumentOut], task: In, name: str = "", problem: str = ""
        ) -> DocumentOut:
            for index in range(DOCUMENT_ATTEMPTS):
                told = task.model_copy(update={"finding": problem})
                document = await self.teacher.ask(prompt, told, index=index)
                problem = document_problem(document, instance.language, answers, names)
                if not problem and name and document.name != name:
                    problem = f"the richer document renames {name!r} to {document.name!r}"
                if not problem:
                    return document
            raise Rejected("document", f"step {step.id!r}: {problem}")

        others = (instance.step(name) for name in self.others.get(step.id, ()))
        task = DocumentIn(
            domain=instance.domain,
            language=instance.language,
            question=step.question,
            main_question=instance.question,
            also=tuple(other.question for other in others),
            taken=names,
        )
        plain = await sound(DOCUMENT, task, problem=finding)
        richer = ScaleIn(language=instance.language, question=step.question, document=plain)
        return await sound(SCALE, richer, plain.name)

    async def _tool(
        self, step: DecompositionStep, document: DocumentOut, other_names: tuple[str, ...]
    ) -> StepTool:
        """A call and an implementation for one step, tried until the certificate accepts them."""
        instance = self.instance
        needed = [instance.step(name) for name in step.depends_on]
        arguments: dict[str, Json] | None = None
        implementation: Implementation | None = None
        fault, before = ImplementationFault("call", "", "call"), ImplementationFault("", "")
        for attempt in range(self.max_attempts):
            # A finding that the code did not mend twice may be about the call: it asks for another.
            if fault.mend == "code" and fault.check == before.check == "replay":
                fault = replace(fault, mend="call")
            if fault.mend == "document":
                document = await self._document(step, other_names, fault.finding)
                # What was found of the call and the code was about the old document.
                arguments, implementation = None, None
                fault = ImplementationFault("call", "", "call")
            asked_anew = False
            if fault.mend == "call":
                call_task = CallIn(
                    language=instance.language,
                    main_question=instance.question,
                    question=step.question,
                    document=document,
                    known=earlier_answers(needed),
                    finding=fault.finding,
                )
                # The index: the same question must not get the recorded answer again.
                arguments = (await self.teacher.ask(CALL, call_task, index=attempt)).arguments
                if problem := call_problem(document, arguments, instance.question, needed):
                    told = f"{problem}; the call was {arguments!r:.500}"
                    before, fault = fault, ImplementationFault("call", told, "call")
                    continue
                asked_anew = True
                before, fault = fault, ImplementationFault("code", "")
            assert arguments is not None
            # A new call may be all that was missing: the code is tried before it is written again.
            if implementation is None or not asked_anew:
                tool_task = ToolIn(
                    language=instance.language,
                    main_question=instance.question,
                    question=step.question,
                    answer=step.answer,
                    document=document,
                    arguments=arguments,
                    corpus=instance.corpus,
                    finding=fault.finding,
                    # A source that is too long to be used is too long to be sent back.
                    last_source=(
                        "" if implementation is None else implementation.source[:MAX_SOURCE]
                    ),
                )
                implementation = await self.teacher.ask(TOOL, tool_task, index=attempt)
            tool = StepTool(
                step=step.id,
                document=document,
                arguments=arguments,
                implementation=implementation,
                attempts=attempt + 1,
            )
            finding = await implementation_fault(instance, [step], [tool], self.sandbox, self.seed)
            if finding is None:
                return tool
            before, fault = fault, finding
        raise Rejected(fault.check, f"step {step.id!r}: {fault.finding}")


def earlier_answers(steps: Iterable[DecompositionStep]) -> tuple[EarlierAnswer, ...]:
    """What these steps found, as prompts give it."""
    return tuple(EarlierAnswer(question=step.question, answer=step.answer) for step in steps)


async def implementation_fault(
    instance: DecomposedItem,
    steps: Sequence[DecompositionStep],
    tools: Sequence[StepTool],
    sandbox: Sandbox,
    seed: int,
) -> ImplementationFault | None:
    """What is wrong with the tools of these steps: statically, then under the certificate."""
    for tool in tools:
        problem = source_problem(tool.implementation.source, tool.document.name)
        problem = problem or implementation_problem(tool.implementation, tool.arguments)
        if problem:
            return ImplementationFault("screen", problem)
    check = await certificate_finding(trial_arena(instance, steps, tools), sandbox, seed)
    if check is None:
        return None
    return ImplementationFault(check.check, finding_text(check), _mend(check))


def _mend(check: CheckResult) -> Literal["document", "call", "code"]:
    """What a finding of the certificate is about."""
    if check.check in ("grounding", "ablation") or check.evidence.get("mend") == "call":
        return "call"
    # Nothing but other parameters gives a goal enough wrong calls.
    return "document" if "give the tool parameters" in check.reason else "code"
