"""Reads problems from JSONL or JSON, in the layout of `MathProblem` and other common ones.

The question is under `problem`, `prompt` or `question`: text, or chat messages whose last user
message counts. The answer is under `answer`, or in `solution` (the last `\\boxed{…}`, or what
follows `####`), or under `reward_model.ground_truth`. Keys are read in any case. This covers MATH
(a folder with one JSON object per file, or JSONL), MATH-500, AIME, AMC and GSM8K. A row that fits
none of it is an error that names file and line; it is never left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from astra.errors import TableError
from astra.types import Json
from recipes.problems.answers import MOST_CHARACTERS, final_answer
from recipes.problems.records import MathProblem, problem_id

_QUESTIONS = ("problem", "prompt", "question")
_SOURCES = ("source", "type", "subject", "competition", "url")
_WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+")


def read_problems(path: Path) -> list[MathProblem]:
    """All problems of a file, or of the .json and .jsonl files of a folder, without duplicates.

    Raises TableError for a row that can't be read, and if there is no problem at all.
    """
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in (".json", ".jsonl"))
    problems: dict[str, MathProblem] = {}
    for file in files:
        for where, row in _rows(file):
            problem = _problem(row, where)
            problems.setdefault(problem.id, problem)
    if not problems:
        raise TableError(f"{str(path)!r} holds no problems: give a .jsonl or .json file of them")
    return list(problems.values())


def _rows(path: Path) -> Iterator[tuple[str, Json]]:
    """The rows of a file, each with its position for errors."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{str(path)!r} can't be read as UTF-8 text: {error}") from error
    if path.suffix == ".json":
        value = _parsed(text, f"{str(path)!r}")
        for number, row in enumerate(value if isinstance(value, list) else [value], 1):
            yield f"{str(path)!r}, entry {number}", row
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{str(path)!r}, line {number}"
            yield where, _parsed(line, where)


def _parsed(text: str, where: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TableError(f"{where}: not a JSON value: {error}") from error


def _problem(row: Json, where: str) -> MathProblem:
    if not isinstance(row, Mapping):
        raise TableError(f"{where}: a problem must be a JSON object, not {str(row)[:80]!r}")
    fields = {str(name).lower(): value for name, value in row.items()}
    question = next((q for name in _QUESTIONS if (q := _question(fields.get(name)))), None)
    if question is None:
        raise TableError(
            f"{where}: no question: one is expected under {', '.join(_QUESTIONS)}, and the row "
            f"has {', '.join(sorted(fields)) or 'nothing'}"
        )
    answer = _answer(fields)
    if answer is None:
        raise TableError(
            f"{where}: no answer of at most {MOST_CHARACTERS} characters: one is expected under "
            "`answer`, or in `solution` as \\boxed{…} or after ####"
        )
    level, steps = fields.get("level"), fields.get("steps")
    digits = None
    if isinstance(level, int | str) and not isinstance(level, bool):
        digits = re.search(r"\d+", str(level))  # 5 and "Level 5"
    return MathProblem(
        id=problem_id(question, answer),
        question=question,
        answer=answer,
        steps=tuple(map(str, steps)) if isinstance(steps, list) else (),
        source=next((str(s) for name in _SOURCES if (s := fields.get(name))), ""),
        level=int(digits.group()) if digits else None,
        split="test" if fields.get("split") == "test" else "train",
    )


def _question(value: Json) -> str | None:
    if isinstance(value, list):
        users = [m for m in value if isinstance(m, Mapping) and m.get("role") == "user"]
        value = users[-1].get("content") if users else None
    return value.strip() if isinstance(value, str) and value.strip() else None


def _answer(fields: Mapping[str, Any]) -> str | None:
    answer, solution = fields.get("answer"), fields.get("solution")
    if answer is None and isinstance(fields.get("reward_model"), Mapping):
        answer = fields["reward_model"].get("ground_truth")
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    if isinstance(answer, str) and answer.strip():
        text = answer.rpartition("####")[2].strip()  # GSM8K puts the steps before it
        if whole := _WHOLE_NUMBER.fullmatch(text):
            text = whole[1]
    else:
        text = (final_answer(solution) if isinstance(solution, str) else None) or ""
    return text if 0 < len(text) <= MOST_CHARACTERS else None
