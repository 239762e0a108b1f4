"""TF-IDF embeddings: offline, deterministic, no model. The default for distractors.

A term that stands n times in a text weighs (1 + ln n) * (1 + ln((1 + N) / (1 + d))), where d of the
N texts have it: sublinear counts and smoothed idf, as in scikit-learn, whose import takes longer.

What this does not guarantee: synonyms are strangers to it, and only the terms of one call share a
space, so that rows of different calls can't be compared.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TOKEN = re.compile(r"(?P<chinese>[\u3400-\u9fff]+)|[^\W\d_\u3400-\u9fff]+|\d+")
_GRAM = 4
_LONG = 5


class TfidfEmbedder:
    """TF-IDF over the texts of one call: words with their 4-grams, Chinese in pairs of characters.

    At most `features` terms, the commonest, so that the matrix stays dense and bounded: 20,000
    texts take 330 MB at the default.
    """

    def __init__(self, features: int = 4096) -> None:
        self._features = features

    @property
    def name(self) -> str:
        return f"tfidf-{self._features}"

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings_ND, float32, rows of unit length, or of zeros for a text without terms."""
        return await asyncio.to_thread(self.vectors, texts)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """What `embed` gives, on the calling thread."""
        counts = [Counter(terms(text)) for text in texts]
        totals: Counter[str] = Counter()
        for row in counts:
            totals.update(row)
        vocabulary = sorted(totals)
        commonest_T = np.argsort([-totals[term] for term in vocabulary], kind="stable")
        kept = sorted(commonest_T[: self._features])
        columns = {vocabulary[number]: column for column, number in enumerate(kept)}
        found = Counter(term for row in counts for term in row)  # in how many texts
        found_T = np.array([1 + found[term] for term in columns], dtype=np.float32)
        idf_T = 1 + np.log((1 + len(texts)) / found_T)
        rows_NT = np.zeros((len(texts), max(len(columns), 1)), dtype=np.float32)
        for row_T, row in zip(rows_NT, counts, strict=True):
            known = {columns[term]: count for term, count in row.items() if term in columns}
            at = list(known)
            weights = (1 + np.log(np.array(list(known.values()), dtype=np.float32))) * idf_T[at]
            row_T[at] = weights / (np.sqrt(np.square(weights).sum(dtype=np.float64)) or 1)
        return rows_NT


def terms(text: str) -> Iterator[str]:
    """The terms of a text: words and identifier parts, 4-grams of long words, Chinese bigrams."""
    text = _CAMEL.sub(" ", unicodedata.normalize("NFKC", text)).casefold()
    for match in _TOKEN.finditer(text):
        token = match.group()
        if match["chinese"] and len(token) > 1:
            yield from (token[i : i + 2] for i in range(len(token) - 1))
            continue
        yield token
        if len(token) >= _LONG:
            # The border mark keeps a prefix apart from the same letters within a word.
            marked = f"_{token}_"
            yield from (marked[i : i + _GRAM] for i in range(len(marked) - _GRAM + 1))
