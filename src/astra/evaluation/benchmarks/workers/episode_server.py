"""Serves the episodes of a benchmark over JSONL. Run in the benchmark's own environment.

Imports nothing of ASTRA. The server loads the tasks once and forks a child for each episode, so
that no episode sees what another one left behind, and a hanging one can be killed. A child plays
several where the benchmark can say that nothing is left (`Forget`). The server runs no benchmark
code between forks. Lines that it reads:

    {"options": {...}}                          first: what to load
    {"open": N, "task": ID, "seed": 0}          begins episode N
    {"reply": N, "message": {"content": "…", "tool_calls": [{"id", "name", "arguments"}]}}
    {"close": N}                                ends it early

and lines that it writes:

    {"tasks": [...], ...}                       once, after loading
    {"episode": N, "messages": [...], "tools": "[...]"} new messages; the model is asked. Tools are
                                                text, so that equal ones are read once, or null if
                                                they are those of before
    {..., "speaker": "user"}                    as before, to the model that plays the user
    {..., "fresh": true}                        the messages before are not shown again
    {"episode": N, "result": {"score": 0.0, ...}}       the verdict
    {"episode": N, "timeout": true}             the child used up its seconds, and was killed
    {"episode": N, "failure": "…"}              the child broke

Not guaranteed: confinement. Children write no files and have a limit of memory, but are not in a
sandbox.
"""

import ctypes
import gc
import hashlib
import json
import os
import pickle
import resource
import selectors
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

Ask = Callable[..., dict[str, Any]]
"""Sends new messages and all tools to the model, as `ask(messages, tools)`. Returns its message.
`ask(messages, tools, "user")` sends all messages to the model that plays the user, and
`ask(messages, tools, fresh=True)` messages that are a conversation of their own."""
Play = Callable[[dict[str, Any], Ask], dict[str, Any]]
"""Plays the episode of an `open` line. Returns the result."""
Load = Callable[[dict[str, Any]], tuple[dict[str, Any] | bytes, Play]]
"""Reads the options. Returns the first line to write, and how an episode is played."""
Forget = Callable[[dict[str, Any]], bool]
"""Forgets the episode of an `open` line. False if its process may still hold something of it."""
Rows = Callable[[str], Any]
"""The row of a task, by its name."""

MEMORY_BYTES = 4 * 2**30
_PR_SET_PDEATHSIG = 1
_OFFSET = struct.Struct("<Q")
_BLOCK = 2**18
_STAYS = b', "stays": true}\n'
"""End of the line of a child that can play another episode."""


class _Child:
    """The process of an episode."""

    def __init__(self, pid: int, to: int, back: int) -> None:
        self.pid, self.to, self.back = pid, to, back
        self.number = 0
        self.buffer = bytearray()
        self.deadline: float | None = None
        self.has_result = False
        self.ended = False


class _Pipes(NamedTuple):
    """Descriptors of the protocol, which tool code that prints must not reach."""

    read: int
    write: int


def serve(load: Load, forget: Forget | None = None) -> None:
    """Serve until the input ends. `load` is called with the options of the first line.

    `forget`: None if each episode needs a process of its own.
    """
    pipes = _Pipes(os.dup(0), os.dup(1))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    _die_with_parent()
    buffer = bytearray()
    while b"\n" not in buffer:
        piece = os.read(pipes.read, _BLOCK)
        if not piece:
            return
        buffer += piece
    line, _, rest = bytes(buffer).partition(b"\n")
    options = json.loads(line)["options"]
    try:
        header, play = load(options)
    except Exception as error:  # noqa: BLE001 - the one who started this process reports it
        _write(pipes.write, {"failure": f"{type(error).__name__}: {error}"})
        return
    if isinstance(header, bytes):
        _write_bytes(pipes.write, header + b"\n")
    else:
        _write(pipes.write, header)
    gc.collect()
    gc.freeze()  # children share these pages as long as nobody writes to them
    _Server(pipes, play, forget, float(options["seconds"]), bytearray(rest)).run()


def loaded_apart(
    read: Callable[[], tuple[dict[str, Any], dict[str, Any]]],
) -> tuple[bytes, Rows]:
    """What `read` returns, the first line and the rows of the tasks, read in a process of its own.

    What a fork costs grows with the memory of the one that forks: rows stay in a file, of which an
    episode reads its own. Raises RuntimeError if `read` fails.
    """
    file = tempfile.TemporaryFile(dir=".", buffering=0)  # noqa: SIM115 - open while this runs
    owner = os.getpid()
    pid = os.fork()
    if pid == 0:
        _die_with_parent(owner)
        _read_apart(read, file)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError("out of memory while the tasks were read")
    size = os.fstat(file.fileno()).st_size
    (start,) = _OFFSET.unpack(os.pread(file.fileno(), _OFFSET.size, size - _OFFSET.size))
    loaded = pickle.loads(os.pread(file.fileno(), size - _OFFSET.size - start, start))
    if isinstance(loaded, str):
        raise RuntimeError(loaded)
    header, places = loaded

    def row(task: str) -> Any:
        place, length = places[task]
        return pickle.loads(os.pread(file.fileno(), length, place))

    return header, row


def _read_apart(
    read: Callable[[], tuple[dict[str, Any], dict[str, Any]]], file: IO[bytes]
) -> NoReturn:
    """Write the rows, then the first line with their places, then where that begins."""
    try:
        header, rows = read()
        places: dict[str, tuple[int, int]] = {}
        for task, row in rows.items():
            data = pickle.dumps(row)
            places[task] = file.tell(), len(data)
            _write_bytes(file.fileno(), data)
        loaded: Any = (json.dumps(header).encode(), places)
    except Exception as error:  # noqa: BLE001 - the one who forked this process reports it
        loaded = f"{type(error).__name__}: {error}"
    start = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    _write_bytes(file.fileno(), pickle.dumps(loaded) + _OFFSET.pack(start))
    os._exit(0)


class _Server:
    def __init__(
        self,
        pipes: _Pipes,
        play: Play,
        forget: Forget | None,
        seconds: float,
        buffer: bytearray,
    ) -> None:
        self._pipes, self._play, self._forget = pipes, play, forget
        self._seconds, self._buffer = seconds, buffer
        self._children: dict[int, _Child] = {}
        self._idle: list[_Child] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        self._selector.register(self._pipes.read, selectors.EVENT_READ, None)
        self._read_lines(b"")
        while True:
            deadlines = [c.deadline for c in self._children.values() if c.deadline is not None]
            wait = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
            for key, _ in self._selector.select(wait):
                child: _Child | None = key.data
                if child is not None:
                    if not child.ended:  # by a line that was read in this very round
                        self._forward(child)
                    continue
                piece = os.read(self._pipes.read, _BLOCK)
                if not piece:
                    for left in [*self._children.values(), *self._idle]:
                        self._end(left)
                    return
                self._read_lines(piece)
            now = time.monotonic()
            for child in list(self._children.values()):
                if child.deadline is not None and child.deadline <= now:
                    self._end(child)
                    _write(self._pipes.write, {"episode": child.number, "timeout": True})

    def _read_lines(self, piece: bytes) -> None:
        self._buffer += piece
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            request = json.loads(line)
            if "open" in request:
                self._open(request)
            elif "close" in request:
                if (child := self._children.get(request["close"])) is not None:
                    self._end(child)
            elif (child := self._children.get(request["reply"])) is not None:
                child.deadline = time.monotonic() + self._seconds
                with suppress(BrokenPipeError):  # it died: its end of the other pipe tells
                    _write(child.to, request["message"])

    def _open(self, request: dict[str, Any]) -> None:
        child = self._idle.pop() if self._idle else self._fork()
        child.number, child.has_result = request["open"], False
        child.deadline = time.monotonic() + self._seconds
        self._children[child.number] = child
        with suppress(BrokenPipeError):
            _write(child.to, request)

    def _fork(self) -> _Child:
        read, to = os.pipe()
        back, write = os.pipe()
        owner = os.getpid()
        pid = os.fork()
        if pid == 0:
            _die_with_parent(owner)
            for descriptor in (*self._pipes, to, back):
                os.close(descriptor)
            for other in (*self._children.values(), *self._idle):
                os.close(other.to)
                os.close(other.back)
            _run_child(self._play, self._forget, _Pipes(read, write))
        os.close(read)
        os.close(write)
        child = _Child(pid, to, back)
        self._selector.register(back, selectors.EVENT_READ, child)
        return child

    def _forward(self, child: _Child) -> None:
        piece = os.read(child.back, _BLOCK)
        if piece:
            child.buffer += piece
            if piece.endswith(b"\n"):  # it writes a line and waits, so there is one at most
                child.deadline = None
                asks = b'{"episode": %d, "messages"' % child.number
                child.has_result = not child.buffer.startswith(asks)
                _write_bytes(self._pipes.write, child.buffer)
                if child.buffer.endswith(_STAYS):
                    del self._children[child.number]
                    self._idle.append(child)
                child.buffer.clear()
            return
        status = self._end(child)
        if not child.has_result:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            _write(
                self._pipes.write,
                {"episode": child.number, "failure": f"the process of the episode ended: {how}"},
            )

    def _end(self, child: _Child) -> int:
        """Kill a child that may have ended already. Its exit code, negative for a signal."""
        child.ended = True
        self._selector.unregister(child.back)
        os.close(child.to)
        os.close(child.back)
        if child in self._idle:
            self._idle.remove(child)
        else:
            del self._children[child.number]
        if not child.has_result:
            ended, status = os.waitpid(child.pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            os.kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        return os.waitstatus_to_exitcode(status)


def _run_child(play: Play, forget: Forget | None, pipes: _Pipes) -> NoReturn:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        while _play_episode(play, forget, pipes):
            pass
    finally:
        os._exit(0)


def _play_episode(play: Play, forget: Forget | None, pipes: _Pipes) -> bool:
    """Play the episode that is opened next. Whether this process can play another one."""
    request = _read_line(pipes.read)
    number = request["open"]
    shown = ""

    def ask(
        messages: list[Any], tools: list[Any], speaker: str = "agent", fresh: bool = False
    ) -> dict[str, Any]:
        nonlocal shown
        text = json.dumps(tools)
        line: dict[str, Any] = {"episode": number, "messages": messages, "tools": text}
        if fresh:
            line["fresh"] = True
        if speaker != "agent":
            line["speaker"] = speaker
        elif text == shown:
            line["tools"] = None
        else:
            shown = text
        _write(pipes.write, line)
        return _read_line(pipes.read)

    try:
        line: dict[str, Any] = {"episode": number, "result": play(request, ask)}
        stays = forget is not None and forget(request)
        if stays:
            line["stays"] = True
        text = json.dumps(line)
    except BaseException as error:  # noqa: BLE001 - reported, and the process ends
        stays = False
        text = json.dumps({"episode": number, "failure": f"{type(error).__name__}: {error}"[:2000]})
    _write_bytes(pipes.write, text.encode() + b"\n")
    return stays


def _read_line(descriptor: int) -> dict[str, Any]:
    """The line that is sent next, or the end of this process if none is."""
    buffer = bytearray()
    while not buffer.endswith(b"\n"):
        piece = os.read(descriptor, _BLOCK)
        if not piece:
            os._exit(0)
        buffer += piece
    return json.loads(buffer)


def digests(root: Path, files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files, by their paths below a folder."""
    found: dict[str, str] = {}
    for file in sorted(files):
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        found[str(file.relative_to(root))] = digest
    return found


def _die_with_parent(owner: int | None = None) -> None:
    """Have the kernel kill this process when its parent ends (Linux)."""
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if owner is not None and os.getppid() != owner:  # it was killed before the kernel knew
        os._exit(1)


def _write(descriptor: int, value: Any) -> None:
    _write_bytes(descriptor, json.dumps(value).encode() + b"\n")


def _write_bytes(descriptor: int, data: bytes | bytearray) -> None:
    view = memoryview(bytes(data))
    while view:
        view = view[os.write(descriptor, view) :]
