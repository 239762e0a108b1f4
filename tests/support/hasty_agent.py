"""An agent by rules that chooses tools by what they are called, and reads what they offer later.

Of all tools of the right kind for the right table it takes the first that it is shown. That its
choices do not hold what is asked for it learns from the error. Of several values in a result it
takes the first. Beside `HonestAgent`, which reads all documents, it shows what reading is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from astra.types import Json
from tests.support.honest_agent import HonestAgent, ReadDocument


class HastyAgent(HonestAgent):
    """As `HonestAgent`, but for how it chooses tools."""

    def choose(
        self,
        kind: str,
        noun: str = "",
        label: str = "",
        part: str = "",
        unit: str = "",
        *,
        grouping: Callable[[ReadDocument], bool] | None = None,
    ) -> tuple[ReadDocument, str]:
        right, choice = super().choose(kind, noun, label, part, unit, grouping=grouping)
        for document in self.documents:
            if document is right:
                break
            alike = document.kind() == kind and document.fits(noun) >= right.fits(noun) > 0
            offers = not label or label.casefold() in document.labels.get("attribute", {})
            if alike and not (offers and (grouping is None or grouping(document))):
                self.call(document.name, {"attribute": label, "value": noun})
        return right, choice

    def asked_for(
        self, result: Mapping[str, Json], arguments: Mapping[str, Json]
    ) -> Mapping[str, Json]:
        """What a result says first."""
        values = result.get("values")
        return values[0] if isinstance(values, list) else result
