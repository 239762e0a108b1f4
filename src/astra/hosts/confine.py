"""What a server's process may do: the files it sees, its user, its system calls.

It may read programs and libraries of the system, this interpreter with its packages, and what its
entry names; it may write its own folder and what its entry names (Landlock). Of `/proc` it may read
its own process, so that the environment and the memory of ours stay closed. It has no capabilities
and can gain none. When we are root it is `nobody`, where `nobody` can use what it needs; else it
stays root without capabilities, and a warning says why. `confine_seccomp` says which system calls
fail.

What this does not guarantee: the network stays open, what an entry names is at the server's mercy,
and so is what lies readable under `/usr`, `/opt` and `/sys`.
"""

from __future__ import annotations

import base64
import functools
import json
import logging
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from astra.configs.spelling import option_name
from astra.errors import HostError
from astra.hosts import confine_child, confine_seccomp
from astra.hosts.mcp_entries import McpServerEntry

_log = logging.getLogger(__name__)
_NOBODY = 65534
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
_CODE_VARIABLES = ("NODE_PATH", "PYTHONPATH", "PATH")
_CODE = {".py", ".pyz", ".js", ".cjs", ".mjs", ".ts", ".jar", ".rb", ".php", ".sh"}
"""What a server reads of what its entry names; anything else it may mean to write."""
_STARTERS = {"sh", "bash", "dash", "zsh", "env", "uv", "uvx", "pipx"}
"""Programs that start others, which may be this Python."""


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
    try:
        code = confine_seccomp.program(platform.machine(), unix_sockets=bool(entry.unix_sockets))
    except ValueError:
        raise HostError(
            f"system calls of {platform.machine()!r} are not known here, so a server could not be "
            f"confined: start it in a container, or set {option_name('confine_servers')} to false"
        ) from None
    named = sorted(set(_named(entry)))
    system = [*_SYSTEM, *(f"/etc/{n}" for n in _ETC), *(f"/proc/{n}" for n in _PROC)]
    interpreter = {sys.prefix, sys.base_prefix, str(_OURS), str(Path(sys.executable).parent)}
    # Of a command that is installed under a `bin`, what lies beside that: its libraries.
    real = Path(found).resolve()
    program = [found, str(real.parent.parent if real.parent.name == "bin" else real)]
    rights = {
        "read": [*system, *sorted(interpreter), *program],
        "write": [str(folder), *(f"/dev/{name}" for name in _DEVICES), *named],
        "filter": base64.b64encode(code).decode(),
        "folder": str(folder),
        "user": _user(
            entry,
            [*sorted(interpreter), *program]
            if Path(found).name in _STARTERS or any(map(real.is_relative_to, interpreter))
            else program,
            named,
        ),
    }
    return [sys.executable, "-I", "-S", _LAUNCHER, json.dumps(rights), found, *entry.args]


def _user(entry: McpServerEntry, programs: Sequence[str], named: Sequence[str]) -> int | None:
    """Who a server becomes; None: it stays what we are."""
    if os.geteuid() != 0:
        return None
    code = {
        path
        for variable in _CODE_VARIABLES
        for path in entry.env.get(variable, "").split(os.pathsep)
    }
    for path in [*named, *programs]:
        reads = path in programs or path in code or Path(path).suffix in _CODE
        reads = reads or "node_modules" in Path(path).parts
        if not _open_to_all(Path(path), writing=not reads):
            _warn(entry.name, f"the user `nobody` can't {'read' if reads else 'write'} {path!r}")
            return None
    return _NOBODY


@functools.cache  # once, not for every episode
def _warn(name: str, why: str) -> None:
    _log.warning(
        "server %r runs as root, though without capabilities, because %s: "
        "change the rights of that path, or start ASTRA as an ordinary user",
        name,
        why,
    )


def _open_to_all(path: Path, *, writing: bool) -> bool:
    """Whether a user who owns nothing may read a path that is there (and write it)."""
    try:
        real = path.resolve(strict=True)
        modes = [parent.stat().st_mode for parent in (*path.parents, *real.parents)]
        own = real.stat().st_mode
    except OSError:
        return True  # what is not there needs no right
    wanted = stat.S_IROTH | (stat.S_IWOTH if writing else 0)
    wanted |= stat.S_IXOTH if stat.S_ISDIR(own) else 0
    return own & wanted == wanted and all(mode & stat.S_IXOTH for mode in modes)


def _named(entry: McpServerEntry) -> Iterator[str]:
    """Absolute paths in the arguments, the environment and the working folder of an entry."""
    texts = [*entry.args, *(arg.partition("=")[2] for arg in entry.args)]
    for value in entry.env.values():
        texts += [value, *value.split(os.pathsep)]
    texts += [entry.cwd or "", *entry.unix_sockets]
    for text in texts:
        # The root would be everything.
        if os.path.isabs(text) and os.path.normpath(text) != "/":
            yield text
