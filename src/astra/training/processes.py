"""Processes of a training run: on GPUs or, without any, on CPUs (gloo)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from astra.configs.training import TrainRLConfig, TrainSFTConfig
from astra.runs.folder import RunFolder
from astra.runs.opening import open_run
from astra.types import Json


def on_cpu(trl: Mapping[str, Json]) -> bool:
    """Whether TRL trains on the CPU: by option, or because there is no accelerator."""
    return bool(trl.get("use_cpu")) or not torch.accelerator.is_available()


def processes_of(trl: Mapping[str, Json]) -> Any:
    """This process (an `accelerate.PartialState`) among those that torchrun or accelerate
    started."""
    from accelerate import PartialState

    return PartialState(cpu=on_cpu(trl))


@contextmanager
def training_run(
    config: TrainSFTConfig | TrainRLConfig, state: Any, inputs: Mapping[str, Json]
) -> Generator[RunFolder]:
    """The run folder of a training in this process (`state`).

    The first process creates it, and has its lock from now on: a second training of the folder is
    refused before it loads anything. The others wait for the first, as it may refuse the options.
    """
    with ExitStack() as stack:
        with state.main_process_first():
            if state.is_main_process:
                folder = open_run(config, config.out, inputs=inputs)
                stack.enter_context(folder.lock())
            else:
                folder = RunFolder(Path(config.out))
        yield folder


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
