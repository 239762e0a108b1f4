"""Stage `judgements`: rollouts to scores. A score that can't be had is an error row of its rollout.

Another judge's scores stand beside them in `judgements-<name>.jsonl`.
"""

from __future__ import annotations

import re

from astra.errors import ConfigError
from astra.runs.stage import Stage, StageMeter
from astra.teacher.prompt import Teacher
from astra.trajectories.judge.judge import judge
from astra.trajectories.records import Judgement, RecordedRollout

JUDGEMENTS = "judgements"


def judgements_stage(
    teacher: Teacher, judges: int, meter: StageMeter, name: str = JUDGEMENTS
) -> Stage[RecordedRollout, Judgement]:
    """`judges`: how often each question is put. `name`: of the file of judgements."""
    if judges < 1:
        raise ConfigError(f"{judges} judges: at least one is needed")

    async def work(rollout: RecordedRollout) -> Judgement:
        return await judge(rollout, teacher, judges)

    return Stage(
        name=name,
        work=work,
        key=lambda rollout: rollout.id,
        stored_key=lambda row: row["rollout"],
        stored_id=lambda row: row["rollout"],
        meter=meter,
    )


def judgements_name(teacher: str) -> str:
    """The name of the file that holds what a teacher of that name judged."""
    label = re.sub(r"[^a-z0-9]+", "-", teacher.lower()).strip("-") or "model"
    return f"{JUDGEMENTS}-{label}"
