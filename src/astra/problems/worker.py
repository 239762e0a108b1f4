"""A process that compares two mathematical expressions; run by its path, imports nothing of ours.

Reads a JSON array [gold, answer] per line, writes {"equal": true|false} or {"error": "…"}. The
time limits of `math_verify` are signals, which only a main thread can have; the parent's deadline
stands behind them, for a computation inside the interpreter can't be interrupted by a signal.
"""

import json
import resource
import sys
from typing import Any

MEMORY_BYTES = 2 * 2**30
SECONDS = 3
"""Limit of each parsing and of the comparison, in whole seconds as `signal.alarm` wants it."""


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has no business writing files
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        gold, answer = json.loads(line)
        sys.stdout.write(json.dumps(_verdict(gold, answer)) + "\n")
        sys.stdout.flush()


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
