"""Workers in processes of this machine, in the place of a cluster: to be killed."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncGenerator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager

from astra.errors import WorkerLost
from astra.runs.workers import Workers, run_call


class ProcessWorkers:
    """A pool of worker processes, begun anew when one of them is lost."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = self._new()
        self.lost = 0
        """Calls whose worker was lost."""
        self.made = 0

    def _new(self) -> ProcessPoolExecutor:
        # Not forked: a worker shares nothing with this process.
        return ProcessPoolExecutor(self._count, multiprocessing.get_context("spawn"))

    async def submit(self, call: bytes) -> bytes:
        """As a cluster does it."""
        pool = self._pool
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(pool, run_call, call)
        except BrokenProcessPool as error:
            self.lost += 1
            if pool is self._pool:
                self._pool = self._new()
            raise WorkerLost(str(error)) from error
        self.made += 1
        return outcome

    def kill_one(self) -> None:
        """Kill a worker, whatever it is doing."""
        os.kill(next(iter(self._pool._processes)), signal.SIGKILL)  # pyright: ignore[reportPrivateUsage]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@asynccontextmanager
async def process_workers(count: int = 1) -> AsyncGenerator[tuple[Workers, ProcessWorkers]]:
    """An executor over worker processes, and the processes."""
    processes = ProcessWorkers(count)
    try:
        yield Workers(processes.submit, slots=2 * count), processes
    finally:
        processes.close()
