"""`astra teacher check`: whether an endpoint can serve as a teacher."""

from __future__ import annotations

import asyncio

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.teacher import CheckTeacherConfig
from astra.models.keys import api_key
from astra.models.openai import OpenAIModel, Retries
from astra.teacher.check import EndpointFinding, EndpointReport, check_endpoint
from astra.teacher.model import ReplyForm

_FORMS: dict[ReplyForm, str] = {
    "schema": "JSON schema",
    "json": "JSON mode",
    "text": "JSON in plain text",
}
_MAX_DETAIL = 200


@command_from(
    CheckTeacherConfig,
    examples=[
        "astra teacher check --teacher NAME --teacher-url http://localhost:8000/v1",
        "astra teacher check --teacher NAME --teacher-url URL --teacher-key-env MY_KEY --json",
    ],
)
def command(config: CheckTeacherConfig, *, as_json: bool) -> int:
    """Check that an endpoint can serve as a teacher.

    Asks a few short questions, in about ten seconds. Exit status 1 if the endpoint can't be a
    teacher.
    """
    report = asyncio.run(_check(config))
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print(report)
    return 0 if report.usable else 1


async def _check(config: CheckTeacherConfig) -> EndpointReport:
    # No variable is read unless named, so that no endpoint gets another's key.
    key = api_key(config.teacher_key_env)
    timeout = config.teacher_timeout
    retries = Retries(attempts=2, longest_wait=timeout)
    async with OpenAIModel(
        config.teacher, config.teacher_url, key, timeout=timeout, retries=retries
    ) as endpoint:
        return await check_endpoint(endpoint)


def _print(report: EndpointReport) -> None:
    console = out()
    table = Table("capability", "works", "observed")
    for form, finding in report.forms.items():
        used = " (used)" if form == report.form else ""
        _row(table, _FORMS[form] + used, finding)
    _row(table, "tools", report.tools)
    _row(table, "several replies (n)", report.choices)
    _row(table, "usage", report.usage)
    words = {"none": "none", "field": "in a field of its own", "inline": "before the text"}
    table.add_row("reasoning", "–", words[report.reasoning])
    console.print(table)
    if report.usable and report.form is not None:
        line = f"{report.model!r} can be a teacher, by {_FORMS[report.form]}"
        console.print(plain(f"{line} ({report.seconds:.1f} s)", "bold green"))
    else:
        console.print(plain(f"{report.model!r} can't be a teacher: no usable answer", "bold red"))


def _row(table: Table, name: str, finding: EndpointFinding) -> None:
    works = plain("yes", "green") if finding.works else plain("no", "red")
    table.add_row(name, works, plain(finding.detail, limit=_MAX_DETAIL))
