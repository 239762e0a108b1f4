"""Tables of other kinds than the example's: certified arenas, or a clear word why not."""

from __future__ import annotations

import csv
import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from astra.arenas.certificate import certify
from astra.arenas.tables.source import CandidateTableArena, TableSourceOptions
from astra.errors import ConfigError, Rejected
from astra.protocols import Sandbox
from astra.types import Arena, Language

from .made import arenas, candidates


@pytest.fixture
def sandbox(session_sandbox: Sandbox) -> Sandbox:
    return session_sandbox


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def days(rng: random.Random) -> str:
    return (date(2015, 1, 1) + timedelta(days=rng.randrange(3000))).isoformat()


async def certified(
    found: Sequence[CandidateTableArena], sandbox: Sandbox, most: int = 10
) -> list[Arena]:
    """Those of the first built candidates that are certified; nearly all must be."""
    built = arenas(found)[:most]
    passed: list[Arena] = []
    failed: Counter[str] = Counter()
    for arena in built:
        certificate = await certify(arena, sandbox, seed=1)
        if certificate.certified:
            passed.append(arena)
        else:
            check = next(check for check in certificate.checks if not check.passed)
            failed[f"{check.check}: {check.reason}"] += 1
    assert len(passed) >= 0.9 * len(built), failed
    return passed


FIRST = "Ada Bo Cleo Dag Eva Finn Gro Hal Ida Jon Kai Lea Mio Nora Odd Pia Rolf Siv Tor Una".split()
LAST = "Berg Dahl Eng Foss Holm Lund Moe Nord Ruud Vik Strand Haug".split()
CITIES = "Oslo Bergen Trondheim Tromso Drammen Hamar Molde Larvik".split()


def shop(path: Path) -> None:
    rng = random.Random(3)
    people = rng.sample([f"{a} {b}" for a in FIRST for b in LAST], k=60)
    goods = [
        f"{a} {b}"
        for a in "Red Blue Green Old New Soft Big".split()
        for b in "Lamp Chair Table Sofa Desk Shelf".split()
    ]
    with sqlite3.connect(path) as db:
        db.executescript(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT, joined TEXT);"
            "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, category TEXT,"
            " price_eur REAL, weight_kg REAL, stock INTEGER);"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY,"
            " customer_id INTEGER REFERENCES customers(id),"
            " product_id INTEGER REFERENCES products(id), quantity INTEGER, ordered TEXT);"
        )
        for n, name in enumerate(people, 1):
            db.execute(
                "INSERT INTO customers VALUES (?,?,?,?)", (n, name, rng.choice(CITIES), days(rng))
            )
        for n, name in enumerate(goods, 1):
            row = (n, name, name.split()[1], rng.randrange(500, 90000) / 100,
                   rng.randrange(10, 900) / 10, rng.randrange(3, 400))  # fmt: skip
            db.execute("INSERT INTO products VALUES (?,?,?,?,?,?)", row)
        for n in range(1, 301):
            row = (n, rng.randint(1, 60), rng.randint(1, len(goods)), rng.randint(1, 9), days(rng))
            db.execute("INSERT INTO orders VALUES (?,?,?,?,?)", row)
    db.close()


async def test_a_shop_in_sqlite(tmp_path: Path, sandbox: Sandbox) -> None:
    shop(tmp_path / "shop.sqlite")
    found = candidates([tmp_path / "shop.sqlite"], 30, TableSourceOptions(seed=1))
    assert len(arenas(found)) >= 20
    passed = await certified(found, sandbox)
    for arena in arenas(found):  # no "customer with the lowest ID"
        calls = [goal.call.arguments for goal in arena.goals if goal.call is not None]
        assert not any(call.get("attribute") == "id" and len(call) > 2 for call in calls)
    operations = {goal.operation for arena in passed for goal in arena.goals}
    assert len(operations) >= 6
    assert {name for a in passed for name in a.provenance["tables"].values()} >= {
        "customers",
        "products",
    }


async def test_a_table_without_names_alone_is_counted_and_summed_or_refused(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [(rng.choice("abc"), rng.randrange(5), rng.random() < 0.5) for _ in range(50)]
    write(tmp_path / "readings.csv", ["kind", "level", "ok"], rows)
    with pytest.raises(ConfigError, match="naming"):
        candidates([tmp_path / "readings.csv"], 5, TableSourceOptions())


async def test_one_table_without_relations(tmp_path: Path, sandbox: Sandbox) -> None:
    rng = random.Random(2)
    rows = [
        (f"{a} {b}", rng.choice(CITIES), rng.randrange(20, 70), rng.randrange(300, 990) * 100,
         days(rng))
        for a, b in zip(FIRST * 3, LAST * 5, strict=True)
    ]  # fmt: skip
    write(tmp_path / "staff.csv", ["name", "office", "age", "salary_eur", "hired"], rows)
    found = candidates([tmp_path / "staff.csv"], 40, TableSourceOptions(seed=4))
    assert len(arenas(found)) >= 24
    passed = await certified(found, sandbox)
    assert any("hired date" in arena.question for arena in passed)


async def test_a_wide_table(tmp_path: Path, sandbox: Sandbox) -> None:
    rng = random.Random(5)
    header = ["species", "family", *(f"gene_{n}_count" for n in range(300))]
    rows = [
        (f"Planta {a.lower()}{b.lower()}", rng.choice(CITIES),
         *(rng.randrange(100, 99999) for _ in range(300)))
        for a in FIRST
        for b in LAST[:4]
    ]  # fmt: skip
    write(tmp_path / "species.csv", header, rows)
    found = candidates([tmp_path / "species.csv"], 25, TableSourceOptions(seed=4))
    passed = await certified(found, sandbox)
    assert max(len(tool.document.model_dump_json()) for a in passed for tool in a.tools) < 6000


async def test_a_table_with_dates_alone_beside_the_name(tmp_path: Path, sandbox: Sandbox) -> None:
    rng = random.Random(6)
    rows = [(f"{a} {b}", days(rng), days(rng)) for a in FIRST for b in LAST[:3]]
    write(tmp_path / "contracts.csv", ["contract", "signed", "expires"], rows)
    found = candidates([tmp_path / "contracts.csv"], 30, TableSourceOptions(seed=4))
    passed = await certified(found, sandbox)
    assert {goal.operation for arena in passed for goal in arena.goals} >= {"lookup"}


async def test_a_chinese_table_asked_in_both_languages(tmp_path: Path, sandbox: Sandbox) -> None:
    rng = random.Random(7)
    surnames, given = "赵钱孙李周吴郑王冯陈", "建国 秀英 志强 丽华 子涵 文博".split()
    rows = [
        (f"{a}{b}", rng.choice(["销售部", "研发部", "财务部", "人事部"]), rng.randrange(22, 60),
         rng.randrange(5000, 40000), days(rng))
        for a in surnames
        for b in given
    ]  # fmt: skip
    write(tmp_path / "员工.csv", ["姓名", "部门", "年龄", "月薪", "入职日期"], rows)
    languages: dict[Language, float] = {"en": 0.3, "zh": 0.7}
    found = candidates([tmp_path], 40, TableSourceOptions(seed=4, languages=languages))
    assert len(arenas(found)) >= 24
    passed = await certified(found, sandbox)
    assert {arena.language for arena in passed} == {"en", "zh"}
    for arena in passed:
        for tool in arena.tools:
            assert tool.name.isascii() and tool.name.isidentifier()


async def test_a_small_table_runs_out_and_says_why(tmp_path: Path) -> None:
    write(tmp_path / "pets.csv", ["name", "kind"], [("Rex", "dog"), ("Tom", "cat"), ("Pip", "dog")])
    found = candidates([tmp_path / "pets.csv"], 500, TableSourceOptions(seed=4))
    assert len(found) < 500
    last = found[-1].outcome
    assert isinstance(last, Rejected) and "draws" in last.reason


# --- hostile names -----------------------------------------------------------------------------

HOSTILE = [
    "class", "value", "by", 'say "hi"', "it's", "{{ 7 * 7 }}", "{s}", "%s", "naïve café", "😀 mood",
    "人口", "x" * 200, "__row", "__name", "attribute", "select", "items; DROP TABLE t", "result",
    "data", "import os", "None", "row", "problem", "print", "unit", "language", "format", "1st",
    "#", "\\n", "a\nb", "a/b", "א", "DATA", "position", "country", "order",
]  # fmt: skip


def hostile(folder: Path, seed: int) -> None:
    """Two related tables whose columns, names and values are hostile."""
    rng = random.Random(seed)
    names = rng.sample(HOSTILE, k=10)
    tables = rng.sample(["class", "print", "値", "value", "row", "result", "name", "by"], k=2)
    kinds = [rng.choice(HOSTILE) + " " + word for word in ("alpha", "beta", "gamma", "delta")]
    parents = [f"{rng.choice(HOSTILE)[:20]} {a}{n}" for n, a in enumerate(FIRST)]
    write(
        folder / f"{tables[0]}.csv",
        [names[0], names[1], names[2], names[3]],
        [(p, rng.choice(kinds), rng.randrange(1000, 9999), days(rng)) for p in parents],
    )
    children = [f"{rng.choice(HOSTILE)[:20]} {a} {b}" for a in FIRST for b in LAST[:6]]
    write(
        folder / f"{tables[1]}.csv",
        [names[4], names[5], names[6], names[7], names[8]],
        [
            (c, rng.choice(parents), rng.choice(kinds), rng.randrange(10**5, 10**6),
             rng.randrange(100, 999) / 7)
            for c in children
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))]
)
async def test_hostile_names_go_the_whole_way(seed: int, tmp_path: Path, sandbox: Sandbox) -> None:
    hostile(tmp_path, seed)
    languages: dict[Language, float] = {"en": 0.5, "zh": 0.5}
    found = candidates([tmp_path], 24, TableSourceOptions(seed=seed, languages=languages))
    assert len(arenas(found)) >= 15, Counter(
        str(c.outcome) for c in found if isinstance(c.outcome, Rejected)
    )
    await certified(found, sandbox, 7)
