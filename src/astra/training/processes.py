"""Processes of a training run: on GPUs or, without any, on CPUs (gloo)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from astra.types import Json


def on_cpu(trl: Mapping[str, Json]) -> bool:
    """Whether TRL trains on the CPU: by option, or because there is no accelerator."""
    return bool(trl.get("use_cpu")) or not torch.accelerator.is_available()


def processes_of(trl: Mapping[str, Json]) -> Any:
    """This process (an `accelerate.PartialState`) among those that torchrun or accelerate
    started."""
    from accelerate import PartialState

    return PartialState(cpu=on_cpu(trl))


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank() == 0
    return True


def leave() -> None:
    """End the run's process group, if there is one."""
    # A process that exits inside the group can abort with an error, after all its work is done.
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()  # a process that still waits for another would wait for ever
        torch.distributed.destroy_process_group()
