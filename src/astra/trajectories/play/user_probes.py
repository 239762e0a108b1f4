"""Probes of a simulated user: talks in which a fault would show, checked by rule.

    invents         asked for what the user can't know, it gives a number, code or address
    reveals_early   asked about the request, it gives the next wish away
    contradicts     asked to confirm what it said, it says something else
    withholds       asked for what it left out, it does not tell

What this does not guarantee: that a user without such faults is like a person, or that a fault in
other words is seen. The rates are of the teacher that was asked, on these talks.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from astra.configs.trajectories import ProbeUserConfig
from astra.core.spellings import numbers_said
from astra.core.text import contains_text
from astra.runs.folder import RunFolder
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.emulation import (
    SIMULATE_USER,
    SimulateUserIn,
    TalkMessage,
    UserBehaviour,
    UserTurn,
)
from astra.trajectories.teachers import trajectory_teacher
from astra.types import Language, Record

ProbeKind = Literal["invents", "reveals_early", "contradicts", "withholds"]
_CODE = re.compile(r"\b[A-Za-z]{1,4}-?\d[\w-]*|\S+@\S+|https?://\S+")


@dataclass(frozen=True, slots=True)
class _Scene:
    """A request, and questions that an assistant may ask about it."""

    language: Language
    opening: str
    """The request without what was left out."""
    left_out: str
    """The value that the opening leaves out."""
    telling: str
    """The message that tells it."""
    asks_left_out: str
    stated: str
    """A value of the opening."""
    other: str
    """What it is not."""
    confirms: str
    """Asks whether it is the one or the other."""
    asks_unknown: tuple[str, ...]
    """Ask for what nobody told the user."""
    later: str
    """A wish for later."""
    later_value: str
    """What gives it away."""
    asks_about_now: str
    """Asks about the request, not for more."""


_SCENES = (
    _Scene(
        language="en",
        opening="Book a table at Maaemo for tomorrow evening, please.",
        left_out="four",
        telling="We are four.",
        asks_left_out="For how many people shall I book?",
        stated="evening",
        other="lunch",
        confirms="Just to be sure: for the evening, or for lunch?",
        asks_unknown=("What is your customer number?", "Which telephone number may I give them?"),
        later="Also send the confirmation to mira@example.org.",
        later_value="mira@example.org",
        asks_about_now="Would a table by the window be all right?",
    ),
    _Scene(
        language="en",
        opening="Move my meeting with Ada Brook to the 14th, please.",
        left_out="3 pm",
        telling="At 3 pm.",
        asks_left_out="At what time on that day?",
        stated="14",
        other="17",
        confirms="Did you say the 14th or the 17th?",
        asks_unknown=(
            "What is the id of the meeting?",
            "What is the e-mail address of Ada?",
        ),
        later="And then book room Juniper for it.",
        later_value="Juniper",
        asks_about_now="Shall I tell Ada Brook about the change?",
    ),
    _Scene(
        language="en",
        opening="Order 12 boxes of green tea for the office, please.",
        left_out="Harbour Street",
        telling="To the office in Harbour Street.",
        asks_left_out="To which of your offices shall they go?",
        stated="12",
        other="20",
        confirms="Was that 12 boxes or 20?",
        asks_unknown=("What is your cost centre?", "What is the number of your last order?"),
        later="After that, cancel my order of coffee.",
        later_value="coffee",
        asks_about_now="May I order the boxes from another shop if they are sold out?",
    ),
    _Scene(
        language="zh",
        opening="请帮我订一张去青岛的火车票，要靠窗的座位。",
        left_out="下午",
        telling="下午的车。",
        asks_left_out="您想要上午还是下午的车次？",
        stated="青岛",
        other="济南",
        confirms="请确认一下，您要去青岛还是济南？",
        asks_unknown=("请问您的会员编号是多少？", "请提供一下您的手机号码，好吗？"),
        later="另外再帮我订一间海棠酒店的房间。",
        later_value="海棠",
        asks_about_now="没有靠窗座位的话，过道座位可以吗？",
    ),
    _Scene(
        language="zh",
        opening="帮我查一下王晓明的订单，把收货地址改到昆明。",
        left_out="二楼",
        telling="送到二楼。",
        asks_left_out="要送到几楼呢？",
        stated="昆明",
        other="成都",
        confirms="收货地址是改到昆明还是成都？",
        asks_unknown=("请问订单编号是多少？", "收件人的电话号码是多少？"),
        later="改好以后，再给他退掉那把雨伞。",
        later_value="雨伞",
        asks_about_now="改地址可能会晚一天送到，可以吗？",
    ),
)


@dataclass(frozen=True, slots=True)
class UserProbe:
    """A talk in which one fault would show."""

    kind: ProbeKind
    question: SimulateUserIn
    scene: _Scene

    def wrong(self, turn: UserTurn) -> bool:
        """Whether the user's next message has the fault."""
        scene, message = self.scene, turn.message
        match self.kind:
            case "invents":
                asked = self.question
                known = " ".join([asked.request, asked.wish, *(each.text for each in asked.talk)])
                numbers = set(numbers_said(message)) - set(numbers_said(known))
                return bool(numbers) or any(
                    not contains_text(known, code) for code in _CODE.findall(message)
                )
            case "reveals_early":
                return turn.wish_said or contains_text(message, scene.later_value)
            case "contradicts":
                says = contains_text(message, scene.stated)
                return contains_text(message, scene.other) and not says
            case "withholds":
                return turn.done or not contains_text(message, scene.left_out)


def user_probes() -> Iterator[UserProbe]:
    """All probes."""
    for scene in _SCENES:

        def asked(
            kind: ProbeKind,
            question: str,
            wish: str = "",
            behaviour: UserBehaviour | None = None,
            scene: _Scene = scene,
        ) -> UserProbe:
            talk = (
                TalkMessage(by="user", text=scene.opening),
                TalkMessage(by="assistant", text=question),
            )
            request = scene.opening
            if kind != "withholds":
                request += f" {scene.telling}"
            given = SimulateUserIn(
                language=scene.language, request=request, behaviour=behaviour, wish=wish, talk=talk
            )
            return UserProbe(kind, given, scene)

        yield from (asked("invents", question) for question in scene.asks_unknown)
        follow_up, missing = UserBehaviour.follow_up, UserBehaviour.missing_parameter
        yield asked("reveals_early", scene.asks_about_now, scene.later, follow_up)
        yield asked("reveals_early", scene.confirms, scene.later, follow_up)
        yield asked("contradicts", scene.confirms)
        yield asked("withholds", scene.asks_left_out, scene.telling, missing)


class UserProbeRate(Record):
    """How often a simulated user had a fault."""

    probes: int
    wrong: int
    examples: tuple[str, ...] = ()
    """The first wrong messages."""


_EXAMPLES = 3


async def probe_user(teacher: Teacher, repeats: int = 1) -> dict[ProbeKind, UserProbeRate]:
    """Ask each probe `repeats` times. Raises what the teacher raises."""
    asked = [(probe, index) for probe in user_probes() for index in range(repeats)]
    turns = await asyncio.gather(
        *(teacher.ask(SIMULATE_USER, probe.question, index=index) for probe, index in asked)
    )
    rates: dict[ProbeKind, UserProbeRate] = {}
    for kind in ("invents", "reveals_early", "contradicts", "withholds"):
        of_kind = [(p, t) for (p, _), t in zip(asked, turns, strict=True) if p.kind == kind]
        wrong = [turn.message for probe, turn in of_kind if probe.wrong(turn)]
        rates[kind] = UserProbeRate(
            probes=len(of_kind), wrong=len(wrong), examples=tuple(wrong[:_EXAMPLES])
        )
    return rates


async def probe_configured_user(config: ProbeUserConfig) -> Mapping[ProbeKind, UserProbeRate]:
    """Probe the teacher of the options."""
    with tempfile.TemporaryDirectory(prefix="astra-") as path:
        folder = RunFolder.create(path, {})
        async with trajectory_teacher(config, folder, seed=config.seed) as teacher:
            return await probe_user(teacher, config.repeats)
