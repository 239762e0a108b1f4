"""A small HTTP server that speaks SandboxFusion's `run_code`, for tests of its client.

It confines nothing: programs run as `python -I` with the rights of the test. `faults` are played
first, one per request.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from astra.testing.http_server import HttpReply, HttpRequest, LoopbackServer

SandboxServerFault = Literal[
    "500", "garbage", "not_object", "sandbox_error", "no_result", "silent", "reset", "truncated"
]
"""How a request goes wrong: status 500; a body that is not JSON, or not an object; the server's
own `SandboxError`; a response without `run_result`; the rest as of `WireFault`."""
_REPLIES: dict[SandboxServerFault, HttpReply] = {
    "500": HttpReply(500, {"detail": "broken"}),
    "garbage": HttpReply(200, b"<html>busy</html>"),
    "not_object": HttpReply(200, [1, 2]),
    "sandbox_error": HttpReply(
        200, {"status": "SandboxError", "message": "no room", "run_result": None}
    ),
    "no_result": HttpReply(200, {"status": "Success", "message": ""}),
    "silent": HttpReply(200, {}, fault="silent", seconds=30),
    "reset": HttpReply(200, {}, fault="reset"),
    "truncated": HttpReply(200, {"status": "Success"}, fault="truncated"),
}


class RunCodeServer(LoopbackServer):
    """The server, as a context; `faults` may be added to while it runs."""

    def __init__(self, faults: Iterable[SandboxServerFault] = ()) -> None:
        super().__init__()
        self.faults: deque[SandboxServerFault] = deque(faults)
        self.requests = 0

    async def respond(self, request: HttpRequest) -> HttpReply:
        self.requests += 1
        if self.faults:
            return _REPLIES[self.faults.popleft()]
        if request.path != "/run_code":
            return HttpReply(404, {})
        return HttpReply(200, await asyncio.to_thread(_run, json.loads(request.body)))


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """Run a program as SandboxFusion does: from a file, with the time limit asked for."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program.py"
        program.write_text(request["code"])
        started = time.perf_counter()
        try:
            done = subprocess.run(
                [sys.executable, "-s", str(program)],
                capture_output=True,
                text=True,
                timeout=request.get("run_timeout", 10),
                cwd=folder,
                check=False,
            )
        except subprocess.TimeoutExpired:
            result = {"status": "TimeLimitExceeded", "execution_time": request["run_timeout"]}
            return {"status": "Failed", "message": "", "run_result": result}
    result = {
        "status": "Finished",
        "execution_time": time.perf_counter() - started,
        "return_code": done.returncode,
        "stdout": done.stdout,
        "stderr": done.stderr,
    }
    status = "Success" if done.returncode == 0 else "Failed"
    return {"status": status, "message": "", "compile_result": None, "run_result": result}
