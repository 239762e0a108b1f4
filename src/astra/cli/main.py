"""The `astra` command: its tree, `@file.toml`, `--debug`, and how errors end.

A command lives in a module of its own, `cli/<group>_<verb>.py`, as the variable `command`
(`cli/command.py` makes it from an option class). It is imported when it is called, not to list it.
"""

from __future__ import annotations

import copy
import gc
import importlib
import io
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from astra.cli.command import FILE
from astra.cli.console import err, out, plain, print_error
from astra.cli.help_layout import WIDTH, HelpLayout
from astra.configs.extras import missing_package
from astra.errors import AstraError, ConfigError, StoreWarning

FAILED = 2
"""Exit status after an error; 1 is left to commands whose result is not what was asked for."""
BROKEN = 70
"""Exit status after an error in this package (EX_SOFTWARE)."""
INTERRUPTED = 130
CLOSED_PIPE = 141
_OPEN_FILES = 256
_INTERRUPTED = "interrupted: resume with the same command"
_DUCKDB_INTERRUPTED = "Query interrupted"
"""What DuckDB raises in place of KeyboardInterrupt."""


class CommandGroup(NamedTuple):
    """Commands that begin with the same word."""

    about: str
    commands: dict[str, str]
    """Command -> its line in lists: the first line of its docstring."""


GROUPS: dict[str, CommandGroup] = {
    "arenas": CommandGroup(
        "Arenas: questions with working tools and verifiable answers.",
        {
            "make": "Make certified arenas from your tables, or from an OpenAPI document. "
            "No model is needed.",
            "synthesize": "Make certified arenas from questions, a corpus or domains, "
            "with a teacher.",
            "paraphrase": "Reword the questions of arenas with a teacher, and certify them again.",
            "describe": "Describe tables: keys, names, relations, and what may be written.",
            "certify": "Run the certificate's checks again, from the files alone.",
            "show": "Show one arena: question, sub-questions, tools, certificate.",
            "play": "Play an arena yourself in the terminal.",
            "serve": "Serve arenas to agents and trainers: sessions, tools over MCP, scores.",
            "stats": "Summarize a run folder of arenas.",
            "select": "Keep the arenas that a model solves sometimes.",
            "join": "Put the arenas of several run folders into one.",
            "import": "Read arenas from another format and certify them.",
            "export": "Write arenas in another format.",
        },
    ),
    "tools": CommandGroup(
        "Tools collected from servers and documents.",
        {
            "collect": "Collect tools from MCP servers, OpenAPI documents and lists of functions.",
            "show": "Show collected servers and tools, and why others were rejected.",
            "graph": "Show which tools' outputs feed which inputs.",
        },
    ),
    "trajectories": CommandGroup(
        "Judged conversations with tools, for SFT.",
        {
            "make": "Make tasks for collected tools, play them, judge the conversations.",
            "judge": "Judge recorded conversations again.",
            "show": "Show one conversation with its scores.",
            "replay": "Replay recorded tool calls offline and compare.",
            "import": "Read conversations from another format.",
            "export": "Write judged conversations as a dataset for SFT.",
            "stats": "Count messages, calls, user turns, tools, scores and tokens.",
            "probe": "Measure how often a simulated user makes mistakes.",
        },
    ),
    "train": CommandGroup(
        "Train a model.",
        {
            "sft": "Fine-tune a model on conversations with tools.",
            "rl": "Train a model by multi-turn reinforcement learning in arenas.",
            "plan": "Estimate memory, time and money of a training.",
        },
    ),
    "evaluate": CommandGroup(
        "Evaluate a model.",
        {
            "arenas": "Evaluate a model, or a reference policy, on arenas.",
            "bfcl": "Evaluate a model by BFCL's own data and checkers.",
            "tau2": "Evaluate a model by τ²'s own tasks, environments and evaluator.",
            "user": "Measure the mistakes of a model that plays the user of τ².",
            "acebench": "Evaluate a model by ACEBench's own agent tasks and checkers.",
            "maths": "Evaluate a model on problems of yours with verifiable answers.",
            "setup": "Install a benchmark into an environment of its own.",
            "transfer": "Line up arenas with the categories of benchmarks.",
            "compare": "Compare two evaluations, paired by item, with intervals.",
            "export": "Write the episodes of an evaluation for the viewers of other programs.",
        },
    ),
    "credit": CommandGroup(
        "Credit assignment of an RL run.",
        {
            "show": "Show an episode with the credit of each step.",
            "agreement": "Measure how well each attribution finds the steps that mattered.",
        },
    ),
    "teacher": CommandGroup(
        "Teacher models.",
        {
            "check": "Check that an endpoint can serve as a teacher.",
            "prompts": "List and print the prompts.",
        },
    ),
}
COMMANDS = {
    "view": "Browse run folders in a web page.",
    "plot": "Plot the metrics of training runs.",
    "demo": "Make, certify and play arenas in one go. No API key, GPU or download is needed.",
}
"""Commands of one word."""

_TITLE = "Make certified tool-use environments from your own data, and train agents in them."
_START = """\
Start here:
  astra demo
  astra arenas make DATA --count 100 --out runs/mine
  astra evaluate arenas runs/mine --policy gold

Every option can be set in a TOML file: astra arenas make @arenas.toml
`astra COMMAND --help` lists the options of a command. --json prints results as JSON, --debug shows
tracebacks, --version the version."""


Parser = Callable[[Sequence[str]], Callable[[], int]]
"""Reads and checks the options of a command line; returns the call that does it."""


def run(arguments: Sequence[str], parser: Parser | None = None) -> int:
    """Run a command line and return its exit status. No exception leaves this function.

    `parser`: of a program of its own. None: of the commands of `astra`.
    """
    # What follows `--` are values, even if they look like options.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    debug = "--debug" in arguments[:end]
    arguments = [a for i, a in enumerate(arguments) if a != "--debug" or i >= end]
    try:
        status = (parser or parse)(arguments)()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader left, e.g. `| head`: keep Python from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except KeyboardInterrupt:
        err().print(_INTERRUPTED)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last boundary: it becomes a line and a status
        if isinstance(error, RuntimeError) and str(error) == _DUCKDB_INTERRUPTED:
            err().print(_INTERRUPTED)
            return INTERRUPTED
        return _report(error, debug=debug)


def parse(arguments: Sequence[str]) -> Callable[[], int]:
    """What a command line calls, with its options read and checked. ConfigError for a wrong one."""
    words = list(takewhile(lambda argument: not argument.startswith(("-", "@")), arguments))[:2]
    return parse_with(_app(words), arguments)


def parse_with(app: App, arguments: Sequence[str]) -> Callable[[], int]:
    """What a command line of this app calls. ConfigError for a wrong one."""
    files, arguments = read_files(arguments)
    try:
        function, bound, _ = app.parse_args(arguments, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        text = str(error).strip()
        raise ConfigError(text[:1].lower() + text[1:]) from None
    keywords = {FILE: files[0]} if files else {}
    ready: Any = function(*bound.args, **bound.kwargs, **keywords)
    return (lambda: 0) if ready is None else ready  # None: help was printed


def read_files(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The path of `@file.toml`, which may stand anywhere before `--`, and the other arguments."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    files = [argument for argument in arguments[:end] if argument.startswith("@")]
    if len(files) > 1:
        raise ConfigError(f"give one @file, not {len(files)}: {' '.join(files)}")
    others = [a for i, a in enumerate(arguments) if i >= end or not a.startswith("@")]
    return [Path(file[1:]) for file in files], others


def _app(words: Sequence[str]) -> App:
    """The tree of commands, of which the one that is called is imported."""
    root = App(
        name="astra",
        help=_TITLE,
        help_format="plaintext",
        help_formatter=HelpLayout(),
        help_epilogue=_START,
        usage="astra COMMAND [OPTIONS]",
        version=_version,
        console=out(width=WIDTH),
    )
    for index, (group, (about, commands)) in enumerate(GROUPS.items()):
        below = App(
            name=group,
            help=about,
            help_epilogue="`--help` after a command lists its options.",
            usage=f"astra {group} COMMAND [OPTIONS]",
            sort_key=index,
        )
        root.command(below)
        for place, (verb, line) in enumerate(commands.items()):
            _register(below, [group, verb], words, line, place)
    for index, (name, line) in enumerate(COMMANDS.items(), start=len(GROUPS)):
        _register(root, [name], words, line, index)
    return root


def _version() -> str:
    from importlib.metadata import version  # 40 ms, for --version alone

    return f"astra {version('astra-arenas')}"


def _register(above: App, path: list[str], words: Sequence[str], line: str, order: int) -> None:
    """Add a command to its group: as its line of help, or whole if it is the one called."""
    if list(words[: len(path)]) != path:
        # cyclopts imports what is given as text when it is called, which this never is.
        above.command("builtins:print", name=path[-1], help=line, sort_key=order)
        return
    # A copy, for the module keeps its app, and a process may run many commands.
    app: App = copy.copy(importlib.import_module(f"astra.cli.{'_'.join(path)}").command)
    app.usage = f"astra {' '.join(path)}{app.usage}"
    above.command(app, name=path[-1])


def _report(error: Exception, *, debug: bool) -> int:
    if debug:
        err().print_exception()
    if isinstance(error, ModuleNotFoundError):
        error = missing_package(error) or error
    if isinstance(error, AstraError):
        print_error(str(error))
        return FAILED
    if isinstance(error, OSError):
        print_error(f"{error.strerror or error}: {error.filename or 'no file named'}")
        return FAILED
    print_error(
        f"{type(error).__name__}: {error} (this is an error in astra: please report it with the "
        "output of --debug)"
    )
    return BROKEN


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any
) -> None:
    """A note about the user's files as one line of stderr; other warnings as Python shows them."""
    if issubclass(category, StoreWarning):
        err().print(plain(f"note: {message}"), soft_wrap=True)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def main() -> NoReturn:
    """Entry point of the console script."""
    # Millions of short-lived JSON values: collecting less often saves a tenth of the time.
    gc.set_threshold(50_000, 20, 50)
    warnings.showwarning = _show_warning
    sys.exit(run_program(sys.argv[1:]))


def run_program(arguments: Sequence[str], parser: Parser | None = None) -> int:
    """Run a command line as a process of its own: `run`, for any terminal, ended by any signal.

    SIGTERM and SIGHUP end it as Ctrl-C does, so that temporary folders and children go.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else it is closed
            # Questions and names are in all languages, terminals may know ASCII alone.
            stream.reconfigure(errors="backslashreplace")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _OPEN_FILES:
        if hard != resource.RLIM_INFINITY and hard < _OPEN_FILES:
            # Items would fail one by one for want of a descriptor, and look like bad ones.
            print_error(
                f"only {hard} files may be open at once, and {_OPEN_FILES} are needed: raise the "
                f"limit (ulimit -n {_OPEN_FILES})"
            )
            return FAILED
        resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, hard))
    ended_by: list[int] = []

    def end(number: int, _: object) -> None:
        ended_by.append(number)
        # Whatever Ctrl-C does now: asyncio has a way of its own to end its tasks.
        if callable(signal.getsignal(signal.SIGINT)):
            signal.raise_signal(signal.SIGINT)
        else:  # ignored, as in the background of a shell script
            raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` has SIGHUP ignored
            signal.signal(number, end)
    status = run(arguments, parser)
    return 128 + ended_by[0] if status == INTERRUPTED and ended_by else status
