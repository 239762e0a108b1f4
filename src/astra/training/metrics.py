"""What a training run logs, as rows of `metrics.jsonl` in its run folder.

The file only grows. After a kill, a run that goes on from an earlier step drops the rows that it
is about to write again, so that the curve has one row per step.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from astra.runs.folder import RunFolder
from astra.runs.jsonl import JsonlLog
from astra.types import Json

METRICS = "metrics"
STEP = "step"


class MetricsLog(TrainerCallback):
    """Writes what the trainer logs, a row each time. Close it.

    The trainer's summary at the end is left out: after a stop it speaks of the last part only.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._files = ExitStack()
        self._log: JsonlLog | None = None
        self._start = time.monotonic()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero:
            self._files.enter_context(self._folder.lock())
            self._log = self._files.enter_context(self._folder.append(METRICS))
            if (offset := first_after(self._folder, state.global_step)) is not None:
                self._log.cut(offset)
        self._start = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if self._log is not None and "train_runtime" not in (logs or {}):
            seconds = round(time.monotonic() - self._start, 3)
            row = {STEP: state.global_step, "seconds": seconds, **_numbers(logs or {})}
            self._log.append([json.dumps(row).encode() + b"\n"])

    def close(self) -> None:
        """Close the file and give up the lock; also after a run that broke."""
        self._log = None
        self._files.close()


def first_after(folder: RunFolder, step: int) -> int | None:
    """Offset of the first row of a later step; None: there is none."""
    return next((o for o, row in folder.values(METRICS) if row[STEP] > step), None)


def _numbers(logs: Mapping[str, Any]) -> dict[str, Json]:
    """Finite numbers only: JSON knows no others, and a missing point says as much."""
    kept: dict[str, Json] = {}
    for name, value in logs.items():
        number = value if isinstance(value, int | float) else _as_float(value)
        if number is not None and math.isfinite(number):
            kept[name] = number
    return kept


def _as_float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
