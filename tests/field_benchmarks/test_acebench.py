"""ACEBench: what is ours of it, and its agent tasks through the whole harness.

The latter needs a checkout, whose folder the variable ACEBENCH names.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from astra.configs.benchmarks import AceBenchConfig
from astra.errors import ConfigError
from astra.evaluation.benchmarks.acebench import ACEBENCH
from astra.evaluation.benchmarks.environments import WORKERS, environment_of
from astra.evaluation.benchmarks.process import BenchmarkProcess
from astra.evaluation.benchmarks.records import BenchmarkTask
from astra.evaluation.benchmarks.run import episodes_of, run_benchmark
from astra.evaluation.benchmarks.workers.acebench import calculate, gold_calls
from astra.models.scripted import calling
from astra.types import Json, Message, ToolCallRequest
from tests.field_benchmarks.conftest import Player, installed

ALL = ["multi_step", "multi_turn"]
UNJUDGED = {"en_multi_step_0", "en_multi_step_1", "zh_multi_step_0", "zh_multi_step_1"} | {
    "en_multi_turn_7",
    "zh_multi_turn_7",
}
"""Tasks whose truth misspells a class, so that the official checker does not look at it."""
END = Message(role="assistant", content="finish conversation")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tell(message='It's late', to='Ann')]", "It's late"),
        ("[tell(message='Ann's 'late'', to='Ann')]", None),
        ("[tell(message='the boys' house is here', to='Ann')] ", "the boys' house is here"),
        ('[tell(message="It\'s late", to="Ann")]', "It's late"),
        ("[tell(message='plain', to='Ann'), tell(message='b', to='Bo')]", "plain"),
    ],
)
def test_apostrophes_in_the_calls_of_the_data(text: str, message: str | None) -> None:
    if message is None:  # which ones end a text can't be told
        with pytest.raises(SyntaxError):
            gold_calls("any", [text])
        return
    (step,) = gold_calls("any", [text])
    assert step[0] == ("tell", {"message": message, "to": "Ann"})


def test_repairs_change_what_they_name_and_nothing_else() -> None:
    texts = ["[get_earliest_message_id()]", "[delete_message(message_id=3)]", "[login_device()]"]
    plain = gold_calls("en_multi_step_5", texts)
    repaired = gold_calls("zh_multi_step_14", texts)
    assert plain[1] == [("delete_message", {"message_id": 3})]
    assert repaired == [plain[0], [("delete_message", {"message_id": 4})], plain[2]]
    first, *others = gold_calls("en_multi_turn_6", texts)
    assert first == [("login_device", {})] and others == plain


@pytest.mark.parametrize(("text", "value"), [("1 + 2 * 3", 7), ("88.0 - 8 / 2", 84.0)])
def test_sums_are_calculated(text: str, value: float) -> None:
    assert calculate(text) == value


@pytest.mark.parametrize(
    "text", ["2 ** 99", "'a' * 9", "[1] + [2]", "open('x') + 1", "1 + (lambda: 1)()", "x + 1"]
)
def test_nothing_else_is(text: str) -> None:
    with pytest.raises(PermissionError):
        calculate(text)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkout of ACEBench: clone"):
        ACEBENCH.options(AceBenchConfig(data=tmp_path, policy="gold"))


# --- with a checkout ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout() -> Path:
    named = os.environ.get("ACEBENCH")
    if not named:
        pytest.skip("the variable ACEBENCH names no checkout")
    return Path(named)


@pytest.fixture(scope="module")
def folder() -> Path:
    return installed(ACEBENCH)


def solved(folder: Path, checkout: Path, **options: Any) -> dict[str, int]:
    """Solved tasks by category."""
    config = AceBenchConfig(data=checkout, concurrency=8, **options)
    run, summary = asyncio.run(run_benchmark(ACEBENCH, config, folder))
    assert not summary.infrastructure_failures
    counts = dict.fromkeys(summary.categories, 0)
    for episode in episodes_of(run):
        counts[episode.category] += episode.score == 1
    return counts


@pytest.mark.integrations
@pytest.mark.parametrize("form", ["native", "prompt"])
def test_gold_and_null(folder: Path, checkout: Path, form: Any) -> None:
    gold = solved(folder, checkout, categories=ALL, policy="gold", function_calling=form)
    steps, turns = dict.fromkeys(("en", "zh"), 20), dict.fromkeys(("en", "zh"), 30)
    expected = {f"multi_step_{name}": count for name, count in steps.items()}
    expected |= {f"multi_turn_{name}": count for name, count in turns.items()}
    assert gold == expected
    null = solved(folder, checkout, categories=ALL, policy="null", function_calling=form)
    assert null == dict.fromkeys(expected, 0)


async def verdicts(
    folder: Path, checkout: Path, scripts: Any, **options: Any
) -> list[tuple[BenchmarkTask, dict[str, Any], list[Any]]]:
    """Verdict of each script on its task, and what the model was shown last."""
    python, _ = environment_of(ACEBENCH, folder)
    worker = {"data": str(checkout), "gold": True, "seconds": 20, "native": True, "user": "script"}
    results: list[tuple[BenchmarkTask, dict[str, Any], list[Any]]] = []
    worker |= {"categories": ["multi_step_en", "multi_turn_zh"], **options}
    async with BenchmarkProcess(python, WORKERS / ACEBENCH.script, worker) as process:
        for task in process.tasks:
            for script in scripts(task):
                said, shown = iter(script), list[Any]()

                async def ask(
                    messages: Sequence[Message], *_: Any, said: Any = said, shown: Any = shown
                ) -> Message:
                    shown[:] = messages
                    return next(said, END)

                results.append((task, await process.play(task.id, 0, ask), shown))
    return results


@pytest.mark.integrations
def test_without_its_last_call_a_task_is_not_solved(folder: Path, checkout: Path) -> None:
    def shortened(task: BenchmarkTask) -> list[Sequence[Message]]:
        return [list(task.gold or ())[:-2]]

    categories = [f"{kind}_{language}" for kind in ALL for language in ("en", "zh")]
    results = asyncio.run(verdicts(folder, checkout, shortened, categories=categories))
    assert len(results) == 100
    assert {task.id for task, verdict, _ in results if verdict["score"]} == UNJUDGED


@pytest.mark.integrations
def test_calls_run_nothing_but_tools(folder: Path, checkout: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    evil = f"open({str(canary)!r}, 'w')"
    hostile = [
        (f"{evil}.write", "{}"),
        (f"turn_on_wifi() or {evil} or turn_on_wifi", "{}"),
        ("send_message", json.dumps({f"message=({evil}), receiver_name": "Frank"})),
        ("turn_on_wifi", json.dumps({f"x=1) or {evil} or turn_on_wifi(y": 1})),
        ("send_message", f"message={evil}"),
        ("turn_on_wifi", f"x={evil} + 1"),
        ("__class__", "{}"),
        ("_load_scenario", "{}"),
    ]

    def scripts(task: BenchmarkTask) -> list[list[Message]]:
        calls = [
            ToolCallRequest(id=f"c{index}", tool=name, arguments=arguments)
            for index, (name, arguments) in enumerate(hostile)
        ]
        each = [Message(role="assistant", tool_calls=(call,)) for call in calls]
        return [each, [Message(role="assistant", tool_calls=tuple(calls))]]

    for form in (True, False):
        results = asyncio.run(verdicts(folder, checkout, scripts, native=form))
        assert {task.id for task, verdict, _ in results if verdict["score"]} <= UNJUDGED
    written = [Message(role="assistant", content=f"[{name}({args})]") for name, args in hostile]
    asyncio.run(verdicts(folder, checkout, lambda _: [written], native=False))
    assert not canary.exists()


@pytest.mark.integrations
def test_each_call_has_its_result_and_errors_are_told(folder: Path, checkout: Path) -> None:
    def both(task: BenchmarkTask) -> list[list[Message]]:
        return [[calling(("turn_on_wifi", {}), ("delete_message", {"message_id": 99}))]]

    results = asyncio.run(verdicts(folder, checkout, both, categories=["multi_step_en"]))
    told = {task.id: [m for m in shown if m.role == "tool"] for task, _, shown in results}
    first, second = told["en_multi_step_4"]
    assert (first.tool_call_id, second.tool_call_id) == ("call_0", "call_1")
    assert "turned on" in first.content and "does not exist" in second.content


@pytest.mark.integrations
def test_a_model_plays_the_user(folder: Path, checkout: Path) -> None:
    def want(messages: Sequence[Json]) -> Message:
        assert messages[0]["role"] == "system" and "Grace" in messages[0]["content"]
        roles = [message["role"] for message in messages[1:]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        return Message(role="assistant", content="Please help." if len(roles) == 1 else "No.")

    def refuse(messages: Sequence[Json]) -> Message:
        assert messages[1]["content"] == "Please help."
        return Message(role="assistant", content="I can't do that.", reasoning="Hidden.")

    user = Player(want)
    counts = solved(
        folder,
        checkout,
        categories=["multi_turn_en"],
        model=Player(refuse),
        user_model=user,
        limit=4,
    )
    assert counts == {"multi_turn_en": 0}
    assert not any("Hidden" in m.content for asked in user.asked for m in asked)
    assert len(user.asked) == 4 * 21  # forty messages are said after the first one
