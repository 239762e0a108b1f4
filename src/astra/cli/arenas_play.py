"""`astra arenas play`: a person plays an arena under the same rules as a model.

The person is a `Model`: the rollout loop checks, runs and counts the calls as it does for models,
and computes the same score.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from difflib import get_close_matches

from rich.console import Console
from rich.text import Text

from astra.arenas.sets import ArenaSet
from astra.cli.arenas_show import document_tree
from astra.cli.changes import change_lines
from astra.cli.command import command_from
from astra.cli.console import out, plain
from astra.configs.arenas import PlayArenaConfig
from astra.episodes import Score
from astra.errors import ConfigError, HostError
from astra.hosts.arena import ArenaHost, arena_messages, policy_prompt
from astra.hosts.arena_user import arena_user
from astra.hosts.wrapped import WrappedHost
from astra.protocols import Reply, Sampling, ToolHost, ToolResult
from astra.rewards import score_calls, score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.sandbox import sandbox_from
from astra.types import (
    Arena,
    CallRecord,
    CallStatus,
    FinishReason,
    Json,
    Message,
    ToolCallRequest,
    ToolSchema,
)

# A person may think for days; only models are held to limits.
_LIMITS = RolloutLimits(turns=100_000, seconds=7 * 24 * 3600)
_HELP = """\
  TOOL {"name": value, …}    call a tool with arguments as JSON
  TOOL name=value other="x"  the same, shorter; also TOOL(name="value", …)
  tools                      list all tools in full; tools NAME shows one
  question                   show the question again
  score                      show the current score
  answer TEXT                answer the question, or the user of a conversation
  quit                       leave without an answer"""
_NAME = re.compile(r"\s*([^\s=]+)=")
_WORD = re.compile(r"\S*")
_WORD_IN_PARENTHESES = re.compile(r"[^\s,]*")
_COMMAND = re.compile(r"([^\s({]*)(.*)", re.DOTALL)
_COMMANDS = ("help", "tools", "question", "score", "answer", "quit")


@command_from(
    PlayArenaConfig,
    examples=[
        "astra arenas play runs/world 3f2a",
        "echo 'tools' | astra arenas play runs/world 3f2a",
    ],
)
def command(config: PlayArenaConfig) -> None:
    """Play an arena yourself in the terminal.

    Read the question, call tools, answer, see the score. Commands are read from the terminal or
    from a pipe; `help` lists them.
    """
    arena = ArenaSet(config.run, uncertified=config.uncertified).find(config.arena)
    console = out()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")

    async def play() -> Score:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(sandbox_from(config, workers=1))
            own = ArenaHost(arena, server, seed=config.seed)
            host = _LastResultHost(own)
            person = Person(arena, console, host.take)
            task = RolloutTask(arena.id, arena_messages(arena))
            trajectory = await rollout(task, person, host, _LIMITS, arena_user(arena, own))
        if trajectory.infrastructure_failure:
            raise HostError(f"infrastructure failure, not scored: {trajectory.error}")
        if not trajectory.answer:  # quitting is not a wrong answer
            return score_calls(arena, trajectory.calls, messages=trajectory.messages)
        return score_trajectory(arena, trajectory)

    console.print(Text.assemble(("final: ", "bold"), _score_text(asyncio.run(play()))))


class _LastResultHost(WrappedHost):
    """Wraps a host and keeps its last result, from which the current score is computed."""

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._last: ToolResult | None = None

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        self._last = await self.host.call(name, arguments)
        return self._last

    def take(self) -> ToolResult | None:
        """The result since the last call of this; None if the rollout refused the tool call."""
        last, self._last = self._last, None
        return last


class Person:
    """A model whose messages a person types: one tool call a turn, or an answer."""

    def __init__(
        self, arena: Arena, console: Console, take_result: Callable[[], ToolResult | None]
    ) -> None:
        self._arena = arena
        self._console = console
        self._take_result = take_result
        self._pending: ToolCallRequest | None = None
        self._calls: list[CallRecord] = []
        self._messages: Sequence[Message] = ()
        self._quit = False

    @property
    def name(self) -> str:
        return "person"

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        del sampling
        self._messages = messages
        if self._quit:  # the user of a conversation still answers a few times
            return Reply(Message(role="assistant"), FinishReason.stop)
        if messages[-1].role == "user" and self._said_before(messages):
            self._console.print(Text.assemble(("user: ", "bold"), plain(messages[-1].content)))
        elif self._pending is None:
            self._console.print(f"{len(tools)} tools:", style="bold")
            for document in tools:
                # The tools' documents come with the arena: no key of a schema can be relied on.
                properties, required = (
                    document.parameters.get(key) for key in ("properties", "required")
                )
                needed = required if isinstance(required, list) else []
                names = properties if isinstance(properties, dict) else {}
                parameters = ", ".join(name if name in needed else f"[{name}]" for name in names)
                line = Text.assemble(
                    plain(f"  {document.name}", "bold yellow"),
                    plain(f"({parameters})  "),
                    plain(document.description, "dim"),
                )
                self._console.print(line, no_wrap=True, overflow="ellipsis")
            self._print_question()
            self._console.print("`help` lists the commands", style="dim")
        else:
            self._show_result(messages[-1].content, self._pending)
        while True:
            message = self._run_command(_read_line(), tools)
            if message is not None:
                return Reply(
                    message, FinishReason.tool_calls if message.tool_calls else FinishReason.stop
                )

    @staticmethod
    def _said_before(messages: Sequence[Message]) -> bool:
        return any(message.role == "assistant" for message in messages)

    def _print_question(self) -> None:
        state = self._arena.state
        if state is not None and state.policy is not None:
            self._console.print(plain(policy_prompt(state.policy, self._arena.language).strip()))
        self._console.print(Text.assemble(("question: ", "bold"), plain(self._arena.question)))

    def _print_tools(self, tools: Sequence[ToolSchema]) -> None:
        for document in tools:
            self._console.print(document_tree(document))

    def _show_result(self, content: str, request: ToolCallRequest) -> None:
        before = self._score().solved
        result = self._take_result()
        good = result is not None and not result.is_error
        status = CallStatus.ok if good else CallStatus.tool_error
        if result is not None and result.is_transient:
            status = CallStatus.transient
        self._calls.append(
            CallRecord(
                id=request.id,
                turn=sum(message.role == "assistant" for message in self._messages) - 1,
                tool=request.tool,
                arguments=request.arguments,
                status=status,
                result=result.content if result is not None else None,
                effect=result.effect if result is not None else None,
            )
        )
        self._console.print(plain(content, "" if good else "red", limit=20_000))
        state = self._arena.state
        if state is not None and result is not None and result.effect is not None:
            for line in change_lines(state.tables(), result.effect.changes):
                self._console.print(Text.assemble(("changed: ", "bold"), line))
        now = self._score()
        if now.solved > before:
            self._console.print("a goal is solved", style="bold green")
        self._console.print(_score_text(now))

    def _score(self) -> Score:
        return score_calls(self._arena, self._calls, messages=self._messages)

    def _run_command(self, line: str | None, tools: Sequence[ToolSchema]) -> Message | None:
        """The message that a line stands for; None if it only shows something."""
        read = _COMMAND.match("quit" if line is None else line.strip())
        assert read is not None
        word, rest = read[1], read[2].strip()
        by_name = {document.name: document for document in tools}
        if word in by_name:
            try:
                arguments = spelled_arguments(rest, by_name[word])
            except ConfigError as error:
                self._console.print(plain(str(error), "red"))
                return None
            number = len(self._calls)
            self._pending = ToolCallRequest(id=f"call_{number}", tool=word, arguments=arguments)
            return Message(role="assistant", tool_calls=(self._pending,))
        match word:
            case "" if not rest:
                pass
            case "help" | "?":
                self._console.print(plain(_HELP))
            case "tools" if not rest:
                self._print_tools(tools)
            case "tools" if rest in by_name:
                self._print_tools([by_name[rest]])
            case "tools":
                self._unknown(rest, by_name)
            case "question":
                self._print_question()
            case "score":
                self._console.print(_score_text(self._score()))
            case "answer" if rest:
                return Message(role="assistant", content=rest)
            case "answer":
                self._console.print("answer what? e.g.  answer 42", style="red")
            case "quit" | "exit":
                self._quit = True
                return Message(role="assistant")
            case _:
                self._unknown(word or rest, [*by_name, *_COMMANDS])
        return None

    def _unknown(self, word: str, known: Iterable[str]) -> None:
        near = get_close_matches(word, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "type tools or help"
        self._console.print(plain(f"no tool or command {word[:100]!r}; {hint}", "red"))


def spelled_arguments(text: str, document: ToolSchema) -> str:
    """Typed arguments as JSON text: JSON as it is, `name=value` pairs by the types of the tool.

    Does not check them against the schema: the rollout does. ConfigError for pairs that can't be
    separated.
    """
    if not text or text.startswith("{"):
        return text or "{}"
    words = _WORD
    if text.startswith("(") and text.endswith(")"):
        text, words = text[1:-1], _WORD_IN_PARENTHESES
    properties = document.parameters.get("properties")
    schemas = properties if isinstance(properties, dict) else {}
    arguments: dict[str, Json] = {}
    position = 0
    while position < len(text):
        name = _NAME.match(text, position)
        if name is None:
            raise ConfigError(
                f"can't read {text[position:][:100]!r}: write name=value, quoted where it holds "
                'spaces (city="New York"), or all arguments as one JSON object'
            )
        schema = schemas.get(name[1])
        kind = schema.get("type") if isinstance(schema, dict) else None
        arguments[name[1]], position = _value(text, name.end(), kind, words)
        separators = " \t" if words is _WORD else " \t,"
        position = len(text) - len(text[position:].lstrip(separators))
    return json.dumps(arguments, ensure_ascii=False)


def _value(text: str, start: int, kind: Json, words: re.Pattern[str]) -> tuple[Json, int]:
    """One value and where it ends: JSON in quotes or brackets, else one word."""
    if text[start : start + 1] in ('"', "[", "{"):
        try:
            return json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"can't read {text[start:][:100]!r}: a quote or bracket is not closed"
            ) from error
    word = words.match(text, start)
    assert word is not None
    if kind == "string":
        return word[0], word.end()
    try:
        return json.loads(word[0]), word.end()
    except ValueError:
        return word[0], word.end()


def _read_line() -> str | None:
    """A line from the person; None at the end of the input."""
    interactive = sys.stdin.isatty()
    # asyncio's own handler would swallow the first Ctrl-C, and `input` would keep waiting.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if interactive:
            return input("> ")
        line = sys.stdin.readline()
        if line.strip():  # echoed, so that the output of a pipe reads like a terminal's
            out().print(plain(f"> {line.strip()}", limit=1_000))
        return line if line else None
    except EOFError:
        return None
    finally:
        signal.signal(signal.SIGINT, previous)


def _score_text(score: Score) -> Text:
    text = Text.assemble(
        ("score ", "bold"),
        f"F1 {score.f1:.3f}, {score.solved} of {score.goals} goals solved in {score.calls} calls",
    )
    if score.waste:
        text.append(f"; {score.waste} of them helped nothing", "yellow")
    if score.damage:
        text.append(f"; {score.damage} rows changed that nobody asked for", "red")
    if score.answer_correct is not None:
        right = score.answer_correct
        text.append("; answer right" if right else "; answer wrong", "green" if right else "red")
    return text
