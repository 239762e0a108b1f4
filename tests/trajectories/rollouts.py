"""Rollouts written by hand, for tests of what comes after the rollouts."""

from __future__ import annotations

from pathlib import Path

from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.trajectories.records import (
    JudgeFinding,
    Judgement,
    RecordedCall,
    RecordedRollout,
    TrajectoryScore,
    TrajectoryTask,
)
from astra.types import (
    CallRecord,
    CallStatus,
    Message,
    StopReason,
    ToolCallRequest,
    ToolSchema,
    Trajectory,
    content_hash,
)


def document(name: str) -> ToolSchema:
    city = {"type": "string", "description": "Which city."}
    return ToolSchema(
        name=name,
        description=f"The {name} of a city.",
        parameters={"type": "object", "properties": {"city": city}, "required": ["city"]},
    )


def rollout(
    number: int = 0,
    *,
    server: str = "s1",
    tools: tuple[str, ...] = ("weather", "mayor"),
    calls: tuple[str, ...] = ("weather",),
    arguments: str = '{"city": "Oslo"}',
    answer: str | None = "12 degrees.",
    sample: int = 0,
) -> RecordedRollout:
    """One assistant turn with these calls, their results, and an answer (None: cut off)."""
    requests = tuple(
        ToolCallRequest(id=f"call_{i}", tool=tool, arguments=arguments)
        for i, tool in enumerate(calls)
    )
    messages = [
        Message(role="system", content="Use the tools."),
        Message(role="user", content=f"Question {number}: how is Oslo?"),
        Message(role="assistant", tool_calls=requests),
        *(Message(role="tool", content='{"t": 12}', tool_call_id=r.id) for r in requests),
    ]
    if answer is not None:
        messages.append(Message(role="assistant", content=answer))
    records = tuple(
        CallRecord(
            id=r.id,
            turn=0,
            tool=r.tool,
            arguments={"city": "Oslo"},
            status=CallStatus.ok,
            result={"t": 12},
        )
        for r in requests
    )
    return RecordedRollout(
        id=content_hash([number, server, sample]),
        task=TrajectoryTask(
            id=f"t{number}",
            servers=(server,),
            kind="server",
            request=messages[1].content,
            language="en",
        ),
        sample=sample,
        model="scripted",
        host="emulator",
        tools=tuple(map(document, tools)),
        trajectory=Trajectory(
            task=f"t{number}",
            sample=sample,
            messages=tuple(messages),
            calls=records,
            stop=StopReason.answered if answer is not None else StopReason.turn_limit,
            turns=1 if answer is None else 2,
        ),
        recording=tuple(
            RecordedCall(tool=r.tool, arguments={"city": "Oslo"}, content={"t": 12})
            for r in requests
        ),
    )


def judgement(of: RecordedRollout, reward: float = 1.0) -> Judgement:
    scores = dict.fromkeys(
        (
            TrajectoryScore.QU,
            TrajectoryScore.QP,
            TrajectoryScore.TCS,
            TrajectoryScore.TC,
            TrajectoryScore.FA,
        ),
        reward,
    )
    finding = JudgeFinding(
        measure=TrajectoryScore.QU, value=reward, reason="as it is", place="message 2"
    )
    return Judgement(
        rollout=of.id, judge="rules", scores=scores, reward=reward, findings=(finding,)
    )


def folder_of(path: Path, rows: list[tuple[RecordedRollout, float | None]]) -> RunFolder:
    """A run folder of rollouts with their rewards; None: not judged."""
    folder = RunFolder.create(path, {"count": len(rows)}, seeds={"seed": 0})
    with folder.lock():
        folder.replace("rollouts.jsonl", [to_line(row) for row, _ in rows])
        judged = [to_line(judgement(row, r)) for row, r in rows if r is not None]
        folder.replace("judgements.jsonl", judged)
    return folder
