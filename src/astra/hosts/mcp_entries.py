"""Entries of `mcpServers` files: how a server is started or reached.

An entry holds keys. It stays in memory: what is stored of a server names the file and the entry,
and `McpServerEntry.hide` takes the keys out of whatever a server says. What that does not
guarantee: a server can send a key back in another spelling.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from astra.core.files import read_bounded
from astra.core.untrusted import read_json
from astra.errors import ConfigError
from astra.hosts.mcp_state import WORKSPACE_VARIABLE, DeclaredState, names_path, parse_state
from astra.types import Json

LARGEST = 2**22
"""Bytes of an `mcpServers` file."""
HIDDEN = "[hidden]"

_SECTIONS = ("mcpServers", "servers")
_VARIABLE = re.compile(r"\$\{[^}]+\}")
_PLACED = ("args", "env", "cwd")
"""Where an entry may name the working folder of the episode."""
_SECRET = re.compile(
    r"key|token|secret|pass(?!iv|port|ag|eng)|\wpwd|credential|auth|cookie|bearer|jwt|signature"
    r"|(?<![a-z])pat(?![a-z])",
    re.I,
)
_BARE_KEY = re.compile(r"(?=\D*\d\D*\d)[\w+/=-]{16,}", re.ASCII)
"""What a key looks like among arguments and in paths, where nothing says that it is one."""
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"([!-~]([ -~]*[!-~])?)?")
_SHORTEST = 4
"""Characters of the shortest value of a secret name that is hidden; shorter ones stand in words."""
_TRANSPORTS: dict[str, Literal["http", "sse"]] = {
    "http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
    "streamable_http": "http",
    "sse": "sse",
}


@dataclass(frozen=True, slots=True)
class McpServerEntry:
    """One server of an `mcpServers` file."""

    name: str
    kind: Literal["stdio", "http", "sse"]
    """Started by us and spoken to through pipes; reached by streamable HTTP; by the older SSE."""
    command: str = ""
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None
    """Working folder; None: a fresh one."""
    state: DeclaredState = field(default_factory=DeclaredState)
    """What its `astra` object says: files and calls that an episode starts from, paths."""
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    description: str = ""
    domain: str = ""

    def texts(self) -> list[str]:
        """Arguments, environment and working folder, where paths may stand."""
        return [*self.args, *self.env.values(), self.cwd or ""]

    def hide(self, value: Json) -> Json:
        """The value with this entry's keys cut out of its texts, keys of objects included."""
        named = [*self.env.items(), *self.headers.items()]
        # `--name=value` and `--name value`.
        named += [(a, b) for a, mark, b in (arg.partition("=") for arg in self.args) if mark]
        named += [(a, b) for a, b in itertools.pairwise(self.args) if a.startswith("-")]
        parts = urlsplit(self.url)
        named += parse_qsl(parts.query)
        bare = [*self.args, *parts.path.split("/"), parts.username or ""]
        found: set[str] = set()
        for name, text in named:
            if _SECRET.search(name):
                if len(text) >= _SHORTEST:
                    found.add(text)
            elif _like_key(text):
                found.add(text)
        found |= {word for value in found for word in value.split() if len(word) >= 12}
        found |= {text for text in bare if _BARE_KEY.fullmatch(text) and _like_key(text)}
        found |= {p for p in map(_password, [self.url, *self.env.values(), *self.args]) if p}
        # As an address writes it, and as it is meant.
        found |= {unquote(text) for text in found}
        # Longest first, so that no half of one is left over.
        secrets = sorted(found, key=len, reverse=True)
        return _hidden(value, secrets) if secrets else value


def _like_key(text: str) -> bool:
    """Whether this is a long run of letters and digits and not a path: a key under any name."""
    return (
        len(text) >= 16
        and not re.search(r"[\s\\]", text)
        and ("/" not in text or "+" in text or text.endswith("="))  # base64 has slashes, too
        and any(c.isdigit() for c in text)
        and any(c.isalpha() for c in text)
    )


def _password(text: str) -> str | None:
    try:
        return urlsplit(text).password
    except ValueError:
        return None


def _hidden(value: Json, secrets: list[str]) -> Json:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, list):
        return [_hidden(item, secrets) for item in value]
    if isinstance(value, dict):
        return {_hidden(name, secrets): _hidden(item, secrets) for name, item in value.items()}
    return value


# --- reading ----------------------------------------------------------------------------------


def section(value: Json) -> Mapping[str, Json] | None:
    """The entries of a parsed file by name, unchecked. None if it is not an `mcpServers` file."""
    if not isinstance(value, dict):
        return None
    for name in _SECTIONS:
        entries = value.get(name)
        if isinstance(entries, dict) and all(
            isinstance(entry, dict) and ("command" in entry or "url" in entry)
            for entry in entries.values()
        ):
            return entries
    return None


def read_entry(file: Path, name: str) -> McpServerEntry:
    """One entry of a file; ConfigError when the file or the entry can't be used."""
    content = read_bounded(file, LARGEST, "give an mcpServers file")
    try:
        entries = section(read_json(content.decode("utf-8-sig")))
    except ValueError as error:
        raise ConfigError(f"{str(file)!r} is not JSON ({error}): correct it") from error
    if entries is None or name not in entries:
        raise ConfigError(f"{str(file)!r} has no mcpServers entry {name!r}: put it back")
    return parse_entry(name, entries[name], file.parent)


def parse_entry(name: str, value: Json, folder: Path | None = None) -> McpServerEntry:
    """An entry as it stands in a file. ConfigError says what is wrong, and shows no values.

    `folder`: the file's, from which the paths of `astra` are read; None: the current one.
    """
    if not isinstance(value, dict):
        raise ConfigError(f"entry {name!r} is not an object: give command and args, or url")
    if value.get("disabled") is True:
        raise ConfigError(f"entry {name!r} is disabled: take `disabled` out")
    kind = _kind(name, value)
    args = value.get("args", [])
    if not isinstance(args, list):
        raise ConfigError(f"entry {name!r}: args is not a list of texts")
    if "unix_sockets" in value:
        raise ConfigError(
            f'entry {name!r}: move unix_sockets into its "astra" object: '
            '"astra": {"unix_sockets": [...]}'
        )
    headers = _texts(name, value, "headers")
    for header, content in headers.items():
        if not _HEADER_NAME.fullmatch(header) or not _HEADER_VALUE.fullmatch(content):
            raise ConfigError(
                f"entry {name!r}: a header can't be sent: write a name without spaces and colons, "
                "and a value of one line without spaces at its ends or letters beyond ASCII"
            )
    entry = McpServerEntry(
        name=name,
        kind=kind,
        command=_text(name, value, "command") if kind == "stdio" else "",
        args=tuple(_text(name, {"args": item}, "args") for item in args),
        env=_texts(name, value, "env"),
        cwd=_text(name, value, "cwd") or None,
        state=parse_state(name, value.get("astra"), folder or Path(), started=kind == "stdio"),
        url=_text(name, value, "url") if kind != "stdio" else "",
        headers=headers,
        description=_text(name, value, "description"),
        domain=_text(name, value, "domain"),
    )
    for path in entry.state.writable:
        # The server is told of its copy by these, and in no other way.
        if not any(names_path(text, path) for text in entry.texts()):
            raise ConfigError(
                f'entry {name!r}: "astra": writable holds {str(path)!r}, which none of args, env '
                "and cwd names: let one of them tell the server this whole path"
            )
    return entry


def _kind(name: str, value: Mapping[str, Json]) -> Literal["stdio", "http", "sse"]:
    said = value.get("type") or value.get("transport")
    if "command" in value:
        if said not in (None, "stdio"):
            raise ConfigError(f"entry {name!r} has a command and the type {said!r}: keep one")
        return "stdio"
    url = value.get("url")
    if not isinstance(url, str) or not _usable(url):
        raise ConfigError(f"entry {name!r} has neither a command nor an http(s) url: add one")
    if said is None:
        return "sse" if urlsplit(url).path.rstrip("/").endswith("/sse") else "http"
    if said not in _TRANSPORTS:
        raise ConfigError(f"entry {name!r} has the type {said!r}: write http or sse")
    return _TRANSPORTS[said]


def _usable(url: str) -> bool:
    """Whether a client can take this address: else it would quote its parts, a password's too."""
    try:
        parts = urlsplit(url)
        _, host = parts.port, parts.hostname
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and url.isprintable()


def _text(name: str, value: Mapping[str, Json], key: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str) or "\0" in found:
        raise ConfigError(f"entry {name!r}: {key} is not a text")
    placed = found.replace(WORKSPACE_VARIABLE, "") if key in _PLACED else found
    if match := _VARIABLE.search(placed):
        raise ConfigError(
            f"entry {name!r}: {key} names the variable {match[0]!r}: write its value, "
            f"for servers see nothing of our environment; args, env and cwd may name "
            f"{WORKSPACE_VARIABLE}, the fresh folder of an episode"
        )
    return found


def _texts(name: str, value: Mapping[str, Json], key: str) -> dict[str, str]:
    found = value.get(key) or {}
    if not isinstance(found, dict):
        raise ConfigError(f"entry {name!r}: {key} is not an object of texts")
    return {
        k: _text(name, {key: str(v) if isinstance(v, int | float) else v}, key)
        for k, v in found.items()
    }
