"""Options of commands whose work can be spread over a cluster."""

import re
from dataclasses import dataclass
from typing import Annotated

from astra.configs.base import RUNTIME, Config
from astra.configs.spelling import option_name
from astra.errors import ConfigError

_ADDRESS = re.compile(r"local|auto|[^:/@\s]+:\d{1,5}")


@dataclass(frozen=True, kw_only=True)
class ClusterConfig(Config):
    """Cluster."""

    ray: Annotated[str | None, RUNTIME] = None
    """Ray cluster whose workers do the work: local starts one on this machine, HOST:PORT or auto
    joins one. None: this process."""

    def check(self) -> None:
        super().check()
        if self.ray is not None and not _ADDRESS.fullmatch(self.ray):
            raise ConfigError(
                f"{option_name('ray')} {self.ray!r}: give local, auto or HOST:PORT, the address "
                "that ray start printed. Ray Client (ray://) is not supported: run the command on "
                "a machine of the cluster, e.g. by ray job submit"
            )
