"""Stage `judgements`: rollouts to scores. A rollout whose scores are not complete is an error row.

Each further judge has a file of its own, `judgements-<name>.jsonl`.
"""

from __future__ import annotations

import re
from operator import attrgetter, itemgetter

from astra.errors import ConfigError
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.trajectories.judge.judge import judge
from astra.trajectories.records import Judgement, RecordedRollout

JUDGEMENTS = "judgements"


def judgements_stage(
    teacher: Teacher, votes: int, name: str = JUDGEMENTS
) -> Stage[RecordedRollout, Judgement]:
    """`votes`: how often each question is asked. `name`: of the file of judgements."""
    if votes < 1:
        raise ConfigError(f"judge_votes {votes}: at least one is needed")

    async def work(rollout: RecordedRollout) -> Judgement:
        return await judge(rollout, teacher, votes)

    return Stage(name, work, key=attrgetter("id"), stored_key=itemgetter("rollout"))


def judgements_name(teacher: str) -> str:
    """Name of the file for the judgements of a teacher."""
    label = re.sub(r"[^a-z0-9]+", "-", teacher.lower()).strip("-") or "model"
    return f"{JUDGEMENTS}-{label}"
