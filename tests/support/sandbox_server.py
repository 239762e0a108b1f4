"""A small HTTP server that speaks SandboxFusion's `run_code`, for tests of its client.

It confines nothing: programs run as `python -I` with the rights of the test. `faults` are played
first, one per request.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

SandboxServerFault = Literal[
    "500", "garbage", "not_object", "sandbox_error", "no_result", "slow", "reset", "cut"
]
"""How a request goes wrong: status 500; a body that is no JSON, or no object; the server's own
`SandboxError`; a response without `run_result`; two seconds of silence; a connection that is
closed; a body shorter than announced."""


class RunCodeServer(ThreadingHTTPServer):
    """Serves on a free port of the loopback; `url` says which."""

    daemon_threads = True

    def __init__(self, faults: Iterable[SandboxServerFault] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults: deque[SandboxServerFault] = deque(faults)
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def run_code_server(faults: Iterable[SandboxServerFault] = ()) -> Generator[RunCodeServer]:
    """The server, running in a thread until the end of the block."""
    server = RunCodeServer(faults)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: RunCodeServer  # pyright: ignore[reportIncompatibleVariableOverride] - narrowed on purpose

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests += 1
        if self.server.faults:
            self._misbehave(self.server.faults.popleft())
        elif self.path != "/run_code":
            self._answer(404, b"{}")
        else:
            self._answer(200, json.dumps(_run(json.loads(body))).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _misbehave(self, fault: SandboxServerFault) -> None:
        match fault:
            case "500":
                self._answer(500, b'{"detail": "broken"}')
            case "garbage":
                self._answer(200, b"<html>busy</html>")
            case "not_object":
                self._answer(200, b"[1, 2]")
            case "sandbox_error":
                response = {"status": "SandboxError", "message": "no room", "run_result": None}
                self._answer(200, json.dumps(response).encode())
            case "no_result":
                self._answer(200, b'{"status": "Success", "message": ""}')
            case "slow":
                time.sleep(2)
                self.close_connection = True
            case "reset":
                self.close_connection = True
            case "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"status": "Succ')

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


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
