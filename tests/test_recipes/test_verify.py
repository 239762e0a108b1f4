"""The verifier of answers: what it must accept, what it must reject, and hostile input."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from astra.errors import ConfigError
from recipes.problems.answers import MOST_CHARACTERS, as_quantity, as_words, final_answer
from recipes.problems.verify import WORKER, MathVerifier

AIME = [
    ("The sum is $\\boxed{204}$.", "204"),
    ("\\boxed{025}", "025"),
    ("\\boxed{25}", "025"),
    ("Therefore $m+n=\\boxed{55}$.", "55"),
    ("so the answer is 113", "113"),
    ("**Final Answer:** $371$", "371"),
    ("... we get 45 + 28 = 73.\nThe answer is $\\boxed{073}$.", "73"),
    ("#### 104", "104"),
    ("Answer: 809", "809"),
    ("First \\boxed{1}, no: \\boxed{240}", "240"),
    ("\\boxed{ 468 }", "468"),
    ("\\boxed{\\text{ 385 }}", "385"),
    ("\\boxed{601.0}", "601"),
    ("\\boxed{m + n = 110}", "110"),
    ("\\boxed{2^5 \\cdot 3}", "096"),
    ("\\boxed{\\frac{1800}{3}}", "600"),
    ("\\[\\boxed{721}\\]", "721"),
    ("The answer is: 211.", "211"),
    ("the Answer is **236**.", "236"),
    ("\\fbox{540}", "540"),
    ("\\boxed{1{,}000}", "1000"),
    ("\\boxed{1,000}", "1000"),
    ("\\boxed{\\dfrac{902}{1}}", "902"),
    ("\\boxed{197}\n", "197"),
    ("Thus, $\\boxed{x = 33}$", "33"),
    ("答案是 321。", "321"),
    ("\\boxed{\\left(33\\right)}", "33"),
    ("\\boxed{480\\%}", "480\\%"),
    ("\\boxed{-7}", "-7"),
    ("116", "116"),
]
RIGHT = [
    ("\\frac{1}{2}", "0.5"),
    ("1/2", "\\dfrac{2}{4}"),
    ("-\\frac{3}{4}", "-0.75"),
    ("[0, \\infty)", "[0,\\infty)"),
    ("\\left(1, 2\\right]", "(1,2]"),
    ("\\{1, 2, 3\\}", "\\{3,2,1\\}"),
    ("\\{1, 2\\}", "1, 2"),
    ("5\\text{ cm}", "5"),
    ("5", "5 \\mathrm{cm}"),
    ("12\\text{ km}", "12 kilometers"),
    ("90^\\circ", "90"),
    ("\\$18", "18 dollars"),
    ("\\text{Monday}", "Monday"),
    ("even", "\\text{Even}"),
    ("\\text{(C)}", "C"),
    ("(C)", "\\text{C}"),
    ("no real solutions", "No real solutions"),
    ("2\\sqrt{3}", "\\sqrt{12}"),
    ("x^2 + 1", "1 + x^2"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
]
WRONG = [
    ("\\frac{1}{2}", "\\frac{1}{3}"),
    ("\\frac{1}{2}", "0.51"),
    ("(1, 2)", "[1, 2]"),
    ("[0, \\infty)", "(0, \\infty)"),
    ("\\{1, 2, 3\\}", "\\{1, 2\\}"),
    ("\\{1, 2\\}", "1"),
    ("1", "1, 2"),
    ("5\\text{ cm}", "5\\text{ m}"),
    ("5\\text{ cm}^2", "5\\text{ cm}^3"),
    ("5 km", "6 km"),
    ("18 dollars", "18 euros"),
    ("\\text{listen}", "silent"),
    ("Monday", "Tuesday"),
    ("even", "odd"),
    ("\\text{(C)}", "(B)"),
    ("42", "x"),
    ("42", "forty-two or so"),
    ("3", "-3"),
    ("10", "10 or 11"),
    ("\\sqrt{2}", "1.41"),
    ("no real solutions", "2"),
    ("204", "240"),
]
HOSTILE = {
    "a tower of powers": "\\boxed{9^{9^{9^{9}}}}",
    "as Python has it": "\\boxed{9**9**9**9}",
    "a factorial": "\\boxed{10000000!}",
    "a sum": "\\boxed{\\sum_{i=1}^{10^{12}} \\frac{1}{i^2}}",
    "a megabyte of TeX": "\\boxed{" + "\\frac{1}{2}+" * 90_000 + "1}",
    "a megabyte of brackets": "\\boxed{" + "{" * 500_000 + "}" * 500_000 + "}",
    "deep": "\\boxed{" + "\\sqrt{" * 70 + "2" + "}" * 70 + "}",
    "a megabyte of cues": "the answer is " * 70_000,
    "Python": "\\boxed{__import__('os').system('touch /tmp/x')}",
    "not Unicode": "\\boxed{\ud800}",
    "control characters": "\\boxed{\x00\x1b[2J}",
}


@pytest.fixture
async def verifier() -> AsyncIterator[MathVerifier]:
    async with MathVerifier(workers=1, seconds=4) as made:
        yield made


async def test_aime_style_gold(verifier: MathVerifier):
    found = [await verifier.verify(response, gold) for response, gold in AIME]
    wrong = [pair for pair, verdict in zip(AIME, found, strict=True) if verdict.correct is not True]
    assert not wrong
    assert len(AIME) == 30


async def test_equal_in_another_notation(verifier: MathVerifier):
    for gold, answer in RIGHT:
        assert (await verifier.verify(f"So \\boxed{{{answer}}}.", gold)).correct is True, answer


async def test_wrong_ones_are_wrong(verifier: MathVerifier):
    for gold, answer in WRONG:
        assert (await verifier.verify(f"So \\boxed{{{answer}}}.", gold)).correct is False, answer


async def test_no_answer_is_wrong(verifier: MathVerifier):
    none = ["", "   \n", "\\boxed{}", "Not sure.\nPerhaps 42?", "\\boxed{42", "x" * 3000 + " 42"]
    none.append("\\boxed{42} or rather \\boxed{41")
    for response in none:
        assert (await verifier.verify(response, "42")).correct is False, response[:50]


async def test_hostile_input_is_bounded():
    async with MathVerifier(workers=1, seconds=2) as verifier:
        for name, response in HOSTILE.items():
            assert (await verifier.verify("\\boxed{42}", "42")).correct is True
            verifier._verdicts.clear()
            start = time.monotonic()
            verdict = await verifier.verify(response, "42")
            assert time.monotonic() - start < 12, name
            assert verdict.correct is not True, name
            assert verdict.correct is False or verdict.reason, name


async def test_a_verdict_that_cannot_be_had_is_none_and_not_wrong():
    async with MathVerifier(workers=1, seconds=1) as verifier:
        verdict = await verifier.verify("\\boxed{9^{9^{9^{9}}}}", "42")
        assert verdict.correct is None
        assert "1 s" in verdict.reason
        broken = await verifier.compare("1", "\\frac{")
        assert broken.correct is None
        assert broken.reason


async def test_many_at_once_keep_their_order():
    pairs = [(f"\\boxed{{{n % 7}}}", "3") for n in range(60)]
    async with MathVerifier(workers=2) as verifier:
        found = await verifier.verify_many(pairs)
    assert [verdict.correct for verdict in found] == [n % 7 == 3 for n in range(60)]


async def test_a_cancelled_question_does_not_answer_the_next():
    async with MathVerifier(workers=1, seconds=4) as verifier:
        await verifier.compare("1", "1")
        task = asyncio.create_task(verifier.compare("5", "5"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await verifier.compare("6", "7")).correct is False


OWNER = """
import asyncio
from recipes.problems.verify import MathVerifier

async def main():
    async with MathVerifier(workers=1, seconds=300) as verifier:
        await verifier.compare("1", "1.0")
        print(verifier._workers[0]._process.pid, flush=True)
        await asyncio.sleep(300)

asyncio.run(main())
"""


def has_ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"  # nobody may be there to wait for an orphan


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux's")
def test_a_worker_that_does_not_return_to_python_ends_with_its_owner():
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        worker = int(owner.stdout.readline())
        try:
            # Like one that computes in C: it sees neither a signal nor the end of its input.
            os.kill(worker, signal.SIGSTOP)
            owner.kill()
            owner.wait()
            deadline = time.monotonic() + 10
            while not has_ended(worker) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert has_ended(worker)
        finally:
            if not has_ended(worker):
                os.kill(worker, signal.SIGKILL)


def test_a_worker_whose_owner_is_gone_already_does_not_begin():
    command = [sys.executable, "-I", str(WORKER), str(os.getppid()), "60"]
    done = subprocess.run(command, input=b'["1", "1"]\n', capture_output=True, check=False)
    assert done.returncode == 1 and done.stdout == b""


def test_a_workers_processor_time_is_limited_anew_for_each_question():
    code = f"""
import runpy, time
limit = runpy.run_path({str(WORKER)!r})["_limit_processor_time"]
limit(float("inf"))
limit(1)
while time.process_time() < 1.2:
    pass
limit(1)
while time.process_time() < 2.2:
    pass
print("alive", flush=True)
while True:
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=False
    )
    assert done.stdout == b"alive\n" and done.returncode == -signal.SIGXCPU, done.stderr


def test_impossible_options_are_refused():
    with pytest.raises(ConfigError):
        MathVerifier(workers=0)


def test_the_workers_pins_hold():
    from importlib.metadata import version

    # Under 4.11 the same texts parse otherwise, and verdicts differ.
    assert version("antlr4-python3-runtime") == "4.13.2"


# --- pure parts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("a \\boxed{1} b \\boxed{2}", "2"),
        ("The answer is 3.14. It was hard.", "3.14"),
        ("The answer is $x = 2$.", "x = 2"),
        ("answer: 7\nmore", "7"),
        ("12 apples.", "12 apples"),
        ("two\nlines", None),
        ("", None),
        ("x" * (MOST_CHARACTERS + 1), None),
        ("He answered: nothing", "He answered: nothing"),
    ],
)
def test_final_answers(response: str, answer: str | None):
    assert final_answer(response) == answer


def test_words_and_quantities():
    assert as_words("\\text{two words}") == "two words"
    assert as_words("(B)") == as_words("\\textbf{(B)}") == as_words("B") == "b"
    assert as_words("x") is None
    assert as_words("3 apples") is None
    assert as_words("\\pi") is None
    assert as_quantity("5\\text{ cm}^2") == ("5", "cm2")
    assert as_quantity("\\$5.50") == ("5.50", "dollar")
    assert as_quantity("3.5 hours") == ("3.5", "h")
    assert as_quantity("\\frac{1}{2}\\text{ feet}") == ("\\frac{1}{2}", "ft")
    assert as_quantity("2x") == ("2x", "")
    assert as_quantity("12 apples") == ("12 apples", "")
