"""What a server's process may see of the file system, by Landlock.

It may read programs and libraries of the system, this interpreter with its packages, and what its
entry names; it may write its own folder and what its entry names. Of `/proc` it may read its own
process, so that the environment and the memory of ours stay closed.

What this does not guarantee: the network stays open, what an entry names is at the server's mercy,
and so is what lies readable under `/usr`, `/opt` and `/sys`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from astra.configs.spelling import option_name
from astra.errors import HostError
from astra.hosts import confine_child
from astra.hosts.mcp_entries import McpServerEntry

_LAUNCHER = confine_child.__file__
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/opt", "/sys")
# Not /proc as a whole: /proc/<pid>/environ of our own process would be readable in it.
_PROC = ("self", "cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "sys", "uptime", "version")
_ETC = (
    *("alternatives", "ca-certificates", "crypto-policies", "fonts", "gai.conf", "group"),
    *("host.conf", "hostname", "hosts", "ld.so.cache", "ld.so.conf", "localtime", "mime.types"),
    *("nsswitch.conf", "os-release", "passwd", "pki", "protocols", "resolv.conf", "services"),
    *("ssl", "timezone"),
)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_OURS = Path(__file__).parents[2]
"""Where this package lies: servers that come with it are started like any other."""


def available() -> bool:
    """Whether the running kernel has Landlock."""
    return confine_child.abi() > 0


def command_line(
    entry: McpServerEntry, folder: Path, environ: Mapping[str, str], *, confined: bool = True
) -> list[str]:
    """How a server is started. HostError where there is no such command, or no Landlock."""
    found = shutil.which(entry.command, path=environ["PATH"])
    if found is None and entry.cwd and "/" in entry.command:
        found = shutil.which(str(Path(entry.cwd, entry.command)), path="")
    if found is None:
        raise HostError(
            f"entry {entry.name!r}: there is no command {entry.command!r} in {environ['PATH']!r}: "
            "install it, or give its whole path"
        )
    if not confined:
        return [found, *entry.args]
    if not available():
        raise HostError(
            "this kernel has no Landlock, so a server would see your files: start it in a "
            f"container, or set {option_name('confine_servers')} to false"
        )
    named = sorted(set(_named(entry)))
    system = [*_SYSTEM, *(f"/etc/{n}" for n in _ETC), *(f"/proc/{n}" for n in _PROC)]
    interpreter = {sys.prefix, sys.base_prefix, str(_OURS), str(Path(sys.executable).parent)}
    # Of a command that is installed under a `bin`, what lies beside that: its libraries.
    real = Path(found).resolve()
    program = [found, str(real.parent.parent if real.parent.name == "bin" else real)]
    read = [*system, *sorted(interpreter), *program]
    write = [str(folder), *(f"/dev/{name}" for name in _DEVICES), *named]
    rights = json.dumps({"read": read, "write": write})
    return [sys.executable, "-I", "-S", _LAUNCHER, rights, found, *entry.args]


def _named(entry: McpServerEntry) -> Iterator[str]:
    """Absolute paths in the arguments, the environment and the working folder of an entry."""
    texts = [*entry.args, *(arg.partition("=")[2] for arg in entry.args)]
    for value in entry.env.values():
        texts += [value, *value.split(os.pathsep)]
    texts.append(entry.cwd or "")
    for text in texts:
        # The root would be everything.
        if os.path.isabs(text) and os.path.normpath(text) != "/":
            yield text
