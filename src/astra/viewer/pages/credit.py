"""How a training run gave credit to a rollout, step by step."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from astra.errors import StoreError
from astra.viewer.pages.asked import Asked, Row, Shown


class _Shown(BaseModel):
    # The record itself stands beside the algorithms, which need torch.
    model_config = ConfigDict(extra="ignore", frozen=True)


class ShownStep(_Shown):
    """As `astra.training.credit.records.CreditStep`."""

    text: str
    tokens: int
    entropy: float | None
    contribution: float | None
    z: float
    weight: float
    advantage: float
    crucial: bool
    counterfactual: float | None = None


class ShownCredit(_Shown):
    """As `astra.training.credit.records.CreditRow`."""

    id: str
    step: int
    task: str
    reward: float
    advantage: float
    phase: str
    attribution: str
    steps: tuple[ShownStep, ...]
    agreement: float | None = None


def credit_page(asked: Asked, row: Row) -> Shown:
    """`RUN/credit/ID.html`."""
    try:
        credit = ShownCredit.model_validate(row.value())
    except ValueError as error:
        raise StoreError(f"row {row.id!r} of {row.file}.jsonl is no row of credit: {error}") from (
            error
        )
    return "credit.html", {
        "title": f"Credit of {credit.id}",
        "row": row,
        "credit": credit,
        "arena_row": asked.find("arenas", credit.task, first=row.run),
        # The strongest colours are of the largest values of this rollout.
        "largest": {
            name: max((abs(getattr(step, name) or 0.0) for step in credit.steps), default=0.0)
            for name in ("contribution", "advantage", "entropy", "counterfactual")
        },
    }
