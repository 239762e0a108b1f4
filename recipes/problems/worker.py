"""A process that compares two mathematical expressions. Run by path; imports nothing of ASTRA.

    python -I worker.py OWNER SECONDS

Reads a JSON array [right, answer] per line, writes {"equal": true|false} or {"error": "…"}. The
time limits of `math_verify` are signals, which only a main thread can have. A signal does not
interrupt a computation inside the interpreter, so the parent has a deadline of its own. Such a
computation does not notice the end of its input either, so the kernel ends a worker whose owner (a
process id) was killed: at once on Linux, elsewhere after SECONDS of processor time.
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
"""Limit of each parsing and of the comparison, in whole seconds because of `signal.alarm`."""
_DAY = 86_400
_PR_SET_PDEATHSIG = 1


def main() -> None:
    owner, seconds = int(sys.argv[1]), float(sys.argv[2])
    _die_with(owner)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # writes no files
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        _limit_processor_time(seconds)
        right, answer = json.loads(line)
        sys.stdout.write(json.dumps(_compare(right, answer)) + "\n")
        sys.stdout.flush()


def _die_with(owner: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    That thread runs the owner's event loop, without which no question comes.
    """
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != owner:  # it was killed before the kernel knew
        os._exit(1)


def _limit_processor_time(seconds: float) -> None:
    """Have the kernel kill this process after this much more processor time.

    The kernel counts from the start of the process, so the limit moves with each question.
    """
    _, hard_limit = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time() + min(seconds, _DAY))
    if hard_limit != resource.RLIM_INFINITY:
        limit = min(limit, hard_limit)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard_limit))


def _compare(right: str, answer: str) -> dict[str, object]:
    from math_verify import verify
    from math_verify.errors import TimeoutException

    try:
        right_values, values = _parse(right), _parse(answer)
        if (
            all(isinstance(value, str) for value in right_values)
            and right.strip() != answer.strip()
        ):
            return {"error": f"the right answer {right[:200]!r} is not mathematics"}
        equal = verify(right_values, values, timeout_seconds=SECONDS, raise_on_error=True)
    except (Exception, TimeoutException) as error:  # noqa: BLE001 - becomes "no verdict"
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    return {"equal": bool(equal)}


def _parse(text: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    # LaTeX only: plain expressions go through sympy's `parse_expr`, which evaluates Python.
    latex = [LatexExtractionConfig(boxed_match_priority=0)]
    boxed = "\\boxed{" + text + "}"
    return parse(boxed, latex, parsing_timeout=SECONDS, raise_on_error=True)


if __name__ == "__main__":
    main()
