"""What a session's calls have said, and whether a later result says otherwise.

A *fact* is the value of a field of an entity. Entities are JSON objects that carry an identifier:
`id` or `uuid`, whose kind is the name of the list or the tool that they come from; `<kind>_id` of
that kind; or, alone at the top of a result, the `<kind>_id` that the call asked for. Facts come
from results, and from the arguments of calls that create or set something.

A call that may change something frees what is known of the entities that it names: the next value
that is said of them counts. A failed call states nothing and changes nothing.

What this does not guarantee: that all contradictions are found. Text is not understood, objects
without an identifier are compared only where the same call is made again, and what a changing call
does to entities that it does not name is taken as it comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from astra.core.text import normalise, scalars
from astra.types import Json, RecordedCall, canonical_json

_READING = frozenset(
    "get list search find read lookup look fetch query show count describe check view retrieve "
    "browse compare calculate convert compute estimate preview validate verify track forecast "
    "translate summarize analyze inspect resolve explain suggest recommend".split()
)
_STATING = frozenset(
    "create add new register open insert post update set edit modify rename book place schedule "
    "put write save make reserve".split()
)
"""Verbs of calls whose arguments become facts of what they return."""
_PASSING = frozenset(
    "timestamp now request_id trace_id elapsed elapsed_ms duration_ms took generated_at "
    "retrieved_at fetched_at queried_at checked_at current_time server_time cursor next_cursor "
    "page_token next_page_token etag".split()
)
"""Fields that are of the answer, not of what it is about."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_OWN = ("id", "uuid")
_KINDS = ("type", "kind", "object")


class ResultEntity(NamedTuple):
    """Something that results speak of."""

    kind: str
    """What it is, e.g. `order`; "": not said."""
    id: str | int

    def __str__(self) -> str:
        return f"{self.kind} {self.id!r}".strip()


class StatedFact(NamedTuple):
    """What was said of one field, and by which call."""

    value: Json
    call: int
    """Number of the call in the session, from 1."""
    free: bool = False
    """Whether a call since may have changed it."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A result that says something else than was said before."""

    call: int
    """Number of the call whose result it is, from 1."""
    about: str
    """The entity and field, or the call that was made before."""
    before: Json
    says: Json
    since: int
    """Number of the call that said it first; 0: it is what the call itself asks for."""

    def __str__(self) -> str:
        source = f"call {self.since} said" if self.since else "the call asks for"
        return (
            f"{self.about} is {canonical_json(self.says)[:200]} in the result of call {self.call}, "
            f"but {source} {canonical_json(self.before)[:200]}"
        )


def may_change(tool: str, read_only: bool | None = None) -> bool:
    """Whether a call may change something: as the source says, else by the tool's first verb."""
    if read_only is not None:
        return not read_only
    words = words_of(tool)
    # A server's name may stand before the verb.
    return not any(word in _READING for word in words[:3])


def words_of(name: str) -> list[str]:
    """The words of an identifier in snake, kebab or camel case, in lower case."""
    return [word.lower() for word in _WORDS.findall(name)]


def contradictions(
    calls: Iterable[RecordedCall], read_only: Mapping[str, bool | None] | None = None
) -> list[Contradiction]:
    """Everything in a session that says otherwise than something before it."""
    facts, known = FactLedger(), read_only or {}
    found: list[Contradiction] = []
    for call in calls:
        changes = may_change(call.tool, known.get(call.tool))
        if not call.is_error:
            found += facts.check(call.tool, call.arguments, call.content, changes=changes)
        facts.note(call, changes=changes)
    return found


class FactLedger:
    """What a session has said so far."""

    def __init__(self) -> None:
        self._calls = 0
        self._changed = 0
        """Number of the last call that may have changed something."""
        self._facts: dict[ResultEntity, dict[str, StatedFact]] = {}
        self._reads: dict[str, StatedFact] = {}

    def check(
        self, tool: str, arguments: Mapping[str, Json], content: Json, *, changes: bool
    ) -> list[Contradiction]:
        """What a result that the next call might have would contradict."""
        number = self._calls + 1
        found: list[Contradiction] = []
        for name, asked in arguments.items() if isinstance(content, dict) else ():
            # A result that repeats an identifier of the call at its top must repeat its value.
            if (name in _OWN or name.endswith("_id")) and _identifies(asked):
                said = content.get(name)
                if said is not None and not _same(asked, said):
                    found.append(Contradiction(number, f"{tool}'s {name!r}", asked, said, 0))
        if not changes and (before := self.repeated(tool, arguments)) is not None:
            one, other = _lasting(before.value), _lasting(content)
            if not _same(one, other):
                found.append(Contradiction(number, f"the same {tool}", one, other, before.call))
        stated: dict[tuple[ResultEntity, str], Json] = {}
        named = frozenset(map(str, scalars(arguments))) if changes else frozenset[str]()
        for entity, field, value in statements(tool, arguments, content):
            about = f"{field!r} of {entity}"
            if (entity, field) in stated and not _same(stated[entity, field], value):
                earlier = stated[entity, field]
                found.append(Contradiction(number, about, earlier, value, number))
            stated.setdefault((entity, field), value)
            fact = self._facts.get(entity, {}).get(field)
            if fact is None or fact.free or str(entity.id) in named:
                continue
            if not _same(fact.value, value):
                found.append(Contradiction(number, about, fact.value, value, fact.call))
        return found

    def note(self, call: RecordedCall, *, changes: bool) -> None:
        """Put a call and its result on record. A failed one counts, and states nothing."""
        self._calls += 1
        if call.is_error:
            return
        if changes:
            self._changed = self._calls
            # What the call names may be otherwise now; of a call that names nothing, everything.
            named = frozenset(map(str, scalars(call.arguments)))
            for entity, fields in self._facts.items():
                if not named or str(entity.id) in named:
                    for name, fact in fields.items():
                        fields[name] = fact._replace(free=True)
        elif self.repeated(call.tool, call.arguments) is None:
            key = _call_key(call.tool, call.arguments)
            self._reads[key] = StatedFact(call.content, self._calls)
        said = list(statements(call.tool, call.arguments, call.content))
        for entity, field, value in [*said, *_set(call, said, changes=changes)]:
            fields = self._facts.setdefault(entity, {})
            if field not in fields or fields[field].free:
                fields[field] = StatedFact(value, self._calls)

    def repeated(self, tool: str, arguments: Mapping[str, Json]) -> StatedFact | None:
        """What the same reading call returned since anything may have changed; None: nothing."""
        fact = self._reads.get(_call_key(tool, arguments))
        return None if fact is None or fact.call < self._changed else fact

    def facts(self) -> dict[str, dict[str, Json]]:
        """Entity as text -> field -> value, of all that still holds."""
        held = {
            str(entity): {name: fact.value for name, fact in fields.items() if not fact.free}
            for entity, fields in self._facts.items()
        }
        return {entity: fields for entity, fields in held.items() if fields}


# --- entities ----------------------------------------------------------------------------------

Statement = tuple[ResultEntity, str, Json]
"""An entity, a field, and its value."""


def statements(tool: str, arguments: Mapping[str, Json], content: Json) -> Iterator[Statement]:
    """All that a result says."""
    kind = kind_of(tool)
    if isinstance(content, dict):
        yield from _of_object(content, kind, tool, arguments)
    else:
        yield from _of_value(content, kind, tool)


def _of_value(value: Json, kind: str, tool: str) -> Iterator[Statement]:
    if isinstance(value, list):
        for item in value:
            yield from _of_value(item, kind, tool)
    elif isinstance(value, dict):
        yield from _of_object(value, kind, tool, {})


def _of_object(
    value: Mapping[str, Json], kind: str, tool: str, arguments: Mapping[str, Json]
) -> Iterator[Statement]:
    entity = entity_of(value, kind, tool, arguments)
    for name, inner in value.items():
        if isinstance(inner, dict | list) and not _flat(inner):
            yield from _of_value(inner, singular(name), tool)
        elif entity is not None and not _passes(name):
            yield entity, name, inner


def entity_of(
    value: Mapping[str, Json], kind: str, tool: str = "", arguments: Mapping[str, Json] = {}
) -> ResultEntity | None:
    """Which entity an object is; None: it does not say."""
    for name in _OWN:
        own = value.get(name)
        if _identifies(own):
            said = next((value[n] for n in _KINDS if isinstance(value.get(n), str)), kind)
            # A bare number of no kind may be anybody's.
            return ResultEntity(str(said), own) if said or isinstance(own, str) else None
    own = value.get(f"{kind}_id")
    if kind and _identifies(own):
        return ResultEntity(kind, own)
    asked = [n for n in value if n.endswith("_id") and n in arguments and _identifies(value[n])]
    if len(asked) == 1:
        # Of other tools' fields of the same name, nothing is known.
        return ResultEntity(f"{tool} {asked[0].removesuffix('_id')}", value[asked[0]])
    return None


def kind_of(tool: str) -> str:
    """What a tool is about: `get_customer_orders` is about a `customer_order`."""
    words = words_of(tool)
    verbs = [place for place, word in enumerate(words[:3]) if word in _READING | _STATING]
    rest = words[verbs[-1] + 1 :] if verbs else words[1:]
    cut = next((place for place, word in enumerate(rest) if word in _JOINING), len(rest))
    return singular("_".join(rest[:cut])) if rest[:cut] else ""


_JOINING = frozenset("by for of from in with to on at".split())


def singular(name: str) -> str:
    """The name of one of what a list holds: `orders` → `order`, `categories` → `category`."""
    name = "_".join(words_of(name))
    if name.endswith("ies") and len(name) > 4:
        return f"{name[:-3]}y"
    if name.endswith(("sses", "xes", "ches", "shes")):
        return name[:-2]
    return name[:-1] if name.endswith("s") and not name.endswith(("ss", "us", "is")) else name


def _set(call: RecordedCall, said: list[Statement], *, changes: bool) -> Iterator[Statement]:
    """What a call that creates or sets something says of what it returns, by its arguments."""
    stating = changes and any(word in _STATING for word in words_of(call.tool)[:3])
    if not stating or not isinstance(call.content, dict):
        return
    entity = entity_of(call.content, kind_of(call.tool), call.tool, call.arguments)
    if entity is None:
        return
    known = {field for of, field, _ in said if of == entity}
    for name, value in call.arguments.items():
        if name not in known and _flat(value) and value is not None and not _passes(name):
            yield entity, name, value


def _identifies(value: Json) -> TypeGuard[str | int]:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, str) and 0 < len(value) <= 200)


# --- values ------------------------------------------------------------------------------------


def _flat(value: Json) -> bool:
    """Whether a value is said as a whole: a scalar, or a list of them."""
    if isinstance(value, list):
        return not any(isinstance(item, dict | list) for item in value)
    return not isinstance(value, dict)


def _passes(name: str) -> bool:
    return "_".join(words_of(name)) in _PASSING


def _lasting(value: Json) -> Json:
    """The value without what is of the answer alone."""
    if isinstance(value, dict):
        return {name: _lasting(inner) for name, inner in value.items() if not _passes(name)}
    return [_lasting(item) for item in value] if isinstance(value, list) else value


def _same(one: Json, other: Json) -> bool:
    """Equal as JSON, 1 like 1.0, texts as they read."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other or normalise(one) == normalise(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[n], other[n]) for n in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _call_key(tool: str, arguments: Mapping[str, Json]) -> str:
    return canonical_json([tool, arguments])
