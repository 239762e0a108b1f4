"""A good trajectory to be judged, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from astra.hosts.recorded import RecordingHost
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import ToolResult
from astra.rollouts.loop import RolloutLimits, rollout
from astra.rollouts.loop import RolloutTask as Played
from astra.teacher.prompts.judging import (
    CALLS,
    OPENING,
    ROUND,
    AnswerGrades,
    CallVerdict,
    CallVerdicts,
    Grade,
    OpeningGrades,
    RoundGrades,
)
from astra.trajectories.records import RecordedRollout, TrajectoryTask
from astra.types import Language, Message, ToolCallRequest, content_hash
from tests.support.fakes import FakeHost, document

TEXT = {"type": "string"}
TOOLS = [
    document("list_orders", {"customer_id": TEXT}),
    document("get_tracking", {"order_id": TEXT}),
    document("cancel_order", {"order_id": TEXT}),
]
REQUEST = "Which order of customer cust-1 cost most, and where can I track it?"
ORDERS = {"orders": [{"order_id": "ord-7", "total": 120.5}, {"order_id": "ord-9", "total": 310.25}]}
TRACKING = {"order_id": "ord-9", "url": "https://track.example/ord-9", "eta": "2026-05-04"}
BUSY = {"error": {"code": "rate_limited", "message": "Too many requests (429)."}}

LIST = calling(
    ("list_orders", {"customer_id": "cust-1"}), text="I list the orders, then track the dearest."
)
TRACK = calling(("get_tracking", {"order_id": "ord-9"}), text="ord-9 is the dearest.")
AGAIN = calling(("get_tracking", {"order_id": "ord-9"}), text="That failed, so I try again.")
ANSWER = (
    "Order ord-9 of customer cust-1 cost most, 310.25. Track it at https://track.example/ord-9; "
    "it comes on 4 May 2026."
)
GOOD = (LIST, TRACK, AGAIN, ANSWER)


async def played(
    *script: Any,
    request: str = REQUEST,
    language: Language = "en",
    busy: Sequence[int] = (1,),
    turns: int = 32,
    user: Any = None,
) -> RecordedRollout:
    """The rollout of a script. `busy`: numbers of the calls (from 0) that fail in passing."""
    made = 0

    async def act(name: str, arguments: dict[str, Any]) -> ToolResult:
        nonlocal made
        made += 1
        if made - 1 in busy:
            return ToolResult(BUSY, is_error=True)
        if name == "cancel_order":
            return ToolResult({**arguments, "status": "cancelled"})
        return ToolResult(ORDERS if name == "list_orders" else TRACKING)

    host = RecordingHost(FakeHost(TOOLS, act))
    task = TrajectoryTask(id="t", servers=("s",), kind="chain", request=request, language=language)
    messages = (
        Message(role="system", content="SECRET-SYSTEM"),
        Message(role="user", content=request),
    )
    trajectory = await rollout(
        Played("t", messages), ScriptedModel(script), host, RolloutLimits(turns=turns), user
    )
    return RecordedRollout(
        id=content_hash([m.model_dump(mode="json") for m in trajectory.messages]),
        task=task,
        sample=0,
        model="scripted",
        host="live",
        tools=tuple(TOOLS),
        trajectory=trajectory,
        recording=host.recording,
    )


def raw(tool: str, arguments: str) -> Message:
    """A message with one call, its arguments as text."""
    call = ToolCallRequest(id="raw", tool=tool, arguments=arguments)
    return Message(role="assistant", tool_calls=(call,))


class Generous:
    """Finds everything perfect, unless told otherwise. Keeps what it was asked."""

    name = "generous"

    def __init__(self, grades: Sequence[str] = ("yes",)) -> None:
        self._grades = grades
        self.asked: list[tuple[Any, Any]] = []

    async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
        self.asked.append((prompt, task))
        grade = self._grades[index % len(self._grades)]
        given = Grade.model_validate({"reason": "fine", "grade": grade})
        if prompt is OPENING:
            return OpeningGrades(understanding=given, planning=given)
        if prompt is ROUND:
            return RoundGrades(understanding=given, next_step=given)
        if prompt is CALLS:
            holds = grade == "yes"
            return CallVerdicts(
                verdicts=tuple(
                    CallVerdict(call=call, reason="fine", holds=holds) for call in task.calls
                )
            )
        return AnswerGrades(
            relevance=given if "relevance" in task.judge else None,
            faithfulness=given if "faithfulness" in task.judge else None,
        )
