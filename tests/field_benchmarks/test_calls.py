"""Calls of a model that BFCL's own code passes to `eval`: only tools run, with literals."""

from __future__ import annotations

import math
from typing import Any

import pytest

from astra.evaluation.benchmarks.workers.bfcl import evaluate_call


class Files:
    """A tool with a method, and with what a method must not be."""

    count = 3

    def write(self, name: str = "", *, content: Any = None) -> tuple[str, Any]:
        return name, content

    def _private(self) -> str:
        return "private"


INSTANCES: dict[str, Any] = {"files_instance": Files(), "os_instance": None, "math": math}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("files_instance.write('a', content=[1, -2.5, True, None])", ("a", [1, -2.5, True, None])),
        ("files_instance.write(name='os.system()')", ("os.system()", None)),
        ("files_instance.write(content={'a': (1, 'b')})", ("", {"a": (1, "b")})),
        (" \tfiles_instance.write()", ("", None)),
    ],
)
def test_a_call_with_literals_is_what_eval_makes_of_it(text: str, value: Any) -> None:
    assert evaluate_call(text, INSTANCES) == value == eval(text, dict(INSTANCES))


@pytest.mark.parametrize(
    "text",
    [
        "files_instance.write(content=nan)",
        "unknown(a=1)",
        "files_instance.write(a=1)",
        "files_instance.write('a', 'b')",
        "files_instance.write(content=)",
        "files_instance.write(content='a', content='b')",
        "files_instance.absent()",
        "a.b(c=1)",
        "word",
        "",
    ],
)
def test_an_error_reads_as_that_of_eval(text: str) -> None:
    with pytest.raises(Exception) as expected:
        eval(text, dict(INSTANCES))
    with pytest.raises(type(expected.value)) as raised:
        evaluate_call(text, INSTANCES)
    assert str(raised.value) == str(expected.value)


@pytest.mark.parametrize(
    "text",
    [
        # through the name of a tool
        "__import__('os').system('touch CANARY')()",
        "open('CANARY', 'w')()",
        "open(file='CANARY', mode='w')",
        'exec(source=\'open("CANARY", "w")\')',
        "math.sqrt(x=4)",
        "(lambda: open('CANARY', 'w'))()",
        "files_instance._private()",
        "files_instance.__class__()",
        "files_instance.write.__globals__.get('x')",
        "[open('CANARY', 'w')]",
        "open('CANARY', 'w').write(content='x')",
        # through the name of an argument: repr does not quote it
        "files_instance.write(content=1) or open('CANARY', 'w') or f(a=1)",
        "files_instance.write(content=open('CANARY', 'w'), name='a')",
        "files_instance.write(**open('CANARY', 'w'), name='a')",
        "files_instance.write(*[open('CANARY', 'w')], name='a')",
        # through a value
        "files_instance.write(content=[open('CANARY', 'w')])",
        "files_instance.write(content={open('CANARY', 'w'): 1})",
        "files_instance.write(content=-open('CANARY', 'w'))",
        'files_instance.write(content=f\'{open("CANARY", "w")}\')',
        "files_instance.write(content=[x for x in [open('CANARY', 'w')]])",
    ],
)
def test_nothing_but_a_tool_runs(text: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((PermissionError, NameError, AttributeError, TypeError)):
        evaluate_call(text, INSTANCES)
    assert not list(tmp_path.iterdir())
