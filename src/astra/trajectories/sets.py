"""Judged trajectories as a Python sequence, read from a run folder one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, overload

from astra.configs.base import build
from astra.configs.trajectories import ExportTrajectoriesConfig
from astra.errors import ConfigError, StoreError
from astra.runs.folder import RunFolder
from astra.runs.repetitions import unique_values
from astra.trajectories.export.dataset import export_dataset
from astra.trajectories.judge.stage import JUDGEMENTS
from astra.trajectories.play.rollouts import ROLLOUTS
from astra.trajectories.records import Judgement, RecordedRollout
from astra.types import Json, Trajectory

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class JudgedTrajectory:
    """A rollout with its judgement."""

    rollout: RecordedRollout
    judgement: Judgement | None
    """None: it could not be judged."""

    @property
    def id(self) -> str:
        return self.rollout.id

    @property
    def trajectory(self) -> Trajectory:
        return self.rollout.trajectory

    @property
    def reward(self) -> float | None:
        """Mean of the judge's scores."""
        return None if self.judgement is None else self.judgement.reward


class TrajectorySet(Sequence[JudgedTrajectory]):
    """Judged trajectories of a run folder, read when asked for. `len` and slices read nothing."""

    def __init__(
        self,
        path: Path | str,
        *,
        judgements: str = JUDGEMENTS,
        folder: RunFolder | None = None,
    ) -> None:
        """`folder`: the open run folder; it keeps a temporary one alive."""
        self.path = Path(path)
        self.judgements = judgements
        self._folder = RunFolder.open(path) if folder is None else folder
        rollouts = unique_values(self._folder, ROLLOUTS, itemgetter("id"))
        judged = unique_values(self._folder, judgements, itemgetter("rollout"))
        self._offsets = {str(row["id"]): offset for offset, row in rollouts}
        self._judged = {str(row["rollout"]): offset for offset, row in judged}

    @property
    def summary(self) -> dict[str, Json]:
        """Counts and cost of each stage, and `missing` if fewer tasks than `count` were made."""
        stages = self._folder.manifest().stages
        count = self._folder.config().get("count", 0)
        made = stages["tasks"].accepted if "tasks" in stages else 0
        return {
            "trajectories": len(self),
            "judged": sum(key in self._judged for key in self._offsets),
            "missing": max(0, count - made),
            "stages": {name: counts.model_dump(mode="json") for name, counts in stages.items()},
        }

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, key: int | str) -> JudgedTrajectory: ...
    @overload
    def __getitem__(self, key: slice) -> TrajectorySet: ...
    def __getitem__(self, key: int | str | slice) -> JudgedTrajectory | TrajectorySet:
        """By position or id; a slice is a set of the same folder."""
        if isinstance(key, str):
            return self._read(key)
        ids = list(self._offsets)[key]
        return self._read(ids) if isinstance(ids, str) else self._part(ids)

    def __iter__(self) -> Iterator[JudgedTrajectory]:
        return map(self._read, self._offsets)

    def find(self, id_prefix: str) -> JudgedTrajectory:
        """The one trajectory whose id begins so. Raises ConfigError for none and for several."""
        matching = [key for key in self._offsets if key.startswith(id_prefix)]
        if len(matching) != 1:
            for key in matching:
                self._read(key)  # a damaged row is told first: it may be why several match
            number = "several rollouts" if matching else "no rollout"
            raise ConfigError(
                f"{str(self.path)!r} holds {number} with an id that begins {id_prefix!r}: "
                f"`astra trajectories show {quote(str(self.path))}` lists them"
            )
        return self._read(matching[0])

    def filter(self, keep: Callable[[JudgedTrajectory], bool]) -> TrajectorySet:
        """The trajectories for which `keep` is true."""
        return self._part([each.id for each in self if keep(each)])

    def to_pandas(self) -> DataFrame:
        """One row per trajectory: request, answer, stop reason, reward and scores."""
        from pandas import DataFrame  # late: an optional package

        rows: list[dict[str, Json]] = []
        for each in self:
            task, trajectory, judgement = each.rollout.task, each.trajectory, each.judgement
            row: dict[str, Json] = {
                "id": each.id,
                "task": task.id,
                "request": task.request,
                "language": task.language,
                "axis": task.axis.value,
                "model": each.rollout.model,
                "host": each.rollout.host,
                "answer": trajectory.answer,
                "stop": trajectory.stop.value,
                "turns": trajectory.turns,
                "calls": len(trajectory.calls),
                "reward": each.reward,
            }
            scores = {} if judgement is None else judgement.scores
            rows.append(row | {measure.value: score for measure, score in scores.items()})
        return DataFrame(rows)

    def export(self, out: Path | str, **options: Any) -> Path:
        """Write the judged trajectories as a data set; `options` of ExportTrajectoriesConfig."""
        values = {"run": self.path, "out": out, "judgements": self.judgements, **options}
        export_dataset(build(ExportTrajectoriesConfig, values), rollouts=self._offsets)
        return Path(out)

    def _part(self, ids: Sequence[str]) -> TrajectorySet:
        part = copy(self)
        part._offsets = {key: self._offsets[key] for key in ids}
        return part

    def _read(self, key: str) -> JudgedTrajectory:
        if key not in self._offsets:
            raise KeyError(f"no trajectory {key!r} in {str(self.path)!r}")
        rollout = self._folder.row_at(ROLLOUTS, self._offsets[key], RecordedRollout)
        offset = self._judged.get(key)
        judgement = (
            None if offset is None else self._folder.row_at(self.judgements, offset, Judgement)
        )
        return JudgedTrajectory(rollout, judgement)


def load_trajectories(path: Path | str, *, judgements: str = JUDGEMENTS) -> TrajectorySet:
    """Open a run folder of trajectories. Raises StoreError if it holds none."""
    trajectories = TrajectorySet(path, judgements=judgements)
    if not len(trajectories):
        raise StoreError(
            f"{str(path)!r} holds no rollouts: give a folder that `astra trajectories make` wrote"
        )
    return trajectories
