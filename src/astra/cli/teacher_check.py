"""`astra teacher check`: does an endpoint do what is needed of a teacher?"""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer
from rich.table import Table

from astra.cli.console import out, plain, print_json
from astra.cli.options import AsJson, KeyEnv
from astra.errors import ConfigError
from astra.models.openai import OpenAIModel, Retries
from astra.teacher.check import EndpointFinding, EndpointReport, check_endpoint
from astra.teacher.model import ReplyForm

_FORMS: dict[ReplyForm, str] = {
    "schema": "JSON schema",
    "json": "JSON mode",
    "text": "JSON in plain text",
}
_LONGEST = 200


def check_command(
    model: Annotated[str, typer.Option(help="Name of the model.")],
    base_url: Annotated[
        str, typer.Option(help="The OpenAI-compatible endpoint, e.g. http://host:8000/v1")
    ],
    api_key_env: KeyEnv = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for one reply; all run at once.")
    ] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Ask an endpoint a few short questions and tell what it can do, in about ten seconds.

    Exit status 1 when it can't be a teacher.

    \b
    Examples:
      astra teacher check --model NAME --base-url http://localhost:8000/v1
      astra teacher check --model NAME --base-url https://… --api-key-env MY_KEY --json
    """
    found = asyncio.run(_check(model, base_url, _key(api_key_env), timeout))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _print(found)
    if not found.usable:
        raise typer.Exit(1)


async def _check(model: str, base_url: str, key: str | None, timeout: float) -> EndpointReport:
    retries = Retries(attempts=2, longest_wait=timeout)
    async with OpenAIModel(model, base_url, key, timeout=timeout, retries=retries) as endpoint:
        return await check_endpoint(endpoint)


def _key(variable: str | None) -> str | None:
    """The key. No variable is read unless named, so that no endpoint gets another's key."""
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigError(f"the environment variable {variable!r} is not set: export the key in it")
    return key


def _print(found: EndpointReport) -> None:
    console = out()
    table = Table("what", "works", "seen")
    for form, finding in found.forms.items():
        used = " (used)" if form == found.form else ""
        _row(table, _FORMS[form] + used, finding)
    _row(table, "tools", found.tools)
    _row(table, "several replies (n)", found.choices)
    _row(table, "usage", found.usage)
    shown = {"none": "none", "field": "in a field of its own", "inline": "before the text"}
    table.add_row("reasoning", "–", shown[found.reasoning])
    console.print(table)
    if found.usable and found.form is not None:
        line = f"{found.model!r} can be a teacher, by {_FORMS[found.form]}"
        console.print(plain(f"{line} ({found.seconds:.1f} s)", "bold green"))
    else:
        console.print(plain(f"{found.model!r} can't be a teacher: no usable answer", "bold red"))


def _row(table: Table, name: str, finding: EndpointFinding) -> None:
    works = plain("yes", "green") if finding.works else plain("no", "red")
    table.add_row(name, works, plain(finding.detail, limit=_LONGEST))
