"""Near-duplicate texts, found by MinHash over shingles.

The similarity is an estimate of the share of common shingles (Jaccard), with a standard error of
at most 0.04. Two texts near the threshold may fall on either side of it, but always on the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from astra.core.text import normalise
from astra.errors import ConfigError

if TYPE_CHECKING:
    from datasketch import MinHash

PERMUTATIONS = 128
_WORD = re.compile(r"[\u3400-\u9fff]|\w+")
_HAN = re.compile("[\u4e00-\u9fff]")


class NearDuplicates:
    """The texts so far. The first of several similar ones stays."""

    def __init__(self, threshold: float, shingles: Callable[[str], set[str]]) -> None:
        """`threshold`: share of common shingles from which two texts count as the same."""
        if not 0 < threshold <= 1:
            raise ConfigError(f"the similarity {threshold!r} of near-duplicates is not in (0, 1]")
        from datasketch import MinHashLSH  # late: the import takes over a second

        self._threshold = threshold
        self._shingles = shingles
        # The index is only a filter: above 0.95 it would miss pairs that are over the threshold.
        self._index = MinHashLSH(threshold=min(threshold, 0.95), num_perm=PERMUTATIONS)
        self._hashes: dict[str, MinHash] = {}

    def add(self, key: str, text: str) -> tuple[str, float] | None:
        """Add a text. If it repeats an earlier one: return that one's key and the similarity."""
        hashed = minhash(self._shingles(text))
        similar = [
            (-self._hashes[str(other)].jaccard(hashed), str(other))
            for other in self._index.query(hashed)
        ]
        if similar and -min(similar)[0] >= self._threshold:
            similarity, other = min(similar)
            return other, -similarity
        self._index.insert(key, hashed)
        self._hashes[key] = hashed
        return None


def minhash(shingles: set[str]) -> MinHash:
    """The MinHash of a set of shingles."""
    from datasketch import MinHash  # late, as above

    hashed = MinHash(num_perm=PERMUTATIONS, seed=1)
    hashed.update_batch([shingle.encode("utf-8", "replace") for shingle in sorted(shingles)])
    return hashed


def character_shingles(text: str) -> set[str]:
    """Runs of 5 characters, or 3 of a text with Chinese in it. For short texts."""
    plain = re.sub(r"\s+", " ", normalise(text))
    size = 3 if _HAN.search(plain) else 5
    return {plain[i : i + size] for i in range(max(1, len(plain) - size + 1))}


def word_shingles(text: str) -> set[str]:
    """Runs of 3 words, each Chinese character a word. For long texts."""
    words = _WORD.findall(text.casefold())
    return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
