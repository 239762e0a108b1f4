"""Stage `judgements`: rollouts to scores. A rollout whose scores are not complete is an error row.

Each further judge has a file of its own, `judgements-<name>.jsonl`.
"""

from __future__ import annotations

from operator import attrgetter, itemgetter

from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.trajectories.judge.judge import judge
from astra.trajectories.reading import JUDGEMENTS
from astra.trajectories.records import Judgement, RecordedRollout


def judgements_stage(
    teacher: Teacher, votes: int, name: str = JUDGEMENTS
) -> Stage[RecordedRollout, Judgement]:
    """`votes`: how often each question is asked. `name`: of the file of judgements."""

    async def work(rollout: RecordedRollout) -> Judgement:
        return await judge(rollout, teacher, votes)

    return Stage(name, work, key=attrgetter("id"), stored_key=itemgetter("rollout"))
