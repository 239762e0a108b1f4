"""The processes of a run, which trains on GPUs or, where there are none, on CPUs (gloo)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from astra.types import Json

if TYPE_CHECKING:
    from accelerate import PartialState


def on_cpu(trl: Mapping[str, Json]) -> bool:
    """Whether TRL is to train on the CPU: as its options say, or for want of anything else."""
    return bool(trl.get("use_cpu")) or not torch.accelerator.is_available()


def processes_of(trl: Mapping[str, Json]) -> PartialState:
    """This process among those that torchrun or accelerate started for the run."""
    from accelerate import PartialState

    return PartialState(cpu=on_cpu(trl))


def leave() -> None:
    """End the run's process group, if there is one: a process that exits within it can abort."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()  # whoever still waits for another would wait for ever
        torch.distributed.destroy_process_group()
