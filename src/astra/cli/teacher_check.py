"""`astra teacher check`: whether an endpoint can serve as a teacher."""

from __future__ import annotations

import asyncio

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.teacher import CheckTeacherConfig
from astra.teacher.check import check_teacher
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
    report = asyncio.run(check_teacher(config))
    if as_json:
        print_json(report.model_dump(mode="json"))
        return 0 if report.usable else 1
    table = Table("capability", "works", "observed")
    tried = {
        _FORMS[form] + (" (used)" if form == report.form else ""): finding
        for form, finding in report.forms.items()
    }
    tried |= {"tools": report.tools, "several replies (n)": report.choices, "usage": report.usage}
    for name, finding in tried.items():
        works = plain("yes", "green") if finding.works else plain("no", "red")
        table.add_row(name, works, plain(finding.detail, limit=_MAX_DETAIL))
    words = {"none": "none", "field": "in a field of its own", "inline": "before the text"}
    table.add_row("reasoning", "–", words[report.reasoning])
    console = out()
    console.print(table)
    if report.usable and report.form is not None:
        line = f"{report.model!r} can be a teacher, by {_FORMS[report.form]}"
        console.print(plain(f"{line} ({report.seconds:.1f} s)", "bold green"))
    else:
        console.print(plain(f"{report.model!r} can't be a teacher: no usable answer", "bold red"))
    return 0 if report.usable else 1
