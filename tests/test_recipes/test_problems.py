"""Problems are read in the usual layouts, and made with exact answers."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from astra.errors import ConfigError, TableError
from astra.types import Json
from recipes.problems.arithmetic import LARGEST, MOST_STEPS, make_problems
from recipes.problems.make import main as make_main
from recipes.problems.read import read_problems
from recipes.problems.records import MathProblem, problem_id, problem_messages, worked_response


def write(path: Path, *rows: Json) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def one(tmp_path: Path, row: Json) -> MathProblem:
    (problem,) = read_problems(write(tmp_path / "rows.jsonl", row))
    return problem


# --- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "answer", "more"),
    [
        ({"question": "1+1?", "answer": "2"}, "2", {}),
        ({"prompt": " 1+1? ", "answer": 2, "split": "test"}, "2", {"split": "test"}),
        # MATH
        (
            {
                "problem": "Half of one?",
                "level": "Level 5",
                "type": "Algebra",
                "solution": "It is $\\frac12$: $\\boxed{\\frac{1}{2}}$.",
            },
            "\\frac{1}{2}",
            {"level": 5, "source": "Algebra"},
        ),
        # MATH-500
        (
            {"problem": "p", "solution": "s \\boxed{7}", "answer": "7", "subject": "X", "level": 2},
            "7",
            {"level": 2, "source": "X"},
        ),
        # AIME
        ({"ID": "2024-I-1", "Problem": "p", "Solution": "s", "Answer": 204}, "204", {}),
        ({"id": 0, "problem": "p", "solution": "s", "answer": "033", "url": "u"}, "033", {}),
        # AMC
        ({"id": 0, "problem": "p", "answer": 142.0, "url": "u"}, "142", {"source": "u"}),
        ({"problem": "p", "answer": 0.5}, "0.5", {}),
        # GSM8K
        ({"question": "p", "answer": "12+4=16\n#### 16"}, "16", {}),
        # Chat prompts, as verl has them
        (
            {
                "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}],
                "reward_model": {"ground_truth": "34", "style": "rule"},
            },
            "34",
            {"question": "p"},
        ),
    ],
)
def test_layouts(tmp_path: Path, row: Json, answer: str, more: dict[str, Json]):
    problem = one(tmp_path, row)
    assert problem.answer == answer
    assert problem.id == problem_id(problem.question, answer)
    for name, value in more.items():
        assert getattr(problem, name) == value


def test_a_folder_as_math_has_it(tmp_path: Path):
    for index, subject in enumerate(("algebra", "geometry")):
        (tmp_path / subject).mkdir()
        value = {"problem": f"p{index}", "solution": f"\\boxed{{{index}}}"}
        (tmp_path / subject / "1.json").write_text(json.dumps(value))
    (tmp_path / "README.md").write_text("no problems")
    assert [p.question for p in read_problems(tmp_path)] == ["p0", "p1"]


def test_equal_problems_count_once(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", *[{"question": "p", "answer": "1"}] * 3)
    assert len(read_problems(path)) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"question": "p"}', "line 1.*no answer"),
        ('{"question": "p", "answer": ""}', "no answer"),
        ('{"question": "p", "answer": true}', "no answer"),
        ('{"question": "p", "solution": "a\\nproof"}', "no answer"),
        ('{"question": "p", "answer": "' + "9" * 600 + '"}', "500"),
        ('{"question": "p", "answer": "1"}\n{"answer": "1"}', "line 2.*no question"),
        ('{"prompt": [], "answer": "1"}', "no question"),
        ("[1]", "JSON object"),
        ("{", "not a JSON"),
        ("[" * 100_000, "not a JSON"),
        ("", "no problems"),
    ],
)
def test_rows_that_are_none_are_told_with_their_place(tmp_path: Path, text: str, told: str):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(TableError, match=told):
        read_problems(path)


def test_files_that_are_none(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TableError, match="UTF-8"):
        read_problems(tmp_path / "rows.jsonl")
    with pytest.raises(TableError, match=r"nothing\.jsonl"):
        read_problems(tmp_path / "nothing.jsonl")


# --- making ----------------------------------------------------------------------------------

NUMBER = re.compile(r"\d+")
STEP = re.compile(r"(?:(\w+): )?(\d+) ([-+*/]) (\d+) = (\d+)\.")


def test_answers_and_steps_are_exact():
    made = list(make_problems(400, (1, MOST_STEPS), 3))
    for problem in made:
        known = {int(number) for number in re.findall(r"\d+", problem.question)}
        for step in problem.steps:
            match = STEP.fullmatch(step)
            assert match is not None, step
            a, sign, b, result = int(match[2]), match[3], int(match[4]), int(match[5])
            exact = {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign]
            assert exact == result > 0
            assert {a, b} <= known, problem
            known.add(result)
        assert problem.steps[-1].endswith(f" = {problem.answer}.")
        assert problem.level == len(problem.steps)
        assert max(known) <= LARGEST * MOST_STEPS
    assert set(Counter(problem.level for problem in made)) == set(range(1, MOST_STEPS + 1))
    assert {problem.source for problem in made} == {"arithmetic/events", "arithmetic/persons"}
    assert len({problem.id for problem in made}) == 400


@pytest.mark.parametrize("largest", [4, 20])
def test_no_number_is_larger_than_asked_for(largest: int):
    made = list(make_problems(60, (2, 4), 1, largest))
    events = [p for p in made if p.source.endswith("events")]
    told = [int(n) for p in events for text in (p.question, *p.steps) for n in NUMBER.findall(text)]
    assert max(told) == largest
    persons = [p for p in made if p.source.endswith("persons")]
    assert max(int(n) for p in persons for n in NUMBER.findall(p.question)) <= largest


def test_largest_too_small_is_refused():
    with pytest.raises(ConfigError, match="largest 3 must be at least 4"):
        next(make_problems(1, (1, 1), 0, 3))


def test_the_same_seed_makes_the_same():
    assert list(make_problems(50, (1, 5), 7)) == list(make_problems(50, (1, 5), 7))
    assert list(make_problems(50, (1, 5), 7)) != list(make_problems(50, (1, 5), 8))


def test_the_same_sum_never_stands_in_both_splits():
    splits: dict[str, set[str]] = {}
    made = list(make_problems(3000, (1, 2), 1))
    for problem in made:
        sums = re.sub(r"\w+: ", "", " ".join(problem.steps)) + problem.source
        splits.setdefault(sums, set()).add(problem.split)
    assert len(splits) < 3000
    assert all(len(found) == 1 for found in splits.values())
    assert 0.05 < sum(problem.split == "test" for problem in made) / 3000 < 0.15


@pytest.mark.parametrize("steps", [(0, 3), (3, 2), (1, MOST_STEPS + 1)])
def test_impossible_steps_are_refused(steps: tuple[int, int]):
    with pytest.raises(ConfigError, match="steps"):
        list(make_problems(1, steps, 0))


def test_a_problem_as_a_conversation():
    problem = MathProblem(id="x", question="1+1?", answer="2", steps=("1 + 1 = 2.",))
    assert worked_response(problem) == "1 + 1 = 2. The answer is 2."
    assert [message.role for message in problem_messages(problem)] == ["system", "user"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, rows = tmp_path / "problems.jsonl", tmp_path / "sft.jsonl"
    common = ["--count", "80", "--min-steps", "2", "--max-steps", "2", "--seed", "7"]
    assert make_main([*common, "--out", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    read = read_problems(path)
    assert told["problems"] == len(read) == 80
    assert read == list(make_problems(80, (2, 2), 7))
    assert (
        make_main(
            [*common, "--out", str(rows), "--format", "sft", "--split", "train"],
        )
        == 0
    )
    kept = [json.loads(line) for line in rows.read_text().splitlines()]
    assert len(kept) == told["splits"]["train"] < 80
    assert [m["role"] for m in kept[0]["messages"]] == ["system", "user", "assistant"]
    assert kept[0]["messages"][2]["content"] == worked_response(read[0])
    assert make_main([*common, "--out", str(path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (
        make_main(
            [*common, "--max-steps", "two", "--out", str(path), "--overwrite"],
        )
        == 2
    )
