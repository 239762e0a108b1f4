"""Rules that play a service and a user.

A service's values follow from the service, the entity and the field, so that they are the same
wherever they stand; what the session has said goes before them. They fit the schema and mean
nothing. A user says what their behaviour asks for, in fixed words, and
wants calls of single tools.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from astra.core.references import resolve
from astra.errors import TeacherError
from astra.hosts.consistency import entity_of, kind_of, may_change, singular
from astra.models.arguments import random_value
from astra.teacher.prompts.emulation import (
    EMULATE_CALL,
    PLAN_TALK,
    SIMULATE_USER,
    EmulateCallIn,
    EmulateCallOut,
    PlannedTalk,
    PlannedWish,
    PlanTalkIn,
    SimulateUserIn,
    UserBehaviour,
    UserTurn,
)
from astra.testing.rule_teacher.trajectories.planning import NoPlan, plan_of
from astra.testing.rule_teacher.trajectories.telling import DIALECTS, request_of
from astra.types import Json, canonical_json

DEEPEST = 6
ITEMS = 2
"""Items of a list where the schema leaves it open."""

_UNDOCUMENTED: dict[str, Json] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "status": {"enum": ["active", "pending", "archived"]},
        "amount": {"type": "integer", "minimum": 1, "maximum": 900},
    },
}
"""What a tool returns that does not say what it returns."""


def emulate_call(given: EmulateCallIn, rng: random.Random) -> EmulateCallOut:
    """A result that fits the schema; TeacherError for a schema that can't be satisfied."""
    del rng  # the same entity must look the same in every answer
    schema = given.output_schema or _UNDOCUMENTED
    try:
        result = _Service(given, schema).value(schema, "", kind_of(given.tool.name), "", 0)
    except (ValueError, LookupError, TypeError) as error:
        raise TeacherError(
            f"the rule teacher can't make a result of {given.tool.name!r}: {error}"
        ) from error
    return EmulateCallOut(is_error=False, result=result)


class _Service:
    """One answer in the making."""

    def __init__(self, given: EmulateCallIn, schema: Mapping[str, Json]) -> None:
        self._given = given
        self._root = schema
        self._changes = may_change(given.tool.name)
        scalars = {k: v for k, v in given.arguments.items() if not isinstance(v, dict | list)}
        self._arguments: dict[str, Json] = scalars

    def value(self, schema: Any, name: str, kind: str, where: str, depth: int) -> Json:
        """A value for a schema. `where`: what it is seeded by; `kind`: of the entities in it."""
        schema = self._plain(schema)
        properties = schema.get("properties")
        if depth < DEEPEST and isinstance(properties, dict) and properties:
            return self._object(properties, kind, where, depth)
        if schema.get("type") == "array" and "items" in schema:
            return self._list(schema, name, kind, where, depth)
        return self._leaf(schema, name, where)

    def _object(self, properties: Mapping[str, Json], kind: str, where: str, depth: int) -> Json:
        known: dict[str, Json] = {}
        own = next((n for n in ("id", "uuid", f"{kind}_id") if n in properties), None)
        if own is not None:
            # The identifier is what the call asks for, or one of the object's own.
            asked = [own, f"{kind}_id", "id"] if depth == 0 else []
            given = next((name for name in asked if name in self._arguments), None)
            if given is not None:
                known[own] = self._arguments[given]
            else:
                schema = self._plain(properties[own])
                known[own] = self._leaf(schema, kind or own, where or self._call())
        elif depth == 0:
            known = {n: v for n, v in self._arguments.items() if n.endswith("_id")}
        entity = entity_of(known, kind, self._given.tool.name, self._arguments)
        said = self._given.facts.get(str(entity), {}) if entity else {}
        place = str(entity) if entity else where
        made: dict[str, Json] = {}
        for name, inner in properties.items():
            if name in known:
                made[name] = known[name]
            elif name in said and not (self._changes and name in self._arguments):
                made[name] = said[name]
            elif (
                # Filters, and what is set, come back as they were given.
                name in self._arguments
                and (self._changes or entity is None)
                and not self._plain(inner).keys() & {"enum", "properties"}
            ):
                made[name] = self._arguments[name]
            else:
                made[name] = self.value(inner, name, singular(name), f"{place}.{name}", depth + 1)
        return made

    def _list(
        self, schema: Mapping[str, Any], name: str, kind: str, where: str, depth: int
    ) -> Json:
        least = schema.get("minItems", 0)
        limit = self._arguments.get("limit", ITEMS)
        limit = max(0, limit) if isinstance(limit, int) else ITEMS
        most = min(schema.get("maxItems", ITEMS), limit)
        number = max(least, most) if depth < DEEPEST else least
        # Other filters, other items.
        place = where or self._call()
        if depth <= 1:
            place = f"{place}:{self._call()}"
        if name not in ("", "items", "results", "data"):
            of = singular(name)
        else:
            of = kind if kind not in ("item", "result", "data") else kind_of(self._given.tool.name)
        return [
            self.value(schema["items"], of, of, f"{place}:{index}", depth + 1)
            for index in range(number)
        ]

    def _leaf(self, schema: Mapping[str, Any], name: str, where: str) -> Json:
        rng = random.Random(f"{self._given.service}:{where}:{name}")
        bare = schema.get("type", "string") == "string" and not schema.keys() & {
            *("enum", "const", "format", "pattern", "anyOf", "oneOf", "$ref", "minLength"),
            "maxLength",
        }
        if bare:
            return f"{name or 'value'}-{rng.randrange(100, 1000)}"
        return random_value(schema, rng, self._root)

    def _plain(self, schema: Any) -> dict[str, Any]:
        """The schema with its reference followed and its parts put together."""
        found: dict[str, Any] = dict(schema) if isinstance(schema, dict) else {}
        for _ in range(DEEPEST):
            if isinstance(reference := found.get("$ref"), str) and reference.startswith("#/"):
                found = {
                    **resolve(self._root, reference),
                    **{k: v for k, v in found.items() if k != "$ref"},
                }
            elif parts := found.pop("allOf", None):
                for part in parts:
                    inner = self._plain(part)
                    both = {**found.get("properties", {}), **inner.get("properties", {})}
                    found = {**found, **inner, **({"properties": both} if both else {})}
            else:
                break
        return found

    def _call(self) -> str:
        """What an answer as a whole is seeded by: a call that changes something makes anew."""
        number = len(self._given.history) if self._changes else 0
        return canonical_json([self._given.tool.name, self._given.arguments, number])


# --- users -------------------------------------------------------------------------------------

_WORDS = {
    "en": (
        "that one",
        "It is {value}.",
        "On second thought, one sentence is enough for me.",
        "No, please don't. What can you tell me without it?",
        "I don't know that.",
    ),
    "zh": (
        "那个",
        "是{value}。",
        "我改主意了，用一句话告诉我就够了。",
        "不，请不要这样做。不做的话你能告诉我什么？",
        "这个我不知道。",
    ),
}


def plan_talk(given: PlanTalkIn, rng: random.Random) -> PlannedTalk:
    """The request with a gap, and wishes: a call of one tool, or fixed words."""
    gap, value, changed, refused, _ = _WORDS[given.language]
    opening = given.request.replace(given.withheld, gap) if given.withheld else given.request
    wishes: list[PlannedWish] = []
    for behaviour in given.behaviours:
        match behaviour:
            case UserBehaviour.missing_parameter:
                wishes.append(PlannedWish(message=value.format(value=given.withheld), plan=()))
            case UserBehaviour.changed_mind:
                wishes.append(PlannedWish(message=changed, plan=()))
            case UserBehaviour.refusal:
                wishes.append(PlannedWish(message=refused, plan=()))
            case UserBehaviour.follow_up:
                wishes.append(_follow_up(given, rng))
    return PlannedTalk(opening=opening, wishes=tuple(wishes))


def _follow_up(given: PlanTalkIn, rng: random.Random) -> PlannedWish:
    used = {step.tool for step in given.steps}
    drawn = rng.sample(given.tools, len(given.tools))
    # One that was not called yet, if there is one: the same call again would find out nothing.
    for tool in sorted(drawn, key=lambda tool: tool.name in used):
        try:
            plan = plan_of([tool], rng, given.language)
        except NoPlan:
            continue
        dialect = rng.randrange(len(DIALECTS[given.language]))
        message = request_of(plan, given.tools, given.language, dialect)
        return PlannedWish(message=message, plan=plan)
    raise TeacherError("no tool of these can be asked for")


def simulate_user(given: SimulateUserIn, rng: random.Random) -> UserTurn:
    """The wish, if there is one; else that the user does not know."""
    del rng
    if given.wish:
        return UserTurn(done=False, message=given.wish, wish_said=True)
    unknown = _WORDS[given.language][-1]
    if any(each.by == "user" and each.text == unknown for each in given.talk):
        return UserTurn(done=True, message="", wish_said=False)
    return UserTurn(done=False, message=unknown, wish_said=False)


RULES = {
    EMULATE_CALL.name: emulate_call,
    PLAN_TALK.name: plan_talk,
    SIMULATE_USER.name: simulate_user,
}
