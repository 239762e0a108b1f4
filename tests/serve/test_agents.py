"""Any program as the agent: its calls are scored, its model recorded, its failures told."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import astra
from astra.arenas.sets import ArenaSet
from astra.core.messages import message_from_openai
from astra.episodes import Episode
from astra.errors import ConfigError, ModelUnavailable
from astra.evaluation import agents
from astra.evaluation.agents import AgentRun
from astra.models.policies import policy
from astra.models.wire import as_completion
from astra.protocols import Reply, ReplyTokens, Sampling
from astra.rollouts.loop import RolloutLimits
from astra.runs.folder import RunFolder
from astra.serve.gateway import Gateway
from astra.types import CallRecord, CallStatus, FinishReason, Message, ToolCallRequest, ToolSchema
from tests.support.arenas import multi_hop_arena, parallel_arena, single_hop_arena
from tests.support.desk import desk_arena
from tests.support.model_server import ModelServer, ModelServerFault, completion
from tests.support.talking_desk import talking_desk

AGENT = f"{sys.executable} -P -I {Path(__file__).parent / 'scripted_agent.py'}"
ARENAS = [multi_hop_arena(), parallel_arena(), desk_arena()]
GOLD = {
    arena.question: [
        {"name": goal.call.tool, "arguments": dict(goal.call.arguments)}
        for goal in arena.goals
        if goal.call is not None
    ]
    for arena in ARENAS
}


class GoldModel:
    """Asks for the gold calls of the question one by one, under the names that it is shown."""

    name = "gold"

    def __init__(self, *, reasoning: str = "") -> None:
        self.seen: list[Sequence[Message]] = []
        self._reasoning = reasoning

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        self.seen.append(messages)
        calls = GOLD[messages[1].content]
        made = sum(len(message.tool_calls) for message in messages)
        if made == len(calls):
            return Reply(Message(role="assistant", content="That is it."), FinishReason.stop)
        call = calls[made]
        (name,) = [tool.name for tool in tools if tool.name.endswith(call["name"])]
        request = ToolCallRequest(id="", tool=name, arguments=json.dumps(call["arguments"]))
        message = Message(role="assistant", reasoning=self._reasoning, tool_calls=(request,))
        return Reply(message, FinishReason.tool_calls)


def played(way: str, out: Path, **options: Any) -> tuple[Any, list[AgentRun], list[Episode]]:
    """The report of an evaluation, the runs, and the conversations."""
    arenas = options.pop("arenas", ARENAS)
    report = astra.evaluate(
        ArenaSet.of(arenas), agent=f"{AGENT} {way}", split="all", out=out, concurrency=2, **options
    )
    folder = RunFolder.open(out)
    runs = list(folder.rows("agent_runs", AgentRun))
    return report, runs, list(folder.rows("conversations", Episode))


def test_a_program_that_makes_the_gold_calls_scores_one(tmp_path: Path) -> None:
    way = f"calls {shlex.quote(json.dumps(GOLD))}"
    report, runs, conversations = played(way, tmp_path / "out")
    assert report.f1.mean == 1.0 and report.infrastructure_failures == 0
    assert [run.exit_status for run in runs] == [0] * 3 and runs[0].stdout == "done\n"
    assert all(run.unattributed_calls is None for run in runs) and not conversations
    # What it printed is its answer.
    assert next(report.episodes).trajectory.answer == "done"


def test_a_program_that_calls_nothing_scores_zero(tmp_path: Path) -> None:
    report, _, _ = played("calls '{}'", tmp_path / "out", limit=1)
    assert report.f1.mean == 0.0 and report.infrastructure_failures == 0


def test_what_its_model_said_becomes_episodes(tmp_path: Path) -> None:
    model = GoldModel(reasoning="Let me look.")
    report, runs, conversations = played("model", tmp_path / "out", model=model)
    assert report.f1.mean == 1.0
    for arena, run, episode in zip(ARENAS, runs, conversations, strict=True):
        gold = GOLD[arena.question]
        assert (run.requests, run.conversations, run.unattributed_calls) == (len(gold) + 1, 1, 0)
        messages = episode.trajectory.messages
        assert episode.arena == arena.id and messages[0].content == "Be brief."
        assert episode.score is not None and episode.score.f1 == 1.0 and episode.tokens is None
        # Each call stands under the id and the turn of the message that asked for it.
        asked = [call.id for message in messages for call in message.tool_calls]
        assert [call.id for call in episode.trajectory.calls] == asked
        assert [call.turn for call in episode.trajectory.calls] == list(range(len(gold)))
        assert episode.trajectory.stop == "answered" and messages[-1].content == "That is it."
        # Reasoning stands by itself, and is kept though the agent did not send it back.
        assert {m.reasoning for m in messages if m.tool_calls} == {"Let me look."}
        assert all("Let me look" not in m.content for m in messages)
    assert any(message.reasoning for message in model.seen[-1])


def test_the_example_plays_a_conversation(tmp_path: Path) -> None:
    """Its model is the reference policy; the user answers and brings a tool."""
    arena = talking_desk()

    class Policy(GoldModel):
        async def generate(
            self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
        ) -> Reply:
            reply = await policy("gold", arena, 0).generate(messages, tools, sampling)
            shown = {tool.name for tool in tools}
            assert {call.tool for call in reply.message.tool_calls} <= shown
            return reply

    example = Path(__file__).parents[2] / "examples" / "agent.py"
    report = astra.evaluate(
        ArenaSet.of([arena]),
        agent=f"{sys.executable} {example}",
        model=Policy(),
        split="all",
        out=tmp_path,
    )
    (episode,) = report.episodes
    assert episode.score is not None and episode.score.f1 == 1.0, episode
    (conversation,) = RunFolder.open(tmp_path).rows("conversations", Episode)
    assert len(conversation.trajectory.calls) == len(episode.trajectory.calls)


def test_a_call_that_no_message_asked_for_is_told(tmp_path: Path) -> None:
    stray = single_hop_arena()
    GOLD[stray.question] = [{"name": "capital_of_country", "arguments": {"country": "Norway"}}]
    _, (run,), (episode,) = played("stray", tmp_path / "out", model=GoldModel(), arenas=[stray])
    assert run.unattributed_calls == 1
    assert [call.arguments for call in episode.trajectory.calls] == [{"country": "Norway"}]


@pytest.mark.parametrize(
    ("way", "failure", "status", "told"),
    [
        ("crash", "exit_status", 1, "it went wrong"),
        ("'crash after the answer'", "exit_status", 1, "too late"),
        ("hang", "timeout", None, ""),
    ],
)
def test_a_failure_of_the_program_is_told(
    tmp_path: Path, way: str, failure: str, status: int | None, told: str
) -> None:
    options: dict[str, Any] = {"episode_timeout": 1.5} if way == "hang" else {}
    arenas = [single_hop_arena()]
    report, (run,), _ = played(way, tmp_path / "out", arenas=arenas, **options)
    assert (run.failure, run.exit_status) == (failure, status) and told in run.stderr
    (episode,) = report.episodes
    if failure == "timeout":  # the program's own doing, as of a model that is too slow
        assert episode.score.f1 == 0.0 and episode.trajectory.stop == "time_limit"
    else:
        assert episode.score is None and report.f1 is None
        assert f"({failure}, exit status {status})" in episode.trajectory.error
        assert told in episode.trajectory.error


def test_what_a_program_leaves_running_is_not_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "GRACE_SECONDS", 0.2)
    report, (run,), _ = played("daemon", tmp_path / "out", limit=1, episode_timeout=12)
    assert (run.failure, run.exit_status, run.stdout.strip()) == (None, 0, "hello")
    (episode,) = report.episodes
    assert episode.trajectory.stop == "answered"


def test_a_program_that_can_not_start_is_told(tmp_path: Path) -> None:
    report = astra.evaluate(
        ArenaSet.of(ARENAS), agent="/no/such/program", split="all", out=tmp_path, limit=1
    )
    assert report.infrastructure_failures == 1
    assert "'/no/such/program'" in next(report.episodes).trajectory.error


def test_a_model_that_is_down_is_not_the_agents_failure(tmp_path: Path) -> None:
    class Down(GoldModel):
        async def generate(self, *_: Any) -> Reply:
            raise ModelUnavailable("nobody answers")

    _, (run,), _ = played("model", tmp_path / "out", model=Down(), limit=1)
    assert run.failure == "model"


def test_the_environment_of_the_program_is_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-key-of-the-user")
    monkeypatch.setenv("OTHER_SECRET", "another-secret")
    monkeypatch.setenv("NAMED", "this-one")
    _, (run,), _ = played("environment", tmp_path / "out", limit=1, agent_env=["NAMED"])
    environment = json.loads(run.stdout)
    assert "-key-of" not in run.stdout and "another-secret" not in run.stdout
    assert environment["NAMED"] == "this-one" and environment["PATH"] == os.environ["PATH"]
    given = {name for name in environment if name.startswith(("ASTRA", "OPENAI"))}
    asked = {"QUESTION", "SYSTEM_PROMPT", "MCP_URL", "MESSAGES_URL", "TOKEN"}
    assert given == {f"ASTRA_{name}" for name in asked}
    assert environment["ASTRA_QUESTION"] == ARENAS[0].question


def test_output_without_end_is_cut(tmp_path: Path) -> None:
    _, (run,), _ = played("shout", tmp_path / "out", limit=1)
    assert len(run.stdout) < 200_000 and "bytes]" in run.stdout and run.exit_status == 0


def test_options_that_exclude_each_other(tmp_path: Path) -> None:
    for options in ({"policy": "gold"}, {"user_model": GoldModel()}):
        with pytest.raises(ConfigError, match="agent"):
            played("calls '{}'", tmp_path / "out", **options)
    with pytest.raises(ConfigError, match="NOT_SET"):
        played("calls '{}'", tmp_path / "out", agent_env=["NOT_SET"])


# --- the gateway ----------------------------------------------------------------------------------


def said(text: str, tokens: ReplyTokens | None = None) -> Reply:
    return Reply(Message(role="assistant", content=text), FinishReason.stop, tokens=tokens)


class Replies:
    name = "replies"

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)

    async def generate(self, *_: Any) -> Reply:
        return self._replies.pop(0)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def gateway(*replies: Reply, **limits: Any) -> Gateway:
    model = Replies(*replies)
    return Gateway(lambda _: model, RolloutLimits(**limits), lambda: 0)


async def test_tokens_of_a_conversation_are_those_that_were_sampled() -> None:
    first = said("one", ReplyTokens((1, 2), (3, 4), (-0.5, -0.25)))
    second = said("two", ReplyTokens((1, 2, 3, 4, 9), (5,), (-1.0,)))
    own = gateway(first, second)
    start = [user("a")]
    await own.complete(start, (), Sampling())
    await own.complete([*start, first.message, user("b")], (), Sampling())
    (conversation,) = own.conversations
    tokens = conversation.tokens()
    assert tokens is not None and tokens.ids == (1, 2, 3, 4, 9, 5)
    assert tokens.policy_mask == (False, False, True, True, False, True)
    assert tokens.logprobs == (0.0, 0.0, -0.5, -0.25, 0.0, -1.0)


async def test_tokens_that_do_not_continue_are_not_told_as_if_they_did() -> None:
    first = said("one", ReplyTokens((1, 2), (3, 4), (-0.5, -0.25)))
    other = said("two", ReplyTokens((1, 2, 3, 7, 9), (5,), (-1.0,)))
    for second in (other, said("two")):
        own = gateway(first, second)
        await own.complete([user("a")], (), Sampling())
        await own.complete([user("a"), first.message, user("b")], (), Sampling())
        assert [each.tokens() for each in own.conversations] == [None]


async def test_another_beginning_is_another_conversation() -> None:
    own = gateway(said("one"), said("two"), said("three"))
    await own.complete([user("a")], (), Sampling())
    await own.complete([user("b")], (), Sampling())
    changed = Message(role="assistant", content="I said something else.")
    await own.complete([user("a"), changed, user("c")], (), Sampling())
    assert [len(each.messages) for each in own.conversations] == [2, 2, 4]


@pytest.mark.parametrize(("tool", "arguments"), [("look_*", "{}"), ("look", '{"key":"aF')])
async def test_a_broken_call_does_not_end_a_conversation(tool: str, arguments: str) -> None:
    """Clients are sent it in a spelling that they can send back, and the tokens go on."""
    call = ToolCallRequest(id="", tool=tool, arguments=arguments)
    message = Message(role="assistant", tool_calls=(call,))
    first = Reply(message, FinishReason.tool_calls, tokens=ReplyTokens((1,), (2,), (-0.5,)))
    own = gateway(first, said("two", ReplyTokens((1, 2, 3), (4,), (-1.0,))))
    reply = await own.complete([user("a")], (), Sampling())
    sent = message_from_openai(as_completion(reply)["message"])
    (asked,) = sent.tool_calls
    assert (asked.tool, asked.arguments) != (tool, arguments)
    result = Message(role="tool", content="no", tool_call_id=asked.id)
    await own.complete([user("a"), sent, result], (), Sampling())
    (conversation,) = own.conversations
    tokens = conversation.tokens()
    assert tokens is not None and tokens.ids == (1, 2, 3, 4)
    made = CallRecord(
        id="0",
        turn=0,
        tool=asked.tool,
        arguments=asked.arguments,
        status=CallStatus.unknown_tool,
    )
    assert own.attribute([made]).unattributed == 0
    parsed = made.model_copy(update={"arguments": json.loads(asked.arguments)})
    assert own.attribute([parsed]).unattributed == 0
    other = made.model_copy(update={"arguments": {"malformed": "else"}})
    assert own.attribute([other]).unattributed == 1


def test_an_endpoint_is_asked_for_tokens_and_by_the_programs_requests(tmp_path: Path) -> None:
    """Over HTTP, as vLLM tells them; and an endpoint that refuses the fields is asked without."""
    arena = parallel_arena()

    def told(_: int, body: Any) -> Any:
        assert body["return_token_ids"] is True and body["logprobs"] is True
        answer: Any = completion(Message(role="assistant", content="No idea."))
        logprobs = {"content": [{"token": "x", "logprob": -0.5}]}
        answer["choices"][0] |= {"token_ids": [7], "logprobs": logprobs}
        return answer | {"prompt_token_ids": [1, 2]}

    with ModelServer(told) as server:
        _, (run,), (episode,) = played(
            "model", tmp_path / "a", arenas=[arena], model="m", base_url=server.url
        )
    assert run.failure is None and episode.tokens is not None
    assert (episode.tokens.ids, episode.tokens.logprobs) == ((1, 2, 7), (0.0, 0.0, -0.5))

    def refusing(_: int, body: Any) -> Any:
        if "return_token_ids" in body:
            return ModelServerFault("status", status=400, text="unknown field")
        return Message(role="assistant", content="No idea.")

    with ModelServer(refusing) as server:
        _, (run,), (episode,) = played(
            "model", tmp_path / "b", arenas=[arena], model="m", base_url=server.url
        )
    assert run.failure is None and episode.tokens is None
    assert episode.trajectory.messages[-1].content == "No idea."
