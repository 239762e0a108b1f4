"""The distractors' part of the check `mutants`: no distractor is a better tool than the arena's.

A distractor must not solve a goal, nor show an answer to a call that asks for it, beside what the
question names, or in a document. Not covered: calls that were not tried, and small numbers and
yes-or-no answers found under another field, which prove nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache

from astra.arenas.certificate.arena_under_test import (
    PAUSE_SECONDS,
    ArenaUnderTest,
    CheckFinding,
    NamedCall,
    call_evidence,
)
from astra.arenas.certificate.containment import document_text
from astra.arenas.certificate.distractor_calls import (
    distractor_calls,
    question_texts,
)
from astra.arenas.certificate.parameters import parameters_of
from astra.arenas.certificate.results import is_distinct, is_served
from astra.core.kept import kept_by_identity
from astra.core.text import as_number, contains_text, normalise, numbers_in, scalars
from astra.protocols import CallOutcome
from astra.rewards import same_scalar, solves
from astra.types import Arena, Goal, Json, Scalar, Tool, canonical_json, members_of

UNIQUE = 10**5
"""Numbers from here with six significant digits are the answer wherever they are found."""
MOST_INHERITED = 50
"""Values above a part of a result that are read with it."""


async def check_distractors(under_test: ArenaUnderTest) -> int:
    """Number of calls made. Raises `CheckFinding` when a distractor answers a goal."""
    arena = under_test.arena
    if not arena.distractors:
        return 0
    wanted = [WantedAnswer(arena, goal) for goal in arena.goals]
    for tool in arena.distractors:
        for answer in wanted:
            if answer.is_told(document_text(tool)):
                raise CheckFinding(
                    f"the document of distractor {tool.name!r} states the answer of goal "
                    f"{answer.goal.id!r}"
                )
    probes = _probes(arena, wanted)
    outcomes = await under_test.run("plain", probes)
    # After a pause, as in training: some tools answer otherwise then. One call of each kind. Plain
    # code can't: it sees no clock, and runs on fresh modules in each call.
    gold = {repr(v) for step in under_test.steps for v in scalars(step.call.arguments)}
    kinds = {
        (call.tool, *sorted(gold.intersection(map(repr, scalars(call.arguments))))): call
        for call in reversed(probes)
        if call.tool not in under_test.plain_tools
    }
    again = list(kinds.values())
    if again:
        under_test.before_waiting()
        await asyncio.sleep(PAUSE_SECONDS[0])
        outcomes += await under_test.run("plain", again)
    for call, outcome in zip([*probes, *again], outcomes, strict=True):
        if not is_served(outcome):
            continue
        for answer in wanted:
            if answer.is_given(call, outcome):
                raise CheckFinding(
                    f"distractor {call.tool!r} answers goal {answer.goal.id!r}",
                    call=call_evidence(call),
                )
    return len(probes)


def _probes(arena: Arena, wanted: Sequence[WantedAnswer]) -> list[NamedCall]:
    return [
        NamedCall(tool.name, arguments, f"a call to distractor {tool.name!r}")
        for tool in arena.distractors
        for arguments in distractor_calls(tool, arena, _held(tool, wanted))
    ]


def _held(tool: Tool, wanted: Sequence[WantedAnswer]) -> set[str]:
    """Goals whose answers the source or the data hold, with the goals before them."""
    texts = (tool.source.casefold(), _folded_json(tool.data))
    return {name for answer in wanted if answer.is_held(texts) for name in answer.chain}


_normalised = lru_cache(maxsize=512)(normalise)


@kept_by_identity(256)
def _folded_json(data: Json) -> str:
    return canonical_json(data).casefold()


class WantedAnswer:
    """A goal's answer with what a distractor would have to say to give it away."""

    def __init__(self, arena: Arena, goal: Goal) -> None:
        self.goal = goal
        self._arena = arena
        self._members = members_of(goal.answer)

    @cached_property
    def chain(self) -> list[str]:
        """Ids of the goal and of those that it depends on, directly or through others."""
        goals = {goal.id: goal for goal in self._arena.goals}
        pending, chain = [self.goal.id], list[str]()
        while pending:
            name = pending.pop()
            if name not in chain and name in goals:
                chain.append(name)
                pending += goals[name].depends_on
        return chain

    @cached_property
    def entities(self) -> list[Scalar]:
        """What the goals of the chain are asked about."""
        goals = {goal.id: goal for goal in self._arena.goals}
        return [entity for name in self.chain for entity in self._asked_about(goals[name])]

    @cached_property
    def own_entities(self) -> list[Scalar]:
        """What the goal itself is asked about."""
        return self._asked_about(self.goal)

    def _asked_about(self, goal: Goal) -> list[Scalar]:
        """Arguments that are no choice of an enum: texts and long numbers where there are some."""
        if goal.call is None:
            return []
        schemas = parameters_of(self._arena.tool(goal.call.tool))
        values = [
            leaf
            for parameter, argument in goal.call.arguments.items()
            if "enum" not in schemas[parameter]
            for leaf in scalars(argument)
            if leaf is not None
        ]
        return [value for value in values if is_distinct(value)] or values

    @cached_property
    def _spoken(self) -> set[str]:
        return {normalise(text) for text in question_texts(self._arena) if len(text) > 1}

    @cached_property
    def _given(self) -> list[Json]:
        """Leaves of all gold arguments, and the numbers of the question."""
        calls = [goal.call.arguments for goal in self._arena.goals if goal.call is not None]
        return [*scalars(calls), *numbers_in(self._arena.question)]

    @cached_property
    def _is_distinct(self) -> bool:
        return bool(self._members) and all(
            is_distinct(member) and not isinstance(member, bool) for member in self._members
        )

    @cached_property
    def _is_unique(self) -> bool:
        numbers = [as_number(member) for member in self._members]
        return all(
            number is not None and abs(number) >= UNIQUE and f"{number:.0f}".strip("0")[5:]
            for number in numbers
        )

    def is_held(self, texts: Sequence[str]) -> bool:
        """Whether case-folded texts hold the answer and something that the question names."""

        def holds(value: Json) -> bool:
            return any(str(value).casefold() in text for text in texts)

        return (
            self._is_distinct
            and all(map(holds, self._members))
            and (self._is_unique or any(map(holds, self.entities)))
        )

    def is_told(self, document: str) -> bool:
        """Whether one line of a document states the answer beside what it is the answer for."""
        if not self._is_distinct:
            return False
        # What stands in a line stands in the whole, which is looked through in one go.
        whole = _normalised(document)
        return all(normalise(str(member)) in whole for member in self._members) and any(
            all(contains_text(line, str(member)) for member in self._members)
            and (self._is_unique or any(contains_text(line, str(e)) for e in self.entities))
            for line in document.splitlines()
        )

    def is_given(self, call: NamedCall, outcome: CallOutcome) -> bool:
        """Whether the result of a call to a distractor gives the answer away."""
        value = outcome.value
        arguments = [leaf for leaf in scalars(call.arguments) if leaf is not None]
        # With numbers that nobody gave, such as a rank, a tool shows many entities: one that is
        # found so must belong to what this very goal asks about.
        guessed = any(as_number(v) is not None and v not in self._given for v in arguments)
        entities = self.own_entities if guessed else self.entities
        asked = any(
            any(same_scalar(argument, entity) for entity in entities)
            or (isinstance(argument, str) and normalise(argument) in self._spoken)
            for argument in arguments
        )
        target = self.goal.target
        if target and (asked or target.key) and solves(target, value):
            return True
        # A tool that repeats its arguments would give an answer that is one of them.
        if any(
            same_scalar(member, argument)
            or (isinstance(argument, str) and contains_text(argument, str(member)))
            for member in self._members
            for argument in arguments
        ):
            return False
        if asked and target and solves(target.model_copy(update={"key": {}}), value):
            return True
        if not self._is_distinct or not _shown(self._members, list(scalars(value))):
            return False
        if asked or self._is_unique:
            return True
        return any(
            _shown(self._members, row) and any(_shown([entity], row) for entity in entities)
            for row in _rows(value)
        )


def _shown(members: Sequence[Json], leaves: Sequence[Scalar | None]) -> bool:
    """Whether each member is one of the leaves, or stands in one."""
    return all(
        any(
            same_scalar(member, leaf)
            or (isinstance(leaf, str) and contains_text(leaf, str(member)))
            for leaf in leaves
        )
        for member in members
    )


def _rows(value: Json) -> Iterator[list[Scalar | None]]:
    """The scalars of a result that belong together: those of one object or inner list with what
    stands above it, names included, and the lines of a text."""
    pending: list[tuple[Json, list[Scalar | None]]] = [(value, [])]
    while pending:
        node, above = pending.pop()
        if isinstance(node, str):
            yield from ([*above, line] for line in node.splitlines())
        elif not isinstance(node, dict | list | tuple):
            yield [*above, node]
        else:
            children = list(node.items()) if isinstance(node, dict) else [("", v) for v in node]
            own: list[Scalar | None] = []
            for name, child in children:
                if not isinstance(child, dict | list | tuple):
                    own += [name, child]
                elif isinstance(node, dict) and not _holds_nested(child):
                    own += [name, *scalars(child)]
            yield [*above, *own]
            # What stands far above says little, and a deep result must not cost too much.
            inherited = [*above, *own][-MOST_INHERITED:]
            pending += [
                (child, [*inherited, name])
                for name, child in children
                if isinstance(child, dict | list | tuple)
            ]


def _holds_nested(value: Json) -> bool:
    children = value.values() if isinstance(value, dict) else value
    return any(isinstance(child, dict | list | tuple) for child in children)
