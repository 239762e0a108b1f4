"""Decoupled checkpoints: weights often, the optimiser's state for the last saves only.

The state of AdamW is twice the weights in the same precision. To go on after a stop, the newest is
enough; to compare models along the way, weights are (ASTRA paper, section on SFT).

A checkpoint counts once its mark is written, after everything else: a kill while it is being
written leaves none, and `--resume` takes the one before.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from astra.core.files import write_file
from astra.errors import StoreError
from astra.types import Json

MARK = "whole.json"
_NAME = re.compile(r"checkpoint-(\d+)")
_STATE = (
    *("optimizer.pt", "optimizer.bin", "optimizer_*", "pytorch_model_fsdp_*", "global_step*"),
    *("scheduler.pt", "scaler.pt", "rng_state*.pth", "zero_to_fp32.py", "latest"),
    *("rl_state.json", "reference.safetensors"),
)
"""What only going on needs: of one process, of FSDP and of DeepSpeed."""


class CheckpointMarker(TrainerCallback):
    """Marks whole checkpoints, and takes the optimiser's state out of all but the newest."""

    def __init__(self, states: int = 2, weights: int | None = None) -> None:
        """`states`: checkpoints that can be gone on from. `weights`: checkpoints in all; None:
        every one is kept."""
        self._states = max(1, states)
        self._weights = weights
        self.note: Callable[[], dict[str, Json]] = dict
        """What the mark says: what the trainer itself does not keep in its state."""

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero or args.output_dir is None:
            return
        folder = Path(args.output_dir)
        mark = folder / f"checkpoint-{state.global_step}" / MARK
        write_file(mark, json.dumps(self.note()).encode())
        saved = checkpoints(folder)
        for old in saved[: -self._states]:
            _forget_state(old)
        if self._weights is not None:
            for old in saved[: -max(self._weights, self._states)]:
                shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints of a folder, the oldest first."""
    found = [p for p in folder.glob("checkpoint-*") if _NAME.fullmatch(p.name)]
    return sorted((p for p in found if (p / MARK).exists()), key=step_of)


def note_of(checkpoint: Path) -> dict[str, Json]:
    """What the mark of a whole checkpoint says."""
    return json.loads((checkpoint / MARK).read_text("utf-8"))


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def to_resume(folder: Path) -> Path | None:
    """The newest whole checkpoint with its state; None: there is none, begin anew.

    What a kill left unfinished is removed, since the trainer would write into it.
    """
    whole = checkpoints(folder)
    for broken in set(folder.glob("checkpoint-*")) - set(whole):
        if broken.is_symlink() or not broken.is_dir():
            raise StoreError(f"{str(broken)!r} is no folder: remove it")
        shutil.rmtree(broken)
    return next((p for p in reversed(whole) if any(_files(p, ("scheduler.pt",)))), None)


def _forget_state(checkpoint: Path) -> None:
    for path in _files(checkpoint, _STATE):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _files(checkpoint: Path, patterns: Iterable[str]) -> list[Path]:
    return [path for pattern in patterns for path in checkpoint.glob(pattern)]
