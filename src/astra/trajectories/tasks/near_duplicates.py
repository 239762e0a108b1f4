"""Near-duplicates among requests, by MinHash over shingles of characters.

The first of several alike stays. The similarity is an estimate of the share of common shingles,
with a standard error of some 0.04 at most; requests near the threshold may fall on either side,
but always on the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from astra.core.text import normalise
from astra.errors import ConfigError

if TYPE_CHECKING:
    from datasketch import MinHash

PERMUTATIONS = 128
_SHINGLE = {"zh": 3, "en": 5}
"""Characters of a shingle."""


class NearDuplicates:
    """The requests so far."""

    def __init__(self, threshold: float) -> None:
        """`threshold`: share of common shingles from which two requests are the same."""
        if not 0 < threshold <= 1:
            raise ConfigError(f"the similarity {threshold!r} of near-duplicates is not in (0, 1]")
        from datasketch import MinHashLSH  # late: over a second, which `--help` need not wait for

        self._threshold = threshold
        self._index = MinHashLSH(threshold=min(threshold, 0.95), num_perm=PERMUTATIONS)
        self._hashes: dict[str, MinHash] = {}

    def add(self, key: str, text: str) -> tuple[str, float] | None:
        """Add a request, unless it is like one before: then that one's key, and how like it is."""
        hashed = _hashed(text)
        near = sorted(
            (
                (self._hashes[str(other)].jaccard(hashed), str(other))
                for other in self._index.query(hashed)
            ),
            key=lambda pair: (-pair[0], pair[1]),
        )
        if near and near[0][0] >= self._threshold:
            return near[0][1], near[0][0]
        self._index.insert(key, hashed)
        self._hashes[key] = hashed
        return None


def _hashed(text: str) -> MinHash:
    from datasketch import MinHash  # late, as above

    plain = re.sub(r"\s+", " ", normalise(text))
    size = _SHINGLE["zh" if re.search("[\u4e00-\u9fff]", plain) else "en"]
    shingles = {plain[i : i + size] for i in range(max(1, len(plain) - size + 1))}
    hashed = MinHash(num_perm=PERMUTATIONS, seed=1)
    hashed.update_batch([shingle.encode() for shingle in sorted(shingles)])
    return hashed
