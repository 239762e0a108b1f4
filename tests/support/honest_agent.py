"""An agent by rules: it reads a question and the tools' documents, and calls what they ask for.

It sees what a policy sees and nothing else: no goals, no tables. English only. A phrase becomes
a tree ("the currency of the country of Lyon": a lookup of a lookup), for each branch the tool is
chosen whose document names the words of the phrase, and arguments are written as people write
them: in another case, with spaces around, a whole number as 3.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from astra.types import Json, ToolSchema

ToolCaller = Callable[[str, dict[str, Json]], Json]

SHOWN = r"(?:earliest|latest|highest|lowest|largest|smallest|greatest|shortest|longest|deepest|shallowest)"
LOW = ("earliest", "lowest", "smallest", "shortest", "shallowest")
DIRECT = {"longest": "length", "shortest": "length", "deepest": "depth", "shallowest": "depth",
          "highest": "elevation", "lowest": "elevation", "largest": "area",
          "smallest": "area"}  # fmt: skip
BEYOND = r"(above|below|after|before|(?:larger|smaller|greater|less) than)"
MORE = r"(?:later|higher|larger|greater|more)"
FUNCTIONS = {"total": "sum", "combined": "sum", "sum of the": "sum", "average": "mean",
             "mean": "mean"}  # fmt: skip
CONTINENTS = ("Africa", "Asia", "Europe", "Oceania", "North America", "South America", "Antarctica")
PLACES = ("country", "city", "state", "region", "continent")
UNITS = {
    "m": "metres", "km": "kilometres", "cm": "centimetres", "mm": "millimetres", "ft": "feet",
    "mi": "miles", "km2": "square kilometres", "m2": "square metres", "ha": "hectares",
    "mi2": "square miles", "kg": "kilograms", "g": "grams", "t": "tonnes", "lb": "pounds",
    "s": "seconds", "min": "minutes", "h": "hours", "L": "litres", "mL": "millilitres",
    "m3": "cubic metres", "km3": "cubic kilometres",
}  # fmt: skip
UNIT_CODES = {words: code for code, words in UNITS.items()}
UNIT = "(" + "|".join(sorted(UNIT_CODES, key=len, reverse=True)) + ")"

NOUN = r"((?:(?!,| and | of )[^?])+?)"
OPENERS = r"(?:Let|What|Which|By|How|Find|Of|On|In|I|Look|Tell|State|Count|Take|Then|Please|Can) "

# How sentences ask, as the phrase for what they ask. The first that fits counts.
SAID_AS = (
    (rf"(?:please )?(?:convert|turn) (.+) (?:in)?to {UNIT}", r"\1 (converted to \2)"),
    (rf"express (.+) in {UNIT}", r"\1 (converted to \2)"),
    (rf"how much is (.+) in {UNIT}", r"\1 (converted to \2)"),
    (rf"(.+), (?:converted to|expressed in) {UNIT}", r"\1 (converted to \2)"),
    (r"how many days (?:lie|passed) (?:between|from) (.+)", r"number of days from \1"),
    (r"how many days after (.+) is (.+)", r"number of days from \1 to \2"),
    (r"count the days from (.+)", r"number of days from \1"),
    (rf"(?:by )?how (?:much|many \w+(?: \w+)?)(?: {MORE})? (?:does|is) (.+?),? (?:exceed|{MORE} than|than) (.+)",
     r"difference between \1 and \2"),
    (rf"in {UNIT}, how much {MORE} is (.+) than (.+)", r"difference between \2 and \3"),
    (r"how many years (?:lie between|are there from) (.+) (?:and|to) (that of .+)",
     r"difference between \1 and \2"),
    (r"how many years (?:lie between|are there from) (.+)", r"later difference \1"),
    (r"amount by which (.+) exceeds (.+)", r"difference between \1 and \2"),
    (r"number of years from (.+)", r"later difference \1"),
    (r"subtract (.+) from (.+?)(?:, in [\w ]+)?", r"difference between \2 and \1"),
    (rf"difference,? in {UNIT},? between (.+)", r"difference between \2"),
    (rf"which (.+?) has (.+?) as its (.+)", r"\1 whose \3 is \2"),
    (r"(.+) is the (.+) of which (.+)", r"\3 whose \2 is \1"),
    (r"of which (.+) is (.+) the (.+)", r"\1 whose \3 is \2"),
    (r"(?:in|on) which (.+?) is (.+?)(?: located)?", r"\1 of \2"),
    (r"which (.+?) is (.+) (?:in|on)", r"\1 of \2"),
    (r"which (?!number)(?:day|\w+|\w+ \w+) is the (.+ of .+)", r"\1"),
    (r"what (.+?) does (.+) have", r"\1 of \2"),
    (rf"(?:among|of|look at)(?: the)?(?: all)?(?: of)? (.+?)[,:] which(?: one)? has the ({SHOWN}) (.+)",
     r"one with the \2 \3 among the \1"),
    (rf"which of the (.+) has the ({SHOWN}) (.+)", r"one with the \2 \3 among the \1"),
    (rf"which of the (.+) is the ({SHOWN})", r"\2 one among the \1"),
    (rf"which is the ({SHOWN}) (.+)", r"\1 \2"),
    (rf"which (.+?) ((?:in|on) .+) has the ({SHOWN}) (.+)", r"\1 \2 with the \3 \4"),
    (r"which (.+?) has the (.+)", r"\1 with the \2"),
    (r"how many are the (.+)", r"number of \1"),
    (r"(?:tell me |work out )?how many (.+?) (?:are there|are on record|there are)", r"number of \1"),
    (r"(?:can you )?count the (.+)", r"number of \1"),
    (r"(?:what are|give me) the names of (?:all|the) (.+)", r"list of \1"),
    (r"(?:please )?(?:can you )?(?:list|name|enumerate) (?:all|the) (.+)", r"list of \1"),
    (r"(?:i need a )?list of all (.+)", r"list of \1"),
    (r"(?:find all|which are the) (.+)", r"list of \1"),
    (r"(.+?),? (?:and )?(?:in this order|answer in this order|and state them in this order|"
     r"and answer in this order|and keep this order)", r"\1"),
    (r"tell me,? in this order, (.+)", r"\1"),
    (r"(?:which|what) (?:number )?is the \w+(?: of these numbers)?: (.+)", r"\1"),
    (r"(?:give me the \w+ of these numbers: |i need the \w+ number out of )(.+)", r"\1"),
    (r"(?:consider|compare) (.+): (?:what is the \w+ value|how large is the difference)", r"\1"),
    (r"(?:take|look up) (.+?),? and tell me the \w+ (?:of the numbers|number)", r"\1"),
    (r"compare (.+)", r"\1"),
    (r"(?:what do|how much are) (.+?) (?:add up to|together)", r"\1"),
    (r"(?:please )?add (?:up )?(.+?)(?: and give me the total)?", r"\1"),
    (r"(?:what is|work out|i need) the (?:sum|total) of (the .+)", r"\1"),
    (r"(?:how far apart are|by how much do) (.+?)(?: differ)?", r"difference between \1"),
    (r"(?:please find|how large is) the (?:gap|difference) between (.+)", r"difference between \1"),
    (r"(?:identify|determine|work out|what is|what are|tell me|look up|find|i need|"
     r"i would like to know|(?:please )?give me|could you find|can you look up|state) (.+)", r"\1"),
)  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """What a phrase asks for: `kind` of step, the words of it, and the phrases it builds on."""

    kind: str
    words: tuple[str, ...] = ()
    parts: tuple[Phrase, ...] = ()


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
        about = [document.description]
        for name, schema in found.parameters.items():
            text = schema["description"]
            if re.fullmatch(r"(?:Name|\w[\w ]*) of the .+\.", text):
                about.append(text)
            labels = found.labels[name] = {}
            for choice in schema.get("enum", ()):
                words = re.search(rf"\b{re.escape(str(choice))} \(([^()]*)\)", text)
                label, _, unit = (words[1] if words else str(choice)).partition(", in ")
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
            rows = "count" if "count" in self.about else "list"
            for name, kind in (("order", "rank"), ("function", "aggregate")):
                rows = kind if name in names else rows
            return rows + bounded
        for name, kind in {"first": "compare", "minuend": "difference", "start": "days",
                           "to_unit": "convert", "value": "find", "attribute": "lookup"}.items():  # fmt: skip
            if name in names:
                return kind
        return ""

    def fits(self, noun: str) -> int:
        """How well it speaks of a noun: the whole, its last word, a part of it."""
        words = noun.casefold().split()
        if not words:
            return 0
        return 2 * self.speaks_of(noun) + any(self.speaks_of(word) for word in words if len(word) > 3)

    def speaks_of(self, noun: str) -> bool:
        return re.search(rf"\b{re.escape(noun.casefold())}\b", self.about) is not None


class Reader:
    """Makes phrases of texts, with the words that the documents use for attributes."""

    def __init__(self, documents: Sequence[ReadDocument]) -> None:
        self.handles: dict[str, Phrase] = {}
        self.introduced: list[Phrase] = []
        self.nouns: dict[Phrase, str] = {}
        """Phrase -> what the question calls it where it speaks of it again."""
        words = {w for d in documents for labels in d.labels.values() for w in labels}
        # Longest first: "date of accession to the United Nations of Belarus".
        self.label = "(" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + ")"

    def read(self, text: str) -> Phrase | None:
        """The phrase, or None if the text isn't one."""
        text = re.sub(r"^(?:the|a|an) ", "", text.strip(), flags=re.I)
        if text.casefold() in self.handles:
            return self.handles[text.casefold()]
        if again := _fit(r"(?:that|those) ([\w ]+)", text):
            return self._again(again[1].casefold())
        for rule in (self.converted, self.lookup, self.calculated, self.of_group, self.found, self.name):
            if (phrase := rule(text)) is not None:
                return phrase
        return None

    def introduce(self, sentence: str) -> bool:
        """Note what a sentence such as "Take …." introduces. False if it introduces nothing."""
        text = sentence.rstrip(".")
        if letter := _fit(r"let ([^.]+? [A-Z]) (?:be|stand for) (.+)", text):
            if (phrase := self.read(letter[2])) is None:
                raise LookupError(f"can't read {sentence!r}")
            self.handles[letter[1].casefold()] = phrase
            self.nouns[phrase] = letter[1][:-2].casefold()
            return True
        taken = _fit(
            r"(?:then take|take|start with|now consider|consider|first, find|next, find|think of|"
            r"from there, go to) (.+)",
            text,
        )
        if not taken or _fit(r".*(?:\?|tell me the \w+ of.*)", sentence):
            return False
        phrase = self.read(taken[1])
        if phrase is None:
            raise LookupError(f"can't read {sentence!r}")
        self.introduced.append(phrase)
        return True

    def _again(self, noun: str) -> Phrase | None:
        """The introduced phrase that is spoken of as "that city": the last that may be one."""
        said = [p for p in self.introduced if p.words and noun in " ".join(p.words[:3]).casefold()]
        fresh = [p for p in self.introduced if p not in self.nouns]
        known = [p for p, called in self.nouns.items() if called == noun]
        found = (known or said or fresh or self.introduced or [None])[-1]
        if found is not None:
            self.nouns.setdefault(found, noun)
        return found

    def converted(self, text: str) -> Phrase | None:
        match = _fit(rf"(.+) \(converted to {UNIT}\)", text)
        return self._with("convert", (match[2],), match[1]) if match else None

    def calculated(self, text: str) -> Phrase | None:
        if match := _fit(r"number of days from (.+)", text):
            return self._pair("days", match[1], (" to ", " and "))
        if match := _fit(r"later difference (.+)", text):
            pair = self._pair("difference", match[1], (" to ", " and "))
            return pair and Phrase("difference", (), pair.parts[::-1])
        if match := _fit(rf"difference(?: in {UNIT})? between (.+)", text):
            return self._pair("difference", match[2], (" and ",))
        return None

    def _pair(self, kind: str, text: str, between: Sequence[str]) -> Phrase | None:
        for word in between:
            for cut in re.finditer(re.escape(word), text):
                first, second = text[: cut.start()], text[cut.end() :]
                if same := _fit(r"that of (.+)", second):
                    of = _fit(rf"(?:the )?{self.label}(?: \(in [\w ]+\))? of .+", first)
                    second = f"the {of[1]} of {same[1]}" if of else ""
                elif same := _fit(r"that of (.+)", first):
                    of = _fit(rf"(?:the )?{self.label}(?: \(in [\w ]+\))? of .+", second)
                    first = f"the {of[1]} of {same[1]}" if of else ""
                parts = self.read(first), self.read(second)
                if parts[0] and parts[1] and "name" not in (parts[0].kind, parts[1].kind):
                    return Phrase(kind, (), (parts[0], parts[1]))
        return None

    def _with(self, kind: str, words: tuple[str, ...], *texts: str) -> Phrase | None:
        parts = [self.read(text) for text in texts]
        return None if None in parts else Phrase(kind, words, tuple(p for p in parts if p))

    def of_group(self, text: str) -> Phrase | None:
        label = rf"{self.label}(?: \(in [\w ]+\))?"
        for words, function in FUNCTIONS.items():
            if match := _fit(rf"{words} {label} of (all .+)", text):
                return self._members("aggregate", (match[1], function), match[2])
        if match := _fit(rf"({SHOWN}) {label} among all (.+)", text):
            side = "minimum" if match[1].casefold() in LOW else "maximum"
            return self._members("aggregate", (match[2], side), match[3])
        if match := _fit(rf"{NOUN} (?:with|that has) the ({SHOWN}) {label} (?:among the|of all|among all) (.+)", text):
            return self._members("rank", (match[3], match[2]), match[4], match[1])
        if match := _fit(rf"({NOUN} (?:in|on) .+) with the ({SHOWN}) {label}", text):
            return self._members("rank", (match[4], match[3]), match[1])
        if match := _fit(rf"({SHOWN}) {NOUN}(?: by area)? among the (.+)", text):
            return self._members("rank", ("", match[1]), match[3], match[2])
        if match := _fit(rf"({SHOWN}) {NOUN}(?: by area)?( (?:in|on) .+?)(?: by area)?", text):
            return self._members("rank", ("", match[1]), match[2] + match[3])
        if match := _fit(r"number of (.+)", text):
            return None if _fit(rf"{label} of .+", text) else self._members("count", (), match[1])
        if match := _fit(r"list of (.+)", text):
            return self._members("list", (), match[1])
        return None

    def _members(
        self, kind: str, words: tuple[str, ...], text: str, row: str = "one"
    ) -> Phrase | None:
        """Rows of a group: (…, rows, what groups them, attribute, comparison, threshold)."""
        text = re.sub(r"^(?:all |the )+", "", text)
        bound = ("", "", "")
        condition = rf"(?:with an?|and an?|and whose) {self.label} (?:is )?{BEYOND} ([-\d.,]*\d)(?: {UNIT})?"
        if match := _fit(rf"(.+) {condition}", text):
            text, bound = match[1], (match[2], match[3], match[4])
        if match := _fit(rf"{NOUN} whose {self.label} is (.+)", text):
            rows, by, value = match[1], match[2], match[3]
        elif match := _fit(rf"{NOUN} with (.+) as their {self.label}", text):
            rows, by, value = match[1], match[3], match[2]
        elif match := _fit(rf"{NOUN}(?: located)? (?:in|on) (.+)", text):
            rows, by, value = match[1], "", match[2]
        else:
            return None
        return self._with(kind, (*words, rows if row == "one" else row, by, *bound), value)

    def lookup(self, text: str) -> Phrase | None:
        match = _fit(rf"{self.label}(?: \(in {UNIT}\))? of (?!all )(.+)", text)
        return self._with("lookup", (match[1],), match[3]) if match else None

    def found(self, text: str) -> Phrase | None:
        if match := _fit(rf"{NOUN} whose {self.label} is (.+)", text):
            return self._with("find", (match[1], match[2]), match[3])
        if match := _fit(rf"{NOUN} with the {self.label} (.+)", text):
            return self._with("find", (match[1], match[2]), match[3])
        return None

    def name(self, text: str) -> Phrase | None:
        quoted = _fit(r'(?:((?-i:[a-z])[\w ]*) )?"(.+)"', text)
        named = quoted or _fit(r"(?:((?-i:[a-z])[\w ]*?|Olympic Games) )?(?:the )?((?-i:[A-Z\d.]).*|[a-z]{1,3})", text)
        if not named or _fit(rf".*(?:,? and the |, the |[.?] {OPENERS}| whose | with the | exceeds ).*|.*\b{SHOWN}\b.*", text):
            return None
        if not quoted and text.islower() and " " in text:
            return None
        return Phrase("name", (named[1] or "", named[2]))

    def several(self, text: str) -> list[Phrase]:
        """The phrases of a row: "the A of X, the B of Y, and the C of that"."""
        alone = self.read(text)
        if alone and alone.kind not in ("name",):
            tail = _last_name(alone)
            # "the A of X and the B of Y" is no A of something called "X and the B of Y".
            if " and the " not in tail:
                return [alone]
        cuts = list(re.finditer(r",? and (?=the )|, (?=the )", text))
        for number in range(1, 4):
            for chosen in combinations(cuts, number):
                starts = [0, *(cut.end() for cut in chosen)]
                ends = [*(cut.start() for cut in chosen), len(text)]
                pieces = [text[a:b] for a, b in zip(starts, ends, strict=True)]
                last = self.read(pieces[-1])
                if last is None:
                    continue
                for subject in (None, *(last.parts if last.kind == "lookup" else ())):
                    parts = [self._fact(p, subject) for p in pieces[:-1]]
                    whole = [p for p in (*parts, last) if p and " and the " not in _last_name(p)]
                    if len(whole) == len(pieces) and all(p.kind != "name" for p in whole):
                        return whole
        return [alone] if alone else []

    def _fact(self, text: str, subject: Phrase | None) -> Phrase | None:
        if subject is None:
            return self.read(text)
        label = _fit(rf"(?:the )?{self.label}(?: \(in {UNIT}\))?", text)
        return Phrase("lookup", (label[1],), (subject,)) if label else None


def _fit(pattern: str, text: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, text, re.I | re.S)


def _last_name(phrase: Phrase) -> str:
    names = [phrase.words[1]] if phrase.kind == "name" else []
    return " | ".join([*names, *map(_last_name, phrase.parts)])


class HonestAgent:
    """Answers one question with the tools whose documents it is shown."""

    def __init__(self, documents: Sequence[ToolSchema], call: ToolCaller) -> None:
        self.documents = [ReadDocument.of(document) for document in documents]
        self.reader = Reader(self.documents)
        self.call = call
        self.answers: dict[Phrase, Json] = {}
        self.units: dict[Phrase, str] = {}
        """Phrase -> the unit of its number, in the words of a document."""

    def answer(self, question: str) -> list[Json]:
        """The answers to everything that is asked. Raises LookupError for what it can't read."""
        answers: list[Json] = []
        for sentence in _sentences(question):
            if self.reader.introduce(sentence):
                continue
            phrases = self.reader.several(_asked(sentence))
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

    def _rank(self, phrase: Phrase) -> Json:
        label, word, rows, *_ = phrase.words
        document, choice = self.choose("rank", rows, label, DIRECT.get(word.casefold(), ""))
        order = "lowest" if word.casefold() in LOW else "highest"
        return self.use(document, self.group(document, phrase, 2) | {"attribute": choice, "order": order})

    def _aggregate(self, phrase: Phrase) -> Json:
        label, function, rows, *_ = phrase.words
        document, choice = self.choose("aggregate", rows, label)
        self.units[phrase] = document.units[choice]
        chosen = {"attribute": choice, "function": function}
        return self.use(document, self.group(document, phrase, 2) | chosen)

    def _count(self, phrase: Phrase) -> Json:
        return self._rows(phrase, "count")

    def _list(self, phrase: Phrase) -> Json:
        return self._rows(phrase, "list")

    def _rows(self, phrase: Phrase, kind: str) -> Json:
        rows, _, label, beyond, bound = phrase.words
        document, choice = self.choose(f"{kind} bounded" if label else kind, rows, label)
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
                fitting = [document for document in fitting if document.fits(noun)]
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
        position = {"name": 0, "find": 0, "lookup": 0, "rank": 2}.get(phrase.kind)
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

    def choose(
        self, kind: str, noun: str = "", label: str = "", part: str = "", unit: str = ""
    ) -> tuple[ReadDocument, str]:
        """The tool whose document says most of the words, and the choice of its attribute."""
        found = self.fitting(kind, label, part)
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
        return answer_of(result, arguments)


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
    if isinstance(about, str) and about in result and len(arguments) == 2 and "value" not in arguments:
        return result[about]
    repeated = {str(value).casefold() for value in arguments.values()}
    told = [
        value
        for key, value in result.items()
        if key not in (*arguments, "unit", "position") and str(value).casefold() not in repeated
    ]
    # A city may be called as its country: then what is told repeats what was asked.
    return told[0] if told else list(result.values())[-1]


def _sentences(question: str) -> list[str]:
    """What the question says, sentence by sentence, without courtesies."""
    text = re.sub(r"^(?:[\w ]+ (?:this|checked|writing|records|question|notes|help))[:.?] ", "", question)
    text = re.sub(r"( Thanks!| Please look it up\.| A short answer is enough\.)$", "", text)
    text = re.sub(r"(?:^|(?<=[.?] ))[^.?:()]*(?:order|other|know)[^.?()]*?[.:] (?=\()", "", text)
    text = re.sub(r"(?:^| )\([a-z]\) ", " ", text)
    # A sentence ends before a capital, except after an initial or an abbreviation.
    text = re.sub(rf"(?<=[a-z] [A-Z])([.?]) (?={OPENERS})", r"\1\n", text)
    cuts = re.split(r"\n|(?<![ .][A-Z])(?<!\bSt)(?<!\bMt)(?<!\bDr)[.?] +(?=[A-Z(])", text.strip())
    return [cut.strip() for cut in cuts if cut.strip() and not re.match(
        r"(?:Answer in this order|State the number\.?$|What is the \w+ of these numbers\?)", cut.strip())]


def _asked(sentence: str) -> str:
    """The phrase for what a sentence asks."""
    text = re.sub(r"[.?!]$", "", sentence.strip())
    for _ in range(4):
        text = re.sub(r"^(?:the|what are the) (?=amount|number|difference|list)", "", text, flags=re.I)
        for pattern, phrase in SAID_AS:
            if match := _fit(pattern, text):
                new = match.expand(phrase)
                if new != text:
                    text = new
                    break
        else:
            break
    return text
