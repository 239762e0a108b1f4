"""A clock that stands still, for one episode's process.

`datetime.datetime` and `datetime.date` are changed in place, not replaced, so that `isinstance`
and the names that other modules already hold keep working. Tool code that asks the kernel itself
(ctypes) still finds the real time.
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import time
from collections.abc import Callable
from typing import Any

_SECONDS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")


def _constant(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def _patch_class(cls: type, methods: dict[str, Callable[..., Any]]) -> None:
    (namespace,) = (d for d in gc.get_referents(cls.__dict__) if isinstance(d, dict))
    for name, method in methods.items():
        namespace[name] = classmethod(method)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(cls))


def freeze(seconds: float) -> None:
    """Make every clock of `time` and `datetime` show `seconds` since the epoch (UTC) for good."""
    nanoseconds = int(seconds * 1_000_000_000)
    for name in _SECONDS:
        setattr(time, name, _constant(seconds))
        setattr(time, f"{name}_ns", _constant(nanoseconds))
    time.clock_gettime = _constant(seconds)
    time.clock_gettime_ns = _constant(nanoseconds)
    # These ask for the time themselves when they are called without one.
    gmtime, localtime, ctime = time.gmtime, time.localtime, time.ctime
    strftime, asctime = time.strftime, time.asctime
    time.gmtime = lambda at=None: gmtime(seconds if at is None else at)
    time.localtime = lambda at=None: localtime(seconds if at is None else at)
    time.ctime = lambda at=None: ctime(seconds if at is None else at)
    time.asctime = lambda *at: asctime(*(at or [localtime(seconds)]))
    time.strftime = lambda form, *at: strftime(form, *(at or [localtime(seconds)]))

    utc = datetime.UTC
    moment = datetime.datetime.fromtimestamp(seconds, utc)
    from_timestamp = datetime.datetime.fromtimestamp

    def now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
        if cls is datetime.datetime:
            return from_timestamp(seconds, tz) if tz else moment.replace(tzinfo=None)
        return cls.fromtimestamp(seconds, tz)

    def utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
        return now(cls, utc).replace(tzinfo=None)

    def today(cls: type[datetime.date]) -> datetime.date:
        return cls(moment.year, moment.month, moment.day)

    _patch_class(datetime.datetime, {"now": now, "utcnow": utcnow, "today": lambda c: now(c)})
    _patch_class(datetime.date, {"today": today})
