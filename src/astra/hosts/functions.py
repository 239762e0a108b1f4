"""Python functions as tools. They run in this process, without a sandbox.

Schemas come from signatures (pydantic) and docstrings (docstring-parser). Libraries for this exist
in transformers and in the MCP SDK; the one needs torch's stack, the other reads no docstrings.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import docstring_parser
from pydantic import PydanticUserError, TypeAdapter, ValidationError, validate_call
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticSerializationError, to_jsonable_python

from astra.errors import ConfigError, HostError
from astra.protocols import ToolResult
from astra.types import Json, ToolSchema


class FunctionHost:
    """Python functions as tools. Their schemas come from signatures and docstrings.

    Functions may be `def` or `async def`. What they raise goes back to the model as an error of
    the tool; raise HostError for what is not the agent's fault. Not sandboxed.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        """Raises ConfigError for a function that cannot be described, or a name that is twice."""
        self._functions: dict[str, Callable[..., Any]] = {}
        self._schemas: list[ToolSchema] = []
        for function in functions:
            schema = function_schema(function)
            if schema.name in self._functions:
                raise ConfigError(f"two functions are called {schema.name!r}: rename one")
            self._functions[schema.name] = validate_call(function)
            self._schemas.append(schema)

    def tools(self) -> list[ToolSchema]:
        return self._schemas

    def call(self, name: str, arguments: dict[str, Json]) -> ToolResult | Awaitable[ToolResult]:
        """Call a function. Raises HostError for a result that is not JSON."""
        if name not in self._functions:
            raise HostError(f"there is no function {name!r}")
        try:
            value = self._functions[name](**arguments)
        except Exception as error:  # noqa: BLE001 - an error of the tool, told to the model
            return _failed(error)
        return _awaited(name, value) if inspect.isawaitable(value) else _result(name, value)


async def _awaited(name: str, value: Awaitable[Any]) -> ToolResult:
    try:
        result = await value
    except Exception as error:  # noqa: BLE001 - an error of the tool, told to the model
        return _failed(error)
    return _result(name, result)


def _result(name: str, value: Any) -> ToolResult:
    try:
        return ToolResult(to_jsonable_python(value))
    except PydanticSerializationError as error:
        raise HostError(f"the result of {name!r} is not JSON: {error}") from error


def _failed(error: Exception) -> ToolResult:
    if isinstance(error, HostError):
        raise error
    code, message = "tool_failed", f"{type(error).__name__}: {error}"
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        code, message = "invalid_arguments", f"{where}: {first['msg']}"
    return ToolResult({"error": {"code": code, "message": message}}, is_error=True)


def function_schema(function: Callable[..., Any]) -> ToolSchema:
    """The schema of a function. Raises ConfigError for one that cannot be described."""
    name = getattr(function, "__name__", type(function).__name__)
    documentation = docstring_parser.parse(inspect.getdoc(function) or "")
    try:
        parameters = TypeAdapter(cast(Any, function)).json_schema()
    except (PydanticUserError, PydanticInvalidForJsonSchema, NameError) as error:
        raise ConfigError(f"function {name!r} cannot be a tool: {error}") from error
    if parameters.get("type") != "object":
        raise ConfigError(f"function {name!r} cannot be a tool: it takes positional arguments only")
    for parameter in documentation.params:
        own = parameters.get("properties", {}).get(parameter.arg_name)
        # A description in the signature (`Annotated[int, Field(description=…)]`) goes first.
        if own is not None and parameter.description:
            own.setdefault("description", " ".join(parameter.description.split()))
    for own in parameters.get("properties", {}).values():
        own.pop("title", None)  # pydantic's titles only repeat the names
    description = (documentation.description or "").strip()
    return ToolSchema(name=name, description=description, parameters=parameters)
