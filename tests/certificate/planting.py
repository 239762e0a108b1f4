"""Planted defects: good arenas with one thing wrong, and the check that must find it."""

from __future__ import annotations

from collections.abc import Callable

from astra.arenas.certificate import certify
from astra.protocols import Sandbox
from astra.types import Arena, Json, Tool
from tests.support.arenas import capital_tool, single_hop_arena, with_tool

Plant = Callable[[], Arena]
KNOWN = 'if country not in DATA:\n        return _error("not_found", "no record of that name")\n'
"""Where the tool of `capital` refuses what it does not know."""


class PlantedDefects(dict[str, tuple[str, str, Plant]]):
    """Name of the defect -> the check that must find it, words of its reason, how to plant it."""

    def add(self, check: str, words: str) -> Callable[[Plant], Plant]:
        """Register a planted defect; the function gives the arena."""

        def register(plant: Plant) -> Plant:
            self[plant.__name__] = (check, words, plant)
            return plant

        return register

    async def require_found(self, name: str, sandbox: Sandbox) -> None:
        """The certificate fails by the check that is meant to, and by no other."""
        check, words, plant = self[name]
        certificate = await certify(plant(), sandbox)
        assert not certificate.certified
        (failed,) = [result for result in certificate.checks if not result.passed]
        assert (failed.check, words in failed.reason) == (check, True), failed


def edited(tool: Tool, *replacements: tuple[str, str]) -> Tool:
    """The tool with its source changed."""
    source = tool.source
    for old, new in replacements:
        assert old in source
        source = source.replace(old, new)
    return tool.model_copy(update={"source": source})


def capital(*replacements: tuple[str, str], plain: bool = False) -> Arena:
    """The single-hop arena with its tool's source changed."""
    tool = capital_tool(plain=plain)
    return with_tool(single_hop_arena(plain=plain), edited(tool, *replacements))


def documented(tool: Tool, **updates: Json) -> Tool:
    """The tool with its document changed."""
    return tool.model_copy(update={"document": tool.document.model_copy(update=updates)})


def schema_of(tool: Tool, parameter: str, **updates: Json) -> Tool:
    """The tool with the schema of one parameter changed; None drops a keyword."""
    parameters = tool.document.parameters
    schema = {**parameters["properties"][parameter], **updates}
    schema = {key: value for key, value in schema.items() if value is not None}
    properties = {**parameters["properties"], parameter: schema}
    return documented(tool, parameters={**parameters, "properties": properties})
