"""Plays mathematical problems: one question, one response, compared by `math-verify`.

    python -P maths.py         in an environment with math-verify; see `episode_server.py`

The answer is the last `\\boxed{…}` of the response, or its last expression where there is none.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))

from episode_server import Ask, Play, digests, serve  # pyright: ignore[reportMissingImports]

PROMPT = "{problem}\n\nReason step by step, and put your final answer within \\boxed{{}}."
SECONDS = 10
"""Limit of each parsing and of the comparison. They use signals, hence processes of their own."""

COMMON = (
    "17",
    "-0.25",
    "\\frac{1}{2}",
    "3\\sqrt{2}",
    "x^2 + 1",
    "2\\pi",
    "(1, 2]",
    "(3, -4)",
    "\\{1, 2\\}",
)
"""Answers of the usual kinds."""


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Play]:
    """Read the file of problems. ValueError names the line that can't be used."""
    import math_verify  # once, before the first fork

    # Its parser learns as it reads. A child that had to begin anew, on a busy machine, could miss
    # the limit of time, and a right answer would be a wrong one.
    for expression in COMMON:
        judge(math_verify, expression, f"It is $\\boxed{{{expression}}}$.")

    path = Path(options["problems"])
    problems: dict[str, dict[str, Any]] = {}
    listed: list[dict[str, Any]] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number} is no JSON: {error}") from None
            try:
                problem, answer = row["problem"], str(row["answer"])
            except (KeyError, TypeError):
                raise ValueError(f"{path}, line {number}: no `problem` or no `answer`") from None
            name = str(row.get("id", number))
            if name in problems:
                raise ValueError(f"{path}, line {number}: the id {name!r} stands twice")
            problems[name] = {"problem": problem, "answer": answer}
            task: dict[str, Any] = {"id": name, "category": str(row.get("category", path.stem))}
            if options.get("gold"):
                boxed = f"\\boxed{{{answer.strip().strip('$')}}}"
                task["gold"] = [{"content": f"The answer is ${boxed}$.", "tool_calls": []}]
            listed.append(task)

    def play(request: dict[str, Any], ask: Ask) -> dict[str, Any]:
        problem = problems[request["task"]]
        question = PROMPT.format(problem=problem["problem"])
        reply = ask([{"role": "user", "content": question}], [])
        return judge(math_verify, problem["answer"], reply["content"])

    return {"tasks": listed, "files": digests(path.parent, [path])}, play


def judge(math_verify: Any, answer: str, response: str) -> dict[str, Any]:
    """Compare the final answer of a response with the right one.

    Raises ValueError if the right answer can't be read: nothing is scored by it.
    """
    # LaTeX only: other expressions go through sympy's `parse_expr`, which evaluates Python.
    latex = [math_verify.LatexExtractionConfig(boxed_match_priority=0)]
    boxed = f"\\boxed{{{answer.strip().strip('$')}}}"
    right = math_verify.parse(boxed, latex, parsing_timeout=SECONDS)
    if not right:
        raise ValueError(f"the right answer {answer[:200]!r} can't be read")
    given = math_verify.parse(response, latex, parsing_timeout=SECONDS)
    if not given:
        return {"score": 0.0, "error": "no_answer", "detail": ""}
    equal = math_verify.verify(right, given, timeout_seconds=SECONDS)
    detail = f"{given[-1]} instead of {right[-1]}"[:500]
    return {"score": float(equal), "error": "" if equal else "wrong_answer", "detail": detail}


if __name__ == "__main__":
    serve(load)
