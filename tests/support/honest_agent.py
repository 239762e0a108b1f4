"""An agent by rules: it reads a question and the tools' documents, and calls what they ask for.

It sees what a policy sees and nothing else: no goals, no tables. English only. For each branch of
a phrase ("the currency of the country of Lyon": a lookup of a lookup) it takes the tool whose
document names the words of the phrase. It writes arguments as other people would: in another
case, with spaces around, a whole number as 3.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astra.types import Json, ToolSchema
from tests.support.honest_reading import (
    CONTINENTS,
    DIRECT,
    LOW,
    PLACES,
    UNIT_CODES,
    UNITS,
    Phrase,
    Reader,
    asked,
    sentences,
)

ToolCaller = Callable[[str, dict[str, Json]], Json]


@dataclass
class ReadDocument:
    """A tool's document, and the words that its choices stand for."""

    name: str
    about: str
    parameters: Mapping[str, Any]
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    """Parameter -> words in the document -> choice."""
    units: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: ToolSchema) -> ReadDocument:
        found: ReadDocument = cls(document.name, "", document.parameters["properties"])
        about = [document.description, document.name.replace("_", " ")]
        for name, schema in found.parameters.items():
            text = schema["description"]
            if re.fullmatch(r"(?:Name|\w[\w ]*) of the .+\.", text):
                about.append(text)
            labels = found.labels[name] = {}
            for choice in schema.get("enum", ()):
                words = re.search(rf"\b{re.escape(str(choice))} \(([^()]*)\)", text)
                label, _, unit = (words[1] if words else str(choice)).partition(", in ")
                # "elevation_m" in a terse document: the name says label and unit.
                named, _, code = str(choice).rpartition("_")
                if code in UNITS and not unit:
                    label, unit = label if words else named, UNITS[code]
                if words and words[1].startswith("in "):
                    label, unit = str(choice), words[1][3:]
                labels[label.replace("_", " ").casefold()] = choice
                found.units[choice] = unit
        found.about = " ".join(about).casefold()
        return found

    def required(self) -> set[str]:
        return {name for name, schema in self.parameters.items() if "default" not in schema}

    def kind(self) -> str:
        """What kind of step its required arguments are for."""
        names = self.required()
        bounded = " bounded" if "threshold" in names else ""
        if {"by", "value"} <= names:
            rows = "count" if re.search(r"\bcounts?\b", self.about) else "list"
            for name, kind in (("order", "rank"), ("function", "aggregate")):
                rows = kind if name in names else rows
            return rows + bounded
        telling = {
            "query": "search",
            "first": "compare",
            "minuend": "difference",
            "start": "days",
            "to_unit": "convert",
            "value": "find",
            "attribute": "lookup",
        }
        return next((kind for name, kind in telling.items() if name in names), "")

    def fits(self, noun: str) -> int:
        """How well it speaks of a noun: the whole, its last word, a part of it."""
        words = noun.casefold().split()
        if not words:
            return 0
        about = [word for word in re.findall(r"\w+", self.about) if len(word) > 5]
        # "1960 Summer Olympics" and "Rijksmuseum" hold "olympic" and "museum".
        held = any(word in noun.casefold() for word in about)
        named = any(self.speaks_of(word) for word in words if len(word) > 3)
        return 2 * self.speaks_of(noun) + (named or held)

    def speaks_of(self, noun: str) -> bool:
        noun = noun.casefold()
        plural = f"{re.escape(noun[:-1])}ies" if noun.endswith("y") else f"{re.escape(noun)}e?s"
        return re.search(rf"\b(?:{re.escape(noun)}|{plural})\b", self.about) is not None


class HonestAgent:
    """Answers one question with the tools whose documents it is shown."""

    def __init__(self, documents: Sequence[ToolSchema], call: ToolCaller) -> None:
        self.documents = [ReadDocument.of(document) for document in documents]
        self.reader = Reader(
            {w for d in self.documents for labels in d.labels.values() for w in labels}
        )
        self.call = call
        self.answers: dict[Phrase, Json] = {}
        self.units: dict[Phrase, str] = {}
        """Phrase -> the unit of its number, in the words of a document."""

    def answer(self, question: str) -> list[Json]:
        """The answers to everything that is asked. Raises LookupError for what it can't read."""
        answers: list[Json] = []
        for sentence in sentences(question):
            if self.reader.introduce(sentence):
                continue
            phrases = self.reader.several(asked(sentence))
            if not phrases:
                raise LookupError(f"can't read {sentence!r}")
            answers += [self.find_out(phrase) for phrase in phrases]
        return answers

    def find_out(self, phrase: Phrase) -> Json:
        """The answer to a phrase, by as few calls as it takes."""
        if phrase not in self.answers:
            self.answers[phrase] = getattr(self, f"_{phrase.kind}")(phrase)
        return self.answers[phrase]

    # --- one kind of step each ---------------------------------------------------------------

    def _name(self, phrase: Phrase) -> Json:
        return phrase.words[1]

    def _lookup(self, phrase: Phrase) -> Json:
        (label,), (subject,) = phrase.words, phrase.parts
        document, choice = self.choose("lookup", self.noun(subject), label)
        (entity,) = document.required() - {"attribute"}
        self.units[phrase] = document.units[choice]
        return self.use(document, {entity: self.find_out(subject), "attribute": choice})

    def _find(self, phrase: Phrase) -> Json:
        document, choice = self.choose("find", *phrase.words)
        value = self.find_out(phrase.parts[0])
        return self.use(document, {"attribute": choice, "value": value})

    def _search(self, phrase: Phrase) -> Json:
        document, _ = self.choose("search", phrase.words[0])
        return self.use(document, {"query": phrase.words[1]})

    def _rank(self, phrase: Phrase) -> Json:
        label, word, rows, *_ = phrase.words
        grouping = self.grouping(phrase, 2)
        part = DIRECT.get(word.casefold(), "")
        document, choice = self.choose("rank", rows, label, part, grouping=grouping)
        order = "lowest" if word.casefold() in LOW else "highest"
        return self.use(
            document, self.group(document, phrase, 2) | {"attribute": choice, "order": order}
        )

    def _aggregate(self, phrase: Phrase) -> Json:
        label, function, rows, *_ = phrase.words
        grouping = self.grouping(phrase, 2)
        document, choice = self.choose("aggregate", rows, label, grouping=grouping)
        self.units[phrase] = document.units[choice]
        chosen = {"attribute": choice, "function": function}
        return self.use(document, self.group(document, phrase, 2) | chosen)

    def _count(self, phrase: Phrase) -> Json:
        return self._rows(phrase, "count")

    def _list(self, phrase: Phrase) -> Json:
        return self._rows(phrase, "list")

    def _rows(self, phrase: Phrase, kind: str) -> Json:
        rows, _, label, beyond, bound = phrase.words
        grouping = self.grouping(phrase, 0)
        kind = f"{kind} bounded" if label else kind
        document, choice = self.choose(kind, rows, label, grouping=grouping)
        arguments = self.group(document, phrase, 0)
        if label:
            above = beyond.casefold() in ("above", "after", "larger than", "greater than")
            arguments |= {"attribute": choice, "comparison": "above" if above else "below"}
            arguments["threshold"] = float(bound.replace(",", ""))
        return self.use(document, arguments)

    def _days(self, phrase: Phrase) -> Json:
        start, end = map(self.find_out, phrase.parts)
        return self.use(self.choose("days")[0], {"start": start, "end": end})

    def _convert(self, phrase: Phrase) -> Json:
        (value,) = phrase.parts
        number = self.find_out(value)
        document, _ = self.choose("convert", unit=UNIT_CODES[phrase.words[0].casefold()])
        arguments = {"value": number, "from_unit": UNIT_CODES[self.units[value]]}
        return self.use(document, arguments | {"to_unit": UNIT_CODES[phrase.words[0].casefold()]})

    def _difference(self, phrase: Phrase) -> Json:
        first, second = phrase.parts
        if first.kind == second.kind == "lookup" and first.words == second.words:
            subjects = [part.parts[0] for part in phrase.parts]
            noun = self.noun(subjects[0])
            fitting = self.fitting("compare", first.words[0])
            if self.fitting("lookup", first.words[0]):
                # What a bare name is of, the tool says that would look it up.
                looking = self.choose("lookup", noun, first.words[0])[0]
                (entity,) = looking.required() - {"attribute"}
                row = noun if noun.islower() else entity.replace("_", " ")
                fitting = [document for document in fitting if document.fits(row)]
            # The best alone: all of them may compare by "elevation".
            fitting = sorted(fitting, key=lambda document: -document.fits(noun))
            if fitting:
                choice = fitting[0].labels["attribute"][first.words[0].casefold()]
                self.units[phrase] = fitting[0].units[choice]
                one, other = map(self.find_out, subjects)
                return self.use(fitting[0], {"first": one, "second": other, "attribute": choice})
        one, other = map(self.find_out, phrase.parts)
        self.units[phrase] = self.units.get(first, "")
        if subtracting := self.fitting("difference"):
            return self.use(subtracting[0], {"minuend": one, "subtrahend": other})
        return None  # the agent's own arithmetic, which no call shows

    # --- which tool --------------------------------------------------------------------------

    def noun(self, phrase: Phrase) -> str:
        """What an answer is called, as far as the question says. May be empty."""
        if phrase in self.reader.nouns:
            return self.reader.nouns[phrase]
        if phrase.kind == "name" and not phrase.words[0]:
            return phrase.words[1]  # "Lake Inari" says what it is
        position = {"name": 0, "find": 0, "search": 0, "lookup": 0, "rank": 2}.get(phrase.kind)
        return "" if position is None else phrase.words[position]

    def fitting(self, kind: str, label: str = "", part: str = "") -> list[ReadDocument]:
        """The tools that do this kind of step with this attribute."""
        found: list[ReadDocument] = []
        for document in self.documents:
            labels = document.labels.get("attribute", {})
            has = any(part in words for words in labels) if part and not label else (
                not label or label.casefold() in labels
            )  # fmt: skip
            if has and document.kind() == kind:
                found.append(document)
        return found

    @staticmethod
    def grouping(phrase: Phrase, position: int) -> Callable[[ReadDocument], bool]:
        """Whether a tool can group rows as a phrase does: by what it names, or else by a place."""
        by = phrase.words[position + 1].casefold()

        def fits(document: ReadDocument) -> bool:
            labels = document.labels.get("by", {})
            return by in labels if by else any(words.split()[-1] in PLACES for words in labels)

        return fits

    def choose(
        self,
        kind: str,
        noun: str = "",
        label: str = "",
        part: str = "",
        unit: str = "",
        *,
        grouping: Callable[[ReadDocument], bool] | None = None,
    ) -> tuple[ReadDocument, str]:
        """The tool whose document says most of the words, and the choice of its attribute."""
        found = self.fitting(kind, label, part)
        if grouping is not None:
            found = list(filter(grouping, found)) or found
        if unit:
            found = [d for d in found if unit in d.parameters["to_unit"].get("enum", [unit])]
        if not found:
            raise LookupError(f"no tool for {kind} of {noun!r} by {label or part!r}")
        document = max(found, key=lambda d: d.fits(noun))
        labels = document.labels.get("attribute", {})
        if part and not label:
            label = next(words for words in labels if part in words)
        return document, labels.get(label.casefold(), "")

    def group(self, document: ReadDocument, phrase: Phrase, position: int) -> dict[str, Json]:
        """Arguments that say which rows."""
        by, (value,) = phrase.words[position + 1].casefold(), phrase.parts
        labels = document.labels["by"]
        if not by:
            name, noun = str(self.find_out(value)), self.noun(value).casefold()
            places = [words for words in labels if words.split()[-1] in PLACES]
            places.sort(key=lambda words: (words.endswith("continent")) != (name in CONTINENTS))
            alike = [w for w in labels if noun and (w.endswith(noun) or noun.endswith(w))]
            by = (alike or places or list(labels))[0]
        if by not in labels:
            raise LookupError(f"{document.name} has no group by {by!r}")
        return {"by": labels[by], "value": self.find_out(value)}

    def use(self, document: ReadDocument, arguments: dict[str, Json]) -> Json:
        """Call a tool, in a spelling of the agent's own."""
        spelled = {name: respelled(v, document.parameters[name]) for name, v in arguments.items()}
        result = self.call(document.name, spelled)
        if not isinstance(result, dict) or "error" in result:
            raise LookupError(f"{document.name}({spelled}): {result}")
        return answer_of(self.asked_for(result, arguments), arguments)

    def asked_for(
        self, result: Mapping[str, Json], arguments: Mapping[str, Json]
    ) -> Mapping[str, Json]:
        """The part of a result that is about what was asked: other attributes may stand beside."""
        values = result.get("values")
        if not isinstance(values, list) or "attribute" not in arguments:
            return result
        return next(part for part in values if part["attribute"] == arguments["attribute"])


def respelled(value: Json, schema: Mapping[str, Any]) -> Json:
    """The value as somebody else would write it, where the parameter's document allows that."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if isinstance(value, bool) or "enum" in schema or "YYYY-MM-DD" in schema["description"]:
        return value
    if isinstance(value, int) and "string" in kinds:
        return str(value)
    if isinstance(value, int | float) and "number" in kinds:
        return float(value)
    text = str(value)
    return f"  {text.upper()} " if text.upper().lower() == text.lower() else f" {text}"


def answer_of(result: Mapping[str, Json], arguments: Mapping[str, Json]) -> Json:
    """What a result says that the call did not."""
    about = arguments.get("attribute")
    if (
        isinstance(about, str)
        and about in result
        and len(arguments) == 2
        and "value" not in arguments
    ):
        return result[about]
    repeated = {str(value).casefold() for value in arguments.values()}
    told = [
        value
        for key, value in result.items()
        if key not in (*arguments, "unit", "position") and str(value).casefold() not in repeated
    ]
    # A city may be called as its country: then what is told repeats what was asked.
    return told[0] if told else list(result.values())[-1]
