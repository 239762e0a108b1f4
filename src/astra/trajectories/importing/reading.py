"""From a file to the conversations in it. Nothing in the file is trusted.

JSONL: a conversation a line; lines that are cut off, repeated or of an unknown shape are refused
one by one, with their number. JSON: a list of rows, one row, an eval log, or a trajectory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from astra.configs.spelling import option_name
from astra.configs.trajectories import ConversationFormat
from astra.errors import ConfigError, Rejected
from astra.trajectories.collect.sources import is_object_line
from astra.trajectories.importing.atif import atif_conversation, atif_trajectories, is_atif
from astra.trajectories.importing.foreign import ForeignConversation
from astra.trajectories.importing.inspect_logs import (
    inspect_conversation,
    inspect_samples,
    is_inspect_log,
)
from astra.trajectories.importing.openai_rows import openai_conversation, trl_conversation
from astra.trajectories.importing.sharegpt import sharegpt_conversation
from astra.types import Json

MOST_LINE_BYTES = 32 * 2**20
"""Of a row of a JSONL file."""
_READERS: dict[str, Callable[[Json], ForeignConversation]] = {
    "openai": openai_conversation,
    "trl": trl_conversation,
    "sharegpt": sharegpt_conversation,
    "inspect": inspect_conversation,
    "atif": atif_conversation,
}


@dataclass(frozen=True, slots=True)
class ReadConversation:
    """One conversation of a file, or why it was refused."""

    number: int
    """Among all of the file, from 1."""
    where: str
    """Place in the file, for messages."""
    outcome: ForeignConversation | Rejected


def read_conversations(
    path: Path, form: ConversationFormat, *, most_bytes: int
) -> Iterator[ReadConversation]:
    """The conversations of a file, in its order. Raises ConfigError if it can't hold any."""
    for number, (where, value) in enumerate(_values(path, form, most_bytes), start=1):
        yield ReadConversation(number, where, _read(value, form))


def _read(value: Json, form: ConversationFormat) -> ForeignConversation | Rejected:
    if isinstance(value, Rejected):
        return value
    try:
        return _READERS[_format_of(value) if form == "auto" else form](value)
    except Rejected as rejected:
        return rejected
    except (RecursionError, TypeError, ValueError, KeyError, AttributeError) as error:
        # Rows are wrong in more ways than can be foreseen, and one must not end the others.
        return Rejected("layout", f"can't be read: {type(error).__name__}: {error!s:.200}")


def _format_of(value: Json) -> str:
    """The one format that a row has the marks of. Raises Rejected for none and for several."""
    row = value if isinstance(value, dict) else {}
    marks = {
        "atif": is_atif(row),
        "inspect": "messages" in row and "epoch" in row and "target" in row,
        "sharegpt": "conversations" in row,
        # Our own ShareGPT rows also have messages.
        "openai": "messages" in row and not {"conversations", "epoch", "prompt"} & set(row),
        "trl": isinstance(row.get("prompt"), list) and isinstance(row.get("completion"), list),
    }
    formats = [name for name, holds in marks.items() if holds]
    if len(formats) != 1:
        which = f"has marks of {' and '.join(formats)}" if formats else "is of no known format"
        keys = sorted(map(str, row))[:8] if row else type(value).__name__
        say = f"say which by {option_name('format')}"
        raise Rejected(
            "layout",
            f"it {which} (it holds {keys!r:.300}): {say}",
        )
    return formats[0]


def _values(path: Path, form: ConversationFormat, most_bytes: int) -> Iterator[tuple[str, Json]]:
    """(place, value) of everything that should be a conversation; Rejected where there is none."""
    try:
        with path.open("rb") as file:
            first, second = (file.readline(MOST_LINE_BYTES + 1) for _ in range(2))
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    if first.startswith(b"PK\x03\x04"):
        raise ConfigError(
            f"{str(path)!r} is an archive: of an Inspect log, make JSON by "
            "`inspect log convert --to json`"
        )
    if path.suffix == ".jsonl" or (is_object_line(first) and is_object_line(second)):
        yield from _line_values(path)
        return
    value = _document(path, most_bytes)
    if isinstance(value, list):
        for number, row in enumerate(value, start=1):
            yield f"{path.name}, row {number}", row
    elif is_inspect_log(value) and form in ("inspect", "auto"):
        try:
            for name, sample in inspect_samples(value):
                yield f"{path.name}, {name}", sample
        except Rejected as rejected:
            yield path.name, rejected
    elif is_atif(value) and form in ("atif", "auto"):
        for name, trajectory in atif_trajectories(value):
            yield f"{path.name}, {name}" if name else path.name, trajectory
    else:
        yield path.name, value


def _line_values(path: Path) -> Iterator[tuple[str, Json]]:
    with path.open("rb") as file:
        number = 0
        # Bounded: a file without line ends must not be read into memory as one line.
        while line := file.readline(MOST_LINE_BYTES + 1):
            number += 1
            where = f"{path.name}, line {number}"
            if len(line) > MOST_LINE_BYTES:
                raise ConfigError(
                    f"{where}: longer than {MOST_LINE_BYTES} bytes: give a JSONL file of rows"
                )
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                if line.endswith(b"\n"):
                    yield where, Rejected("layout", f"not JSON: {error!s:.200}")
                else:
                    yield where, Rejected("cut_off", f"it ends after {len(line)} bytes, not JSON")
                continue
            for name, inner in atif_trajectories(value) if is_atif(value) else [("", value)]:
                yield f"{where}, {name}" if name else where, inner


def _document(path: Path, most_bytes: int) -> Json:
    """The value of a JSON file. Raises ConfigError."""
    if (size := path.stat().st_size) > most_bytes:
        raise ConfigError(
            f"{str(path)!r} has {size / 2**20:.0f} MiB, over the {most_bytes // 2**20} of "
            f"{option_name('max_document_mib')}: raise it"
        )
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{str(path)!r} is not JSON ({error!s:.200}): give JSONL rows, an eval log in JSON, or "
            "a trajectory"
        ) from error
