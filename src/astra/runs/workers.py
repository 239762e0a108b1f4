"""Calls that cross to a worker and back, and are made again when the worker is lost.

A call is pickled here: a function of a module by name, records and reference policies as they are,
a local sandbox as "the one of that level where this is read". The worker runs it on the loop thread
of its process, which keeps its sandbox for the next call. It writes no file.

What it does not guarantee: that whoever runs the workers is kept from anything. Pickles are code,
so workers and this process trust each other; only what tools return is untrusted, and is checked
where it leaves the sandbox, as on one machine.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import pickle
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import astra
from astra.core.loop import run_sync
from astra.errors import AstraError, ConfigError, WorkerLost

P = ParamSpec("P")
R = TypeVar("R")

Submit = Callable[[bytes], Awaitable[bytes]]
ATTEMPTS = 5
"""Workers that may be lost over one call. An item that kills each of them is no better off on a
sixth."""
_PAUSE_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Installation(NamedTuple):
    """What must be the same on workers, for the bytes to be the same."""

    python: str
    """Major and minor version."""
    astra: str
    """Version, with a hash of the source: clones of one version differ."""

    def problem(self, wanted: Installation) -> str:
        """How this one, of a worker, differs from the one that is wanted. Empty if it doesn't."""
        if self == wanted:
            return ""
        return (
            f"a worker has Python {self.python} and astra {self.astra}, this process has Python "
            f"{wanted.python} and astra {wanted.astra}: install the same on every node"
        )


@functools.cache
def installation() -> Installation:
    """What this process runs."""
    code = hashlib.sha256()
    package = Path(astra.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            code.update(f"{path.relative_to(package)}\0".encode() + digest.digest())
    python = ".".join(platform.python_version_tuple()[:2])
    return Installation(python, f"{version('astra-arenas')} ({code.hexdigest()[:8]})")


@dataclass(frozen=True, slots=True)
class Workers:
    """An executor over some way to run `run_call` elsewhere."""

    submit: Submit
    """Runs `run_call` on a worker. Raises `WorkerLost` if that ends without a result."""
    slots: int
    submit_waiting: Submit | None = None
    """The same for calls that mostly wait. None: as all others."""

    async def call(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return await _made(self.submit, (function, args, kwargs))

    async def call_waiting(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return await _made(self.submit_waiting or self.submit, (function, args, kwargs))


async def _made(submit: Submit, what: tuple[object, ...]) -> Any:
    # Twice: a worker that differs could not read what it is asked to do, but reads this.
    call = pickle.dumps((tuple(installation()), pickle.dumps(what)))
    lost = 0
    while True:
        try:
            kind, value = pickle.loads(await submit(call))
            break
        except WorkerLost as error:
            lost += 1
            if lost == ATTEMPTS:
                raise WorkerLost(f"{lost} workers were lost, the last: {error}") from error
            _log.warning("a worker was lost, its work is done again: %s", error)
            await asyncio.sleep(_PAUSE_SECONDS)
    if kind == "raised":
        raise value
    return value


def run_call(call: bytes) -> bytes:
    """The part of a worker: make a call that `Workers` pickled. Raises nothing of the call's own.

    Interrupting the thread cancels the call.
    """
    python, package = pickle.loads(call)[0]
    if problem := installation().problem(Installation(python, package)):
        return pickle.dumps(("raised", ConfigError(problem)))
    try:
        function, args, kwargs = pickle.loads(pickle.loads(call)[1])
        return pickle.dumps(("returned", run_sync(function(*args, **kwargs))))
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised where it is awaited
        return _pickled_error(error)


def _pickled_error(error: BaseException) -> bytes:
    try:
        told = pickle.dumps(("raised", error))
        pickle.loads(told)  # many can be written and not read
        return told
    except Exception:  # noqa: BLE001 - it is told in words instead
        return pickle.dumps(("raised", AstraError(f"{type(error).__name__}: {error}")))
