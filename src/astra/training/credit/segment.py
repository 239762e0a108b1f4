"""Cuts free reasoning into steps, where a sentence ends and the policy is unsure how to continue.

*Given*: segmentation is semantic, dynamic and guided by entropy.
*Ours*: a boundary is the end of a sentence or paragraph whose next token, or one of the next few,
lies in the top ρ of the response's token entropies. A step shorter than L_min tokens joins the
next one, the last step the one before it. Of more than K_max steps, the boundaries of highest
entropy stay.

It works on the sampled tokens: their text is never encoded again. Where sentences end depends on
the text alone. A token that holds the end of a sentence and more belongs to that sentence.
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
"""Maximum bytes of a UTF-8 character, and so the maximum tokens that one is spread over."""
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
    """Rules by which free reasoning is cut into steps."""

    quantile: float = 0.2
    """ρ: share of tokens that count as unsure, in (0, 1]."""
    shortest: int = 8
    """L_min: minimum tokens of a step."""
    most: int = 12
    """K_max: maximum number of steps."""
    lookahead: int = 1
    """Number of tokens after a sentence of which one must be unsure. More than one where sentences
    begin with what is copied, of which every policy is sure."""

    def __post_init__(self) -> None:
        counts = (self.shortest, self.most, self.lookahead)
        if not (0 < self.quantile <= 1 and min(counts) >= 1):
            raise ConfigError(
                f"segmentation {self!r}: quantile must lie in (0, 1], the others be at least 1"
            )


def segment(
    ids: Sequence[int], entropies: Sequence[float], decode: Decode, settings: Segmentation
) -> list[int]:
    """The number of the step that each token belongs to, from 0.

    `entropies`: in nats, at sampling time. NaN, where the engine knows none, marks no boundary.
    """
    if not ids:
        return []
    values = np.nan_to_num(np.asarray(entropies))
    threshold = float(np.quantile(values, 1 - settings.quantile, method="higher"))
    boundaries: list[int] = []
    following: dict[int, float] = {}
    for end in sentence_ends(pieces(ids, decode)):
        following[end] = values[end : end + settings.lookahead].max(initial=0.0)
        # Above the smallest entropy too: with equal entropies every token reaches the quantile.
        unsure = following[end] >= threshold and following[end] > values.min()
        if unsure and end - (boundaries[-1] if boundaries else 0) >= settings.shortest:
            boundaries.append(end)
    if boundaries and len(ids) - boundaries[-1] < settings.shortest:
        boundaries.pop()
    # Those before the least sure tokens stay, the earlier of equal ones.
    ranked = sorted(boundaries, key=lambda end: (-following[end], end))
    kept = sorted(ranked[: settings.most - 1])
    return [bisect.bisect_right(kept, index) for index in range(len(ids))]


def pieces(ids: Sequence[int], decode: Decode) -> list[str]:
    """The text that each token adds. A character of several tokens stands at the last of them."""
    texts: list[str] = []
    waiting: list[int] = []
    for token in ids:
        waiting.append(token)
        text = decode(waiting)
        if text.endswith(_BROKEN) and len(waiting) < _LONGEST_CHARACTER:
            texts.append("")
            continue
        texts.append(text)
        waiting = []
    if waiting:
        texts[-1] = decode(waiting)
    return texts


def sentence_ends(texts: Sequence[str]) -> list[int]:
    """Number of tokens before each end of a sentence or paragraph, ascending."""
    ends = list(itertools.accumulate(map(len, texts)))
    matches = _END.finditer("".join(texts))
    return sorted({bisect.bisect_left(ends, match.end()) + 1 for match in matches})
