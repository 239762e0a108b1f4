"""Playing arenas with any program as the agent.

Each episode is a run of the program. It finds the question and its addresses in environment
variables; its calls go to a session of a server on the loopback and are scored as any others.

What this does not guarantee: the program is the user's own and is not confined. It gets none of our
keys, but runs with the rights of whoever started the evaluation, who can read the arenas' files.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import signal
import socket
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal

import uvicorn

from astra.arenas.sets import ArenaSet
from astra.episodes import Episode
from astra.errors import ConfigError, SessionError
from astra.evaluation.arenas import PlayedEpisode
from astra.protocols import Sandbox
from astra.rewards import Reward, RewardFunction
from astra.rollouts.calls import clean
from astra.rollouts.loop import RolloutLimits
from astra.serve.app import arena_app
from astra.serve.gateway import REQUEST_BYTES, Gateway, GatewayEndpoint, OpenModel
from astra.serve.running import ArenaServer
from astra.serve.sessions import ServedSession, SessionLimits, SessionTable
from astra.types import Arena, Record, StopReason

OUTPUT_BYTES = 64_000
"""How much of the beginning and of the end of each output stream is kept."""
GRACE_SECONDS = 5.0
"""How long output is awaited after the end of the program."""
AgentFailure = Literal["not_started", "exit_status", "killed", "timeout", "model"]


class AgentRun(Record):
    """A run of the program: one episode."""

    arena: str
    sample: int
    exit_status: int | None
    """None: it did not start, or did not end in time."""
    failure: AgentFailure | None
    """What went wrong with the program or its model; but for `timeout` there is no score then."""
    stdout: str
    stderr: str
    seconds: float
    requests: int = 0
    """Messages that its model wrote."""
    conversations: int = 0
    unattributed_calls: int | None = None
    """Calls that no message of the model asked for. None: it has no model here."""


@dataclass(frozen=True, slots=True)
class AgentRules:
    """How a program is run."""

    command: str
    environment: Mapping[str, str]
    """What it gets beside the addresses."""
    limits: RolloutLimits
    """`seconds`: of a run."""
    samples: int
    seed: int
    reward: Reward | RewardFunction
    system_prompt: str | None
    concurrency: int
    model: str
    """Name of the model. Empty if there is none."""
    open_model: Callable[[Arena, int], OpenModel] | None
    """None: the program brings its own model."""


@dataclass(frozen=True, slots=True)
class AgentEpisode:
    """A run, its scored episode, and what its model said in each conversation."""

    played: PlayedEpisode
    run: AgentRun
    conversations: tuple[Episode, ...]


async def play_agent(
    arenas: ArenaSet, sandbox: Sandbox, rules: AgentRules
) -> AsyncGenerator[tuple[Arena, AgentEpisode]]:
    """Run the program for every arena, `samples` times each. In the order of the arenas."""
    words = shlex.split(rules.command)
    if not words:
        raise ConfigError("the agent's command is empty: write one such as 'python my_agent.py'")
    async with _AgentServer(arenas, sandbox, rules).open() as server:
        ahead: deque[tuple[Arena, asyncio.Task[AgentEpisode]]] = deque()
        gate = asyncio.Semaphore(rules.concurrency)

        async def play(arena: Arena, sample: int) -> AgentEpisode:
            async with gate:
                return await server.play(words, arena, sample)

        try:
            for arena, sample in _samples(arenas, rules.samples):
                ahead.append((arena, asyncio.create_task(play(arena, sample))))
                if len(ahead) >= 4 * rules.concurrency:
                    first, task = ahead.popleft()
                    yield first, await task
            while ahead:
                first, task = ahead.popleft()
                yield first, await task
        finally:
            for _, task in ahead:
                task.cancel()
            await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)


def _samples(arenas: Iterable[Arena], samples: int) -> Iterable[tuple[Arena, int]]:
    return ((arena, sample) for arena in arenas for sample in range(samples))


class _AgentServer:
    """The server that the programs reach, and the models behind their sessions."""

    def __init__(self, arenas: ArenaSet, sandbox: Sandbox, rules: AgentRules) -> None:
        self._rules = rules
        self._gateways: dict[str, Gateway] = {}
        self._url = ""
        self._table = SessionTable(
            arenas,
            sandbox,
            # The program's own time limit ends an episode, and nothing else.
            limits=SessionLimits(
                sessions=rules.concurrency,
                idle_seconds=2 * rules.limits.seconds + 60,
                episode_seconds=2 * rules.limits.seconds + 60,
                turns=8 * rules.limits.turns,
            ),
            seed=rules.seed,
            reward=rules.reward,
            system_prompt=rules.system_prompt,
        )

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[_AgentServer]:
        rules = self._rules
        endpoint = GatewayEndpoint(self._gateways, rules.model)
        app = arena_app(
            self._table,
            # Nobody knows it: programs have the tokens of their sessions, which open no score.
            token=secrets.token_urlsafe(24),
            system_prompt=rules.system_prompt,
            body_bytes=REQUEST_BYTES,
            further=lambda _: list(endpoint.routes()) if rules.open_model is not None else [],
        )
        config = uvicorn.Config(app, log_level="error", access_log=False)
        ready = asyncio.Event()
        server = ArenaServer(config, ready.set)
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
            self._url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with self._table:
                serving = asyncio.create_task(server.serve(sockets=[listening]))
                try:
                    await ready.wait()
                    yield self
                finally:
                    server.stop()
                    await serving

    async def play(self, words: list[str], arena: Arena, sample: int) -> AgentEpisode:
        """One run of the program."""
        session = await self._table.open(arena.id, sample)
        gateway: Gateway | None = None
        if self._rules.open_model is not None:
            episode = session.episode
            gateway = Gateway(
                self._rules.open_model(arena, sample), self._rules.limits, episode.calls_made
            )
            self._gateways[session.id] = gateway
        try:
            run = await self._run(words, session, gateway)
            return await self._result(session, gateway, run)
        finally:
            self._gateways.pop(session.id, None)
            if gateway is not None:
                gateway.close()
            await self._table.end(session, StopReason.internal_error, "the evaluation was stopped")

    async def _run(
        self, words: list[str], session: ServedSession, gateway: Gateway | None
    ) -> AgentRun:
        started = time.perf_counter()
        failure: AgentFailure | None = None
        out, err = _Output(), _Output()
        status: int | None = None
        async with out.pipe() as stdout, err.pipe() as stderr:
            try:
                process = await asyncio.create_subprocess_exec(
                    *words,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=self._environment(session, gateway),
                    start_new_session=True,  # a group, which is ended as a whole
                )
            except OSError as error:
                failure = "not_started"
                err.add(f"{words[0]!r}: {error}".encode())
            else:
                try:
                    async with asyncio.timeout(self._rules.limits.seconds):
                        status = await process.wait()
                except TimeoutError:
                    failure = "timeout"
                finally:
                    _end_group(process.pid)
                    await process.wait()
        if status is not None and status != 0:
            failure = "exit_status" if status > 0 else "killed"
        if gateway is not None and gateway.error:
            failure = "model"
        return AgentRun(
            arena=session.arena.id,
            sample=session.sample,
            exit_status=status,
            failure=failure,
            stdout=out.text(),
            stderr=err.text(),
            seconds=time.perf_counter() - started,
        )

    def _environment(self, session: ServedSession, gateway: Gateway | None) -> dict[str, str]:
        system, question = session.episode.messages[:2]
        base = f"{self._url}/sessions/{session.id}"
        environment = {
            **self._rules.environment,
            "ASTRA_QUESTION": question["content"],
            "ASTRA_SYSTEM_PROMPT": system["content"],
            "ASTRA_MCP_URL": f"{base}/mcp",
            "ASTRA_MESSAGES_URL": f"{base}/messages",
            "ASTRA_TOKEN": session.play_token,
        }
        if gateway is not None:
            # The names that clients of the API read by themselves.
            environment |= {
                "OPENAI_BASE_URL": f"{base}/v1",
                "OPENAI_API_KEY": session.play_token,
                "OPENAI_MODEL": self._rules.model,
            }
        return environment

    async def _result(
        self, session: ServedSession, gateway: Gateway | None, run: AgentRun
    ) -> AgentEpisode:
        problem = ""
        match run.failure:
            case None:
                # A program that has not spoken itself answers by its model's last word or stdout.
                answer = (gateway.last_answer if gateway is not None else "") or run.stdout.strip()
                with suppress(SessionError):  # it has ended the episode already
                    await self._table.say(session, answer)
                await self._table.end(session, StopReason.answered)
            case "timeout":
                await self._table.end(session, StopReason.time_limit)
            case _:
                end = run.stderr.strip()[-500:]
                told = gateway.error if gateway is not None and run.failure == "model" else end
                problem = f"the agent failed ({run.failure}, exit status {run.exit_status}): {told}"
                await self._table.end(session, StopReason.model_error, problem)
        trajectory, score = session.episode.trajectory, session.episode.score()
        if problem:
            # Also one that failed after its last word: who knows what that was.
            failed = {"stop": StopReason.model_error, "error": problem}
            trajectory, score = trajectory.model_copy(update=failed), None
        conversations: tuple[Episode, ...] = ()
        if gateway is not None:
            unattributed = gateway.attribute(trajectory.calls).unattributed
            run = run.model_copy(
                update={
                    "requests": gateway.requests,
                    "conversations": len(gateway.conversations),
                    "unattributed_calls": unattributed,
                }
            )
            usage = sum((each.usage for each in gateway.conversations), start=trajectory.usage)
            trajectory = trajectory.model_copy(update={"usage": usage})
            conversations = tuple(gateway.episodes(trajectory, score))
        trajectory = trajectory.model_copy(update={"seconds": run.seconds})
        played = PlayedEpisode(trajectory=trajectory, score=score)
        return AgentEpisode(played, run, conversations)


class _Output:
    """The beginning and the end of a stream, which is read whole so that no writer waits."""

    def __init__(self) -> None:
        self._begin = self._end = b""
        self._skipped = 0

    @asynccontextmanager
    async def pipe(self) -> AsyncGenerator[int]:
        """A file descriptor that takes the stream. What is written by the end of the block is read.

        A pipe of asyncio's own would not do: a program is over for it only when everything that it
        left running has closed the pipe, too.
        """
        end, start = os.pipe()
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(end, "rb", 0)
        )
        reading = asyncio.create_task(self._read(stream))
        try:
            try:
                yield start
            finally:
                os.close(start)
            # Something that left the program's group may hold the pipe open.
            with suppress(TimeoutError):
                await asyncio.wait_for(reading, GRACE_SECONDS)
        finally:
            reading.cancel()
            transport.close()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while block := await stream.read(1 << 16):
            self.add(block)

    def add(self, block: bytes) -> None:
        room = OUTPUT_BYTES - len(self._begin)
        self._begin += block[:room]
        self._end += block[room:]
        self._skipped += max(0, len(self._end) - OUTPUT_BYTES)
        self._end = self._end[-OUTPUT_BYTES:]

    def text(self) -> str:
        skipped = f"\n… [{self._skipped} bytes]\n".encode() if self._skipped else b""
        return clean((self._begin + skipped + self._end).decode("utf-8", "replace"))


def _end_group(pid: int) -> None:
    # What the program left running must not go on with its session's tokens.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
