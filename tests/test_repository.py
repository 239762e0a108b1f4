"""Rules of the house that no linter checks, and the runner of the benchmarks."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.arenas import good_arenas, write_arena_run

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "astra"
MODULES = sorted(SOURCE.rglob("*.py"))


def place(module: Path) -> str:
    return module.relative_to(SOURCE).as_posix()


@cache
def calls(module: Path) -> tuple[str, ...]:
    """What a module calls or reads, as dotted names."""
    nodes = ast.walk(ast.parse(module.read_text(encoding="utf-8")))
    return tuple(ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute))


def reads_environment(module: Path) -> list[str]:
    return [name for name in calls(module) if name in ("os.environ", "os.getenv")]


def global_random(module: Path) -> list[str]:
    """Uses of the generators that all of a process shares."""
    own = r"(Random|SystemRandom|default_rng|Generator|SeedSequence)"
    shared = re.compile(rf"(np\.|numpy\.)?random\.(?!{own}\b)[a-z_]+")
    return [name for name in calls(module) if shared.fullmatch(name)]


def test_every_module_stands_on_a_floor():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = " ".join(contracts["contracts"][0]["layers"])
    floors = set(re.findall(r"astra\.(\w+)", layers))
    parts = {module.relative_to(SOURCE).parts[0].removesuffix(".py") for module in MODULES}
    assert parts - {"__init__", "__main__"} == floors


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_every_module_says_what_it_is_for(module: Path):
    text = module.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text))


def test_the_environment_is_read_in_the_cli_and_for_keys_only():
    # A sandbox child empties its own environment. Ray is told by its environment alone.
    free = ("cli/", "sandbox/child/", "models/keys.py", "runs/ray_cluster.py")
    found = {place(m): reads_environment(m) for m in MODULES if not place(m).startswith(free)}
    assert not {where for where, names in found.items() if names}


def test_no_shared_random_state():
    # A sandbox child seeds what tool code will use.
    free = ("sandbox/child/",)
    found = {place(m): global_random(m) for m in MODULES if not place(m).startswith(free)}
    assert not {where for where, names in found.items() if names}


def replaces_files(module: Path) -> list[str]:
    """Calls that give a file another name, which is how a file is replaced in one step."""
    names = [n for n in calls(module) if n in ("os.replace", "os.rename", "shutil.move")]
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # A path's methods take one argument; those of a string and of a data class take more.
            alone = len(node.args) == 1 and not node.keywords
            if alone and node.func.attr in ("replace", "rename"):
                names.append(ast.unparse(node.func))
    return names


def test_files_are_replaced_in_one_place_only():
    scripts = [path for part in ("recipes", "benchmarks") for path in (ROOT / part).rglob("*.py")]
    modules = [module for module in MODULES if place(module) != "core/files.py"]
    assert not {str(m): names for m in (*modules, *scripts) if (names := replaces_files(m))}
    assert replaces_files(SOURCE / "core" / "files.py")


def whole_reads(module: Path) -> list[str]:
    """Calls that read a file as a whole, however large it is, and wait for the writer of a pipe.

    Files of the package itself, which are found by `__file__`, may be read so.
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func)
            if node.func.attr in ("read_text", "read_bytes") and "__file__" not in name:
                names.append(name)
            if name in ("json.load", "tomllib.load", "pickle.load"):
                names.append(name)
    return names


def test_files_of_runs_and_models_are_read_up_to_a_bound():
    rooms = ("runs/", "training/", "evaluation/", "engines/", "teacher/", "rollouts/", "cli/")
    found = {place(m): whole_reads(m) for m in MODULES if place(m).startswith(rooms)}
    assert not {where for where, names in found.items() if names}


def test_the_searches_find_what_they_look_for(tmp_path: Path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import os, random, numpy as np\n"
        "os.environ['A']; os.getenv('A'); random.seed(0); np.random.rand(3)\n"
        "random.Random(0).random(); np.random.default_rng(0).random()\n"
        "os.replace(a, b); p.rename(b); p.replace(b); 'a'.replace('b', 'c'); d.replace(x, y=1)\n"
        "p.read_text('utf-8'); (p / 'x').read_bytes(); json.load(f); Path(__file__).read_text()\n"
    )
    assert sorted(reads_environment(bad)) == ["os.environ", "os.getenv"]
    assert whole_reads(bad) == ["p.read_text", "(p / 'x').read_bytes", "json.load"]
    assert replaces_files(bad) == ["os.replace", "p.rename", "p.replace"]
    assert sorted(global_random(bad)) == ["np.random.rand", "random.seed"]


# --- benchmarks --------------------------------------------------------------------------------

GOOD = {"speed": {"value": 2.0, "goal": "≤ 2.5", "unit": "x", "ok": True}}
MISSED = {"size": {"value": 9.0, "goal": 5, "unit": "MB", "ok": False}}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The runner, in an empty folder."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.chdir(tmp_path)
    import benchmarks.run

    return benchmarks.run


def plant(monkeypatch: pytest.MonkeyPatch, run: ModuleType, **figures: object) -> None:
    """Put benchmarks in place of the real ones; an exception is one that crashes."""
    for name, value in figures.items():
        module = ModuleType(name)

        def measure(value: object = value) -> object:
            if isinstance(value, Exception):
                raise value
            return value

        module.measure = measure  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"benchmarks.bench_{name}", module)
    monkeypatch.setattr(run, "names", lambda: sorted(figures))


def test_every_benchmark_can_be_measured(run: ModuleType):
    found = {path.stem for path in (ROOT / "benchmarks").glob("bench_*.py")}
    assert {f"bench_{name}" for name in run.names()} == found
    for name in found:
        tree = ast.parse((ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert "measure" in functions, name


def test_a_missed_goal_is_shown_and_not_fatal(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plant(monkeypatch, run, a=GOOD, b=MISSED)
    assert run.main([]) == 0
    assert json.loads(Path("bench.json").read_text()) == {**GOOD, **MISSED}
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("speed", "≤ 2.5", "yes", "size", "no"))


def test_a_part_is_not_written_as_the_whole(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plant(monkeypatch, run, a=GOOD, b=MISSED)
    assert run.main(["--only", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == MISSED
    assert not Path("bench.json").exists()
    assert run.main(["--only", "a", "--out", "part.json"]) == 0
    assert json.loads(Path("part.json").read_text()) == GOOD


@pytest.mark.parametrize(
    "crash",
    [
        ZeroDivisionError("boom"),
        {"speed": {"value": 1, "goal": None, "unit": "x", "ok": None}},  # measured twice
        {"other": {"value": "fast", "goal": None, "unit": "", "ok": None}},
        {"other": {"value": 1}},
        None,
    ],
)
def test_a_crash_is_told_and_the_others_still_run(
    run: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    crash: object,
):
    plant(monkeypatch, run, a=GOOD, b=crash, c=MISSED)
    assert run.main([]) == 1
    assert json.loads(Path("bench.json").read_text()) == {**GOOD, **MISSED}
    assert "crashed: b" in capsys.readouterr().err


def test_benchmarks_share_no_process(run: ModuleType, monkeypatch: pytest.MonkeyPatch):
    """Nor does one that takes its process with it end the others."""
    plant(monkeypatch, run, a=GOOD, b=None, c=MISSED)
    monkeypatch.setattr(sys.modules["benchmarks.bench_b"], "measure", lambda: os._exit(9))
    assert run.collect(["a", "b", "c"]) == (
        {name: run.Figure(**figure) for name, figure in (GOOD | MISSED).items()},
        ["b"],
    )


@pytest.mark.parametrize("slower", [False, True])
def test_rows_of_making_arenas_fall_short(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, slower: bool
):
    """A run that is slow and leaks misses every goal; one that is neither, none."""
    from benchmarks import bench_arenas as bench

    def made(count: int, *_: object) -> object:
        seconds = count / (100 if not slower else 4)
        mib = count if slower else 100
        return bench.Made(count, seconds, seconds, mib)

    monkeypatch.setattr(bench, "make", made)
    goals = [row for row in bench.measure().values() if row["goal"] is not None]
    assert len(goals) == 4
    assert all(row["ok"] is not slower for row in goals)


@pytest.mark.parametrize("leaks", [False, True])
def test_rows_of_reading_folders_fall_short(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, leaks: bool
) -> None:
    """Each job by itself: one that holds every row is told, and only that one."""
    from benchmarks import bench_folders as bench

    leaking = "stats"

    def take(job: str, folder: Path) -> object:
        arenas = int(folder.name)
        held = arenas * 50_000 // 2**20 if leaks and job == leaking else 0
        return bench.Taken(45 + held, 1.0)

    monkeypatch.setattr(bench, "make", lambda *_: None)
    monkeypatch.setattr(bench, "multiply", lambda real, out, count: out)
    monkeypatch.setattr(bench, "take", take)
    rows = bench.measure()
    assert len(rows) == len(bench.JOBS)
    assert {name: row["ok"] for name, row in rows.items()} == {
        name: not (leaks and leaking in name) for name in rows
    }


def test_a_job_that_holds_all_rows_takes_more_memory(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process of its own over folders: reading alone, and reading that keeps everything."""
    from benchmarks import bench_folders as bench

    real = write_arena_run(tmp_path / "run", list(good_arenas().values()))
    few, many = (bench.multiply(real, tmp_path / str(count), count) for count in (10, 2000))
    held = (
        "from astra.runs.folder import RunFolder\nrows = [*RunFolder(sys.argv[1]).values('arenas')]"
    )
    monkeypatch.setitem(bench.JOBS, "held", held)
    assert bench.take("open", many).mib <= 1.2 * bench.take("open", few).mib
    assert bench.take("held", many).mib > 1.5 * bench.take("held", few).mib


@pytest.mark.parametrize(("loop", "kept"), [(0.96, True), (0.94, False)])
def test_the_row_of_a_stage_falls_short(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, loop: float, kept: bool
):
    """One round in which the machine did something else decides nothing."""
    from benchmarks import bench_teacher as bench

    rounds = [(loop, 1.0, 1.1)] * 3 + [(0.2, 1.0, 1.1), (3.0, 1.0, 1.1)]
    monkeypatch.setattr(bench, "rounds", lambda: iter(rounds))
    (row,) = [row for row in bench.measure().values() if row["goal"] is not None]
    assert row["ok"] is kept


@pytest.mark.parametrize(("call", "met"), [(1.5, True), (1.51, False)])
def test_the_row_of_a_call_falls_short(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, call: float, met: bool
):
    from benchmarks import bench_sandbox as bench

    assert bench.call_row({"call": call, "bare": 1.0})["ok"] is met


def test_a_curve_has_points_that_lie_even_on_paper() -> None:
    from benchmarks.making_curve import cpu_seconds, next_mark

    assert list(map(next_mark, (0, 499, 500, 1999, 20_000))) == [500, 500, 1000, 2000, 50_000]
    with subprocess.Popen([sys.executable, "-c", "while 1: pass"]) as below:
        used = cpu_seconds(os.getpid())
        while cpu_seconds(below.pid) < 0.2:
            pass
        assert cpu_seconds(os.getpid()) >= used + 0.1, "those below are counted"
        below.kill()


def test_the_tree_of_the_readme_is_the_tree_of_the_package() -> None:
    """Every room and root module stands there, and nothing that is not there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = readme.split("    src/astra/\n")[1].split("    recipes/")[0]
    lines = [re.split(r"\s{2,}", line.strip())[0] for line in tree.splitlines()]
    shown = {name.strip("/") for line in lines for name in line.split()}
    present = {
        path.name
        for path in (ROOT / "src" / "astra").iterdir()
        if (path.is_dir() and path.name != "__pycache__") or path.suffix == ".py"
    } - {"__main__.py"}
    below = {path.parent.name for path in (ROOT / "src" / "astra").glob("arenas/*/__init__.py")}
    assert present <= shown <= present | below


_PEAK = """
import subprocess, sys
from benchmarks.memory import peak_mib
held = bytearray(int(sys.argv[1]) * 2**20)
print(peak_mib(), flush=True)
for more in sys.argv[2:3]:
    subprocess.run([sys.executable, "-c", sys.argv[3], more], check=True)
"""


def test_peak_memory_is_that_of_the_process_and_not_of_whoever_started_it() -> None:
    """One that leaks is told from one that does not, whatever the benchmarks before it took."""
    command = [sys.executable, "-c", _PEAK, "300", "100", _PEAK]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    parent, child = map(int, done.stdout.split())
    assert parent >= 300 and 100 <= child < 200
