"""The process that episodes are forked from. It reads only what its owner sends, never tool code.

Messages on the control socket (one datagram each): `F<id>` with a descriptor forks a child that
serves it; `K<id>` kills a child. Back come `R` (ready), `E<errno> <text>` (could not confine
itself; errno 0 if no system call refused) and `X<id> <wait status>` (a child has ended; -1: it
could not be forked). End of file ends everything.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Iterator

from . import confinement, stdlib
from .runner import Runner, limit_memory

_CONTROL = 3
_CHILD_SOCKET = 3
"""Descriptors of the zygote and of a child, which has no other above the standard streams."""
_LENGTH = struct.Struct(">I")
OUT_OF_MEMORY = 71
"""Exit status of a child that ran out of memory where it could not say so."""


def main(control_descriptor: int, level: str, owner: int) -> None:
    """Confine this process as `level` says, then fork on demand until the owner goes away."""
    # The owner may hold thousands of descriptors, and this one has the number that it had there.
    os.dup2(control_descriptor, _CONTROL, inheritable=False)
    confinement.close_descriptors_from(_CONTROL + 1)
    control = socket.socket(fileno=_CONTROL)
    try:
        confinement.die_with_parent(owner)
        if level == "namespaces":
            confinement.enter_namespaces()
            confinement.die_with_parent(owner)
            # Process 1 of the new PID namespace: when it ends, the kernel ends all others.
            if pid := os.fork():
                control.close()
                _, status = os.waitpid(pid, 0)
                os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
            confinement.die_with_parent(0)  # a parent outside of the namespace has no id in it
        base, filter_ = _confine(level)
    except OSError as error:
        control.send(b"E%d %s" % (error.errno or 0, str(error).encode()[:4000]))
        return
    except Exception:  # noqa: BLE001 - reported to the owner, who raises SandboxUnavailable
        control.send(b"E0 " + traceback.format_exc(limit=-3).encode()[-4000:])
        return
    control.send(b"R")
    Zygote(control, base, filter_).serve()


def _confine(level: str) -> tuple[int, confinement.SeccompFilter | None]:
    """Load the standard library, then give up everything. Returns the address space in use."""
    stdlib.load()
    os.environ.clear()
    os.environ["TZ"] = "UTC"
    time.tzset()
    # Everything that runs once at a first call runs here, so that children find it warm: also the
    # interpreter's own adapting of code, which writes to pages that they would have to copy.
    for _ in range(_WARM_UPS):
        runner = Runner(json.loads(_WARM_UP))
        for arguments in ({"x": 1}, {"x": "\u00e9"}, {"x": None}, {}):
            runner.run_request(json.loads(json.dumps({"i": 0, "n": "f", "a": arguments})))
            runner.clean_up()
    sys.modules.pop("tool_f")
    blocks = None if level == "unsafe" else confinement.bound_address_space()
    with open("/proc/self/statm") as file:
        base = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    if level == "unsafe":
        return base, None
    stdlib.close()
    filter_ = confinement.SeccompFilter(blocks)
    if level == "namespaces":
        confinement.leave_file_system()
    parent = os.getppid()
    confinement.drop_privileges()
    confinement.die_with_parent(parent)  # forgotten by the kernel when the user changed
    if level == "landlock" or confinement.landlock_abi():
        confinement.restrict_with_landlock()
    confinement.limit_resources()
    return base, filter_


_WARM_UPS = 32
_WARM_UP = json.dumps(
    {
        "tools": [
            {
                "name": "f",
                "source": "def f(x):\n    return {'x': [x + 1, x * 0.5, DATA]}\n",
                "data": {"a": [1, "b"]},
            }
        ],
        "stateful": False,
        "seed": 0,
        "clock": None,
        "output_bytes": 1000,
    }
)


class Zygote:
    """Forks, kills and reaps children; does not read what they say."""

    def __init__(
        self, control: socket.socket, base: int, filter_: confinement.SeccompFilter | None
    ) -> None:
        self._control = control
        self._base = base
        self._filter = filter_
        self._pid_of: dict[int, int] = {}
        self._id_of: dict[int, int] = {}
        self._wake, writer = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        gc.collect()
        gc.freeze()  # a collection in a child would copy every page that it shares
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._wake in ready:
                os.read(self._wake, 4096)
                while self._id_of:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                    if pid == 0:
                        break
                    child = self._id_of.pop(pid)
                    del self._pid_of[child]
                    self._control.send(b"X%d %d" % (child, status))
            if self._control.fileno() in ready:
                message, descriptors, _, _ = socket.recv_fds(
                    self._control, 64, 1, socket.MSG_CMSG_CLOEXEC
                )
                if not message:  # the owner is gone
                    for pid in self._id_of:
                        os.kill(pid, signal.SIGKILL)
                    for pid in self._id_of:
                        os.waitpid(pid, 0)
                    os._exit(0)
                child = int(message[1:])
                if message[:1] == b"F":
                    self._fork(child, descriptors[0])
                elif child in self._pid_of:
                    os.kill(self._pid_of[child], signal.SIGKILL)

    def _fork(self, child: int, descriptor: int) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.close(descriptor)
            self._control.send(b"X%d -1" % child)
            return
        if pid == 0:
            try:
                self._become_child(descriptor, parent)
            finally:
                os._exit(70)
        os.close(descriptor)
        self._pid_of[child], self._id_of[pid] = pid, child

    def _become_child(self, descriptor: int, parent: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.detach()
        os.dup2(descriptor, _CHILD_SOCKET, inheritable=False)
        confinement.close_descriptors_from(_CHILD_SOCKET + 1)
        confinement.die_with_parent(parent)
        connection = socket.socket(fileno=_CHILD_SOCKET)
        base, filter_ = self._base, self._filter
        self.__dict__.clear()  # tool code will look through its frames
        if filter_ is not None:
            filter_.install()
        connection.send(b"\x00")  # tells the owner this process's id, by SCM_CREDENTIALS
        messages = _messages(connection)
        try:
            opening = json.loads(next(messages))
            limit_memory(base, opening)
            runner = Runner(opening)
            del opening
            for message in messages:
                reply = runner.run_request(json.loads(message))
                connection.sendall(_LENGTH.pack(len(reply)) + reply)
                runner.clean_up()
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        os._exit(0)


def _messages(connection: socket.socket) -> Iterator[bytes]:
    """What the owner sends, one message after the other, until it closes its end."""
    pending = b""
    while True:
        while len(pending) < 4:
            part = connection.recv(1 << 16)
            if not part:
                return
            pending += part
        (size,) = _LENGTH.unpack_from(pending)
        parts, missing = [pending[4 : 4 + size]], size + 4 - len(pending)
        pending = pending[4 + size :]
        while missing > 0:
            part = connection.recv(min(missing, 1 << 20))
            if not part:
                return
            parts.append(part)
            missing -= len(part)
        yield parts[0] if len(parts) == 1 else b"".join(parts)
