"""A process that compares two mathematical expressions; run by its path, imports nothing of ours.

    python -I worker.py OWNER SECONDS

Reads a JSON array [gold, answer] per line, writes {"equal": true|false} or {"error": "…"}. The
time limits of `math_verify` are signals, which only a main thread can have; the parent's deadline
stands behind them, for a computation inside the interpreter can't be interrupted by a signal. Nor
does such a computation notice that its input has ended, so that the kernel has to end a worker
whose owner (a process id) was killed: at once on Linux, elsewhere after SECONDS of processor time.
"""

import ctypes
import json
import math
import os
import resource
import signal
import sys
import time
from typing import Any

MEMORY_BYTES = 2 * 2**30
SECONDS = 3
"""Limit of each parsing and of the comparison, in whole seconds as `signal.alarm` wants it."""
_DAY = 86_400
_PR_SET_PDEATHSIG = 1


def main() -> None:
    owner, seconds = int(sys.argv[1]), float(sys.argv[2])
    _die_with(owner)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has no business writing files
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        _limit_processor_time(seconds)
        gold, answer = json.loads(line)
        sys.stdout.write(json.dumps(_verdict(gold, answer)) + "\n")
        sys.stdout.flush()


def _die_with(owner: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    That thread runs the owner's event loop, without which nobody asks this process anything.
    """
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != owner:  # it was killed before the kernel knew
        os._exit(1)


def _limit_processor_time(seconds: float) -> None:
    """Have the kernel kill this process after so much more work. The limit counts from the start
    of the process, hence anew for each question."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time() + min(seconds, _DAY))
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, most))


def _verdict(gold: str, answer: str) -> dict[str, object]:
    from math_verify import verify
    from math_verify.errors import TimeoutException

    try:
        wanted, found = _parsed(gold), _parsed(answer)
        if all(isinstance(value, str) for value in wanted) and gold.strip() != answer.strip():
            return {"error": f"the right answer {gold[:200]!r} is no mathematics"}
        equal = verify(wanted, found, timeout_seconds=SECONDS, raise_on_error=True)
    except (Exception, TimeoutException) as error:  # noqa: BLE001 - becomes "no verdict"
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    return {"equal": bool(equal)}


def _parsed(text: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    # LaTeX only: plain expressions go through sympy's `parse_expr`, which evaluates Python.
    only = [LatexExtractionConfig(boxed_match_priority=0)]
    boxed = "\\boxed{" + text + "}"
    return parse(boxed, only, parsing_timeout=SECONDS, raise_on_error=True)


if __name__ == "__main__":
    main()
