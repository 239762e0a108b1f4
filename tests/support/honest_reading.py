"""Reads English questions for the honest agent: sentences, and phrases as trees."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

SHOWN = (
    r"(?:earliest|latest|highest|lowest|largest|smallest|greatest|shortest|longest|deepest|"
    r"shallowest)"
)
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
    (r"how many days after (.+?) is (the .+)", r"number of days from \1 to \2"),
    (r"how many days after (.+) is (.+)", r"number of days from \1 to \2"),
    (r"count the days from (.+)", r"number of days from \1"),
    (rf"(?:by )?how (?:much|many \w+(?: \w+)?)(?: {MORE})? (?:does|is) (.+?),? "
     rf"(?:exceed|{MORE} than|than) (.+)",
     r"difference between \1 and \2"),
    (rf"in {UNIT}, how much {MORE} is (.+) than (.+)", r"difference between \2 and \3"),
    (r"how many years (?:lie between|are there from) (.+) (?:and|to) (that of .+)",
     r"difference between \1 and \2"),
    (r"how many years (?:lie between|are there from) (.+)", r"later difference \1"),
    (r"amount by which (.+) exceeds (.+)", r"difference between \1 and \2"),
    (r"number of years from (.+)", r"later difference \1"),
    (r"subtract (.+) from (.+?)(?:, in [\w ]+)?", r"difference between \2 and \1"),
    (rf"difference,? in {UNIT},? between (.+)", r"difference between \2"),
    (r"which (.+?) has (.+?) as its (.+)", r"\1 whose \3 is \2"),
    (r"(.+) is the (.+) of which (.+)", r"\3 whose \2 is \1"),
    (r"of which (.+) is (.+) the (.+)", r"\1 whose \3 is \2"),
    (r"which (.+?) is (called .+ for short)", r"\1 \2"),
    (r"what is the full name of (.+ for short)", r"\1"),
    (r"(?:in|on) which (.+?) is (.+?)(?: located)?", r"\1 of \2"),
    (r"which (.+?) is (.+) (?:in|on)", r"\1 of \2"),
    (r"which (?!number)(?:day|\w+|\w+ \w+) is the (.+ of .+)", r"\1"),
    (r"what (.+?) does (.+) have", r"\1 of \2"),
    (rf"(?:among|of|look at)(?: the)?(?: all)?(?: of)? (.+?)[,:] which(?: one)? has the "
     rf"({SHOWN}) (.+)",
     r"one with the \2 \3 among the \1"),
    (rf"which of the (.+) has the ({SHOWN}) (.+)", r"one with the \2 \3 among the \1"),
    (rf"which of the (.+) is the ({SHOWN})", r"\2 one among the \1"),
    (rf"which is the ({SHOWN}) (.+)", r"\1 \2"),
    (rf"which (.+?) ((?:in|on) .+) has the ({SHOWN}) (.+)", r"\1 \2 with the \3 \4"),
    (r"which (.+?) has the (.+)", r"\1 with the \2"),
    (r"how many are the (.+)", r"number of \1"),
    (r"(?:tell me |work out )?how many (.+?) (?:are there|are on record|there are)",
     r"number of \1"),
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
    (r"(?:what is|work out|i need) the (?:sum|total) of (the (?!(?:(?! of ).)+ of all ).+)", r"\1"),
    (r"(?:how far apart are|by how much do) (.+?)(?: differ)?", r"difference between \1"),
    (r"(?:please find|how large is) the (?:gap|difference) between (.+)", r"difference between \1"),
    (r"(?:identify|determine|work out|what is|what are|tell me|look up|find|i need|"
     r"i would like to know|(?:please )?give me|could you find|can you look up|state) (?!of )(.+)",
     r"\1"),
)  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """What a phrase asks for: `kind` of step, the words of it, and the phrases it builds on."""

    kind: str
    words: tuple[str, ...] = ()
    parts: tuple[Phrase, ...] = ()


class Reader:
    """Makes phrases of texts, with the words that the documents use for attributes."""

    def __init__(self, labels: Iterable[str]) -> None:
        self.handles: dict[str, Phrase] = {}
        self.introduced: list[Phrase] = []
        self.nouns: dict[Phrase, str] = {}
        """Phrase -> what the question calls it where it speaks of it again."""
        # Longest first: "date of accession to the United Nations of Belarus".
        self.label = "(" + "|".join(map(re.escape, sorted(labels, key=len, reverse=True))) + ")"

    def read(self, text: str) -> Phrase | None:
        """The phrase, or None if the text isn't one."""
        text = re.sub(r"^(?:the|a|an) ", "", text.strip(), flags=re.I)
        if text.casefold() in self.handles:
            return self.handles[text.casefold()]
        if again := _fit(r"(?:that|those) ([\w ]+)", text):
            return self._again(again[1].casefold())
        for rule in (
            self.converted,
            self.lookup,
            self.calculated,
            self.of_group,
            self.found,
            self.name,
        ):
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
        # The next part of a question begins anew: "(b) Take the country of B. … that country".
        anew = [p for p in fresh if p.kind in ("find", "lookup") and p.words[0].casefold() == noun]
        known = [p for p, called in self.nouns.items() if called == noun]
        found = (anew or known or said or fresh or self.introduced or [None])[-1]
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
        if match := _fit(
            rf"{NOUN} (?:with|that has) the ({SHOWN}) {label} (?:among the|of all|among all) (.+)",
            text,
        ):
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
        condition = (
            rf"(?:with an?|and an?|and whose) {self.label} (?:is )?{BEYOND} "
            rf"([-\d.,]*\d)(?: {UNIT})?"
        )
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
        if match := _fit(rf'{NOUN} called (?:"(.+)"|(.+)) for short', text):
            return Phrase("search", (match[1], match[2] or match[3]))
        if match := _fit(rf"{NOUN} with the {self.label} (.+)", text):
            return self._with("find", (match[1], match[2]), match[3])
        if match := _fit(rf"{NOUN} with {NOUN} (\d+)", text):
            return Phrase("name", (match[1], match[3]))  # "the order with order ID 17"
        return None

    def name(self, text: str) -> Phrase | None:
        quoted = _fit(r'(?:((?-i:[a-z])[\w ]*) )?"(.+)"', text)
        named = quoted or _fit(
            r"(?:((?-i:[a-z])[\w ]*?|Olympic Games) )?(?:the )?"
            r"((?-i:[A-Z\d.]).*|[a-z]+\d\w*|[a-z]{1,3})",
            text,
        )
        if not named or _fit(
            rf".*(?:,? and the |, the |[.?] {OPENERS}| whose | with the | exceeds ).*|"
            rf".*\b{SHOWN}\b.*",
            text,
        ):
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


def sentences(question: str) -> list[str]:
    """What the question says, sentence by sentence, without courtesies."""
    text = re.sub(
        r"^(?:[\w ]+ (?:this|checked|writing|records|question|notes|help))[:.?] ", "", question
    )
    text = re.sub(r"( Thanks!| Please look it up\.| A short answer is enough\.)$", "", text)
    text = re.sub(r"(?:^|(?<=[.?] ))[^.?()]*[.:] (?=\(a\))", "", text)
    text = re.sub(r"(?:^| )\([a-z]\) ", " ", text)
    # A sentence ends before a capital, except after an initial or an abbreviation.
    text = re.sub(rf"(?<=[a-z] [A-Z])([.?]) (?={OPENERS})", r"\1\n", text)
    cuts = re.split(r"\n|(?<![ .][A-Z])(?<!\bSt)(?<!\bMt)(?<!\bDr)[.?] +(?=[A-Z(])", text.strip())
    return [
        cut.strip()
        for cut in cuts
        if cut.strip()
        and not re.match(
            r"(?:Answer in this order|State the number\.?$|What is the \w+ of these numbers\?)",
            cut.strip(),
        )
    ]


def asked(sentence: str) -> str:
    """The phrase for what a sentence asks."""
    text = re.sub(r"[.?!]$", "", sentence.strip())
    for _ in range(4):
        text = re.sub(
            r"^(?:the|what are the) (?=amount|number|difference|list)", "", text, flags=re.I
        )
        for pattern, phrase in SAID_AS:
            if match := _fit(pattern, text):
                new = match.expand(phrase)
                if new != text:
                    text = new
                    break
        else:
            break
    return text
