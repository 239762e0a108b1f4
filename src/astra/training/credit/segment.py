"""Cuts free reasoning into steps, where a sentence ends and the policy was unsure how to go on.

*Given*: segmentation is semantic, dynamic and guided by entropy.
*Ours*: a boundary is the end of a sentence or paragraph whose next token lies in the top ρ of the
response's token entropies; steps shorter than L_min tokens join their neighbour (the next one, the
last the one before it); of more than K_max steps, the boundaries of highest entropy stay. A token
that is as sure as the surest one marks no boundary: flat entropies say nothing.

It works on the very tokens that were sampled: their text is never encoded again, so that another
tokenisation of it changes nothing. Where sentences end depends on the text alone; a token that
holds the end of a sentence and more belongs to the sentence.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from astra.errors import ConfigError

Decode = Callable[[Sequence[int]], str]

_LONGEST_CHARACTER = 4
"""Bytes of a character, and so most tokens that one is spread over."""
_BROKEN = "\ufffd"
_END = re.compile(
    r"""
    [.!?…]+ ["'”’)\]}*]* (?: \s*\n+ | (?=\s|$) )   # "3.14" and "e.g.," end nothing
    | [。！？]+ ["'”’」』）]* \n*
    | \n+
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """When free reasoning is cut."""

    quantile: float = 0.2
    """ρ: share of the tokens that count as unsure, in (0, 1]."""
    shortest: int = 8
    """L_min, in tokens."""
    most: int = 12
    """K_max, in steps."""

    def __post_init__(self) -> None:
        if not (0 < self.quantile <= 1 and self.shortest >= 1 and self.most >= 1):
            raise ConfigError(
                f"segmentation {self!r}: quantile must lie in (0, 1], the others be at least 1"
            )


def segment(
    ids: Sequence[int], entropies: Sequence[float], decode: Decode, settings: Segmentation
) -> list[int]:
    """The number of the step that each token belongs to, from 0.

    `entropies`: in nats, as sampled; NaN where they are not known, which marks no boundary.
    `decode` gives the text of tokens.
    """
    if not ids:
        return []
    values = np.nan_to_num(np.asarray(entropies))
    threshold = float(np.quantile(values, 1 - settings.quantile, method="higher"))
    unsure = [
        end
        for end in sentence_ends(pieces(ids, decode))
        if end < len(ids) and values[end] >= threshold and values[end] > values.min()
    ]
    kept = _most(_apart(unsure, len(ids), settings.shortest), values, settings.most)
    return [bisect.bisect_right(kept, place) for place in range(len(ids))]


def pieces(ids: Sequence[int], decode: Decode) -> list[str]:
    """The text that each token adds; that of a character spread over several stands at the last."""
    found: list[str] = []
    waiting: list[int] = []
    for token in ids:
        waiting.append(token)
        text = decode(waiting)
        if text.endswith(_BROKEN) and len(waiting) < _LONGEST_CHARACTER:
            found.append("")
            continue
        found.append(text)
        waiting = []
    if waiting:
        found[-1] = decode(waiting)
    return found


def sentence_ends(texts: Sequence[str]) -> list[int]:
    """How many tokens come before each end of a sentence or paragraph; increasing."""
    ends = list(itertools.accumulate(map(len, texts)))
    found = (bisect.bisect_left(ends, match.end()) + 1 for match in _END.finditer("".join(texts)))
    return sorted(set(found))


def _apart(boundaries: Sequence[int], length: int, shortest: int) -> list[int]:
    """Without those that would leave a step too short."""
    kept: list[int] = []
    for boundary in boundaries:
        if boundary - (kept[-1] if kept else 0) >= shortest:
            kept.append(boundary)
    if kept and length - kept[-1] < shortest:
        kept.pop()
    return kept


def _most(boundaries: Sequence[int], entropies: np.ndarray, most: int) -> list[int]:
    """The `most` - 1 boundaries before the least sure tokens, the earlier of equal ones."""
    return sorted(sorted(boundaries, key=lambda place: (-entropies[place], place))[: most - 1])
