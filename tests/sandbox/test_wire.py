"""What the owner accepts from a child, and what the child's own checks agree on."""

from __future__ import annotations

import inspect
import json
import struct
import sys
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astra.core.untrusted import JSON_DEPTH
from astra.errors import SandboxBadResult
from astra.protocols import SandboxEpisode
from astra.sandbox import wire
from astra.sandbox.child import seccomp
from astra.sandbox.child.runner import Runner, binds_plainly
from astra.types import Tool, ToolSchema, canonical_json

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


def opened(*tools: Tool) -> dict[str, Any]:
    """The opening message that a child gets."""
    frame = wire.opening_frame(tools, SandboxEpisode(seed=4))
    (size,) = wire.LENGTH.unpack_from(frame)
    assert size == len(frame) - wire.LENGTH.size
    return json.loads(frame[wire.LENGTH.size :])


def replies(opening: dict[str, Any], name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a runner with that opening replies, in this process: only for code of ours."""
    streams, modules = (sys.stdout, sys.stderr), set(sys.modules)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a child has nobody to warn
            reply = Runner(opening).run_request({"i": 1, "n": name, "a": arguments})
    finally:
        sys.stdout, sys.stderr = streams
        for module in set(sys.modules) - modules:
            del sys.modules[module]
    return json.loads(reply)


@pytest.mark.parametrize(
    ("source", "compiled"),
    [
        ("def f(x):\n    return {'x': x, 'data': DATA}\n", True),
        ("def f(x):\n    return '\\d'\n", True),  # warns of its escape
        ("VALUE = 1 / 0\ndef f(x):\n    return x\n", True),
        ("def f(:\n", False),
        ("def f(x):\n    return '\ud800'\n", False),
        ("def f(x):\n    return " + "-" * 60_000 + "x\n", False),
        ("def f(x):\n    return x\n" + "#" * 64_000, False),
    ],
    ids=["plain", "warning", "raises", "syntax", "surrogate", "deep", "long"],
)
def test_a_child_gets_compiled_code_and_answers_as_with_the_source(
    source: str, compiled: bool
) -> None:
    document = ToolSchema(name="f", description="Says it.", parameters={"type": "object"})
    tool = Tool(document=document, source=source, data=[1, None])
    own, others = opened(tool), wire.opening_message([tool], SandboxEpisode(seed=4))
    assert ("code" in own["tools"][0], "source" in own["tools"][0]) == (compiled, not compiled)
    assert {**own, "tools": 0} == {**others, "tools": 0}
    arguments = {"x": 3}
    assert replies(own, "f", arguments) == replies(others, "f", arguments)


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
    at, accumulator, x = 0, 0, 0
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
            case 0x07:
                x = accumulator
            case 0x0C:
                accumulator = (accumulator + x) & 0xFFFFFFFF
            case 0x3D:
                at += yes if accumulator >= x else no
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


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_what_the_filter_asks_of_arguments(machine: str) -> None:
    block, end = 0x7F12, 1 << 32
    program, arch = seccomp.program(machine, [0x55, block]), seccomp.AUDIT_ARCH[machine]

    def allows(name: str, *arguments: int) -> bool:
        number = seccomp.NUMBERS[machine][name]
        return run_filter(program, arch, number, arguments) == seccomp.ALLOW

    inside, outside = (block << 32) + 0x5000, (0x1234 << 32) + 0x5000
    for name in ("munmap", "madvise", "mprotect", "mremap"):
        assert allows(name, inside, 4096)
        assert allows(name, (block << 32) + end - 4096, 4095)
        assert not allows(name, outside, 4096)
        assert not allows(name, (block << 32) + end - 4096, 8192), "beyond the block"
        assert not allows(name, inside, end), "longer than a block"
        assert not allows(name, 0x5000, 4096)
    assert not allows("mprotect", inside, 4096, 4)
    assert not allows("mremap", inside, 4096, 4096, 2, inside)
    assert allows("mremap", inside, 4096, 8192, 1)
    assert allows("mmap", 0, 1 << 40, 3, 0x22)
    assert allows("mmap", inside, 4096, 3, 0x22)
    assert not allows("mmap", inside, 4096, 3, 0x32), "MAP_FIXED"
    assert not allows("mmap", outside, 4096, 3, 0x22)
    for name in ("clock_gettime", "clock_getres", "clock_nanosleep"):
        assert allows(name, 1)
        assert not allows(name, ((~1234) << 3 | 2) & 0xFFFFFFFF)
        assert not allows(name, 16)
    assert allows("prlimit64", 0, 9, 0x7F0000000000)
    assert allows("prlimit64", 0, 0, 0)
    assert not allows("prlimit64", 0, 0, 0x7F0000000000)
    assert not allows("prlimit64", 0, 0, 0x1000)
    assert not allows("prlimit64", 5, 9, 0)


@pytest.mark.parametrize(
    "number",
    ["9" * 250 + "e99", "-" + "1" * 299 + "E+11", "1e309", "1" * 310 + ".5", "1" * 400,
     "0." + "1" * 300 + "e400"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["%s", "[%s]", '{"a":{"b":[1,%s]}}'])
def test_numbers_beyond_a_float(number: str, place: str) -> None:
    with pytest.raises(SandboxBadResult, match=r"too large|beyond"):
        wire.read_reply(b'{"i":1,"v":' + (place % number).encode() + b"}", 1)


@pytest.mark.parametrize("number", ["1e308", "1" * 250 + "e50", "9" * 308, "1e-400", "-0.5E+10"])
def test_numbers_within_a_float(number: str) -> None:
    reply = wire.read_reply(b'{"i":1,"v":[' + number.encode() + b"]}", 1)
    assert reply["v"] == [json.loads(number)]


def test_neither_table_has_a_dangerous_call() -> None:
    """The two architectures allow the same names, up to calls that only one has."""
    x86, arm = (set(seccomp.NUMBERS[m]) for m in ("x86_64", "aarch64"))
    assert x86 - arm == {"poll", "select", "time"}
    assert arm <= x86
    words = ("open", "exec", "clone", "fork", "kill", "ptrace", "socket", "connect", "mount")
    assert not [name for name in x86 if any(word in name for word in words)]
