"""Coroutines run from synchronous training code, also inside a running event loop."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
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
