"""Decoupled checkpoints: weights of every save, the optimizer's state of the last saves only.

The state of AdamW is twice as large as the weights. To resume, the newest state is enough; to
compare models along the way, the weights are (ASTRA paper, section on SFT).

A checkpoint counts once its mark is written, after everything else. A kill in the middle of a save
leaves no mark, and the run resumes from the checkpoint before.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState, TrainingArguments

from astra.core.files import write_file
from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.types import Json

MARK = "whole.json"
_NAME = re.compile(r"checkpoint-(\d+)")
_STATE = (
    *("optimizer.pt", "optimizer.bin", "optimizer_*", "pytorch_model_fsdp_*", "global_step*"),
    *("scheduler.pt", "scaler.pt", "rng_state*.pth", "zero_to_fp32.py", "latest"),
    *("rl_state.json", "reference.safetensors"),
)
"""Files that only a resumed run needs: of one process, of FSDP and of DeepSpeed."""


class CheckpointMarker(TrainerCallback):
    """Marks complete checkpoints, and removes the optimizer's state from all but the newest."""

    def __init__(self, states: int = 2, weights: int | None = None) -> None:
        """`states`: checkpoints that keep the state. `weights`: checkpoints kept in all. None: all
        of them."""
        self._states = max(1, states)
        self._weights = weights
        self.note: Callable[[], dict[str, Json]] = dict
        """Content of the mark: values that the trainer's own state lacks."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any
    ) -> None:
        if not state.is_world_process_zero or args.output_dir is None:
            return
        folder = Path(args.output_dir)
        mark = folder / f"checkpoint-{state.global_step}" / MARK
        write_file(mark, json.dumps(self.note()).encode())
        saved = checkpoints(folder)
        for old in saved[: -self._states]:
            for path in _files(old, _STATE):
                if path.is_dir() and not path.is_symlink():  # as FSDP and DeepSpeed write it
                    shutil.rmtree(path)
                else:
                    path.unlink()
        if self._weights is not None:
            for old in saved[: -max(self._weights, self._states)]:
                shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a folder, the oldest first."""
    named = [p for p in folder.glob("checkpoint-*") if _NAME.fullmatch(p.name)]
    # A link would lead the removal of old states into a folder elsewhere.
    whole = (p for p in named if not p.is_symlink() and (p / MARK).exists())
    return sorted(whole, key=step_of)


def note_of(checkpoint: Path) -> dict[str, Json]:
    """The content of a complete checkpoint's mark."""
    return RunFolder(checkpoint).read_json(MARK)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def to_resume(folder: Path) -> Path | None:
    """The newest complete checkpoint with its state. None: begin anew.

    Incomplete ones are removed: the trainer would write into what a kill left there.
    """
    complete = checkpoints(folder)
    for broken in set(folder.glob("checkpoint-*")) - set(complete):
        if broken.is_symlink() or not broken.is_dir():
            raise StoreError(f"{str(broken)!r} is not a folder: remove it")
        shutil.rmtree(broken)
    return next((p for p in reversed(complete) if any(_files(p, ("scheduler.pt",)))), None)


def _files(checkpoint: Path, patterns: Iterable[str]) -> list[Path]:
    return [path for pattern in patterns for path in checkpoint.glob(pattern)]
