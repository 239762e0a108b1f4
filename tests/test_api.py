"""The public API on hand-made arenas: sets, environments, rollouts, functions, the loop thread."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import astra
from astra.core.loop import iterate, on_caller, run_sync
from astra.core.messages import message_from_openai
from astra.errors import HostError, ModelBadReply, StoreError
from astra.types import Distractor, StopReason
from tests.support.fakes import toy_arena, toy_tool

NAMES = """
Arena ArenaEnvironment ArenaSet AstraError Certificate ConfigError Episode EvaluationReport
FunctionHost LocalModel Message Model OpenAIModel Score StepResult Tool ToolHost ToolSchema
TrainResult Trajectory TrajectorySet __version__ aio certify collect_tools compare evaluate
load_arenas load_trajectories make_arenas make_trajectories paraphrase_arenas reference_policy
rollout rollout_groups score synthesize_arenas train_rl train_sft view
""".split()


def shown(hops: int = 3, domain: str = "test") -> astra.Arena:
    far = Distractor.of(toy_tool("far"), "random")
    return toy_arena(hops, domain=domain, distractors=(far,)).with_content_id()


def text_of_call(arena: astra.Arena, index: int) -> dict[str, Any]:
    call = arena.goals[index].call
    assert call is not None
    function = {"name": call.tool, "arguments": json.dumps(call.arguments)}
    entry = {"id": f"c{index}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [entry]}


# --- the root ---------------------------------------------------------------------------------


def test_the_names_of_the_root() -> None:
    """What users may rely on. A change here is a change of the interface."""
    assert astra.__all__ == NAMES
    assert dir(astra) == sorted(NAMES)
    assert all(getattr(astra, name) is not None for name in NAMES)
    with pytest.raises(AttributeError, match="no_such"):
        astra.no_such  # type: ignore[attr-defined] # noqa: B018


def test_importing_the_root_is_light() -> None:
    code = (
        "import sys, time\nstart = time.process_time()\nimport astra\n"
        "assert time.process_time() - start < 0.05\n"
        "assert not {'torch', 'pydantic', 'numpy', 'pandas'} & set(sys.modules)\n"
        "for name in astra.__all__:\n    name == 'LocalModel' or getattr(astra, name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- sets ---------------------------------------------------------------------------------------


@pytest.fixture
def arenas(tmp_path: Path) -> astra.ArenaSet:
    some = [
        toy_arena(
            1 + i % 3,
            domain=f"d{i}",
            split="test" if i % 4 == 0 else "train",
            tools=(
                *(toy_tool(f"look_{hop}") for hop in range(1 + i % 3)),
                toy_tool(f"more_{i}").model_copy(update={"domain": f"d{i}"}),
            ),
        )
        for i in range(12)
    ]
    return astra.ArenaSet.of(some, tmp_path / "run")


def test_a_set_is_a_sequence(arenas: astra.ArenaSet) -> None:
    everything = list(arenas)
    assert len(arenas) == 12 and arenas[0] == everything[0] and arenas[-1] == everything[-1]
    assert arenas[everything[3].id] == everything[3]
    assert list(arenas[2:5]) == everything[2:5]
    assert len(arenas.split("train")) == 9 and len(arenas.split("test")) == 3
    assert {arena.hops for arena in arenas.filter(lambda arena: arena.hops > 1)} == {2, 3}
    sample = arenas.sample(5, seed=1)
    assert len({arena.id for arena in sample}) == 5
    assert [a.id for a in sample] == [a.id for a in arenas.sample(5, seed=1)]
    assert [a.id for a in sample] != [a.id for a in arenas.sample(5, seed=2)]
    assert len(arenas.sample(100, seed=0)) == 12
    with pytest.raises(astra.ConfigError, match="dev"):
        arenas.split("dev")  # type: ignore[arg-type]


def test_a_saved_set_is_read_back(arenas: astra.ArenaSet, tmp_path: Path) -> None:
    part = arenas.with_distractors("random", seed=3)[:4]
    saved = part.save(tmp_path / "part")
    for before, after in zip(part, saved, strict=True):
        assert after.distractors == before.distractors and after.id != before.id
        assert after.question == before.question
    again = arenas[:4].save(tmp_path / "plain")
    assert list(again) == list(arenas[:4])
    with pytest.raises(StoreError, match="no certificate"):
        again.certificate(again[0])


def test_a_set_in_memory_lives_as_long_as_its_parts() -> None:
    whole = astra.ArenaSet.of([toy_arena(1)])
    part, path = whole[:1], whole.path
    del whole
    assert part[0].question and path.exists()
    del part
    gc.collect()
    assert not path.exists()


def test_a_set_as_tables(arenas: astra.ArenaSet) -> None:
    pandas = pytest.importorskip("pandas")
    table = arenas.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert list(table["hops"]) == [arena.hops for arena in arenas]
    assert len(arenas.failures()) == 0


def test_options_of_a_run_tell_sets_apart(arenas: astra.ArenaSet) -> None:
    identities = [
        arenas.identity(),
        arenas[:3].identity(),
        arenas.with_distractors("random").identity(),
        arenas.with_distractors("random", seed=1).identity(),
    ]
    assert len({json.dumps(identity) for identity in identities}) == 4
    assert astra.load_arenas(arenas.path, uncertified=True).identity() == str(arenas.path)


# --- environments -------------------------------------------------------------------------------


def test_an_arena_by_hand() -> None:
    arena = shown()
    rewards: list[float] = []
    with astra.ArenaEnvironment(arena) as env:
        state = env.reset()
        assert [message["role"] for message in state.messages] == ["system", "user"]
        assert {entry["function"]["name"] for entry in state.tools} == {
            "look_0",
            "look_1",
            "look_2",
            "far",
        }
        for index in range(3):
            state = env.step(text_of_call(arena, index))
            assert state.messages[-1]["role"] == "tool" and not state.done
            rewards.append(state.reward)
        assert env.score().f1 == 1
        state = env.step("6")
        assert state.done and state.stop == "answered" and state.reward == 0
    assert sum(rewards) == pytest.approx(1) and all(reward > 0 for reward in rewards)
    episode = env.episode()
    assert episode.reward == 1 and episode.score is not None and episode.score.answer_correct
    assert astra.score(arena, episode.trajectory) == episode.score
    with pytest.raises(astra.ConfigError, match="over"):
        env.step("7")


def test_an_environment_takes_messages_of_several_kinds() -> None:
    from openai.types.chat import ChatCompletionMessage

    arena = shown(1)
    for message in (
        ChatCompletionMessage.model_validate(text_of_call(arena, 0)),
        message_from_openai(text_of_call(arena, 0)),
    ):
        with astra.ArenaEnvironment(arena) as env:
            env.reset()
            assert env.step(message).reward == 1
            with pytest.raises(ModelBadReply, match="role 'user'"):
                env.step({"role": "user", "content": "No."})
            with pytest.raises(ModelBadReply, match="not an assistant message"):
                env.step(5)


def test_limits_rewards_and_prompts_of_an_environment() -> None:
    arena = shown(2)

    def every_call_costs(arena: astra.Arena, trajectory: astra.Trajectory) -> float:
        return -float(len(trajectory.calls))

    options: Any = {"max_turns": 2, "system_prompt": "Be brief.", "reward": every_call_costs}
    with astra.ArenaEnvironment(arena, **options) as env:
        with pytest.raises(astra.ConfigError, match="reset"):
            env.step("x")
        state = env.reset()
        assert state.messages[0]["content"] == "Be brief."
        assert env.step(text_of_call(arena, 0)).reward == 0
        state = env.step(text_of_call(arena, 1))
        assert (state.done, state.stop, state.reward) == (True, "turn_limit", -2)
        assert env.reset().messages[-1]["role"] == "user", "a second episode begins anew"
    with pytest.raises(astra.ConfigError, match="max_turns=0"):
        astra.ArenaEnvironment(arena, max_turns=0)


# --- rollouts -------------------------------------------------------------------------------------


def test_reference_policies_have_their_known_rewards() -> None:
    arena = shown()
    expected = {"gold": 1.0, "null": 0.0, "shuffled": 2 / 3}
    for name, reward in expected.items():
        episode = astra.rollout(arena, astra.reference_policy(name, arena))  # type: ignore[arg-type]
        assert episode.reward == pytest.approx(reward)
    assert astra.certify(arena).arena == arena.id


class Counting:
    """Calls one tool, then answers; plain methods."""

    name = "counting"

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()
        self.seeds: list[int | None] = []

    def generate(self, messages: Any, tools: Any, sampling: Any) -> Any:
        self.threads.add(threading.current_thread())
        self.seeds.append(sampling.seed)
        if messages[-1].role == "tool":
            return "It is done."
        call = {"name": "look_0", "arguments": '{"key": "a"}'}
        return {"role": "assistant", "tool_calls": [{"id": "1", "function": call}]}


def test_groups_come_in_order_and_are_whole() -> None:
    arenas = [shown(1 + i % 2, f"d{i}") for i in range(5)]
    model = Counting()
    groups = list(astra.rollout_groups(arenas, model, group_size=3, concurrency=4))
    assert [group[0].arena for group in groups] == [arena.id for arena in arenas]
    assert [[episode.sample for episode in group] for group in groups] == [[0, 1, 2]] * 5
    assert [group[0].reward for group in groups][:2] == [1.0, pytest.approx(2 / 3)]
    assert model.threads == {threading.current_thread()}, "plain methods run on the caller's thread"
    assert len(set(model.seeds)) == 15


def test_groups_can_be_left_half_way() -> None:
    groups = astra.rollout_groups([shown(1) for _ in range(50)], Counting(), concurrency=2)
    next(groups)
    groups.close()
    assert next(astra.rollout_groups([shown(1)], Counting()))[0].reward == 1


def test_broken_groups_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Counting):
        def generate(self, messages: Any, tools: Any, sampling: Any) -> Any:
            return 5 if "never" in messages[1].content else "Nothing."

    never = toy_arena(1, question="never").with_content_id()
    groups = list(astra.rollout_groups([shown(1), never], Broken()))
    assert [group[0].arena for group in groups] == [shown(1).id]
    assert never.id in caplog.text and "3 times" in caplog.text
    episode = astra.rollout(never, Broken())
    assert episode.score is None and episode.trajectory.stop is StopReason.model_error
    with pytest.raises(ValueError, match="has no score"):
        episode.reward  # noqa: B018


def list_events(day: str, limit: int = 3) -> list[str]:
    """Titles of a day's events.

    Args:
        day: ISO date, e.g. 2026-11-28.
    """
    if day == "boom":
        raise RuntimeError("no such day")
    return ["Dentist", "Lunch"][:limit]


class OneCall:
    name = "one-call"

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments

    async def generate(self, messages: Any, tools: Any, sampling: Any) -> Any:
        if messages[-1].role == "tool":
            return messages[-1].content
        call = {"name": tools[0].name, "arguments": json.dumps(self._arguments)}
        return {"role": "assistant", "tool_calls": [{"id": "1", "function": call}]}


def test_functions_as_tools() -> None:
    calendar = astra.FunctionHost([list_events])
    (schema,) = calendar.tools()
    assert schema.description == "Titles of a day's events."
    assert schema.parameters["required"] == ["day"]
    assert schema.parameters["properties"]["day"] == {
        "type": "string",
        "description": "ISO date, e.g. 2026-11-28.",
    }
    episode = astra.rollout("What is on?", OneCall(day="2026-11-28", limit=1), calendar)
    assert episode.trajectory.answer == '["Dentist"]' and episode.score is None
    failed = astra.rollout("What is on?", OneCall(day="boom"), calendar).trajectory
    assert failed.calls[0].status == "tool_error" and "no such day" in failed.answer
    with pytest.raises(astra.ConfigError, match="two functions"):
        astra.FunctionHost([list_events, list_events])
    with pytest.raises(astra.ConfigError, match="needs a host"):
        astra.rollout("What is on?", OneCall())


def test_asynchronous_functions_and_own_hosts() -> None:
    async def double(number: int) -> int:
        """Twice a number."""
        await asyncio.sleep(0)
        return 2 * number

    episode = astra.rollout("?", OneCall(number=4), astra.FunctionHost([double]))
    assert episode.trajectory.answer == "8"

    class Own:
        entered = left = 0

        def __enter__(self) -> None:
            self.entered += 1

        def __exit__(self, *error: object) -> None:
            self.left += 1

        async def tools(self) -> Any:
            return astra.FunctionHost([double]).tools()

        def call(self, name: str, arguments: dict[str, Any]) -> Any:
            if arguments["number"] == 0:
                raise HostError("the line is down")
            return {"error": {"code": "none"}}

    host = Own()
    assert astra.rollout("?", OneCall(number=4), host).trajectory.calls[0].status == "tool_error"
    broken = astra.rollout("?", OneCall(number=0), host).trajectory
    assert broken.stop is StopReason.host_error and "the line is down" in broken.error
    assert host.entered == host.left == 2


async def test_the_same_names_awaitable() -> None:
    arena = shown()
    episode = await astra.aio.rollout(arena, astra.reference_policy("gold", arena))
    assert episode.reward == 1
    async with astra.aio.ArenaEnvironment(arena) as env:
        await env.reset()
        assert (await env.step(text_of_call(arena, 0))).reward > 0
    groups = [g async for g in astra.aio.rollout_groups([arena], Counting(), group_size=2)]
    assert len(groups[0]) == 2
    # The synchronous names work beside them, inside the running loop.
    assert astra.rollout(arena, astra.reference_policy("gold", arena)).reward == 1


async def test_what_belongs_to_another_loop_is_named() -> None:
    class Elsewhere:
        name = "elsewhere"

        def __init__(self) -> None:
            self._reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def generate(self, messages: Any, tools: Any, sampling: Any) -> Any:
            return await self._reply

    error = astra.rollout(shown(), Elsewhere()).trajectory.error
    assert "astra.aio" in error and "another event loop" in error


# --- the loop thread -----------------------------------------------------------------------------


def test_errors_pass_through_and_generators_are_closed() -> None:
    closed: list[int] = []

    async def failing() -> None:
        raise KeyError("inner")

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            closed.append(1)

    with pytest.raises(KeyError, match="inner"):
        run_sync(failing())
    assert next(iterate(numbers())) == 1
    assert closed == [1]

    async def nested() -> None:
        run_sync(failing())

    with pytest.raises(RuntimeError, match=r"astra\.aio"):
        run_sync(nested())

    async def leaving() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run_sync(leaving())
    assert run_sync(on_caller_name()) == threading.current_thread().name


async def on_caller_name() -> str:
    assert threading.current_thread().name == "astra-loop"
    return await on_caller(lambda: threading.current_thread().name)


def test_ctrl_c_passes_on_after_cleaning_up() -> None:
    code = (
        "import asyncio, os, signal, threading\n"
        "from astra.core.loop import run_sync\n"
        "async def main():\n"
        "    try:\n"
        "        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "        await asyncio.sleep(30)\n"
        "    finally:\n"
        "        await asyncio.sleep(0.1)\n"
        "        print('cleaned up', flush=True)\n"
        "run_sync(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.stdout == "cleaned up\n"
    assert done.returncode in (1, -signal.SIGINT) and "KeyboardInterrupt" in done.stderr


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    code = (
        "import os\n"
        "from astra.core.loop import run_sync\n"
        "async def main(): return 5\n"
        "assert run_sync(main()) == 5\n"
        "child = os.fork()\n"
        "if not child: os._exit(run_sync(main()))\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=20)
