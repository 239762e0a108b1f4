"""The process of a benchmark, and the conversations of its episodes with a model."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

from astra.errors import HostError
from astra.evaluation.benchmarks.records import (
    BenchmarkTask,
    BenchmarkTool,
    message_for_worker,
    message_from_worker,
    tools_from_worker,
)
from astra.types import Message

AskModel = Callable[[Sequence[Message], Sequence[BenchmarkTool], bytes], Awaitable[Message]]
"""The next message of a model to a whole conversation and its tools. The last argument is what is
new in both, as it came."""
TIME_LIMIT = "time_limit"
"""Kind of the error of an episode whose tools did not end in time."""
_LINE_BYTES = 256 * 2**20
_HEADER_SECONDS = 600.0


class BenchmarkProcess:
    """An async context: one process that plays the episodes of a benchmark, many at a time.

    It gets an empty environment and a temporary folder, and ends with this one. Raises HostError
    if it can't start, or ends before it should.
    """

    def __init__(self, python: Path, script: Path, options: dict[str, Any]) -> None:
        # Not -I, which would ignore the hash seed.
        self._command = (str(python), "-P", "-s", str(script))
        self._options = options
        self._lines: dict[int, asyncio.Queue[dict[str, Any] | None]] = {}
        self._episodes = 0

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="astra-benchmark-")
        folder = self._folder.name
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={
                # The folders in which packages write when they are imported.
                "HOME": folder,
                "BFCL_PROJECT_ROOT": folder,
                # Some tools show sets in the order of their hashes.
                "PYTHONHASHSEED": "0",
                "LANG": "C.UTF-8",
            },
            cwd=folder,
            limit=_LINE_BYTES,
        )
        try:
            self._send({"options": self._options})
            self._header = await asyncio.wait_for(self._line(), _HEADER_SECONDS)
            if self._header is None or "failure" in self._header:
                told = "it ended" if self._header is None else self._header["failure"]
                raise HostError(f"the benchmark in {self._command[0]!r} can't start: {told}")
        except BaseException:
            await self._stop()
            raise
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._stop()

    @property
    def tasks(self) -> list[BenchmarkTask]:
        """All tasks, in the benchmark's order."""
        assert self._header is not None
        return [
            BenchmarkTask(
                id=task["id"],
                category=task["category"],
                gold=tuple(map(message_from_worker, task["gold"])) if "gold" in task else None,
            )
            for task in self._header["tasks"]
        ]

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of the benchmark's data, by file."""
        assert self._header is not None
        return self._header["files"]

    async def play(
        self, task: str, seed: int, ask: AskModel, ask_user: AskModel | None = None
    ) -> dict[str, Any]:
        """Play one episode. The benchmark's result.

        `ask_user`: asks the model that plays the user, if one does. Raises HostError if the
        benchmark fails, and what `ask` and `ask_user` raise.
        """
        self._episodes += 1
        number, queue = self._episodes, asyncio.Queue[dict[str, Any] | None]()
        self._lines[number] = queue
        messages: list[Message] = []
        tools: Sequence[BenchmarkTool] = ()
        try:
            self._send({"open": number, "task": task, "seed": seed})
            while True:
                line = await queue.get()
                if line is None:
                    raise HostError("the process of the benchmark ended: out of memory?")
                if "result" in line:
                    return line["result"]
                if "timeout" in line:
                    detail = f"no answer within {self._options['seconds']:g} s"
                    return {"score": 0.0, "error": TIME_LIMIT, "detail": detail}
                if "failure" in line:
                    raise HostError(f"the benchmark failed in {task!r}: {line['failure']}")
                if "speaker" in line:
                    assert ask_user is not None
                    shown = list(map(message_from_worker, line["messages"]))
                    reply = await ask_user(shown, tools_from_worker(line["tools"]), line["new"])
                else:
                    if "fresh" in line:
                        messages = []
                    messages += map(message_from_worker, line["messages"])
                    if line["tools"] is not None:
                        tools = tools_from_worker(line["tools"])
                    reply = await ask(messages, tools, line["new"])
                    messages.append(reply)
                self._send({"reply": number, "message": message_for_worker(reply)})
                await self._drain()
        except BaseException:
            self._send({"close": number})
            raise
        finally:
            del self._lines[number]

    def _send(self, value: dict[str, Any]) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        if not stdin.is_closing():
            stdin.write(json.dumps(value).encode() + b"\n")

    async def _drain(self) -> None:
        assert self._process.stdin is not None
        try:
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise HostError("the process of the benchmark ended: out of memory?") from error

    async def _line(self) -> dict[str, Any] | None:
        stdout = self._process.stdout
        assert stdout is not None
        text = await stdout.readline()
        if not text.endswith(b"\n"):
            return None
        line = json.loads(text)
        line["new"] = text.partition(b", ")[2]  # without the number of the episode
        return line

    async def _read(self) -> None:
        """Hand each line to its episode. None to all when no more come."""
        try:
            while (line := await self._line()) is not None:
                if (queue := self._lines.get(line["episode"])) is not None:
                    queue.put_nowait(line)
        finally:
            for queue in self._lines.values():
                queue.put_nowait(None)

    async def _stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._folder.cleanup()
