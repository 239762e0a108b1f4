"""What a server's process may do: the files it sees, its user, its system calls.

It may read programs and libraries of the system, this interpreter with its packages, and what its
entry names; it may write its own folder and what its entry declares (Landlock). Of `/proc` it may
read its own process, so that the environment and the memory of ours stay closed. It has no
capabilities and can gain none. When we are root it is `nobody`, where `nobody` can use what it
needs; else it stays root without capabilities, and a warning says why. `confine_seccomp` says which
system calls fail.

What this does not guarantee: the network stays open, and so does for reading what an entry names
and what lies readable under `/usr`, `/opt` and `/sys`.
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
from dataclasses import dataclass
from pathlib import Path

from astra.configs.spelling import option_name
from astra.core.files import read_bounded
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
_STARTERS = {"sh", "bash", "dash", "zsh", "env", "uv", "uvx", "pipx"}
"""Programs that start others, which may be this Python."""


def available() -> bool:
    """Whether the running kernel has Landlock."""
    return confine_child.abi() > 0


@dataclass(frozen=True, slots=True)
class ConfinedCommand:
    """How a server is started, and which paths it may then use."""

    command: tuple[str, ...]
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    confined: bool = True


def confined_command(
    entry: McpServerEntry, folder: Path, environ: Mapping[str, str], *, confined: bool = True
) -> ConfinedCommand:
    """How a server is started. HostError where there is no such command, or no Landlock.

    `folder`: what is the server's own.
    """
    found = shutil.which(entry.command, path=environ["PATH"])
    if found is None and entry.cwd and "/" in entry.command:
        found = shutil.which(str(Path(entry.cwd, entry.command)), path="")
    if found is None:
        raise HostError(
            f"entry {entry.name!r}: there is no command {entry.command!r} in {environ['PATH']!r}: "
            "install it, or give its whole path"
        )
    if not confined:
        return ConfinedCommand((found, *entry.args), confined=False)
    if not available():
        raise HostError(
            "this kernel has no Landlock, so a server would see your files: start it in a "
            f"container, or set {option_name('confine_servers')} to false"
        )
    state = entry.state
    try:
        code = confine_seccomp.program(platform.machine(), unix_sockets=bool(state.unix_sockets))
    except ValueError:
        raise HostError(
            f"system calls of {platform.machine()!r} are not known here, so a server could not be "
            f"confined: start it in a container, or set {option_name('confine_servers')} to false"
        ) from None
    named = sorted({*_named(entry), *map(str, state.readable)})
    shared = sorted(map(str, (*state.shared, *state.unix_sockets)))
    for path in state.shared:
        if not path.exists():
            raise HostError(
                f'entry {entry.name!r}: "astra": shared names {str(path)!r}, and there is no such '
                "file or folder: make it"
            )
    system = [*_SYSTEM, *(f"/etc/{n}" for n in _ETC), *(f"/proc/{n}" for n in _PROC)]
    interpreter = {sys.prefix, sys.base_prefix, str(_OURS), str(Path(sys.executable).parent)}
    program = _program(found)
    packages = sorted({folder for path in (*named, *program) for folder in _node_modules(path)})
    read = [*system, *sorted(interpreter), *program, *packages, *named]
    write = [str(folder), *(f"/dev/{name}" for name in _DEVICES), *shared]
    real = Path(found).resolve()
    ours = Path(found).name in _STARTERS or any(map(real.is_relative_to, interpreter))
    reads = [*named, *packages, *program, *(sorted(interpreter) if ours else ())]
    # What lies in the server's own folder will be its user's.
    reads = [path for path in reads if not Path(path).is_relative_to(folder)]
    rights = {
        "read": read,
        "write": write,
        "filter": base64.b64encode(code).decode(),
        "folder": str(folder),
        "user": _user(entry.name, reads, shared),
    }
    start = (sys.executable, "-I", "-S", _LAUNCHER, json.dumps(rights), found, *entry.args)
    return ConfinedCommand(start, tuple(read), tuple(write))


def _program(found: str) -> list[str]:
    """What a command consists of: its file, and what is installed with it."""
    real = Path(found).resolve()
    # Of a command that is installed under a `bin`, what lies beside that: its libraries.
    parts = [found, str(real.parent.parent if real.parent.name == "bin" else real)]
    # Of a virtual environment its packages, and the Python that it was made with.
    settings = Path(found).parent.parent / "pyvenv.cfg"
    if settings.is_file():
        parts.append(str(settings.parent))
        content = read_bounded(settings, 2**16, "make the virtual environment anew")
        lines = (line.partition("=") for line in content.decode("utf-8", "replace").splitlines())
        homes = [Path(value.strip()) for key, _, value in lines if key.strip() == "home"]
        parts += [str(home.parent if home.name == "bin" else home) for home in homes]
    return parts


def _node_modules(path: str) -> Iterator[str]:
    """The folder of packages in which a program of Node lies, and where it leads to."""
    for each in (Path(path), Path(path).resolve()):
        if "node_modules" in each.parts:
            yield str(Path(*each.parts[: each.parts.index("node_modules") + 1]))


def _user(name: str, reads: Sequence[str], writes: Sequence[str]) -> int | None:
    """Who a server becomes; None: it stays what we are."""
    if os.geteuid() != 0:
        return None
    for path in (*writes, *reads):
        writing = path in writes
        if not _open_to_all(Path(path), writing=writing):
            _warn(name, f"the user `nobody` can't {'write' if writing else 'read'} {path!r}")
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
    texts = [*entry.texts(), *(arg.partition("=")[2] for arg in entry.args)]
    texts += [part for value in entry.env.values() for part in value.split(os.pathsep)]
    for text in texts:
        # The root would be everything.
        if os.path.isabs(text) and os.path.normpath(text) != "/":
            yield text
