"""Coroutines run from synchronous training code, also inside a running event loop."""

from __future__ import annotations

import asyncio
import threading
from asyncio import events
from collections.abc import Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")


class CallerLoop:
    """An event loop that runs on the caller's thread.

    Training stays on one thread: torch keeps its device, grad mode and autocast per thread, and a
    sandbox's zygotes die with the thread that opened them. In a notebook that thread already runs a
    loop, which asyncio refuses to nest; it is set aside while ours runs.
    """

    def __init__(self) -> None:
        # One loop for the run: the sandbox belongs to the loop that it was opened in.
        self._runner = asyncio.Runner()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        with _outer_loop_set_aside():
            return self._runner.run(coroutine)

    def close(self) -> None:
        with _outer_loop_set_aside():
            self._runner.close()


class ThreadLoop:
    """An event loop on a thread of its own, for what goes on while the caller's thread trains.

    The thread lives until `close`, and with it the sandbox that was opened in it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = False
        # A daemon: the process can end even if a task hangs.
        self._thread = threading.Thread(target=self._work, name="astra-rollouts", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._closing:
            # SystemExit in a task ends `run_forever` before those who await the task learn of it.
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin to run a coroutine. Its errors are raised by the future's `result`."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self.start(coroutine).result()

    def cancel(self) -> None:
        """Cancel everything that runs, and wait until it has cleaned up."""
        self.run(_cancel_others())

    def close(self) -> None:
        self.cancel()
        self.run(self._loop.shutdown_asyncgens())
        self.run(self._loop.shutdown_default_executor())
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def _outer_loop_set_aside() -> Generator[None]:
    outer = events._get_running_loop()  # pyright: ignore[reportPrivateUsage]
    task = None if outer is None else asyncio.current_task(outer)
    if outer is not None and task is not None:
        # Python 3.14 keeps one current task a thread, not one a loop.
        asyncio.tasks._leave_task(outer, task)  # pyright: ignore
    events._set_running_loop(None)
    try:
        yield
    finally:
        events._set_running_loop(outer)
        if outer is not None and task is not None:
            asyncio.tasks._enter_task(outer, task)  # pyright: ignore
