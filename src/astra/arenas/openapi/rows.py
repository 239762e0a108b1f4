"""Rows for the tables of a service: seeded, and believable by names, formats and examples.

What this does not guarantee: that rows agree with each other beyond keys, references, addresses of
persons, and the order of beginnings and ends. A document does not say more.
"""

from __future__ import annotations

import datetime
import random
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mimesis import Generic, Locale

from astra.arenas.openapi.fields import ApiField, snake_case
from astra.arenas.openapi.service import ApiService, Resource
from astra.arenas.stateful.cut import Row
from astra.core.patterns import matches
from astra.databases import Cell
from astra.types import Language

ROWS = 60
"""Rows of a table. What rows above others are fewer, so that groups are formed."""
_ROWS_ABOVE = 30
_TODAY = datetime.date(2026, 3, 2)
NOW = f"{_TODAY.isoformat()} 09:00"
"""When episodes begin."""
_TRIES = 40
_CREATED = re.compile(
    r"(?:^|_)(?:created|opened|placed|ordered|registered|joined|received|submitted)(?:_|$)"
)
_UPDATED = re.compile(r"(?:^|_)(?:updated|modified|changed)(?:_|$)")
_BEGIN = re.compile(r"(?:^|_)(?:start|starts|begin|from|check_in|checkin|arrival|pickup)(?:_|$)")
_END = re.compile(r"(?:^|_)(?:end|ends|to|until|check_out|checkout|departure|due|return)(?:_|$)")
_PRICE = re.compile(r"(?:^|_)(?:price|amount|fee|cost|total|rate|salary|budget|balance)(?:_|$)")


@cache
def _words() -> dict[str, Any]:
    found = tomllib.loads(Path(__file__).with_name("values.toml").read_text("utf-8"))
    phrases = found.pop("phrases")
    split = {name: words.split() for name, words in found.items()}
    return split | {n: p if isinstance(p, list) else p.split() for n, p in phrases.items()}


def is_created(name: str) -> bool:
    """Whether a name says when a row came to be."""
    return bool(_CREATED.search(snake_case(name)))


def is_updated(name: str) -> bool:
    """Whether a name says when a row was last changed."""
    return bool(_UPDATED.search(snake_case(name)))


def naming_field(resource: Resource) -> str | None:
    """The field that names a row. None: rows are called by their key."""
    texts = [f for f in resource.fields.values() if f.kind == "text" and f.name != resource.key]
    for words in (("name", "full_name", "display_name"), ("title",), ("subject", "summary")):
        for field in texts:
            own = snake_case(field.name)
            if own in words or own in {f"{resource.noun}_{word}" for word in words}:
                return field.name
    return None


class StoreRows:
    """Draws the rows of a service's tables."""

    def __init__(self, service: ApiService, language: Language, seed: int) -> None:
        self._service = service
        self._seed = seed
        self._locale = Locale.ZH if language == "zh" else Locale.EN
        self._above = {t for r in service.resources.values() for t in r.references.values()}

    def all(self) -> dict[str, dict[Cell, Row]]:
        """Table -> key -> row, with every reference leading somewhere."""
        keys = {
            table: self._keys(resource, number)
            for number, (table, resource) in enumerate(self._service.resources.items())
        }
        return {
            table: self._rows(resource, keys) for table, resource in self._service.resources.items()
        }

    def _keys(self, resource: Resource, number: int) -> list[Cell]:
        count = _ROWS_ABOVE if resource.table in self._above else ROWS
        field = resource.fields[resource.key]
        # Keys of different tables differ, so that a wrong one is noticed.
        numbers = range(1000 * (number + 1) + 1, 1000 * (number + 1) + 1 + count)
        if field.kind == "integer":
            return list(numbers)
        if field.schema.get("format") == "uuid":
            rng = random.Random(f"{self._seed}:{resource.table}")
            digits = f"{rng.getrandbits(80):020x}"
            start = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-"
            return [f"{start}{each:012d}" for each in numbers]
        prefix, width = f"{resource.noun[:3]}_", 4
        for example in field.examples:
            if isinstance(example, str) and (found := re.fullmatch(r"(.*?)(\d+)", example)):
                prefix, width = found[1], len(found[2])
                break
        return [f"{prefix}{each:0{width}d}" for each in numbers]

    def _rows(self, resource: Resource, keys: Mapping[str, list[Cell]]) -> dict[Cell, Row]:
        rng = random.Random(f"{self._seed}:{resource.table}:rows")
        generic = Generic(self._locale, seed=rng.getrandbits(32))
        maker = _RowMaker(resource, naming_field(resource), generic, rng)
        own = keys[resource.table]
        rows: dict[Cell, Row] = {}
        for number, key in enumerate(own):
            row: Row = {}
            age = (len(own) - number) * 2
            for field in resource.fields.values():
                if field.name == resource.key:
                    row[field.name] = key
                elif field.refers_to:
                    row[field.name] = rng.choice(keys[field.refers_to])
                else:
                    row[field.name] = maker.value(field, row, age)
            rows[key] = {name: row[name] for name in resource.fields}
        return rows


class _RowMaker:
    """Draws values of one resource."""

    def __init__(
        self, resource: Resource, naming: str | None, generic: Generic, rng: random.Random
    ) -> None:
        self._resource = resource
        self._naming = naming
        self._generic = generic
        self._rng = rng
        self._taken: set[tuple[str, Cell]] = set()

    def value(self, field: ApiField, row: Row, age: int) -> Cell:
        """A value of a field, beside those that the row has. `age`: days since the row came."""
        name = snake_case(field.name)
        match field.kind:
            case "choice":
                return self._rng.choice(field.choices)
            case "flag":
                return int(self._rng.random() < 0.5)
            case "date" | "time":
                return self._moment(field, name, row, age)
            case "integer" | "decimal":
                return self._number(field, name)
            case _:
                return self._text(field, name, row)

    def _moment(self, field: ApiField, name: str, row: Row, age: int) -> str:
        if is_created(name) or is_updated(name):
            day = _TODAY - datetime.timedelta(days=age)
        elif "birth" in name:
            day = datetime.date(self._rng.randint(1950, 2004), 1, 1) + datetime.timedelta(
                days=self._rng.randint(0, 364)
            )
        else:
            day = _TODAY + datetime.timedelta(days=self._rng.randint(3, 80))
            begun = [
                str(row[f.name])[:10]
                for f in self._resource.fields.values()
                if f.kind == field.kind and f.name in row and _BEGIN.search(snake_case(f.name))
            ]
            if _END.search(name) and begun:
                day = datetime.date.fromisoformat(begun[0]) + datetime.timedelta(
                    days=self._rng.randint(1, 9)
                )
        if field.kind == "date":
            return day.isoformat()
        hour, minute = self._rng.randint(8, 18), self._rng.choice((0, 15, 30, 45))
        return f"{day.isoformat()}T{hour:02d}:{minute:02d}:00Z"

    def _number(self, field: ApiField, name: str) -> int:
        power = 10**field.scale
        low, high = field.bound("minimum"), field.bound("maximum")
        if _PRICE.search(name):
            low, high = low if low else 5 * power, high if high is not None else 400 * power
            return self._rng.randint(low, high)
        told = [*field.examples, field.default]
        numbers = [n for n in told if isinstance(n, int | float) and n > 0]
        typical = round(max(numbers, default=20) * power)
        low = 1 if not low or low < 0 else low
        usual = max(low, 3 * typical, 12 * power)
        return self._rng.randint(low, usual if high is None else max(low, min(high, usual)))

    def _text(self, field: ApiField, name: str, row: Row) -> str | None:
        pattern = field.schema.get("pattern")
        longest = field.schema.get("maxLength")
        unique = field.name == self._naming or name in ("email", "username", "phone", "isbn")
        for attempt in range(_TRIES):
            text = self._drawn(field, name, row)
            if unique and attempt > _TRIES // 2:
                text = f"{text} {self._rng.randint(2, 99)}"
            if unique and (field.name, text.casefold()) in self._taken:
                continue
            if isinstance(pattern, str) and matches(pattern, text) is not True:
                continue
            if isinstance(longest, int) and len(text) > longest:
                continue
            self._taken.add((field.name, text.casefold()))
            return text
        told = [e for e in field.examples if isinstance(e, str)]
        return self._rng.choice(told) if told else None

    def _drawn(self, field: ApiField, name: str, row: Row) -> str:
        """A text by format and name."""
        g, rng, words = self._generic, self._rng, _words()
        last = name.rsplit("_", 1)[-1]
        noun = self._resource.noun.rsplit("_", 1)[-1]
        style = field.schema.get("format")
        if style == "email" or last in ("email", "mail"):
            return self._email(row)
        if style in ("uri", "url") or last in ("url", "website", "link"):
            return f"https://{self._slug()}.example.com"
        if last in ("phone", "mobile", "telephone", "fax"):
            return f"+1 {rng.randint(201, 989)} 555 {rng.randint(100, 9999):04d}"
        if name in words["names_of_people"] or (
            field.name == self._naming and noun in words["people"]
        ):
            return g.person.full_name()
        if name == "first_name" or name == "given_name":
            return g.person.first_name()
        if last == "surname" or name in ("last_name", "family_name"):
            return g.person.last_name()
        if last in ("username", "login", "handle", "nickname"):
            return f"{g.person.first_name().lower()}_{rng.choice(words['nouns']).lower()}"
        if name in words["names_of_companies"] and (
            noun in words["companies"] or name not in ("name",)
        ):
            return g.finance.company()
        if last in ("address", "street"):
            kind = rng.choice(("Street", "Road", "Lane", "Avenue"))
            return f"{rng.randint(1, 240)} {g.address.street_name()} {kind}"
        if last in ("city", "town"):
            return g.address.city()
        if last == "country":
            return g.address.country()
        if last in ("zip", "postcode", "postal_code", "zipcode") or name.endswith("postal_code"):
            return g.address.zip_code()
        if last in ("job", "occupation", "profession", "role", "position"):
            return g.person.occupation()
        if last in ("color", "colour"):
            return g.text.color()
        if last == "isbn":
            return g.code.isbn()
        if last in ("sku", "code", "reference", "barcode"):
            return (
                f"{self._resource.noun[:2].upper()}-{rng.randint(100, 999)}-{rng.randint(10, 99)}"
            )
        if last in ("subject", "summary", "issue") or (
            last == "title" and noun in ("ticket", "issue", "task", "case", "incident")
        ):
            return self._filled(words["subjects"])
        if last in words["free_texts"]:
            return self._filled(words["sentences"])
        if field.name == self._naming:
            if noun in words["places"]:
                return f"{g.address.city()} {noun.title()}"
            if noun in words["rooms"]:
                return f"{rng.choice(words['nouns'])} {noun.title()}"
            if last == "title":
                return f"The {rng.choice(words['adjectives'])} {rng.choice(words['nouns'])}"
            if noun in ("product", "item", "article", "asset", "device", "part", "equipment"):
                return f"{rng.choice(words['adjectives'])} {rng.choice(words['things'])}"
        examples = [e for e in field.examples if isinstance(e, str) and e.strip()]
        if examples and (len(examples) > 2 or any(c.isdigit() for c in examples[0])):
            return self._like(rng.choice(examples))
        return f"{rng.choice(words['adjectives'])} {rng.choice(words['nouns'])}"

    def _like(self, example: str) -> str:
        """A code with other digits, and another first letter if it is one alone: C-12 -> E-40."""
        text = re.sub(r"\d", lambda _: str(self._rng.randint(1, 9)), example)
        if re.match(r"[A-Z](?![A-Za-z])", text):
            text = self._rng.choice("ABCDEFGH") + text[1:]
        return text

    def _email(self, row: Row) -> str:
        name = row.get(self._naming) if self._naming else None
        if isinstance(name, str) and (parts := re.findall(r"[a-z]+", name.lower())):
            return f"{'.'.join(parts)}@example.com"
        first, last = self._generic.person.first_name(), self._generic.person.last_name()
        return f"{'.'.join(re.findall('[a-z]+', f'{first} {last}'.lower()))}@example.com"

    def _slug(self) -> str:
        words = _words()
        return f"{self._rng.choice(words['adjectives'])}-{self._rng.choice(words['nouns'])}".lower()

    def _filled(self, frames: list[str]) -> str:
        rng, words = self._rng, _words()
        return rng.choice(frames).format(
            place=f"{self._generic.address.city()}",
            thing=rng.choice(words["things"]),
            time=f"{rng.randint(8, 18)}:00",
        )
