"""Running the server: the socket, the sandbox, the signals that end it.

SIGTERM and SIGINT end it gracefully: no new session is opened, calls that run are answered, open
sessions are ended, and the processes of the sandbox go. A killed server takes them along, for the
kernel ends them with the thread that started them.
"""

from __future__ import annotations

import resource
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial

from astra.arenas.sets import ArenaSet, open_arenas
from astra.configs.serve import ServeArenasConfig
from astra.configs.spelling import option_name
from astra.core.files import read_text_option
from astra.episodes import Episode
from astra.errors import ConfigError
from astra.models.keys import api_key
from astra.rewards import load_reward
from astra.runs.jsonl import JsonlLog, to_line
from astra.runs.opening import open_run
from astra.sandbox import sandbox_from
from astra.serve.access import LOOPBACK
from astra.serve.app import arena_app
from astra.serve.mcp_server import serve_stdio
from astra.serve.running import listening, run_app
from astra.serve.sessions import SessionLimits, SessionTable

EPISODES = "episodes"
_FILES_PER_SESSION = 8
"""Descriptors of a session: sockets of its client, pipes of its sandbox processes."""
_FILES = 128


async def serve(config: ServeArenasConfig, *, on_ready: Callable[[str], None]) -> None:
    """Serve arenas until a signal ends it, or over stdio until the client leaves.

    `on_ready` receives the server's address when it can be reached.
    """
    token = api_key(config.token_env)
    if config.host not in LOOPBACK and token is None:
        raise ConfigError(
            f"{option_name('host')} {config.host!r} can be reached from other machines: give "
            f"{option_name('token_env')}, a variable with a token that clients have to send"
        )
    arenas = _chosen(config)
    prompt = read_text_option(config.system_prompt, "system_prompt")
    if config.stdio:
        async with session_table(config, arenas, prompt) as table:
            await serve_stdio(table, arenas.ids[0])
        return
    allow_files(_FILES + _FILES_PER_SESSION * config.max_sessions)
    # Bound before the sandbox starts: a port that is taken is told at once.
    with closing(listening(config.host, config.port)) as taken:
        async with session_table(config, arenas, prompt) as table:
            loopback = config.host in LOOPBACK
            app = arena_app(table, token=token, loopback=loopback, system_prompt=prompt)
            host, port = taken.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            await run_app(app, taken, lambda: on_ready(f"http://{shown}:{port}"))


def _chosen(config: ServeArenasConfig) -> ArenaSet:
    arenas = open_arenas(config.run, config.split, uncertified=config.uncertified)
    arenas = arenas.with_distractors(
        config.distractors, per_band=config.distractors_per_band, seed=config.seed
    )
    if config.arena is not None:
        # Looked for in all splits: an id names one arena.
        every = open_arenas(config.run, "all", uncertified=config.uncertified)
        arena_id = every.find(config.arena).id
        arenas = every.with_distractors(
            config.distractors, per_band=config.distractors_per_band, seed=config.seed
        )
        index = arenas.ids.index(arena_id)
        arenas = arenas[index : index + 1]
    arenas.require_certificates()
    return arenas


@asynccontextmanager
async def session_table(
    config: ServeArenasConfig, arenas: ArenaSet, system_prompt: str | None
) -> AsyncGenerator[SessionTable]:
    """The sessions of a command's options, with their sandbox and the folder of episodes."""
    async with AsyncExitStack() as stack:
        store: Callable[[Episode], None] | None = None
        if config.out is not None:
            folder = open_run(config, config.out)
            stack.enter_context(folder.lock())
            log = stack.enter_context(folder.append(EPISODES))

            store = partial(_store, log)

        sandbox = await stack.enter_async_context(sandbox_from(config))
        yield await stack.enter_async_context(
            SessionTable(
                arenas,
                sandbox,
                limits=SessionLimits(
                    sessions=config.max_sessions,
                    idle_seconds=config.idle_timeout,
                    episode_seconds=config.episode_timeout,
                    turns=config.max_turns,
                ),
                seed=config.seed,
                reward=load_reward(config.reward),
                system_prompt=system_prompt,
                on_end=store,
            )
        )


def _store(log: JsonlLog, episode: Episode) -> None:
    log.append([to_line(episode)])


def allow_files(count: int) -> None:
    """Let this process have so many files open. Raises ConfigError if it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ConfigError(
            f"{option_name('max_sessions')} needs {count} open files, and only {hard} are allowed "
            f"here: choose fewer sessions, or raise the limit (ulimit -n {count})"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
