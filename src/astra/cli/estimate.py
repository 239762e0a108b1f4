"""How commands that ask a teacher print what a dry run estimates."""

from __future__ import annotations

from astra.cli.console import out, print_json
from astra.teacher.cost import Estimate


def print_estimate(estimate: Estimate, *, as_json: bool) -> None:
    """Print the result of a dry run."""
    if as_json:
        print_json(estimate.model_dump(mode="json"))
        return
    usage = estimate.usage
    money = "unknown, give --prices" if estimate.money is None else f"{estimate.money:.2f}"
    console = out()
    console.print(
        f"about {estimate.requests} requests, {usage.prompt_tokens} tokens in, "
        f"{usage.completion_tokens} out, money: {money}",
        markup=False,
    )
    console.print(f"  {estimate.note}", markup=False)
