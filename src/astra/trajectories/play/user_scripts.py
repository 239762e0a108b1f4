"""Stage `talks`: what the simulated user of an episode says, message after message.

The number of messages and the user's behaviours are drawn by seed, task and sample; a teacher words
them and plans the calls of further wishes, which go through the rules of plans. After some attempts
a talk is rejected by `talk`; then its user speaks once, if that is allowed, else the episode is
left out.

What this does not guarantee: that a follow-up is a sensible one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.core.text import contains_text
from astra.errors import Rejected
from astra.hosts.consistency import may_change
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.chains import PlannedArgument, PlannedStep
from astra.teacher.prompts.emulation import PLAN_TALK, PlannedTalk, PlanTalkIn, UserBehaviour
from astra.trajectories.records import PlannedCall, TrajectoryTask, UserScript, UserWish
from astra.trajectories.tasks.arguments import find_place
from astra.trajectories.tasks.plans import planned_calls, request_problem, stated_arguments
from astra.trajectories.tasks.server_groups import ServerGroup
from astra.trajectories.tasks.stated import statement
from astra.types import Record

TALKS = "talks"
MAX_ATTEMPTS = 3
WITHHOLDING = 0.5
"""Share of users with several messages who leave something out at first, where they can."""
REFUSING = 0.25
"""Share of users of tasks that change something who refuse to confirm."""


class PlannedUserScript(Record):
    """A row of `talks.jsonl`."""

    key: str
    script: UserScript


@dataclass(frozen=True, slots=True)
class TalkRequest:
    """An episode whose user speaks more than once."""

    task: TrajectoryTask
    sample: int
    group: ServerGroup
    turns: int
    """Messages of the user."""

    @property
    def key(self) -> str:
        return talk_key(self.task, self.sample)


def talk_key(task: TrajectoryTask, sample: int) -> str:
    """Key of an episode's talk."""
    return f"{task.id}:{sample}"


def user_turns(task: TrajectoryTask, sample: int, config: MakeTrajectoriesConfig) -> int:
    """How often the user of an episode speaks, drawn by seed, task and sample."""
    rng = random.Random(f"turns:{config.seed}:{task.id}:{sample}")
    return rng.randint(config.min_user_turns, config.max_user_turns)


def withholdable(task: TrajectoryTask, group: ServerGroup) -> list[str]:
    """The words of a request for a required argument, that stand there once."""
    words: dict[str, None] = {}
    for argument, schema in stated_arguments(task.plan, group.tools):
        place = find_place(group.tools[argument.tool].document.parameters, argument.parameter)
        pieces = statement(argument.value, task.request, schema).pieces
        if place is not None and place.field.required and len(pieces) == 1:
            words[pieces[0]] = None
    return [piece for piece in words if len(piece) > 1 and task.request.count(piece) == 1]


def drawn_behaviours(
    item: TalkRequest, rng: random.Random
) -> tuple[tuple[UserBehaviour, ...], str]:
    """What the user does after the opening, and the words that the opening leaves out."""
    withheld = ""
    behaviours: list[UserBehaviour] = []
    candidates = withholdable(item.task, item.group)
    if candidates and rng.random() < WITHHOLDING:
        withheld = rng.choice(candidates)
        behaviours.append(UserBehaviour.missing_parameter)
    while len(behaviours) < item.turns - 1:
        behaviours.append(rng.choice([UserBehaviour.follow_up, UserBehaviour.changed_mind]))
    changing = any(may_change(call.tool) for call in item.task.plan)
    if changing and rng.random() < REFUSING:
        # In addition: it is said only if the assistant asks. Before further wishes, since it is
        # about the first request.
        behaviours.insert(1 if withheld else 0, UserBehaviour.refusal)
    return tuple(behaviours), withheld


def talks_stage(teacher: Teacher, seed: int) -> Stage[TalkRequest, PlannedUserScript]:
    """Episodes to what their users say."""

    async def work(item: TalkRequest) -> PlannedUserScript:
        task, group = item.task, item.group
        rng = random.Random(f"user:{seed}:{item.key}")
        behaviours, withheld = drawn_behaviours(item, rng)
        tools = group.sample_tools(rng, required=[call.tool for call in task.plan])
        problem = ""
        for index in range(MAX_ATTEMPTS):
            question = PlanTalkIn(
                language=task.language,
                service=group.service,
                tools=tools,
                request=task.request,
                steps=tuple(_steps(task.plan)),
                withheld=withheld,
                behaviours=behaviours,
                finding=problem,
            )
            talk = await teacher.ask(PLAN_TALK, question, index=index)
            try:
                script = checked_script(talk, item, behaviours, withheld)
            except ValueError as found:
                problem = str(found)
                continue
            return PlannedUserScript(key=item.key, script=script)
        raise Rejected("talk", problem)

    return Stage(TALKS, work)


def checked_script(
    talk: PlannedTalk, item: TalkRequest, behaviours: Sequence[UserBehaviour], withheld: str
) -> UserScript:
    """The talk as a script. Raises ValueError with what is wrong."""
    task, group = item.task, item.group
    opening = talk.opening.strip() if withheld else task.request
    said = [opening, *(wish.message.strip() for wish in talk.wishes)]
    for text in said:
        if problem := request_problem(text, task.language):
            raise ValueError(f"{text[:100]!r}: {problem}")
    if withheld and contains_text(opening, withheld):
        raise ValueError(f"the opening says {withheld!r:.200}, which it has to leave out")
    for argument, schema in stated_arguments(task.plan, group.tools):
        before = statement(argument.value, task.request, schema)
        held_back = withheld != "" and withheld in before.pieces
        now = statement(argument.value, opening, schema).known
        if held_back and now == "stated":
            raise ValueError(f"the opening says {withheld!r:.200} in other words")
        if before.known == "stated" and not held_back and now != "stated":
            raise ValueError(f"the opening lacks {argument.value!r:.200}, which a call needs")
    if withheld and not contains_text(said[1], withheld):
        raise ValueError(f"the second message does not say {withheld!r:.200}")
    steps, wishes = list(_steps(task.plan)), list[UserWish]()
    for number, (behaviour, wish) in enumerate(zip(behaviours, talk.wishes, strict=True), start=1):
        if behaviour is UserBehaviour.follow_up and not wish.plan:
            raise ValueError(f"message {number + 1} is a follow-up and needs no call")
        if wish.plan and behaviour in (UserBehaviour.missing_parameter, UserBehaviour.refusal):
            raise ValueError(f"message {number + 1} has calls, though it asks for nothing new")
        first = len(steps)
        steps += wish.plan
        heard = "\n".join([task.request, *said[: number + 1]])
        calls = planned_calls(steps, heard, group.tools, group.fields)
        message = wish.message.strip()
        wishes.append(UserWish(behaviour=behaviour, message=message, plan=calls[first:]))
    return UserScript(opening=opening, wishes=tuple(wishes))


def _steps(plan: Sequence[PlannedCall]) -> Iterator[PlannedStep]:
    """Planned calls as the steps that a teacher writes."""
    numbers = {call.id: number for number, call in enumerate(plan, start=1)}
    for call in plan:
        yield PlannedStep(
            tool=call.tool,
            arguments={
                key: PlannedArgument(value=source.value)
                if source.call is None
                else PlannedArgument(step=numbers[source.call], field=source.field)
                for key, source in call.arguments.items()
            },
            needs=tuple(numbers[need] for need in call.depends_on),
        )
