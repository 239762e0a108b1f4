"""What the owner accepts from a child, and what the child's own checks agree on."""

from __future__ import annotations

import inspect
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astra.core.untrusted import JSON_DEPTH
from astra.errors import SandboxBadResult
from astra.sandbox import wire
from astra.sandbox.child import seccomp
from astra.sandbox.child.runner import binds_plainly
from astra.types import canonical_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)  # fmt: skip


@given(JSON)
def test_every_json_value_arrives(value: Any) -> None:
    payload = json.dumps({"i": 3, "v": value}, ensure_ascii=False).encode()
    assert wire.read_reply(payload, 3)["v"] == value


@given(st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()))
def test_anything_else_is_refused(payload: bytes) -> None:
    with pytest.raises(SandboxBadResult):
        wire.read_reply(payload, 3)


@given(st.text(alphabet='0123456789eE+-.[]{}":,\\udDf8 ', max_size=60))
def test_whatever_is_accepted_can_be_stored(text: str) -> None:
    try:
        value = wire.read_reply(b'{"i":1,"v":' + text.encode() + b"}", 1)
    except SandboxBadResult:
        return
    canonical_json(value).encode()


@pytest.mark.parametrize(
    ("depth", "accepted"), [(1, True), (JSON_DEPTH - 1, True), (JSON_DEPTH + 1, False)]
)
def test_depth(depth: int, accepted: bool) -> None:
    payload = b'{"i":1,"v":' + b"[" * depth + b"]" * depth + b"}"
    if accepted:
        wire.read_reply(payload, 1)
    else:
        with pytest.raises(SandboxBadResult, match="nested deeper"):
            wire.read_reply(payload, 1)


def test_brackets_in_a_text_are_no_depth() -> None:
    payload = json.dumps({"i": 1, "v": "[" * 1000}).encode()
    assert wire.read_reply(payload, 1)["v"] == "[" * 1000


FUNCTIONS = [
    lambda: 0,
    lambda a: 0,
    lambda a, b=1: 0,
    lambda a, /, b: 0,
    lambda *a: 0,
    lambda a, *b, c, d=1: 0,
    lambda a=1, **b: 0,
    lambda *, a: 0,
]


@pytest.mark.parametrize("function", FUNCTIONS)
@given(names=st.sets(st.sampled_from("abcdx")))
def test_the_quick_binding_agrees_with_inspect(function: Any, names: set[str]) -> None:
    arguments = dict.fromkeys(names, 0)
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError:
        assert not binds_plainly(function, arguments)
    else:
        # It may be careful (positional-only parameters), never careless.
        careful = "a" in inspect.signature(function).parameters and "/" in str(
            inspect.signature(function)
        )
        assert binds_plainly(function, arguments) or careful


def run_filter(program: bytes, arch: int, number: int, arguments: tuple[int, ...]) -> int:
    """Interpret a classic BPF program on one system call, as the kernel does."""
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at, accumulator = 0, 0
    while True:
        operation, yes, no, k = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, k)
            case 0x15:
                at += yes if accumulator == k else no
            case 0x35:
                at += yes if accumulator >= k else no
            case 0x45:
                at += yes if accumulator & k else no
            case 0x06:
                return k
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_allows_its_list_and_nothing_else(machine: str) -> None:
    program, arch = seccomp.program(machine), seccomp.AUDIT_ARCH[machine]
    allowed = set(seccomp.NUMBERS[machine].values())
    for number in range(600):
        expected = seccomp.ALLOW if number in allowed else seccomp.EPERM
        assert run_filter(program, arch, number, ()) == expected, number
    for name in ("mmap", "mprotect"):
        number = seccomp.NUMBERS[machine][name]
        assert run_filter(program, arch, number, (0, 0, 3)) == seccomp.ALLOW
        assert run_filter(program, arch, number, (0, 0, 7)) == seccomp.EPERM
    limits = seccomp.NUMBERS[machine]["prlimit64"]
    assert run_filter(program, arch, limits, (0,)) == seccomp.ALLOW
    assert run_filter(program, arch, limits, (77,)) == seccomp.EPERM
    assert run_filter(program, arch, 0x40000001, ()) == seccomp.KILL
    assert run_filter(program, 0x40000003, 1, ()) == seccomp.KILL


def test_neither_table_has_a_dangerous_call() -> None:
    """The two architectures allow the same names, up to calls that only one has."""
    x86, arm = (set(seccomp.NUMBERS[m]) for m in ("x86_64", "aarch64"))
    assert x86 - arm == {"poll", "select", "time"}
    assert arm <= x86
    words = ("open", "exec", "clone", "fork", "kill", "ptrace", "socket", "connect", "mount")
    assert not [name for name in x86 if any(word in name for word in words)]
