"""A budget of sampled tokens, after which a run ends whatever its number of steps."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from astra.runs.folder import RunFolder
from astra.training.metrics import METRICS, STEP

SAMPLED = "tokens/sampled"
"""Metric that is counted: tokens that the policy sampled in a step, used or not."""


class TokenBudget(TrainerCallback):
    """Stops after the step that reaches the budget. Needs a log row per step.

    A resumed run counts the earlier tokens from its metrics, so it ends where an uninterrupted run
    does.
    """

    def __init__(self, folder: RunFolder, tokens: int) -> None:
        self._folder = folder
        self._budget = tokens
        self.spent = 0.0
        """Tokens sampled so far."""

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        rows = self._folder.values(METRICS) if state.global_step else ()
        self.spent = sum(row.get(SAMPLED, 0.0) for _, row in rows if row[STEP] <= state.global_step)

    def on_log(
        self, args: Any, state: Any, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        self.spent += float((logs or {}).get(SAMPLED, 0.0))
        if self.spent >= self._budget:
            control.should_training_stop = True
