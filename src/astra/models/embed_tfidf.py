"""TF-IDF embeddings: offline, deterministic, no model. The default for distractors.

What this does not guarantee: synonyms are strangers to it, and only the terms of one call share a
space, so that rows of different calls can't be compared.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
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
        # Late: importing it takes longer than most commands that never embed.
        from sklearn.feature_extraction.text import TfidfVectorizer

        if not any(True for text in texts for _ in terms(text)):
            return np.zeros((len(texts), 1), dtype=np.float32)
        # The library has no types: they are guessed from its defaults.
        vectorizer = TfidfVectorizer(
            analyzer=terms,  # pyright: ignore[reportArgumentType]
            dtype=np.float32,  # pyright: ignore[reportArgumentType]
            sublinear_tf=True,
            max_features=self._features,
        )
        return vectorizer.fit_transform(texts).toarray()


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
