"""One rollout of trajectory synthesis with the judge's seven scores, reasons at their messages."""

from __future__ import annotations

from astra.errors import AstraError
from astra.runs.folder import RunFolder
from astra.trajectories.reading import JUDGEMENTS
from astra.trajectories.records import Judgement, RecordedRollout, TrajectoryScore
from astra.viewer.conversation import shown_messages
from astra.viewer.pages.asked import Asked, Row, Shown

_MEANINGS = {
    TrajectoryScore.QU: "query understanding",
    TrajectoryScore.QP: "query planning",
    TrajectoryScore.TCU: "tool-response understanding",
    TrajectoryScore.TCP: "tool-response-conditioned planning",
    TrajectoryScore.TCS: "tool-call status",
    TrajectoryScore.TC: "tool conciseness",
    TrajectoryScore.FA: "final answer",
}


def trajectory_page(asked: Asked, row: Row) -> Shown:
    """`RUN/trajectories/ID.html`."""
    rollout = row.record(RecordedRollout)
    judgement, problems = None, list[str]()
    try:
        judgement = _judgement(row.run.folder, rollout.id)
    except AstraError as error:
        problems.append(str(error))
    trajectory = rollout.trajectory
    return "trajectory.html", {
        "title": f"Trajectory {rollout.id}",
        "row": row,
        "rollout": rollout,
        "judgement": judgement,
        "meanings": _MEANINGS,
        "messages": shown_messages(
            trajectory.messages,
            trajectory.calls,
            findings=() if judgement is None else judgement.findings,
        ),
        "problems": problems,
    }


def _judgement(folder: RunFolder, rollout: str) -> Judgement | None:
    for offset, value in folder.values(JUDGEMENTS):
        if value.get("rollout") == rollout:
            return folder.row_at(JUDGEMENTS, offset, Judgement)
    return None
