"""A remote sandbox: a client of the SandboxFusion `run_code` HTTP API.

Every call sends the tools, the runner and the call as one Python program. Confinement is the
server's task: this client guarantees only that what comes back is a checked JSON value or a
typed error. Seeds, hash seed and clock are kept as in the fork server; CPU time is the server's.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from astra.configs.endpoints import check_address
from astra.errors import ConfigError, SandboxBadResult, SandboxDied, SandboxLimit, SandboxRemote
from astra.protocols import RESTORE, CallOutcome, SandboxEpisode
from astra.sandbox import wire
from astra.sandbox.base import BaseSandbox, BaseSession
from astra.types import Json, Tool

_MARK = "astra-reply:"
_MODULES = ("clock", "database", "runner")
"""Of the child's code, in the order in which they import each other."""
_CHILD_CODE = Path(__file__).parent / "child"
_MOST_BYTES = 64 * 2**20
# Names the runner's modules as the fork server does; then one reply on a line of its own.
_PROGRAM = """
import json, os, sys, types
request = json.loads({request!r})
if os.environ.get("PYTHONHASHSEED") != request["hash_seed"]:
    os.environ["PYTHONHASHSEED"] = request["hash_seed"]
    os.execv(sys.executable, [sys.executable, *sys.argv])
package = sys.modules["astra_child"] = types.ModuleType("astra_child")
package.__path__ = []
for name in request["modules"]:
    module = sys.modules["astra_child." + name] = types.ModuleType("astra_child." + name)
    module.__package__ = "astra_child"
    exec(compile(request["modules"][name], name, "exec"), module.__dict__)
os.environ.clear()
out = sys.stdout
with open("/proc/self/statm") as file:
    base = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
sys.modules["astra_child.runner"].limit_memory(base, request["opening"])
runner = sys.modules["astra_child.runner"].Runner(request["opening"])
for call in request["calls"]:
    reply = runner.run_request(call)
    runner.clean_up()
out.write("\\n" + request["mark"] + reply.decode() + "\\n")
out.flush()
os._exit(0)
"""


class _FollowNoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect as the answer: programs go to the address that was given, or nowhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class RemoteSandbox(BaseSandbox):
    """A `Sandbox` behind `POST <base_url>/run_code`; at most `concurrency` requests at once."""

    def __init__(self, base_url: str, *, concurrency: int = 16, http_seconds: float = 30.0) -> None:
        """`http_seconds`: what a request may take beyond the episode's wall limit.

        Raises ConfigError for an address that can't be used.
        """
        try:
            check_address(base_url)
        except ValueError as error:
            raise ConfigError(f"the URL of a remote sandbox can't be used: {error}") from None
        self.base_url = base_url
        self._url = base_url.rstrip("/") + "/run_code"
        self._http_seconds = http_seconds
        self._threads = ThreadPoolExecutor(concurrency, "astra-remote-sandbox")
        # Proxies are not taken from the environment: the address says where to go.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _FollowNoRedirect()
        )

    @property
    def level(self) -> str:
        return "remote"

    async def open(
        self, tools: Sequence[Tool], episode: SandboxEpisode = SandboxEpisode()
    ) -> RemoteSession:
        return RemoteSession(self, tools, episode)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(self, code: str, episode: SandboxEpisode) -> dict[str, Any]:
        """The server's response to a program. Raises `SandboxRemote`."""
        limits = episode.limits
        body = {
            "code": code,
            "language": "python",
            "run_timeout": limits.wall_seconds,
            "memory_limit_MB": max(1, limits.memory_bytes >> 20) + _INTERPRETER_MB,
        }
        loop = asyncio.get_running_loop()
        seconds = limits.wall_seconds + self._http_seconds
        return await loop.run_in_executor(self._threads, self._post, body, seconds)

    def _post(self, body: dict[str, Json], seconds: float) -> dict[str, Any]:
        request = urllib.request.Request(
            self._url, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with self._opener.open(request, timeout=seconds) as response:
                text = response.read(_MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection open
            target = str(error.headers.get("Location", ""))[:200]
            if not 300 <= error.code < 400:
                raise SandboxRemote(
                    f"{self._url} did not answer: {error!r}; is the address right?"
                ) from None
            raise SandboxRemote(
                f"{self._url} redirects to {target!r}, and nothing was sent there: if that is the "
                "sandbox, give its address"
            ) from None
        except (OSError, http.client.HTTPException, urllib.error.URLError) as error:
            raise SandboxRemote(
                f"{self._url} did not answer: {error!r}; is the server up and the address right?"
            ) from None
        if len(text) > _MOST_BYTES:
            raise SandboxRemote(f"{self._url} answered more than {_MOST_BYTES} bytes")
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise SandboxRemote(f"{self._url} answered no JSON object: {text[:200]!r}")
        return answer


_INTERPRETER_MB = 64
"""Memory that Python itself takes, granted on top of the episode's limit."""


class RemoteSession(BaseSession):
    """One episode in a `RemoteSandbox`: nothing lives there between calls, all is sent again."""

    def __init__(
        self, sandbox: RemoteSandbox, tools: Sequence[Tool], episode: SandboxEpisode
    ) -> None:
        self._sandbox = sandbox
        self._episode = episode
        self._request: dict[str, Any] = {
            "opening": wire.opening_message(tools, episode),
            "hash_seed": str(episode.hash_seed),
            "modules": {n: (_CHILD_CODE / f"{n}.py").read_text() for n in _MODULES},
            "mark": _MARK,
        }
        self._log: list[dict[str, Json]] = []
        self._lock = asyncio.Lock()

    async def call(self, name: str, arguments: dict[str, Json]) -> CallOutcome:
        loop = asyncio.get_running_loop()
        async with self._lock:
            if (name, arguments) == RESTORE:
                self._log.clear()  # every program begins at the first moment
                return CallOutcome()
            started = loop.time()
            call = {"i": len(self._log) + 1, "n": name, "a": arguments}
            request = json.dumps({**self._request, "calls": [*self._log, call]})
            response = await self._sandbox.post(_PROGRAM.format(request=request), self._episode)
            payload = _reply_in(response, self._episode)
            reply = wire.read_reply(payload, len(self._log) + 1)
            outcome = wire.outcome(name, reply, loop.time() - started, self._episode)
            if self._episode.remembers:
                self._log.append(call)
            return outcome

    async def close(self) -> None:
        """Nothing to end: the server keeps nothing of an episode."""


def _reply_in(response: dict[str, Any], episode: SandboxEpisode) -> bytes:
    """The runner's reply in what the server says of the program's run."""
    result = response.get("run_result")
    status = response.get("status")
    if status not in ("Success", "Failed") or not isinstance(result, dict):
        message = str(response.get("message"))[:300]
        raise SandboxRemote(f"the server could not run the program ({status!r}): {message}")
    limits = episode.limits
    if result.get("status") == "TimeLimitExceeded":
        raise SandboxLimit("wall", f"no answer within {limits.wall_seconds} s")
    stdout = result.get("stdout")
    if not isinstance(stdout, str):
        raise SandboxRemote(f"the server gave no stdout: {str(response)[:300]}")
    lines = [line for line in stdout.split("\n") if line.startswith(_MARK)]
    if not lines:
        code, errors = result.get("return_code"), str(result.get("stderr"))[-300:]
        raise SandboxDied(f"the program ended without a reply, exit status {code!r}: {errors}")
    if len(lines) > 1:
        raise SandboxBadResult("the program wrote more than one reply")
    reply = lines[0][len(_MARK) :].encode(errors="replace")
    most = limits.output_bytes + wire.ENVELOPE_BYTES
    if len(reply) > most:
        raise SandboxLimit("output", f"the reply has {len(reply)} bytes, more than {most}")
    return reply
