"""Stage `probes`: what live servers hold before the first task, read by their own tools.

Tools that only read, by what their source says or else by their names' verbs, are called with
arguments that fit their schemas: with none where none are required, then with values that earlier
results held. A server that is started for this works on a fresh copy, so that a wrong guess costs
nothing; of one that keeps its state, only tools are called whose source says that they only read.

What this does not guarantee: that everything is found that a server holds, or that a tool only
reads because its source says so.
"""

from __future__ import annotations

import ast
import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress

from astra.core.text import scalars
from astra.errors import HostError
from astra.hosts.consistency import may_change
from astra.hosts.live import server_starts
from astra.models.arguments import random_arguments
from astra.protocols import ToolHost
from astra.runs.stage import Stage
from astra.trajectories.records import CollectedTool, CollectedToolServer
from astra.trajectories.schemas import value_problem
from astra.trajectories.tasks.dependencies import names_fit
from astra.trajectories.tasks.plan_trials import LiveHosts, live_task
from astra.trajectories.tasks.result_paths import leaves
from astra.trajectories.tasks.tool_fields import InputField, parameters_of, words_of
from astra.types import Json, Record, RecordedCall, ServerStart

PROBES = "probes"
MOST_CALLS = 24
"""Calls of one server."""
MOST_TRIES = 3
"""Calls of one tool, until one succeeds."""
SECONDS = 120.0
"""Time for the calls of one server."""
_LONGEST_VALUE = 200
_CHANGING = frozenset(
    "add append apply approve assign cancel clear commit create delete drop edit execute insert "
    "mark move open post put register remove rename replace reset restore run save send set start "
    "stop submit update upload write".split()
)
PATHS = {"path", "directory", "dir", "folder", "file", "filename", "root", "repo", "uri"}
"""Words of parameters that take paths."""
_QUERIES = {"query", "search", "keyword", "term", "text", "pattern", "q"}


class ServerProbe(Record):
    """A row of `probes.jsonl`: what a live server's reading tools returned at the start."""

    server: str
    """Id of the server."""
    starts: tuple[ServerStart, ...]
    calls: tuple[RecordedCall, ...]
    """By the collected names of the tools."""


def probes_stage(host: LiveHosts, seed: int) -> Stage[CollectedToolServer, ServerProbe]:
    """Live servers to what they hold."""

    async def work(server: CollectedToolServer) -> ServerProbe:
        calls: list[RecordedCall] = []
        task = live_task(f"probe:{server.id}", [server.id], server.language)
        async with host(task) as opened:
            starts = server_starts(opened)
            shown = {document.name for document in opened.tools()}
            fresh = bool(starts) and all(start.state == "fresh" for start in starts)
            reading = [
                tool
                for tool in server.tools
                if tool.document.name in shown and _reads(tool, fresh=fresh)
            ]
            # What is too slow, or breaks the server, ends the probing and not the run.
            with suppress(TimeoutError, HostError):
                async with asyncio.timeout(SECONDS):
                    async for call in _probe(opened, reading, random.Random(f"{seed}:{server.id}")):
                        calls.append(call)
        return ServerProbe(server=server.id, starts=starts, calls=tuple(calls))

    return Stage(
        PROBES, work, key=lambda server: server.id, stored_key=lambda row: str(row["server"])
    )


def _reads(tool: CollectedTool, *, fresh: bool) -> bool:
    """Whether a tool only reads: so its source says or, which does for a copy, its name."""
    name = tool.document.name
    if tool.read_only is not None:
        return tool.read_only
    return fresh and not may_change(name) and not _CHANGING & set(words_of(name))


async def _probe(
    host: ToolHost, tools: Sequence[CollectedTool], rng: random.Random
) -> AsyncIterator[RecordedCall]:
    """Call each tool until it succeeds, a few times: what others returned may be what it needs."""
    required = {
        tool.document.name: [p for p in parameters_of(tool.document.parameters) if p.required]
        for tool in tools
    }
    calls: list[RecordedCall] = []
    left = sorted(tools, key=lambda tool: len(required[tool.document.name]))
    for _ in range(MOST_TRIES):
        again: list[CollectedTool] = []
        for tool in left:
            name = tool.document.name
            arguments = _arguments(tool, required[name], calls, rng)
            if arguments is None or len(calls) == MOST_CALLS:
                continue
            result = await host.call(name, arguments)
            call = RecordedCall(
                tool=name, arguments=arguments, content=result.content, is_error=result.is_error
            )
            calls.append(call)
            yield call
            again += [tool] if result.is_error else []
        left = again


def _arguments(
    tool: CollectedTool,
    required: Sequence[InputField],
    calls: Sequence[RecordedCall],
    rng: random.Random,
) -> dict[str, Json] | None:
    """Arguments that fit and were not tried, the most promising ones. None: there are none."""
    schema = tool.document.parameters
    tried = [call.arguments for call in calls if call.tool == tool.document.name]
    drawn = random_arguments(schema, rng) or {}
    arguments: dict[str, Json] = {}
    for parameter in required:
        name = parameter.name
        values = _values(tool, parameter, calls)
        if not values and tried:
            return None  # what failed with a word drawn by chance fails with others
        values = values or [drawn.get(name)]
        new = [value for value in values if all(value != each.get(name) for each in tried)]
        arguments[name] = (new or values)[0]
    return None if arguments in tried or value_problem(arguments, schema) else arguments


def _values(
    tool: CollectedTool, parameter: InputField, calls: Sequence[RecordedCall]
) -> list[Json]:
    """Values for a parameter that fit its schema."""
    schema = parameter.schema
    values: list[Json] = [schema[key] for key in ("const", "default", "example") if key in schema]
    for key in ("enum", "examples"):
        listed = schema.get(key)
        values += listed if isinstance(listed, list) else []
    values += [each[parameter.name] for each in tool.examples if parameter.name in each]
    words = set(words_of(parameter.name))
    if re.search(r"\bSQL\b|\bSELECT\b", f"{tool.document.description} {parameter.description}"):
        tables = list(seen_values("table_name", calls))
        values += [f"SELECT * FROM {table} LIMIT 5" for table in tables]
    seen = list(seen_values(parameter.name, calls, tool.document.name))
    values += [[value] for value in seen] if parameter.kind == "array" else seen
    if parameter.kind in ("string", "any"):
        values += ["."] if words & PATHS else []
        values += ["", "a"] if words & _QUERIES else []
        values += ["UTC"] if words & {"timezone", "zone"} else []
    fitting = [value for value in values if not value_problem(value, schema)]
    return [value for place, value in enumerate(fitting) if value not in fitting[:place]]


def seen_values(parameter: str, calls: Sequence[RecordedCall], tool: str = "") -> Iterator[Json]:
    """Values that a parameter of this name, of a tool of that name, may mean.

    Paths that stand in texts for what takes paths; then what successful calls were given under the
    name; then what results hold under it.
    """
    good = [call for call in calls if not call.is_error]
    words = set(words_of(parameter))
    given = [
        value
        for call in good
        if (value := call.arguments.get(parameter)) not in (None, "", [], {}, ".")
    ]
    if words & PATHS:
        # Errors name paths, too: those that are allowed.
        texts = [text for call in calls for text in scalars(call.content)]
        files, folders = _paths("\n".join(text for text in texts if isinstance(text, str)))
        of_files = (words | set(words_of(tool))) & {"file", "files", "filename", "document"}
        yield from [*files, *given, *folders] if of_files else [*folders, *given, *files]
        return
    yield from given
    contents = [(call.tool, parsed(call.content)) for call in good]
    for source, content in contents:
        for path, value in leaves(content):
            # A bare name or id is of what its tool is about: `table_name` of `list_tables`.
            last = path.rpartition(".")[2]
            owner = words_of(parameter)[:-1]
            bare = bool(owner) and last in ("name", "id") and set(owner) <= set(words_of(source))
            fits = (bare or names_fit(parameter, path, source)) and value not in (None, "")
            if fits and len(str(value)) <= _LONGEST_VALUE:
                yield value


def _paths(text: str) -> tuple[list[str], list[str]]:
    """Absolute paths of files and of folders that a text names, each once."""
    whole = list(dict.fromkeys(re.findall(r"(?<![\w.:/])/[\w./-]*[\w-]", text)))
    files = [path for path in whole if re.search(r"\.\w+$", path)]
    folders = [path for path in whole if path not in files]
    # `[FILE] plan.txt     19 B`, as the filesystem server lists what is in a folder.
    names = dict.fromkeys(re.findall(r"^\[FILE\] (\S.*?)(?:\s{2,}.*)?$", text, re.MULTILINE))
    return [f"{folder}/{name}" for folder in folders[:1] for name in names] + files, folders


def parsed(content: Json) -> Json:
    """A result, read as the JSON or the Python literal that its text is."""
    if isinstance(content, str) and content[:1] in ("{", "["):
        for read in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                return read(content)
    return content
