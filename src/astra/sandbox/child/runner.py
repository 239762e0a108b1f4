"""Runs tool code on behalf of one episode and puts every outcome into one JSON reply.

It shares its process with the tool code, so nothing it says is beyond that code's reach: a hostile
tool can forge the replies of its own episode. It guarantees only well-formed replies for
well-behaved code. The caller checks every reply again (`..wire`).
"""

from __future__ import annotations

import base64
import inspect
import io
import json
import marshal
import random
import resource
import sys
import types
from typing import Any

from . import clock
from .database import EpisodeDatabase

_MESSAGE = 2000
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_ascii = json.JSONEncoder().encode
_seed = random.seed


class Sink(io.TextIOBase):
    """A standard stream that drops what is written to it."""

    encoding = "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        return len(text)


def binds_plainly(function: types.FunctionType, arguments: dict[str, Any]) -> bool:
    """Whether the arguments surely fit. False: unknown; `inspect` decides, ten times slower."""
    code = function.__code__
    if (
        code.co_posonlyargcount
        or "__wrapped__" in function.__dict__
        or "__signature__" in function.__dict__
    ):
        return False
    count = code.co_argcount
    total = count + code.co_kwonlyargcount
    names = code.co_varnames[:total]
    given = arguments.keys()
    if not code.co_flags & inspect.CO_VARKEYWORDS and not given <= set(names):
        return False
    required = set(names[: count - len(function.__defaults__ or ())])
    required.update(names[count:])
    if function.__kwdefaults__:
        required.difference_update(function.__kwdefaults__)
    return required <= given


def _keys_are_text(value: Any) -> bool:
    """`json` silently turns keys such as 1 or None into text; a tool that does this is wrong."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                if not isinstance(key, str):
                    return False
                if isinstance(inner, dict | list | tuple):
                    pending.append(inner)
        elif isinstance(item, list | tuple):
            pending.extend(x for x in item if isinstance(x, dict | list | tuple))
    return True


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE]
    except BaseException:  # noqa: BLE001 - hostile __str__; the type is still reported
        return ""


class _Failure(Exception):
    def __init__(self, kind: str, name: str, message: str) -> None:
        super().__init__(kind, name, message)


class _Module:
    """One tool: its code, or its source, which is compiled at the first call, and its data."""

    def __init__(self, name: str, source: str, code: str, data: Any, given: dict[str, Any]) -> None:
        self.name = name
        self._given = given
        self._source = source
        self._marshalled = code
        # Safe: JSON data that this process wrote itself. A fresh copy takes half of json's time.
        self._data = marshal.dumps(data)
        self._code: types.CodeType | None = None

    def load(self) -> types.ModuleType:
        """A fresh module: source executed, `DATA` never seen by anyone before."""
        module = types.ModuleType("tool_" + self.name)
        module.__dict__["DATA"] = marshal.loads(self._data)
        module.__dict__.update(self._given)
        sys.modules[module.__name__] = module
        try:
            if self._code is None:
                # Safe to unmarshal: the owner compiled it.
                code: types.CodeType = (
                    marshal.loads(base64.b64decode(self._marshalled))
                    if self._marshalled
                    else compile(self._source, f"<{self.name}>", "exec", dont_inherit=True)
                )
                self._code = code
            exec(self._code, module.__dict__)
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - goes into the reply
            raise _Failure("raised", type(error).__name__[:200], _text_of(error)) from None
        return module


class Runner:
    """The tools of one episode. `opening` is the caller's first message."""

    def __init__(self, opening: dict[str, Any]) -> None:
        database = opening.get("database")
        self._database = None if database is None else EpisodeDatabase(database)
        self._given: dict[str, Any] = {} if self._database is None else self._database.names()
        self._modules = {
            t["name"]: _Module(
                t["name"], t.get("source", ""), t.get("code", ""), t["data"], self._given
            )
            for t in opening["tools"]
        }
        self._live: dict[str, types.ModuleType] = {}
        self._stateful: bool = opening["stateful"]
        self._random_seed: int = opening["seed"]
        self._output_bytes: int = opening["output_bytes"]
        self._used: types.ModuleType | None = None
        sys.stdout = sys.stderr = Sink()
        if opening["clock"] is not None:
            clock.freeze(opening["clock"])
        _seed(self._random_seed)

    def _restore(self) -> None:
        """Back to the episode's first moment, which costs less than another process."""
        if self._database is not None:
            self._database.restore()
            self._given.update(self._database.names())
        self._live.clear()
        if self._stateful:
            _seed(self._random_seed)  # else it was done after the last call

    def run_request(self, request: dict[str, Any]) -> bytes:
        """The reply to one call: `i` and `v`, or `f` (failure), `limit`, `bad` instead of `v`.

        With a database also `e`, where the call changed it. No tool has the name "": a call of it
        asks for the first state.
        """
        head = f'{{"i":{request["i"]},'
        try:
            if request["n"]:
                result, effect = self._call(request["n"], request["a"])
            else:
                result = effect = self._restore()
            body = self._encode(result, effect)
        except _Failure as failure:
            body = '"f":' + _ascii(failure.args)
        except MemoryError:
            body = '"limit":"memory"'
        return (head + body + "}").encode()

    def clean_up(self) -> None:
        """What can wait until the reply is out: drop the module, seed for the next call."""
        if self._used is not None:
            used, self._used = self._used, None
            used.__dict__.clear()
        if not self._stateful:
            _seed(self._random_seed)

    def _call(self, name: str, arguments: dict[str, Any]) -> tuple[Any, dict[str, Any] | None]:
        """The result, and what it changed in the database."""
        if name not in self._modules:
            raise _Failure("missing", "LookupError", f"no tool is named {name!r}")
        if not self._stateful:
            module = self._used = self._modules[name].load()
        else:
            if name not in self._live:
                self._live[name] = self._modules[name].load()
            module = self._live[name]
        function = module.__dict__.get(name)
        if not callable(function):
            raise _Failure("missing", "LookupError", f"the source defines no function {name!r}")
        if type(function) is not types.FunctionType or not binds_plainly(function, arguments):
            try:
                inspect.signature(function).bind(**arguments)
            except (TypeError, ValueError) as error:
                raise _Failure("arguments", type(error).__name__, _text_of(error)) from None
        try:
            if self._database is not None:
                return self._database.call(name, function, arguments)
            return function(**arguments), None
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - goes into the reply
            raise _Failure("raised", type(error).__name__[:200], _text_of(error)) from None

    def _encode(self, result: Any, effect: dict[str, Any] | None) -> str:
        try:
            text = _encode(result)
            if not _keys_are_text(result):
                return '"bad":"a key of a mapping is not a text"'
            if effect is not None:
                text += ',"e":' + _encode(effect)
            size = len(text) if text.isascii() else len(text.encode())
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - the result's own code can raise anything
            return '"bad":' + _ascii(f"{type(error).__name__}: {_text_of(error)}")
        if size > self._output_bytes:
            return '"limit":"output"'
        return '"v":' + text


def limit_memory(base: int, opening: dict[str, Any]) -> None:
    """Let the address space grow by the episode's `memory_bytes` over `base`, and no more."""
    ceiling = base + int(opening["memory_bytes"])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        ceiling = min(ceiling, hard)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
