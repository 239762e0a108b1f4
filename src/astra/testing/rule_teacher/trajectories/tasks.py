"""Rules for the prompts of tasks."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from astra.core.text import numbers_in
from astra.errors import TeacherError
from astra.teacher.prompt import JudgeVerdict
from astra.teacher.prompts.tasks import (
    INTENT,
    PROPOSE_TASKS,
    SCORE_TASK,
    VARY_TASK,
    IntentIn,
    ProposedTask,
    ProposedTasks,
    ProposeTasksIn,
    ScoreIn,
    TaskMarks,
    VaryIn,
    VaryOut,
)
from astra.testing.rule_teacher.faults import FLIPPED, Planter, flipped
from astra.testing.rule_teacher.trajectories.planning import NoPlan, in_order, links, plan_of
from astra.testing.rule_teacher.trajectories.telling import DIALECTS, read_request, request_of
from astra.trajectories.tasks.tool_fields import parameters_of
from astra.types import Language

_LEADS: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "Hello! This came up while I was preparing for tomorrow.",
        "We are in the middle of moving things around here.",
        "My colleague is away today, so this has landed on my desk.",
        "I promised to have this ready before lunch.",
        "It is a quiet afternoon, a good moment to settle this.",
    ),
    "zh": (
        "你好！我在准备明天的事情时遇到了这件事。",
        "我们这边正在做一些调整。",
        "同事今天不在，这件事就交给了我。",
        "我答应午饭前把这件事办好。",
        "下午比较清闲，正好把这件事处理一下。",
    ),
}
_CONSTRAINTS: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "Tell me plainly if any part of it fails, and why.",
        "Give the outcome of each part in a short list, in the order in which I asked.",
        "Use no outside knowledge: only what the services return counts.",
        "If two results contradict each other, point it out instead of choosing one.",
        "Keep the wording of names exactly as it comes back.",
        "Leave out everything that I did not ask for.",
    ),
    "zh": (
        "如果有哪一部分没成功，请直说，并告诉我原因。",
        "请按我提的顺序，用简短的列表给出每一部分的结果。",
        "不要用别处的知识，只以服务返回的内容为准。",
        "如果两个结果互相矛盾，请指出来，不要自己挑一个。",
        "名称请保持返回时的写法，不要改动。",
        "我没有问到的内容请不要写。",
    ),
}


def propose_tasks(given: ProposeTasksIn, rng: random.Random) -> ProposedTasks:
    """Requests over one to a few tools, linked where they can be."""
    tasks: list[ProposedTask] = []
    for _ in range(given.wanted * 4):
        chain = [rng.choice(given.tools)]
        for _ in range(rng.randint(given.fewest, given.most) - 1):
            free = [tool for tool in given.tools if tool not in chain]
            linked = [tool for tool in free if links(chain[-1], tool)]
            chain += [rng.choice(linked or free)] if free else []
        try:
            plan = plan_of(in_order(chain), rng, given.language, given.state)
        except NoPlan:
            continue
        dialect = rng.randrange(len(DIALECTS[given.language]))
        request = request_of(plan, given.tools, given.language, dialect)
        tasks.append(ProposedTask(request=request, plan=plan))
        if len(tasks) == given.wanted:
            break
    if not tasks:
        raise TeacherError("no tool of these can be asked for")
    return ProposedTasks(tasks=tuple(tasks))


def vary_task(given: VaryIn, rng: random.Random) -> VaryOut:
    """The request in another dialect, with more constraints, or with who asks."""
    words = _LEADS[given.language], _CONSTRAINTS[given.language]
    joint = "" if given.language == "zh" else " "
    match given.axis:
        case "diversity":
            request = _reworded(given, rng)
            return VaryOut(request=rng.choice(words[0]) + joint + request)
        case "complexity":
            more = rng.sample(words[1], 2)
            return VaryOut(request=joint.join([given.request, *more]))
        case "persona":
            if given.profile is None:
                raise TeacherError("a variation by persona needs a profile")
            profile, hobbies = given.profile, given.profile.hobbies[:2]
            if given.language == "zh":
                likes = "和".join(hobbies)
                lead = f"我{profile.age}岁，职业是{profile.occupation}，平时喜欢{likes}。"
            else:
                likes = " and ".join(hobbies)
                article = "an" if profile.occupation[:1].lower() in "aeiou" else "a"
                lead = f"I am {profile.age}, work as {article} {profile.occupation}, "
                lead += f"and enjoy {likes}."
            return VaryOut(request=lead + joint + _reworded(given, rng))


def _reworded(given: VaryIn, rng: random.Random) -> str:
    plan = read_request(given.request, given.tools, given.language)
    if plan is None:
        raise TeacherError("this is no request of the rule teacher: it rewords no others")
    dialects = range(len(DIALECTS[given.language]))
    options = [request_of(plan, given.tools, given.language, dialect) for dialect in dialects]
    return rng.choice([option for option in options if option not in given.request])


def judge_intent(given: IntentIn, rng: random.Random) -> JudgeVerdict:
    """Whether both requests have the same parts with the same values, in the same order."""
    del rng
    first, second = (_parts(text, given.language) for text in (given.original, given.varied))
    holds = first is not None and first == second
    reason = "Both ask for the same parts" if holds else "The parts or their values differ"
    return JudgeVerdict(reason=f"{reason}, value for value.", holds=holds)


def _parts(text: str, language: Language) -> tuple[object, ...] | None:
    """Quoted texts and numbers of each part of a request of the rule teacher."""
    for dialect in DIALECTS[language]:
        start = text.find(dialect.mark.format(n=1))
        if dialect.opening not in text or start < 0:
            continue
        parts: list[tuple[object, ...]] = []
        number = 1
        while start >= 0:
            end = text.find(dialect.mark.format(n=number + 1), start)
            part = text[start : end if end >= 0 else len(text)]
            quoted = sorted(re.findall(r'"(?:[^"\\]|\\.)*"', part))
            plain = re.sub(
                r'"(?:[^"\\]|\\.)*"', " ", part.removeprefix(dialect.mark.format(n=number))
            )
            parts.append((tuple(quoted), tuple(sorted(numbers_in(plain)))))
            start, number = end, number + 1
        return tuple(parts)
    return None


def score_task(given: ScoreIn, rng: random.Random) -> TaskMarks:
    """What can be read back, with all that its calls require, is a good task."""
    plan = read_request(given.request, given.tools, given.language)
    if plan is None:
        return TaskMarks(
            reason="The request can't be read back as calls of these tools.",
            question_quality=0.2,
            scenario_realism=0.2,
            tool_necessity=0.2,
            unfounded=tuple(f"{each.tool}.{each.parameter}" for each in given.values),
        )
    known = {tool.name: tool for tool in given.tools}
    complete = all(
        p.name in step.arguments
        for step in plan
        for p in parameters_of(known[step.tool].parameters)
        if p.required
    )
    return TaskMarks(
        reason="Each part names a call with its values." if complete else "A value is missing.",
        question_quality=round(rng.uniform(0.75, 1.0), 2) if complete else 0.3,
        scenario_realism=round(rng.uniform(0.7, 1.0), 2),
        tool_necessity=round(rng.uniform(0.8, 1.0), 2),
        # Its own requests state all values letter for letter; it understands no other words.
        unfounded=tuple(f"{each.tool}.{each.parameter}" for each in given.values),
    )


# --- wrong on demand -----------------------------------------------------------------------------


def _lost_value(given: VaryIn, right: VaryOut, rng: random.Random) -> VaryOut | None:
    """A value that a call needs is no longer in the request."""
    kept = [value for value in given.keep if value in right.request]
    if not kept:
        return None
    return VaryOut(request=right.request.replace(rng.choice(kept), "something"))


def _other_language(given: VaryIn, right: VaryOut, rng: random.Random) -> VaryOut:
    """The variation is in the other language."""
    del right
    other: Language = "en" if given.language == "zh" else "zh"
    return VaryOut(request=" ".join([*rng.sample(_LEADS[other], 3), *given.keep]))


def _low(given: ScoreIn, right: TaskMarks, rng: random.Random) -> TaskMarks:
    """The scores of a good task are low."""
    del given, rng
    return right.model_copy(update={"question_quality": 0.1, "tool_necessity": 0.1})


LOST_VALUE, OTHER_LANGUAGE, LOW_SCORE = "lost_value", "other_language", "low_score"

RULES = {
    PROPOSE_TASKS.name: propose_tasks,
    VARY_TASK.name: vary_task,
    INTENT.name: judge_intent,
    SCORE_TASK.name: score_task,
}
DEFECTS: Mapping[str, Mapping[str, Planter]] = {
    VARY_TASK.name: {LOST_VALUE: _lost_value, OTHER_LANGUAGE: _other_language},
    INTENT.name: {FLIPPED: flipped},
    SCORE_TASK.name: {LOW_SCORE: _low},
}
