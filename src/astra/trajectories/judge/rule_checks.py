"""What can be told of a trajectory without asking anyone.

- A call that repeats an earlier successful one with nothing to change its result in between.
- URLs in the final answer that stand nowhere in the conversation or the tools' documents.
- Numbers in it that stand nowhere and follow from nothing simple: no rounding, change of scale,
  count, sum, mean, nor sum, difference, product, ratio or mean of two.
- An answer in another language than the request.

What this does not see: numbers in words, small whole numbers (up to 10), a right number said of
the wrong thing, conversions of units (which are taken for unfounded), URLs put together of parts
(likewise), and languages that share a script.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from astra.core.text import dates_in, normalise
from astra.hosts.consistency import may_change
from astra.trajectories.records import RecordedRollout
from astra.types import CallRecord, CallStatus, Json, Language, canonical_json

SMALL = 10
"""Whole numbers up to this one are not looked for: they count, list and rate."""
_MOST_PAIRED = 60
"""Different numbers up to which pairs of them are computed; more would explain any number."""
_SCALES = (1.0, 100.0, 0.01, 1e3, 1e-3, 1e4, 1e-4, 1e6, 1e-6, 1e8, 1e-8, 1e9, 1e-9)
"""Per cent, thousands, 万, millions, 亿, billions, and back."""
_URL = re.compile(r"https?://[^\s<>\"'`\]\[(){}|\\^，。；、）】》]+", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_ORDINAL = re.compile(r"^\s*\d+[.)、]\s", re.MULTILINE)
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_WORD = re.compile("[A-Za-z\u00c0-\u024f]{2,}")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|`[^`]*`|\S+@\S+|\w+(?:[./_]\w+)+")
_FEW = 5
"""Words of the other script below which an answer is let pass: names, units, values."""
_DEEPEST = 12


# --- calls -------------------------------------------------------------------------------------


def repetitions(calls: Sequence[CallRecord]) -> dict[str, str]:
    """Id of a superfluous call -> id of the call that it repeats.

    A reading call counts when it returned the same again and nothing may have changed in between;
    any other when it was made again before another call could change anything.
    """
    found: dict[str, str] = {}
    earlier: dict[str, CallRecord] = {}
    for call in calls:
        if call.status is not CallStatus.ok:
            continue
        key = canonical_json([call.tool, call.arguments])
        before = earlier.get(key)
        changes = may_change(call.tool)
        if before is not None and (changes or before.result == call.result):
            found[call.id] = before.id
        if changes:
            earlier = {key: before or call}
        elif before is None or before.result != call.result:
            earlier[key] = call
    return found


# --- the final answer --------------------------------------------------------------------------


def unknown_urls(rollout: RecordedRollout) -> list[str]:
    """URLs of the final answer that stand nowhere else, each once."""
    trajectory = rollout.trajectory
    told = [message.content for message in trajectory.messages[:-1]]
    documents = [f"{tool.description} {json.dumps(tool.parameters)}" for tool in rollout.tools]
    known = "\n".join([*told, *documents, *_arguments(trajectory.calls)]).casefold()
    urls = dict.fromkeys(_urls(trajectory.answer))
    return [url for url in urls if _bare(url) not in known]


def unknown_numbers(rollout: RecordedRollout) -> tuple[list[str], list[str]]:
    """Numbers of the final answer that stand nowhere as they are: those that follow from others,
    and those that follow from nothing."""
    trajectory = rollout.trajectory
    told = [m.content for m in trajectory.messages[:-1] if m.role in ("user", "tool")]
    texts = [*told, *_arguments(trajectory.calls)]
    answer = trajectory.answer
    for url in _urls(answer):
        answer = answer.replace(url, " ")
    days = set(dates_in("\n".join(texts)))
    wanted = _tokens(_ORDINAL.sub("", answer))
    if days:
        known_parts = {float(part) for day in days for part in (day.year, day.month, day.day)}
        wanted = [token for token in wanted if float(token) not in known_parts]
    known = {float(token) for text in texts for token in _tokens(text)}
    missing = [token for token in dict.fromkeys(wanted) if not _stands(token, known)]
    derived = [*_of_lists(texts), *_of_pairs(known)]
    computed = [token for token in missing if any(_rounds_to(n, token) for n in derived)]
    return computed, [token for token in missing if token not in computed]


def other_language(answer: str, language: Language) -> bool:
    """Whether an answer is surely not in a language, by its script; quotations are left out."""
    plain = _QUOTED.sub(" ", answer)
    for url in _urls(plain):
        plain = plain.replace(url, " ")
    han, latin = len(_HAN.findall(plain)), len(_WORD.findall(plain))
    if language == "zh":
        return latin >= _FEW and han * 4 < latin
    return han >= _FEW and latin < han


def _urls(text: str) -> list[str]:
    return [match.group().rstrip(".,;:!?*_…") for match in _URL.finditer(text)]


def _bare(url: str) -> str:
    return url.casefold().rstrip("/")


def _arguments(calls: Iterable[CallRecord]) -> list[str]:
    return [json.dumps(call.arguments, ensure_ascii=False) for call in calls]


def _tokens(text: str) -> list[str]:
    """The numbers of a text without their signs: a dash before one is seldom a minus."""
    return [token for token in _NUMBER.findall(normalise(text)) if _finite(token)]


def _finite(token: str) -> bool:
    return math.isfinite(float(token))


def _stands(token: str, known: Iterable[float]) -> bool:
    value = float(token)
    if value <= SMALL and value.is_integer():
        return True
    return any(_rounds_to(number * scale, token) for number in known for scale in _SCALES)


def _rounds_to(number: float, token: str) -> bool:
    """Whether a number, rounded as the token is, reads like it."""
    value, number = float(token), abs(number)
    decimals = len(token.partition("e")[0].partition(".")[2])
    if abs(number - value) <= 0.5 * 10.0**-decimals * (1 + 1e-9) and (decimals or value > 20):
        return True
    if math.isclose(number, value, rel_tol=1e-9):
        return True
    # 5,550,203 as 5,550,000: at least two figures have to be left.
    zeros = len(token) - len(token.rstrip("0")) if decimals == 0 and "e" not in token else 0
    kept = len(token) - zeros
    return zeros > 0 and kept >= 2 and abs(number - value) <= 0.5 * 10.0**zeros


def _of_pairs(known: set[float]) -> Iterator[float]:
    if len(known) > _MOST_PAIRED:
        return
    for one, other in combinations(sorted(known), 2):
        yield from (one + other, other - one, one * other, (one + other) / 2)
        if one:
            yield from (other / one, 100 * other / one, 100 * (other - one) / one)
        if other:
            yield from (one / other, 100 * one / other, 100 * (other - one) / other)


def _of_lists(texts: Iterable[str]) -> Iterator[float]:
    """Lengths of the lists in results, and sums and means of each of their fields."""
    for text in texts:
        try:
            value: Json = json.loads(text)
        except (ValueError, RecursionError):
            continue
        yield from _counted(value, 0)


def _counted(value: Json, depth: int) -> Iterator[float]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        yield float(len(value))
        fields: dict[str, list[float]] = {}
        for item in value:
            for name, number in _numbers(item):
                fields.setdefault(name, []).append(number)
        for numbers in fields.values():
            yield from (sum(numbers), sum(numbers) / len(numbers))
    inner = value.values() if isinstance(value, Mapping) else value
    for item in inner if isinstance(value, dict | list) else ():
        yield from _counted(item, depth + 1)


def _numbers(item: Json) -> Iterator[tuple[str, float]]:
    pairs = item.items() if isinstance(item, dict) else [("", item)]
    for name, number in pairs:
        if isinstance(number, int | float) and not isinstance(number, bool):
            yield str(name), float(number)
