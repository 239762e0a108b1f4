"""Ends a run when it has sampled a number of tokens, whatever the number of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from astra.runs.folder import RunFolder
from astra.training.metrics import METRICS, STEP

SAMPLED = "tokens/sampled"
"""The metric that is counted: tokens that the policy sampled in a step, used or not."""


class TokenBudget(TrainerCallback):
    """Stops after the step that reaches the budget. Needs a log row per step.

    What a stopped run had sampled is counted from its metrics, so that it ends where an
    uninterrupted one does.
    """

    def __init__(self, folder: RunFolder, tokens: int) -> None:
        self._folder = folder
        self._budget = tokens
        self.spent = 0.0
        """Tokens sampled so far."""

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        rows = self._folder.values(METRICS) if state.global_step else ()
        self.spent = sum(row.get(SAMPLED, 0.0) for _, row in rows if row[STEP] <= state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.spent += float((logs or {}).get(SAMPLED, 0.0))
        if self.spent >= self._budget:
            control.should_training_stop = True
