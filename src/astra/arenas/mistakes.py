"""Mistakes in gold episodes: a call that fails, then the same call as it should have been.

A model that has seen gold episodes alone has never read an error. The mistakes are of the kinds
that trained models make: half a name or that of something else, a value that the tool does not
offer, a parameter left out, a tool that there is not.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence

from astra.models.policies import ActingStep
from astra.types import GoldCall, Json, ToolSchema

_SHARES = {"name": 4, "choice": 3, "missing": 1, "tool": 1}
"""How often a kind is drawn where all are possible: as models of a million parameters make them."""


def with_mistake(
    steps: Sequence[ActingStep], tools: Sequence[ToolSchema], rng: random.Random
) -> list[ActingStep] | None:
    """The episode with a wrong call in it. None if it makes no calls, or none that can be spoiled.

    `tools`: those that the model sees. The calls beside the wrong one are right, and only the wrong
    one is made again. Whether it fails is known when it has been made.
    """
    places = [(turn, i) for turn, step in enumerate(steps) for i in range(len(step.calls))]
    for turn, index in rng.sample(places, len(places)):
        right = steps[turn].calls[index]
        wrong = _spoiled(right, steps[: turn + 1], tools, rng)
        if wrong is None:
            continue
        calls = [*steps[turn].calls]
        calls[index] = wrong
        made = [ActingStep(tuple(calls)), ActingStep((right,))]
        return [*steps[:turn], *made, *steps[turn + 1 :]]
    return None


def _spoiled(
    call: GoldCall, sofar: Sequence[ActingStep], tools: Sequence[ToolSchema], rng: random.Random
) -> GoldCall | None:
    schemas = {tool.name: tool.parameters for tool in tools}
    if call.tool not in schemas:
        return None
    ways: dict[str, list[GoldCall]] = {kind: [] for kind in _SHARES}
    for kind, wrong in _ways(call, sofar, schemas):
        ways[kind].append(wrong)
    kinds = [kind for kind in ways if ways[kind]]
    (kind,) = rng.choices(kinds, [_SHARES[kind] for kind in kinds])
    return rng.choice(ways[kind])


def _ways(
    call: GoldCall, sofar: Sequence[ActingStep], schemas: Mapping[str, Mapping[str, Json]]
) -> Iterator[tuple[str, GoldCall]]:
    """Each way in which the call can be wrong, with its kind."""

    def with_arguments(arguments: dict[str, Json]) -> GoldCall:
        return call.model_copy(update={"arguments": arguments})

    for name in _unknown_names(call.tool, schemas):
        yield "tool", call.model_copy(update={"tool": name})
    parameters = schemas[call.tool]
    all_choices = [c for each in schemas.values() for cs in _choices(each).values() for c in cs]
    required = parameters.get("required")
    for name, value in call.arguments.items():
        if isinstance(required, list) and name in required:
            rest = {other: v for other, v in call.arguments.items() if other != name}
            yield "missing", with_arguments(rest)
        if not isinstance(value, str):
            continue
        own = _choices(parameters).get(name)
        if own is not None:
            kind, others = "choice", [choice for choice in all_choices if choice not in own]
        else:
            kind, others = "name", [*_halves(value), *_names_of_others(call, sofar, all_choices)]
        for other in others:
            if other != value:
                yield kind, with_arguments({**call.arguments, name: other})


def _halves(name: str) -> list[str]:
    """What is left of a name that is copied in part."""
    words = name.split()
    if len(words) > 1:
        return [" ".join(words[:-1]).rstrip(",;:"), " ".join(words[1:])]
    return [name[: (len(name) + 1) // 2]] if len(name) > 1 else []


def _names_of_others(
    call: GoldCall, sofar: Sequence[ActingStep], choices: Collection[Json]
) -> list[str]:
    """Names that other calls take. Not those of later ones: a model would read them off."""
    calls = [other for step in sofar for other in step.calls if other != call]
    values = [value for other in calls for value in other.arguments.values()]
    return [value for value in values if isinstance(value, str) and value not in choices]


def _choices(parameters: Mapping[str, Json]) -> dict[str, list[Json]]:
    """Values that parameters are limited to."""
    properties = parameters.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {
        name: schema["enum"]
        for name, schema in properties.items()
        if isinstance(schema, dict) and isinstance(schema.get("enum"), list)
    }


def _unknown_names(tool: str, known: Collection[str]) -> list[str]:
    """Names of no tool, made of words of those that there are."""
    own = tool.split("_")
    others = [name.split("_") for name in known]
    made = [[*other[:1], *own[1:]] for other in others]
    made += [[*own[:-1], *other[-1:]] for other in others]
    names = dict.fromkeys("_".join(words) for words in made)
    return [name for name in names if name not in known] or [f"{tool}_1"]
