"""Options of the server of arenas."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Literal

from astra.configs.base import (
    RUNTIME,
    VARIABLE,
    CertifiedConfig,
    DistractorConfig,
    OutputConfig,
    SandboxConfig,
    above,
    at_least,
    at_most,
)
from astra.configs.spelling import option_name
from astra.errors import ConfigError


@dataclass(frozen=True)
class ServeArenasConfig(DistractorConfig, CertifiedConfig, SandboxConfig, OutputConfig):
    """Arenas and server."""

    run: Path | str
    """Run folder of arenas."""
    _: KW_ONLY
    arena: str | None = None
    """Id of an arena, or its beginning. None: all of them are served."""
    stdio: Annotated[bool, RUNTIME] = False
    """Be an MCP server of one arena over stdin and stdout, for one client."""
    split: Literal["train", "test", "all"] = "all"
    """Arenas of one split only. all: of both."""
    host: Annotated[str, RUNTIME] = "127.0.0.1"
    """Address to listen at. Another one than the loopback needs --token-env."""
    port: Annotated[int, at_least(0), at_most(65535), RUNTIME] = 8080
    """Port to listen at. 0: a free one."""
    token_env: Annotated[str | None, VARIABLE, RUNTIME] = None
    """Environment variable with the token that clients have to send. None: none is needed."""
    max_sessions: Annotated[int, at_least(1), RUNTIME] = 256
    """Maximum sessions at the same time. Others are told to try again later (503)."""
    idle_timeout: Annotated[float, above(0), RUNTIME] = 600.0
    """Seconds without a call after which a session ends."""
    episode_timeout: Annotated[float, above(0), RUNTIME] = 3600.0
    """Seconds for one episode, waiting for the model included."""
    max_turns: Annotated[int, at_least(1)] = 128
    """Maximum assistant messages in an episode. A call counts as one."""
    system_prompt: Path | str | None = None
    """File with the system prompt. None: the built-in one in the language of the task."""
    reward: str = "f1"
    """f1, recall, precision, strict, or module:function(arena, trajectory) -> float."""
    out: Annotated[Path | str | None, RUNTIME] = None
    """Run folder to write: the ended episodes. None: they are not kept."""

    def check(self) -> None:
        super().check()
        if self.stdio and self.arena is None:
            raise ConfigError(
                f"{option_name('stdio')} serves one arena: name it by {option_name('arena')}"
            )
