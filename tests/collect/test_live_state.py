"""What an episode with a live server starts from, and what it leaves behind: nothing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from astra.errors import ConfigError, HostError
from astra.hosts.confine import available
from astra.hosts.joined import JoinedHost
from astra.hosts.live import LiveHost, server_starts
from astra.hosts.mcp_entries import McpServerEntry, parse_entry, read_entry
from astra.hosts.recorded import RecordingHost
from astra.testing import mcp_notes
from tests.support import mcp_hostile
from tests.support.mcp_serving import http_server

from .servers import KEY, SESSION, entry, live_tool, mcp_file, options, value

pytestmark = pytest.mark.skipif(not available(), reason="needs Landlock")

APPEND = "open({path!r}, 'a').write('more')\nresult = open({path!r}).read()"


def host(at: McpServerEntry) -> LiveHost:
    tools = [live_tool("run", read_only=False), live_tool("echo"), live_tool("error")]
    return LiveHost(at, tools, options())


async def run_code(at: McpServerEntry, code: str) -> Any:
    """What the code results in, in an episode of its own."""
    async with host(at) as opened:
        return (await opened.call("run", {"path": code})).content["result"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_text("first ")
    return folder


# --- what is named is read-only -------------------------------------------------------------


async def test_what_an_entry_names_can_be_read_and_not_written(data: Path) -> None:
    file = data / "deep" / "a.txt"
    at = entry("mcp_hostile", str(file), f"--folder={data}", env={"CACHE": str(data)})
    assert await run_code(at, f"result = open({str(file)!r}).read()") == "first "
    for code in (
        f"open({str(file)!r}, 'a').write('x')",
        f"open({str(data / 'new.txt')!r}, 'w')",
        f"import os\nos.remove({str(file)!r})",
        f"import os\nos.truncate({str(file)!r}, 0)",
        f"import os\nos.rename({str(file)!r}, {str(file) + '2'!r})",
        f"import os\nos.symlink('/etc', {str(data / 'link')!r})",
    ):
        async with host(at) as opened:
            # The code, and so the path, is the agent's: the refusal is a result.
            result = (await opened.call("run", {"path": code})).content["result"]
        assert result.startswith("PermissionError"), code
    assert file.read_text() == "first "
    assert sorted(path.name for path in data.iterdir()) == ["deep"]


async def test_a_server_can_not_rewrite_its_source(tmp_path: Path) -> None:
    script = Path(shutil.copy(mcp_hostile.__file__, tmp_path / "mcp_hostile.py"))
    at = parse_entry("s", {"command": "python", "args": [str(script)]})
    code = "import sys\nopen(sys.argv[0], 'a').write('# gone')\nresult = 'written'"
    assert "Permission denied" in await run_code(at, code)
    assert script.read_text() == Path(mcp_hostile.__file__).read_text()


async def test_a_server_that_keeps_its_data_beside_its_code_is_told_where_to(
    tmp_path: Path,
) -> None:
    """The refusal is not the agent's failure, and says which path to declare."""
    kept = tmp_path / "package" / "memory.jsonl"
    kept.parent.mkdir()
    script = Path(shutil.copy(mcp_hostile.__file__, kept.parent / "mcp_hostile.py"))
    text = script.read_text().replace(
        '"echo": lambda: path', f'"echo": lambda: open({str(kept)!r}, "a").write(path)'
    )
    script.write_text(text.replace('{"content": [text]}', '{"content": [text], "isError": True}'))
    script.write_text(
        script.read_text().replace(
            'text = {"type": "text", "text": actions[name]()}',
            "try:\n"
            '                text = {"type": "text", "text": str(actions[name]())}\n'
            "            except OSError as error:\n"
            '                text = {"type": "text", "text": f"EACCES: {error}"}',
        )
    )
    at = parse_entry("memory", {"command": "python", "args": [str(script), str(kept.parent)]})
    async with host(at) as opened:
        with pytest.raises(HostError) as raised:
            await opened.call("echo", {"path": "Ada"})
    said = str(raised.value)
    assert repr(str(kept)) in said and '"writable"' in said and str(kept.parent) in said
    # Declared, it works, and the next episode finds nothing.
    declared = {"command": "python", "args": [str(script), str(kept.parent)]}
    script.write_text(script.read_text().replace(repr(str(kept)), 'sys.argv[1] + "/memory.jsonl"'))
    declared["astra"] = {"writable": [str(kept.parent)]}
    for _ in range(2):
        async with host(parse_entry("memory", declared)) as opened:
            assert (await opened.call("echo", {"path": "Ada"})).content["error"]["message"] == "3"
    assert not kept.exists()


@pytest.mark.parametrize("choice", ["whole", "name", "below"])
async def test_a_path_that_the_agent_chose_is_answered_by_the_tool(data: Path, choice: str) -> None:
    at = entry("mcp_hostile", str(data))
    target = data / "deep" / "a.txt"
    shown = {"whole": str(target), "name": "a.txt", "below": str(data)}[choice]
    code = (
        f"asked = {shown!r}\nopen({str(target)!r}, 'w')"
        if choice == "whole"
        else (
            f"asked = {shown!r}\nimport os\nos.chdir({str(target.parent)!r})\n"
            f"open('/'.join([os.getcwd(), 'a.' + 'txt']), 'w')"
        )
    )
    assert (await run_code(at, code)).startswith("PermissionError")


async def test_a_database_that_is_only_named_is_told(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as database:
        database.execute("create table orders (id)")
    database.close()
    script = tmp_path / "server.py"
    script.write_text(SQLITE_SERVER)
    declared: dict[str, Any] = {"command": "python", "args": [str(script), "--db", str(file)]}
    async with LiveHost(parse_entry("shop", declared), [live_tool("add")], options()) as opened:
        with pytest.raises(HostError, match=rf'may not write {str(file)!r}.*"writable"'):
            await opened.call("add", {"path": "milk"})
    declared["astra"] = {"writable": [str(file)]}
    for _ in range(2):
        at = parse_entry("shop", declared)
        async with LiveHost(at, [live_tool("add")], options()) as opened:
            assert (await opened.call("add", {"path": "milk"})).content == "1"


SQLITE_SERVER = """
import json, sqlite3, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "initialize":
        result = {"protocolVersion": request["params"]["protocolVersion"],
                  "capabilities": {"tools": {}}, "serverInfo": {"name": "shop", "version": "1"}}
    elif request["method"] == "tools/call":
        try:
            with sqlite3.connect(sys.argv[2]) as database:
                database.execute("insert into orders values (1)")
                text = json.dumps(database.execute("select count(*) from orders").fetchone()[0])
        except sqlite3.Error as error:
            text = f"Database error: {error}"
        result = {"content": [{"type": "text", "text": text}]}
    elif "id" in request:
        error = {"code": -32601, "message": "Method not found"}
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}), flush=True)
        continue
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
"""


# --- each episode starts from a fresh copy ----------------------------------------------------


async def test_a_writable_path_is_a_fresh_copy_in_each_episode(data: Path) -> None:
    file = str(data / "deep" / "a.txt")
    at = entry("mcp_hostile", str(data), astra={"writable": [str(data)]})
    starts = []
    for _ in range(2):
        async with host(at) as opened:
            code = APPEND.format(path=file)  # by the name that it has for the agent
            assert (await opened.call("run", {"path": code})).content == {"result": "first more"}
            listing = "import os, sys\nresult = [sys.argv[1], os.listdir(sys.argv[1])]"
            result = (await opened.call("run", {"path": listing})).content["result"]
            assert result == [str(data), ["deep"]]  # and for the server
            starts += server_starts(RecordingHost(JoinedHost([opened])))
    assert Path(file).read_text() == "first "
    assert starts[0] == starts[1]
    assert starts[0].state == "fresh" and len(starts[0].files or "") == 64


@pytest.mark.parametrize(
    "args",
    [
        ["--db={}"],
        ["--url", "sqlite://{}?mode=rw"],
        ["-c", "exec server {} 1"],
        ["{}.bak", "{}"],
        ['{{"path": "{}"}}'],
    ],
)
async def test_the_copy_is_named_wherever_the_entry_names_the_path(
    tmp_path: Path, args: list[str]
) -> None:
    file = tmp_path / "a.db"
    file.write_text("x")
    at = entry(
        "mcp_hostile",
        *(text.format(file) for text in args),
        env={"DB": str(file)},
        astra={"writable": [str(file)]},
    )
    code = (
        "import os, sys\nresult = [a.replace('/', '|') for a in [*sys.argv[1:], os.environ['DB']]]"
    )
    # Slashes are replaced, so that the copy's name comes through.
    *given, of_env = await run_code(at, code)
    copy = of_env.replace("|", "/")
    assert copy != str(file) and copy.endswith("/a.db")
    for text, result in zip(args, given, strict=True):
        named = str(file) if ".bak" in text else copy  # a name of its own
        assert result.replace("|", "/") == text.format(named)


async def test_the_seed_is_where_the_working_folder_starts(data: Path) -> None:
    at = entry("mcp_hostile", astra={"seed": str(data)})
    for _ in range(2):
        assert await run_code(at, APPEND.format(path="deep/a.txt")) == "first more"
    assert (data / "deep" / "a.txt").read_text() == "first "


async def test_the_record_tells_one_seed_from_another(data: Path) -> None:
    at = entry("mcp_hostile", astra={"seed": str(data)})
    digests: list[str | None] = []

    async def digest() -> None:
        async with host(at) as opened:
            digests.append(opened.start.files)

    await digest()
    os.utime(data / "deep" / "a.txt", (1, 1))
    await digest()
    assert digests[0] == digests[1]  # a time is not state
    (data / "deep" / "a.txt").write_text("second")
    await digest()
    (data / "deep" / "a.txt").rename(data / "a.txt")
    await digest()
    (data / "empty").mkdir()
    await digest()
    (data / "a.txt").chmod(0o755)
    await digest()
    (data / "link").symlink_to("a.txt")
    await digest()
    assert len(set(digests)) == len(digests) - 1
    async with host(entry("mcp_hostile")) as opened:
        assert opened.start.files is None


async def test_paths_of_the_working_folder_are_the_same_in_every_episode() -> None:
    code = (
        "import os, sys\n"
        "result = [os.getcwd(), os.environ['HOME'], os.environ['DATA'], sys.argv[1], 'file://' + "
        "os.getcwd() + '/a', {os.getcwd(): 1}]"
    )
    at = entry("mcp_hostile", "${workspaceFolder}/b", env={"DATA": "${workspaceFolder}"})
    expected = ["/home/agent"] * 3 + ["/home/agent/b", "file:///home/agent/a", {"/home/agent": 1}]
    for _ in range(2):
        assert await run_code(at, code) == expected
    write = "import os\nopen('/home/agent/a.txt', 'w').write('x')\nresult = os.listdir('.')"
    assert await run_code(at, write) == ["a.txt"]


async def test_cwd_may_lie_in_the_working_folder(data: Path) -> None:
    at = entry("mcp_hostile", cwd="${workspaceFolder}/deep", astra={"seed": str(data)})
    assert await run_code(at, "import os\nresult = os.getcwd()") == "/home/agent/deep"


async def test_paths_of_an_error_are_the_agents_names(data: Path) -> None:
    at = entry("mcp_hostile", astra={"seed": str(data)})
    said = await run_code(at, "import os\nopen(os.getcwd() + '/none')")
    assert said == "FileNotFoundError: [Errno 2] No such file or directory: '/home/agent/none'"


async def test_shared_paths_stay_and_the_record_says_so(data: Path) -> None:
    file = data / "deep" / "a.txt"
    file.chmod(0o666)
    at = entry("mcp_hostile", astra={"shared": [str(data)]})
    for count in (1, 2):
        text = await run_code(at, APPEND.format(path=str(file)))
        assert text == "first " + "more" * count
    async with host(at) as opened:
        assert opened.start.state == "kept" and opened.start.shared == (str(data),)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs the system's Python")
async def test_copies_belong_to_the_user_that_the_server_becomes(tmp_path_factory: Any) -> None:
    folder = Path("/tmp") / f"astra-test-{os.getpid()}"
    try:
        (folder / "seed").mkdir(parents=True)
        (folder / "seed" / "a.txt").write_text("first ")
        (folder / "seed" / "a.txt").chmod(0o600)
        script = shutil.copy(mcp_hostile.__file__, folder)
        at = parse_entry(
            "s",
            {
                "command": "/usr/bin/python3",
                "args": [script],
                "astra": {"seed": str(folder / "seed")},
            },
        )
        assert await run_code(at, "import os\nresult = os.geteuid()") == 65534
        assert await run_code(at, APPEND.format(path="a.txt")) == "first more"
    finally:
        shutil.rmtree(folder)


# --- calls of the start ------------------------------------------------------------------------


NOTES = [live_tool("list_notes"), live_tool("create_note", read_only=False)]
CALLS = [{"tool": "create_note", "arguments": {"title": "Milk", "body": KEY}}]


async def test_calls_of_the_start_are_made_in_every_episode_and_recorded_apart() -> None:
    at = entry("mcp_notes", astra={"calls": CALLS})
    starts = []
    for _ in range(2):
        recording = RecordingHost(LiveHost(at, NOTES, options()))
        async with recording:
            listed = await recording.call("list_notes", {})
            assert [note["title"] for note in listed.content["notes"]] == ["Milk"]
            await recording.call("create_note", {"title": "Eggs"})
        assert [call.tool for call in recording.recording] == ["list_notes", "create_note"]
        starts += server_starts(recording)
    assert starts[0] == starts[1]
    (call,) = starts[0].calls
    assert call.tool == "create_note" and call.content["id"] == "note-1"
    assert KEY not in starts[0].model_dump_json()  # a key of the entry is none of the record's


async def test_a_server_that_is_reached_can_be_brought_to_its_start_by_calls() -> None:
    with http_server(mcp_notes.server()) as url:
        at = parse_entry("notes", {"url": url, "astra": {"calls": CALLS}})
        async with LiveHost(at, NOTES, options()) as opened:
            assert opened.start.state == "kept" and len(opened.start.calls) == 1


@pytest.mark.parametrize("tool", ["error", "refuse", "nonsense"])
async def test_a_call_of_the_start_that_fails_is_told(tool: str) -> None:
    at = entry("mcp_hostile", astra={"calls": [{"tool": "echo"}, {"tool": tool}]})
    with pytest.raises(HostError, match=rf"call 2 of its start \({tool}\)"):
        async with host(at):
            pass


# --- what an entry may say ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ([], "not an object"),
        ({"writeable": ["/srv"]}, "did you mean 'writable'"),
        ({"colour": 1}, "there are seed"),
        ({"seed": 7}, "seed is not"),
        ({"seed": ""}, "seed is not"),
        ({"writable": "/srv/data"}, "writable is not a list"),
        ({"writable": ["/"]}, "writable holds '/'"),
        ({"writable": ["/srv/.."]}, "not of all files"),
        ({"writable": ['/srv/"a"']}, "without quotes"),
        ({"shared": [1]}, "shared is not a list"),
        ({"readable": [""]}, "readable holds ''"),
        ({"writable": ["/srv/none"]}, "none of args, env and cwd names"),
        ({"calls": {}}, "calls is not a list"),
        ({"calls": [{"name": "a"}]}, "call 1 is not of the form"),
        ({"calls": [{"tool": "a", "arguments": []}]}, "call 1 is not of the form"),
        ({"unix_sockets": ["a.sock"]}, "unix_sockets"),
    ],
)
def test_what_can_not_be_meant_is_refused(declared: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        entry("mcp_hostile", "/srv/data2", astra=declared)


def test_what_is_for_started_servers_is_refused_for_others() -> None:
    with pytest.raises(ConfigError, match="reached by its url"):
        parse_entry("far", {"url": "http://127.0.0.1:9/mcp", "astra": {"seed": "/srv"}})


def test_variables_of_others_are_still_refused() -> None:
    with pytest.raises(ConfigError, match=r"\$\{HOME\}.*workspaceFolder"):
        parse_entry("s", {"command": "python", "args": ["${workspaceFolder}/a", "${HOME}"]})
    with pytest.raises(ConfigError, match="unix_sockets into"):
        parse_entry("s", {"command": "docker", "unix_sockets": ["/run/a.sock"]})


def test_relative_paths_start_from_the_file(tmp_path: Path) -> None:
    declared = value("mcp_hostile", str(tmp_path / "b"), astra={"seed": "a", "writable": ["b"]})
    at = read_entry(mcp_file(tmp_path / "mcp.json", s=declared), "s")
    assert (at.state.seed, at.state.writable) == (tmp_path / "a", (tmp_path / "b",))


@pytest.mark.parametrize("kind", ["seed", "writable", "shared", "file", "pipe"])
async def test_state_that_is_not_there_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "gone"
    if kind == "file":
        path.write_text("a seed is a folder")
    if kind == "pipe":
        path.mkdir()
        os.mkfifo(path / "pipe")
    field = kind if kind in ("writable", "shared") else "seed"
    declared = {field: str(path) if field == "seed" else [str(path)]}
    with pytest.raises(HostError, match=f'"astra": {field} names') as raised:
        async with host(entry("mcp_hostile", str(path), astra=declared)):
            pass
    assert "can't be spoken to" not in str(raised.value)


async def test_what_an_episode_starts_from_is_bounded(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astra.hosts.mcp_state.LARGEST_COPY", 3)
    with pytest.raises(HostError, match="leave out"):
        async with host(entry("mcp_hostile", astra={"seed": str(data)})):
            pass


# --- refusals that look like something else -----------------------------------------------------


def test_the_session_of_these_tests_is_confined() -> None:
    assert SESSION.confined


async def start_error(at: McpServerEntry) -> str:
    with pytest.raises(HostError) as raised:
        async with LiveHost(at, [], options()):
            pass
    return str(raised.value)


@pytest.mark.parametrize("kind", ["package", "exports", "module", "required", "relative", "type"])
@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
async def test_what_node_may_not_read_is_told(tmp_path: Path, kind: str) -> None:
    app, package = tmp_path / "app", tmp_path / "app" / "node_modules" / "tiny"
    (app / "dist").mkdir(parents=True)
    package.mkdir(parents=True)
    (app / "dist" / "lib.js").write_text("exports.a = 1; console.error('ready')")
    (package / "package.json").write_text('{"name": "tiny", "main": "index.js"}')
    (package / "index.js").write_text("exports.a = 1; console.error('ready')")
    if kind == "exports":
        (package / "index.js").rename(package / "main.js")
        (package / "package.json").write_text('{"name": "tiny", "exports": "./main.js"}')
    script = (
        app / "dist" / ("index.js" if kind in ("required", "relative", "type") else "index.mjs")
    )
    (app / "package.json").write_text('{"type": "module"}' if kind == "type" else "{}")
    script.write_text(
        {
            "package": "import tiny from 'tiny';",
            "exports": "import tiny from 'tiny';",
            "module": "import lib from './lib.js';",
            "required": "require('tiny');",
            "relative": "require('./lib');",
            "type": "import fs from 'fs'; console.error('ready')",
        }[kind]
    )
    expected = {
        "package": app / "node_modules",
        "exports": app / "node_modules",
        "module": app / "dist",
        "required": app / "node_modules",
        "relative": app / "dist",
        "type": app / "package.json",
    }[kind]
    declared: dict[str, Any] = {"command": "node", "args": [str(script)]}
    said = await start_error(parse_entry("s", declared))
    if kind == "type" and "ready" in said:
        pytest.skip("this Node finds out by itself what is a module")
    assert f'"readable": ["{expected}"]' in said
    # What is advised helps: the program runs, and ends for another reason.
    declared["astra"] = {"readable": [str(expected)]}
    again = await start_error(parse_entry("s", declared))
    assert "ready" in again and "readable" not in again


@pytest.mark.parametrize("kind", ["module", "path", "file", "script"])
async def test_what_python_may_not_read_is_told(tmp_path: Path, kind: str) -> None:
    app, other = tmp_path / "app", tmp_path / "other"
    app.mkdir()
    other.mkdir()
    (app / "helper.py").write_text("import sys; print('ready', file=sys.stderr)")
    (other / "settings.json").write_text("{}")
    script = app / "server.py"
    script.write_text(
        {
            "module": "import helper",
            "path": f"import sys; sys.path[:] = [*sys.path, {str(other)!r}]; import helper",
            "file": f"open({str(other / 'settings.json')!r}).read()",
            "script": "import runpy; runpy.run_path(__file__.replace('server', 'helper'))",
        }[kind]
        + "\nimport sys; print('ready', file=sys.stderr)"
    )
    expected = {
        "module": app,
        "path": app,
        "file": other / "settings.json",
        "script": app,
    }[kind]
    declared: dict[str, Any] = {"command": "python", "args": [str(script)]}
    said = await start_error(parse_entry("s", declared))
    assert f'"readable": ["{expected}"]' in said
    declared["astra"] = {"readable": [str(expected)]}
    again = await start_error(parse_entry("s", declared))
    assert "ready" in again and "readable" not in again


@pytest.mark.parametrize("code", ["import no_such_module", "open('/no/such/file')", "1 / 0"])
async def test_what_is_not_there_is_no_refusal(tmp_path: Path, code: str) -> None:
    script = tmp_path / "server.py"
    script.write_text(code)
    said = await start_error(parse_entry("s", {"command": "python", "args": [str(script)]}))
    assert "Error" in said and "astra" not in said.replace("astra-", "")


async def test_a_write_at_the_start_is_told(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(f"open({str(tmp_path / 'log.txt')!r}, 'w')")
    declared = {"command": "python", "args": [str(script), str(tmp_path)]}
    said = await start_error(parse_entry("s", declared))
    assert f"may not write {str(tmp_path / 'log.txt')!r}" in said
    assert f'"writable": ["{tmp_path}"]' in said


async def test_a_refusal_that_is_told_in_several_lines_is_told(tmp_path: Path) -> None:
    """As npm does, which adds advice of its own that helps nobody here."""
    cache, script = tmp_path / "packages", tmp_path / "server.py"
    cache.mkdir()
    script.write_text(
        "import os, sys\n"
        f"try: os.mkdir({str(cache / '_cacache')!r})\n"
        "except PermissionError as error:\n"
        "    print('npm error code EACCES\\nnpm error syscall mkdir', file=sys.stderr)\n"
        "    print('npm error path', error.filename, file=sys.stderr)\n"
        "    print('npm error Your cache folder contains root-owned files', file=sys.stderr)\n"
        "else: print('ready', file=sys.stderr)\n"
    )
    declared: dict[str, Any] = {
        "command": "python",
        "args": [str(script)],
        "env": {"npm_config_cache": str(cache)},
    }
    said = await start_error(parse_entry("s", declared))
    assert f"may not write {str(cache / '_cacache')!r}" in said
    assert f'"shared": ["{cache}"]' in said
    declared["astra"] = {"shared": [str(cache)]}
    assert "ready" in await start_error(parse_entry("s", declared))


async def test_a_virtual_environment_is_the_program_it_belongs_to(tmp_path: Path) -> None:
    """Its packages need not be named."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True
    )
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "helper.py").write_text("import sys; print('ready', file=sys.stderr)")
    python = str(tmp_path / "venv" / "bin" / "python")
    said = await start_error(parse_entry("s", {"command": python, "args": ["-m", "helper"]}))
    assert "ready" in said and "readable" not in said


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
async def test_packages_of_node_are_the_program_they_belong_to(tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    for name in ("server", "tiny"):
        (modules / name).mkdir(parents=True)
        (modules / name / "package.json").write_text(json.dumps({"type": "module", "name": name}))
    (modules / "tiny" / "index.js").write_text("console.error('ready')")
    (modules / "server" / "index.js").write_text("#!/usr/bin/env node\nimport 'tiny';")
    (modules / "server" / "index.js").chmod(0o755)
    (modules / ".bin").mkdir()
    (modules / ".bin" / "server").symlink_to("../server/index.js")
    for declared in (
        {"command": "node", "args": [str(modules / "server" / "index.js")]},
        {"command": str(modules / ".bin" / "server")},
    ):
        said = await start_error(parse_entry("s", declared))
        assert "ready" in said and "readable" not in said
