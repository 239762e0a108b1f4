"""`manifest.json` of a run folder: versions, seeds, and per stage the counts, time and cost."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Mapping

from astra.types import Record, Usage

FORMAT = 2
"""Latest version of the folder format. A folder of a later one is refused."""
SHARDED = 2
"""The format where rows go on in further files, of which earlier versions would read the first."""


class StageCounts(Record):
    """What one stage did, over all runs of its command."""

    accepted: int = 0
    rejected: dict[str, int] = {}
    """Check id -> number of items."""
    errors: dict[str, int] = {}
    """Exception type -> number of items that stand as errors now."""
    seconds: float = 0.0
    """Wall time, summed over resumes."""
    usage: Usage = Usage()
    dollars: float = 0.0
    unpriced: dict[str, Usage] = {}
    """Model -> part of `usage` that `dollars` leaves out, because no price was given."""


class UnitCost(Record):
    """Average cost of one finished item, rejected and failed candidates included."""

    count: int
    """Finished items that the cost is divided by."""
    prompt_tokens: float
    completion_tokens: float
    cached_tokens: float
    """Part of the prompt tokens."""
    seconds: float
    """Wall time of the stages."""
    dollars: float | None
    """In the currency of the prices. None: nothing was paid, or no prices were given."""


class Manifest(Record):
    """Where a run comes from, and what it cost."""

    format: int = 1
    version: str
    """Version of this package."""
    python: str
    platform: str
    """System and processor, e.g. `Linux-x86_64`."""
    seeds: dict[str, int] = {}
    stages: dict[str, StageCounts] = {}
    unit_costs: dict[str, UnitCost] = {}
    """Product, e.g. `arena` -> cost of one."""

    @property
    def cost(self) -> StageCounts:
        """Time, usage and money of all stages, over all runs of the folder."""
        stages = self.stages.values()
        return StageCounts(
            seconds=sum(stage.seconds for stage in stages),
            usage=sum((stage.usage for stage in stages), Usage()),
            dollars=sum(stage.dollars for stage in stages),
        )

    def with_recovered_costs(
        self, model: str, paid: Mapping[str, Usage], price: Callable[[Usage], float] | None
    ) -> tuple[Manifest, float]:
        """As `RunFolder.recover_costs`: the manifest then, and the dollars this adds."""
        added = 0.0
        stages = dict(self.stages)
        for stage in filter(None, dict.fromkeys((*self.stages, *paid))):
            counts = stages.get(stage, StageCounts())
            usage = paid.get(stage, Usage())
            lost = Usage(
                prompt_tokens=max(0, usage.prompt_tokens - counts.usage.prompt_tokens),
                completion_tokens=max(0, usage.completion_tokens - counts.usage.completion_tokens),
                cached_tokens=max(0, usage.cached_tokens - counts.usage.cached_tokens),
            )
            unpriced = dict(counts.unpriced)
            if not unpriced and not counts.dollars:
                # As folders have it that were made before models were told apart.
                unpriced = {model: counts.usage}
            unpriced[model] = unpriced.get(model, Usage()) + lost
            dollars = 0.0 if price is None else price(unpriced.pop(model))
            changed = counts.model_copy(
                update={
                    "usage": counts.usage + lost,
                    "dollars": counts.dollars + dollars,
                    "unpriced": {name: each for name, each in unpriced.items() if each != Usage()},
                }
            )
            if changed != counts:
                stages[stage] = changed
            added += dollars
        return self.model_copy(update={"stages": stages}), added

    def unit_cost(self, count: int) -> UnitCost | None:
        """Cost of all stages divided by `count`. None if that is 0, or no tokens were used."""
        cost = self.cost
        usage, dollars = cost.usage, cost.dollars
        if count < 1 or usage == Usage():
            return None
        return UnitCost(
            count=count,
            prompt_tokens=round(usage.prompt_tokens / count, 1),
            completion_tokens=round(usage.completion_tokens / count, 1),
            cached_tokens=round(usage.cached_tokens / count, 1),
            seconds=round(cost.seconds / count, 3),
            dollars=dollars / count if dollars else None,
        )


def new_manifest(seeds: Mapping[str, int]) -> Manifest:
    """The manifest of a run that begins now, here."""
    return Manifest(
        version=importlib.metadata.version("astra-arenas"),
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}",
        seeds=dict(seeds),
    )
