"""What rules find in a trajectory, without a model.

- A call that repeats an earlier successful one when nothing could have changed its result.
- URLs in the final answer that occur nowhere in the conversation or the tools' documents.
- Numbers in the final answer that occur nowhere and follow from nothing simple: no rounding, change
  of scale, count, sum or mean of a list, no sum, difference, product, ratio or mean of two numbers.
- An answer in another language than the request.
- Planned calls that change something and never succeeded; failures that the same call made good.

What this misses: numbers in words, whole numbers up to 10, a right number about the wrong thing,
and languages that share a script. Conversions of units, and URLs that are put together from parts,
count as unfounded.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from astra.core.text import dates_in, normalise
from astra.core.untrusted import read_json
from astra.hosts.consistency import may_change
from astra.teacher.prompts.emulation import UserBehaviour
from astra.trajectories.records import RecordedRollout
from astra.types import CallRecord, CallStatus, Json, Language, canonical_json

SMALL = 10
"""Whole numbers up to this one are ignored: they count, list and rate."""
_MOST_PAIRED = 60
"""Distinct numbers up to which pairs are combined: pairs of more would explain any number."""
_SCALES = (1.0, 100.0, 0.01, 1e3, 1e-3, 1e4, 1e-4, 1e6, 1e-6, 1e8, 1e-8, 1e9, 1e-9)
"""Per cent, thousands, 万, millions, 亿, billions, and back."""
_URL = re.compile(r"https?://[^\s<>\"'`\]\[(){}|\\^，。；、）】》]+", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_ORDINAL = re.compile(r"^\s*\d+[.)、]\s", re.MULTILINE)
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_WORD = re.compile("[A-Za-z\u00c0-\u024f]{2,}")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|`[^`]*`|\S+@\S+|\w+(?:[./_]\w+)+")
_FEW = 5
"""Words of the other script that any answer may hold: names, units, values."""
_MAX_DEPTH = 12


# --- calls -------------------------------------------------------------------------------------


def repetitions(calls: Sequence[CallRecord]) -> dict[str, str]:
    """Id of a superfluous call -> id of the call that it repeats.

    A reading call repeats if it returned the same again and nothing may have changed in between;
    any other call if it was made again before another one could change anything.
    """
    repeated: dict[str, str] = {}
    earlier: dict[str, CallRecord] = {}
    for call in calls:
        if call.status is not CallStatus.ok:
            continue
        key = canonical_json([call.tool, call.arguments])
        before = earlier.get(key)
        changes = may_change(call.tool)
        if before is not None and (changes or before.result == call.result):
            repeated[call.id] = before.id
        # A change may alter the result of every call before it.
        if changes:
            earlier = {key: before or call}
        elif before is None or before.result != call.result:
            earlier[key] = call
    return repeated


def recovered(calls: Sequence[CallRecord]) -> dict[str, str]:
    """Id of a failed call -> id of the later, equal call that succeeded.

    Tools fail for a moment, and emulated ones are made to: who tries again does the right thing.
    """
    made_good: dict[str, str] = {}
    later: dict[str, str] = {}
    for call in reversed(calls):
        key = canonical_json([call.tool, call.arguments])
        if call.status is CallStatus.ok:
            later[key] = call.id
        elif call.status is CallStatus.tool_error and key in later:
            made_good[call.id] = later[key]
    return made_good


def outcome(rollout: RecordedRollout) -> float | None:
    """1 if every planned call that changes something succeeded, else 0. None: there is none, or
    the user refuses to confirm.

    Arguments are not compared: a request may be met with other ones than the plan's.
    """
    wishes = () if rollout.script is None else rollout.script.wishes
    planned = [*rollout.task.plan, *(call for wish in wishes for call in wish.plan)]
    changing = [call.tool for call in planned if may_change(call.tool)]
    if not changing or _may_have_refused(rollout):
        return None
    done = Counter(call.tool for call in rollout.trajectory.calls if call.status is CallStatus.ok)
    return float(all(done[tool] >= count for tool, count in Counter(changing).items()))


def _may_have_refused(rollout: RecordedRollout) -> bool:
    """Whether the user may have said that they do not want a planned change."""
    script = rollout.script
    if script is None:
        return False
    refusals = [wish for wish in script.wishes if wish.behaviour is UserBehaviour.refusal]
    # What stands in the script otherwise refuses nothing; other words may.
    others = {script.opening, *(w.message for w in script.wishes if w not in refusals)}
    said = {m.content for m in rollout.trajectory.messages if m.role == "user"}
    return bool(refusals) and not said <= others


# --- the final answer --------------------------------------------------------------------------


def unknown_urls(rollout: RecordedRollout) -> list[str]:
    """URLs of the final answer that occur nowhere else, each once."""
    trajectory = rollout.trajectory
    contents = [message.content for message in trajectory.messages[:-1]]
    documents = [f"{tool.description} {json.dumps(tool.parameters)}" for tool in rollout.tools]
    known = "\n".join([*contents, *documents, *_arguments(trajectory.calls)]).casefold()
    urls = dict.fromkeys(_urls(trajectory.answer))
    return [url for url in urls if url.casefold().rstrip("/") not in known]


def unknown_numbers(rollout: RecordedRollout) -> tuple[list[str], list[str]]:
    """Numbers of the final answer that occur nowhere: those that follow from others, and those
    that follow from nothing."""
    trajectory = rollout.trajectory
    contents = [m.content for m in trajectory.messages[:-1] if m.role in ("user", "tool")]
    texts = [*contents, *_arguments(trajectory.calls)]
    answer = trajectory.answer
    # Numbers in URLs are checked with the URL.
    for url in _urls(answer):
        answer = answer.replace(url, " ")
    dates = set(dates_in("\n".join(texts)))
    # A known date may be written in any way: its year, month and day are known numbers.
    date_parts = {float(part) for day in dates for part in (day.year, day.month, day.day)}
    tokens = [t for t in _numbers(_ORDINAL.sub("", answer)) if float(t) not in date_parts]
    known = {float(token) for text in texts for token in _numbers(text)}
    scaled = [number * scale for number in known for scale in _SCALES]
    missing = [
        token
        for token in dict.fromkeys(tokens)
        if not (float(token) <= SMALL and float(token).is_integer())
        and not any(_rounds_to(number, token) for number in scaled)
    ]
    derived = list(_pair_results(known))
    for text in texts:
        try:
            derived += _list_results(read_json(text), 0)
        except ValueError:
            continue
    computed = [token for token in missing if any(_rounds_to(n, token) for n in derived)]
    return computed, [token for token in missing if token not in computed]


def other_language(answer: str, language: Language) -> bool:
    """Whether an answer is surely not in a language, by its script; quotations do not count."""
    plain = _QUOTED.sub(" ", answer)
    for url in _urls(plain):
        plain = plain.replace(url, " ")
    han, latin = len(_HAN.findall(plain)), len(_WORD.findall(plain))
    if language == "zh":
        return latin >= _FEW and han * 4 < latin
    return han >= _FEW and latin < han


def _urls(text: str) -> list[str]:
    return [match.group().rstrip(".,;:!?*_…") for match in _URL.finditer(text)]


def _arguments(calls: Iterable[CallRecord]) -> list[str]:
    return [json.dumps(call.arguments, ensure_ascii=False) for call in calls]


def _numbers(text: str) -> list[str]:
    """The numbers of a text without their signs: a dash before a number is rarely a minus."""
    return [t for t in _NUMBER.findall(normalise(text)) if math.isfinite(float(t))]


def _rounds_to(number: float, token: str) -> bool:
    """Whether a number, rounded as the token is, reads like it."""
    value, number = float(token), abs(number)
    decimals = len(token.partition("e")[0].partition(".")[2])
    if abs(number - value) <= 0.5 * 10.0**-decimals * (1 + 1e-9) and (decimals or value > 20):
        return True
    if math.isclose(number, value, rel_tol=1e-9):
        return True
    # 5,550,203 as 5,550,000: at least two significant figures have to remain.
    zeros = len(token) - len(token.rstrip("0")) if decimals == 0 and "e" not in token else 0
    figures = len(token) - zeros
    return zeros > 0 and figures >= 2 and abs(number - value) <= 0.5 * 10.0**zeros


def _pair_results(known: set[float]) -> Iterator[float]:
    if len(known) > _MOST_PAIRED:
        return
    for one, other in combinations(sorted(known), 2):
        yield from (one + other, other - one, one * other, (one + other) / 2)
        if one:
            yield from (other / one, 100 * other / one, 100 * (other - one) / one)
        if other:
            yield from (one / other, 100 * one / other, 100 * (other - one) / other)


def _list_results(value: Json, depth: int) -> Iterator[float]:
    """Lengths of the lists in a value, and sums and means of their items or fields."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        yield float(len(value))
        fields: defaultdict[str, list[float]] = defaultdict(list)
        for item in value:
            for name, number in item.items() if isinstance(item, dict) else [("", item)]:
                if isinstance(number, int | float) and not isinstance(number, bool):
                    fields[str(name)].append(float(number))
        for numbers in fields.values():
            yield from (sum(numbers), sum(numbers) / len(numbers))
    inner = value.values() if isinstance(value, dict) else value
    for item in inner if isinstance(value, dict | list) else ():
        yield from _list_results(item, depth + 1)
