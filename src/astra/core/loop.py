"""One event loop for all synchronous calls, on a thread that lives as long as the process.

The synchronous functions of the package run their coroutines here, so that they work in a script,
in a notebook (inside its running loop) and in a trainer. Why one permanent thread: a sandbox's
processes die with the thread that opened them, so a loop per call would kill the sandboxes that
outlive the call.

Torch keeps the current device, grad mode and autocast per thread. Whatever must run under the
caller's goes through `on_caller`.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Caller(threading.local):
    """What the loop asks a calling thread to do. It lives as long as the thread, not as a call:

    tasks that a call leaves running (episodes ahead of the one that was yielded) ask again in the
    next call of the same thread.
    """

    def __init__(self) -> None:
        self.requests: SimpleQueue[Callable[[], None] | None] = SimpleQueue()


_THIS_THREAD = _Caller()
_REQUESTS: ContextVar[SimpleQueue[Callable[[], None] | None] | None] = ContextVar(
    "requests", default=None
)


class _Call(Generic[T]):
    """One coroutine on the loop thread, and the thread that waits for it."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._requests = _THIS_THREAD.requests
        self._task: asyncio.Task[None] | None = None
        self._result: T | None = None
        self._error: BaseException | None = None
        self._done = False

    def begin(self) -> None:
        """Start; runs on the loop thread."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        try:
            self._result = await self._coroutine
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            # SystemExit from a user's tool would end the loop for everybody if it passed on.
            self._error = error
        finally:
            self._done = True
            self._requests.put(None)

    def cancel(self) -> None:
        """Stop, cleaning up; runs on the loop thread."""
        if self._task is not None:
            self._task.cancel()

    def wait(self) -> None:
        """Do what the loop asks of this thread until the coroutine has ended."""
        # Checked before every wait: a nested call may have taken the wake-up of this one.
        while not self._done:
            request = self._requests.get()
            if request is not None:
                request()

    def result(self) -> T:
        if self._error is not None:
            # Without the reference the frames of the traceback would live on in a cycle.
            error, self._error = self._error, None
            raise error
        return self._result  # pyright: ignore[reportReturnType] # set when there is no error


class _LoopThread:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="astra-loop", daemon=True)
        self.closers: list[Callable[[], Awaitable[None]]] = []
        # The loop itself holds tasks weakly.
        self.background: set[asyncio.Task[None]] = set()
        self.thread.start()

    async def _close(self) -> None:
        await asyncio.gather(*self.background, return_exceptions=True)
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for close in reversed(self.closers):
            await close()

    def stop(self) -> None:
        closing = asyncio.run_coroutine_threadsafe(self._close(), self.loop)
        with suppress(Exception):
            closing.result(timeout=5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout=5)
        if not self.thread.is_alive():
            self.loop.close()


_lock = threading.Lock()
_thread: _LoopThread | None = None


def _running() -> _LoopThread:
    global _thread
    with _lock:
        if _thread is None:
            _thread = _LoopThread()
            atexit.register(_thread.stop)
        return _thread


def _forget() -> None:
    """In a forked child: the loop thread is gone, and may have held the lock."""
    global _thread, _lock
    if _thread is not None:
        atexit.unregister(_thread.stop)
    _thread, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def on_loop_thread() -> bool:
    """Whether the calling thread is the loop thread."""
    return _thread is not None and threading.current_thread() is _thread.thread


def at_loop_exit(close: Callable[[], Awaitable[None]]) -> None:
    """Await a function on the loop before the process ends, the last one first."""
    _running().closers.append(close)


def run_later(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Await a function on the loop, and do not wait for it here. At the end of the process: not."""
    running = _running()
    if running.loop.is_closed():
        return

    def begin() -> None:
        task = running.loop.create_task(function())
        running.background.add(task)
        task.add_done_callback(running.background.discard)

    running.loop.call_soon_threadsafe(begin)


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, run on the loop thread while this thread waits.

    Works inside a running event loop, which stands still meanwhile. Ctrl-C cancels the coroutine,
    waits until it has cleaned up, and passes on. Raises RuntimeError on the loop thread itself.
    """
    running = _running()
    if on_loop_thread():
        coroutine.close()
        raise RuntimeError(
            "a synchronous function of astra was called from a coroutine that astra runs: "
            "await the function of the same name in astra.aio"
        )
    call = _Call(coroutine)
    token = _REQUESTS.set(_THIS_THREAD.requests)
    try:
        # The context, with the queue in it, is copied here.
        running.loop.call_soon_threadsafe(call.begin)
    finally:
        _REQUESTS.reset(token)
    try:
        call.wait()
    except BaseException:
        running.loop.call_soon_threadsafe(call.cancel)
        call.wait()
        raise
    return call.result()


async def on_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, run on the loop thread while the caller's own loop goes on."""
    if on_loop_thread():
        return await coroutine
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, _running().loop))


def iterate(items: AsyncGenerator[T]) -> Generator[T]:
    """The items of an asynchronous generator. It rests while the consumer works on an item."""

    async def following() -> tuple[T] | None:
        try:
            return (await anext(items),)
        except StopAsyncIteration:
            return None

    try:
        while (item := run_sync(following())) is not None:
            yield item[0]
    finally:
        run_sync(items.aclose())


def iterated(function: Callable[P, AsyncGenerator[T]]) -> Callable[P, Generator[T]]:
    """An asynchronous generator function as a plain one."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Generator[T]:
        return iterate(function(*args, **kwargs))

    return call


def synchronous(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """A coroutine function as a plain one that waits."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_sync(function(*args, **kwargs))

    return call


async def on_caller(function: Callable[[], T]) -> T:
    """Call a function on the thread that waits in `run_sync`; here, if nobody waits there."""
    requests = _REQUESTS.get()
    if requests is None:
        return function()
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if answer.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # pyright: ignore[reportArgumentType]

    def request() -> None:
        if answer.cancelled():
            return
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            loop.call_soon_threadsafe(deliver, None, error)
        except BaseException:
            # Ctrl-C stops the caller; the coroutine that awaits must not wait for ever.
            loop.call_soon_threadsafe(answer.cancel)
            raise
        else:
            loop.call_soon_threadsafe(deliver, result, None)

    requests.put(request)
    return await answer
