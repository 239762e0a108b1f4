"""`metrics.jsonl` of a training run: a row of numbers per logged step.

The file only grows. A run that resumes from an earlier step first drops the rows that it is about
to write again, so that the curve has one row per step.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import ExitStack, suppress
from typing import Any

from transformers import TrainerCallback, TrainerState

from astra.runs.folder import RunFolder
from astra.runs.jsonl import JsonlLog
from astra.types import Json

METRICS = "metrics"
STEP = "step"


class MetricsLog(TrainerCallback):
    """Writes a row each time the trainer logs. Close it.

    The trainer's summary at the end is left out: of a resumed run it covers only the last part.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._files = ExitStack()
        self._log: JsonlLog | None = None
        self._start = time.monotonic()

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._files.enter_context(self._folder.lock())
            self._log = self._files.enter_context(self._folder.append(METRICS))
            rows = self._folder.values(METRICS)
            later = next((offset for offset, row in rows if row[STEP] > state.global_step), None)
            if later is not None:
                self._log.cut(later)
        self._start = time.monotonic()

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any
    ) -> None:
        if self._log is None or "train_runtime" in (logs or {}):
            return
        row: dict[str, Json] = {STEP: state.global_step}
        row["seconds"] = round(time.monotonic() - self._start, 3)
        for name, value in (logs or {}).items():
            # TRL logs numbers also as tensors and as text. JSON has no NaN and no infinity: such a
            # point is missing.
            with suppress(TypeError, ValueError):
                number = value if isinstance(value, int | float) else float(value)
                if math.isfinite(number):
                    row[name] = number
        self._log.append([json.dumps(row).encode() + b"\n"])

    def close(self) -> None:
        """Close the file and give up the lock. Call it also after a run that failed."""
        self._log = None
        self._files.close()
