"""Reads problems: JSONL or JSON, in our layout and those that are usual.

A row's question stands under `problem`, `prompt` or `question` (text, or chat messages whose last
one of the user counts), its answer under `answer`, else inside `solution` (the last `\\boxed{…}`,
or what follows `####`), else under `reward_model.ground_truth`. Names are read in any case. So
MATH (a folder of one JSON object a file, or JSONL), MATH-500, AIME, AMC and GSM8K files are read
as they come. A row that is none of this is an error that names file and line, never left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from astra.errors import TableError
from astra.types import Json
from recipes.problems.answers import LONGEST, final_answer
from recipes.problems.records import MathProblem, problem_id

_QUESTIONS = ("problem", "prompt", "question")
_SOURCES = ("source", "type", "subject", "competition", "url")
_WHOLE = re.compile(r"(-?\d+)\.0+")


def read_problems(path: Path) -> list[MathProblem]:
    """All problems of a file, or of the .json and .jsonl files of a folder, each once.

    Raises TableError for a row that can't be read, and for a path without any problem.
    """
    found: dict[str, MathProblem] = {}
    for file in _files(path):
        for where, row in _rows(file):
            problem = _problem(row, where)
            found.setdefault(problem.id, problem)
    if not found:
        raise TableError(f"{str(path)!r} holds no problems: give a .jsonl or .json file of them")
    return list(found.values())


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in (".json", ".jsonl"))


def _rows(path: Path) -> Iterator[tuple[str, Json]]:
    """The rows of a file, each with where it stands."""
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
        raise TableError(f"{where}: this is no JSON value: {error}") from error


def _problem(row: Json, where: str) -> MathProblem:
    if not isinstance(row, Mapping):
        raise TableError(f"{where}: a problem is a JSON object, not {str(row)[:80]!r}")
    fields = {str(name).lower(): value for name, value in row.items()}
    question = next((q for name in _QUESTIONS if (q := _asked(fields.get(name)))), None)
    if question is None:
        raise TableError(
            f"{where}: no question: it is looked for under {', '.join(_QUESTIONS)}, and the row "
            f"has {', '.join(sorted(fields)) or 'nothing'}"
        )
    answer = _answer(fields)
    if answer is None:
        raise TableError(
            f"{where}: no answer of at most {LONGEST} characters: it is looked for under `answer`, "
            "or in `solution` as \\boxed{…} or after ####"
        )
    steps = fields.get("steps")
    return MathProblem(
        id=problem_id(question, answer),
        question=question,
        answer=answer,
        steps=tuple(map(str, steps)) if isinstance(steps, list) else (),
        source=next((str(s) for name in _SOURCES if (s := fields.get(name))), ""),
        level=_level(fields.get("level")),
        split="test" if fields.get("split") == "test" else "train",
    )


def _asked(value: Json) -> str | None:
    """The text of a question; of chat messages the last that the user wrote."""
    if isinstance(value, list):
        said = [m for m in value if isinstance(m, Mapping) and m.get("role") == "user"]
        value = said[-1].get("content") if said else None
    return value.strip() if isinstance(value, str) and value.strip() else None


def _answer(fields: Mapping[str, Any]) -> str | None:
    given = fields.get("answer")
    if given is None and isinstance(fields.get("reward_model"), Mapping):
        given = fields["reward_model"].get("ground_truth")
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = str(given)
    if isinstance(given, str) and given.strip():
        text = given.rpartition("####")[2].strip()
        text = _WHOLE.sub(r"\1", text) if _WHOLE.fullmatch(text) else text
        return text if 0 < len(text) <= LONGEST else None
    solution = fields.get("solution")
    found = final_answer(solution) if isinstance(solution, str) else None
    return found if found is not None and len(found) <= LONGEST else None


def _level(value: Json) -> int | None:
    """5 of 5 and of "Level 5"; None where there is no number."""
    digits = re.search(r"\d+", str(value)) if isinstance(value, int | str) else None
    return int(digits.group()) if digits and not isinstance(value, bool) else None
