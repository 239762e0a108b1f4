"""Workers on Ray: `ray="local"` starts a cluster on this machine, an address joins one.

A call is a Ray task of half a processor, since examining an arena waits about as long as it works.
An episode mostly waits for its model: an actor for each processor plays many at once. Ray places
both, and tells when a worker, or the machine that it ran on, is gone; then `Workers` makes the call
again. Nothing is written by workers, and no path is shared.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from astra.configs.cluster import ClusterConfig
from astra.configs.spelling import option_name
from astra.errors import AstraError, ConfigError, WorkerLost
from astra.runs.executor import Executor
from astra.runs.workers import Installation, Workers, installation, run_call

_CPUS_OF_A_CALL = 0.5
_CPUS_OF_A_PLAYER = 0.01
"""So little that nodes that are left can take over. A node without processors gets none."""
_CALLS_OF_A_PLAYER = 1000
"""At once. Further ones wait for their turn."""
_CONNECT_SECONDS = 10.0
_JOIN_SECONDS = 120.0
"""For the answer of each node of a cluster; the first one starts a process there."""
_STORE_BYTES = 256 * 2**20
"""Memory for what calls carry, in a cluster of our own: less than Ray takes by itself."""

_IDLE_MILLISECONDS = 600_000
"""A worker of our own cluster starts in seconds, and waits for the next stage."""


@asynccontextmanager
async def executor_from(config: ClusterConfig) -> AsyncGenerator[Executor | None]:
    """The executor that a command's options name. None: this process does all work.

    Raises ConfigError for a cluster that can't be joined, or that differs from this process.
    """
    if config.ray is None:
        yield None
        return
    if config.ray == "local":
        _settle_environment()
    ray: Any = import_module("ray")  # an extra, so that nothing is known of its types
    if ray.is_initialized():
        raise ConfigError(
            f"{option_name('ray')} {config.ray!r}: this process is connected to a Ray cluster "
            "already: call ray.shutdown() first"
        )
    try:
        _connect(ray, config.ray)
        await _require_same_installation(ray)
        processors = int(ray.cluster_resources().get("CPU", 0))
        slots = max(1, round(processors / _CPUS_OF_A_CALL))
        # No retries by Ray: `Workers` has them, so that they are counted and told in one place.
        task = ray.remote(num_cpus=_CPUS_OF_A_CALL, max_retries=0)(run_call)
        players = _Players(ray, max(1, processors))

        async def submit(call: bytes) -> bytes:
            return await _outcome(ray, task.remote(call))

        yield Workers(submit, slots, players.submit)
    finally:
        ray.shutdown()


def _settle_environment() -> None:
    """What Ray reads when it is imported, for a cluster of our own. What the user set stays."""
    if "ray" in sys.modules:
        return
    # It tells its makers of its use.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # It listens on the network, and whoever reaches it runs code here. By itself it has no token,
    # or writes one into the home folder; this one is kept nowhere.
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False}
    try:
        if ":" in address:
            # Ray itself tries for minutes.
            host, port = address.split(":")
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        if address == "local":
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                _system_config={"idle_worker_killing_time_threshold_ms": _IDLE_MILLISECONDS},
                **quiet,
            )
        else:
            ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises many kinds, and all mean this
        raise ConfigError(
            f"{option_name('ray')} {address!r}: no cluster can be used there: {error!s:.1000}"
        ) from error


async def _require_same_installation(ray: Any) -> None:
    """Ask every node what it runs."""
    strategies = import_module("ray.util.scheduling_strategies")

    wanted = installation()
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        there = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked = ray.remote(num_cpus=0, max_retries=2, scheduling_strategy=there)(_installed)
        name = node["NodeManagerHostname"]
        try:
            python, package = await asyncio.wait_for(asked.remote(), _JOIN_SECONDS)
        except TimeoutError:
            raise ConfigError(
                f"{option_name('ray')}: node {name!r} did not answer in {_JOIN_SECONDS:g} s"
            ) from None
        except ray.exceptions.RayError as error:
            raise ConfigError(
                f"{option_name('ray')}: node {name!r} can't run astra: install the same version "
                f"there ({error})"
            ) from error
        if problem := Installation(python, package).problem(wanted):
            raise ConfigError(f"{option_name('ray')}: node {name!r}: {problem}")


def _installed() -> tuple[str, ...]:
    return tuple(installation())


async def _outcome(ray: Any, reference: Any) -> bytes:
    """What a call came to. Raises `WorkerLost` if its worker ended without a result."""
    try:
        return await reference
    except asyncio.CancelledError:
        if ray.is_initialized():  # else Ray would start another cluster to cancel it in
            ray.cancel(reference)
        raise
    except (ray.exceptions.RayTaskError, ray.exceptions.TaskCancelledError) as error:
        raise AstraError(f"a worker could not make the call: {error}") from error
    except ray.exceptions.RayError as error:
        raise WorkerLost(f"{type(error).__name__}: {error!s:.500}") from error


class _Player:
    """A worker that makes many calls at once, each on a thread that waits for it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_CALLS_OF_A_PLAYER)

    async def answer(self, call: bytes) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._threads, run_call, call)


class _Players:
    """Some players, started with the first call. One that is lost is replaced."""

    def __init__(self, ray: Any, number: int) -> None:
        self._ray = ray
        self._kind = ray.remote(
            num_cpus=_CPUS_OF_A_PLAYER,
            max_restarts=0,
            max_concurrency=_CALLS_OF_A_PLAYER,
            scheduling_strategy="SPREAD",
        )(_Player)
        self._players: list[Any] = [None] * number
        self._calls = [0] * number
        """How many each makes at the moment."""

    async def submit(self, call: bytes) -> bytes:
        """Have the player with the fewest calls make one."""
        place = self._calls.index(min(self._calls))
        player = self._players[place] = self._players[place] or self._kind.remote()
        self._calls[place] += 1
        try:
            return await _outcome(self._ray, player.answer.remote(call))
        except WorkerLost:
            if self._players[place] is player:
                self._players[place] = None
            raise
        finally:
            self._calls[place] -= 1
