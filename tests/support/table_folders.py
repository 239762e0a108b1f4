"""Table folders of the tests' own: a clinic and a haulier, with names that are hard on tools.

No `tables.toml`, keys and relations undeclared, some tables without a key of one column. Names of
files and columns are SQL words, words of Python and of our own templates, German, Chinese, quoted.
All is invented, and drawn from one seed: the same bytes every time.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

LAST_DAY = date(2026, 4, 30)
_FIRST = "Ada Bo Cleo Dov Edda Finn Gül Hedy Ivo Jörg Kaya Lev Mira Nils Oda Pia Quin Rosa".split()
_LAST = "Abend|O'Brien|Crâne|Dorn|Ek-Lund|Farb|Grün|Hauff|Iven|Juhl|Kranz|Löwe|Maar".split("|")
_STREETS = "Mill Lane,Quay Road,Elm Yard,St. John's Hill,Birkenweg,Rue d'Or,Hafen 'West'".split(",")
_FAMILY = "赵 钱 孙 李 周 吴 郑 王 冯 陈".split()
_GIVEN = "安然 柏舟 楚天 丹青 方远 高洁 海明 嘉禾 可心 林溪 墨言 南星".split()
_TOWNS = "临港市 松江镇 望海市 青石镇 白桥市 柳园镇".split()


def _write(folder: Path, name: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _days(rng: Random, count: int, first: date) -> list[date]:
    span = (LAST_DAY - first).days
    return sorted(first + timedelta(days=rng.randint(0, span)) for _ in range(count))


def _soon(rng: Random, day: date) -> date:
    return min(day + timedelta(days=rng.randint(1, 20)), LAST_DAY)


def write_clinic(folder: Path) -> Path:
    """English and German names: patients, doctors, appointments, laboratory orders, invoices."""
    rng = Random(1)
    names = [f"{first} {last}" for first in _FIRST for last in _LAST]
    people = rng.sample(names, 90)
    people += people[:3]  # namesakes: nothing but their key tells them apart
    patients = [f"P-{number:04d}" for number in range(11, 11 + len(people))]
    plans = ["basic", "plus", "private"]
    _write(
        folder,
        "patients",
        ["Patient No", "Full Name", "E-Mail", "phone", "Street Address", 'Insurance "Plan"',
         "newsletter", "registered on", "blood group"],
        [
            [key, name, f"p{number}@example.org", f"+1 290 555 01{number:02d}",
             f"{rng.randint(1, 150)} {rng.choice(_STREETS)}", rng.choice(plans),
             rng.choice(["true", "false"]), day, rng.choice(["A", "B", "0", ""])]
            for number, (key, name, day) in enumerate(
                zip(patients, people, _days(rng, len(people), date(2023, 1, 2)), strict=True)
            )
        ],
    )  # fmt: skip
    doctors = [f"D{number}" for number in range(1, 25)]
    titles = [f"Dr. {name}" for name in rng.sample(names, len(doctors))]
    _write(
        folder,
        "Ärzte",
        ["Arzt ID", "Name", "Büro", "group", "level"],
        [
            [key, name, f"{rng.choice('ABC')} {rng.randint(100, 160)}",
             rng.choice(["day", "night"]), rng.choice(["junior", "senior", "head"])]
            for key, name in zip(doctors, titles, strict=True)
        ],
    )  # fmt: skip
    ordered = _days(rng, 150, date(2025, 6, 1))
    states = ["requested", "collected", "reported", "cancelled"]
    orders: list[list[Any]] = []
    for number, day in enumerate(ordered, 1):
        status = rng.choice(states)
        orders.append(
            [number, rng.choice(patients), rng.choice(doctors), rng.choice(["blood", "urine", "X"]),
             rng.choice(["routine", "urgent"]), rng.choice(["fasting", "none"]), status, day,
             _soon(rng, day) if status == "reported" else "", rng.choice(["ward", "home"]),
             rng.choice(["", "", "call first", "left arm", f"bed {number}", f"see chart {number}"])]
        )  # fmt: skip
    _write(
        folder,
        "order",
        ["id", "Patient No", "Arzt ID", "select", "priority", "skip", "status", "requested on",
         "reported on", "from", "note"],
        orders,
    )  # fmt: skip
    created = _days(rng, 160, date(2025, 9, 1))
    _write(
        folder,
        "appointments",
        ["appointment_id", "Patient No", "Arzt ID", "status", "scheduled for", "reminder", "now",
         "created", "room"],
        [
            [f"AP{number}", rng.choice(patients), rng.choice(doctors),
             rng.choice(["planned", "confirmed", "completed", "cancelled"]),
             day + timedelta(days=rng.randint(5, 60)), rng.choice(["true", "false"]),
             rng.choice(["on site", "video"]), day, f"room {rng.randint(1, 40)}"]
            for number, day in enumerate(created, 9001)
        ],
    )  # fmt: skip
    medicines = [f"M-{number}" for number in range(100, 140)]
    prices = [rng.randint(150, 9000) for _ in medicines]
    strengths = ["10 mg", '20 mg "forte"', "5% gel", "drops (children's)"]
    syllables = ["Alba", "Bento", "Cori", "Dexa", "Ely", "Fosa", "Gali", "Hema", "Ibo", "Juna"]
    _write(
        folder,
        "medicines",
        ["medicine_id", "name", "price (EUR)"],
        [
            [key, f"{word}xin {strength}", f"{price / 100:.2f}"]
            for key, price, (word, strength) in zip(
                medicines, prices, [(w, s) for w in syllables for s in strengths], strict=True
            )
        ],
    )
    sites = ["S1", "S2", "S3", "S4"]
    places = ["North Wing", "South Wing", "Emergency 'Gate'", "Day Clinic"]
    _write(folder, "sites", ["site_id", "name"], list(zip(sites, places, strict=True)))
    held = [(medicine, site) for medicine in medicines for site in rng.sample(sites, 3)]
    _write(
        folder,
        "medicine stock",
        ["stock_id", "medicine_id", "site_id", "quantity"],
        [[500 + n, *pair, rng.choice([0, *range(3, 80)])] for n, pair in enumerate(held)],
    )
    invoices: list[list[Any]] = []
    lines: list[list[Any]] = []
    for number, day in enumerate(_days(rng, 110, date(2025, 8, 1)), 70_001):
        total = 0
        for position, at in enumerate(rng.sample(range(len(medicines)), rng.randint(1, 4)), 1):
            quantity = rng.randint(2, 5)
            amount = quantity * prices[at]
            total += amount
            lines.append(
                [f"I-{number}", position, medicines[at], quantity, f"{prices[at] / 100:.2f}",
                 f"{amount / 100:.2f}"]
            )  # fmt: skip
        status = rng.choice(["open", "paid", "void"])
        invoices.append(
            [f"I-{number}", rng.choice(patients), status, day,
             _soon(rng, day) if status == "paid" else "", f"{total / 100:.2f}"]
        )  # fmt: skip
    _write(
        folder,
        "invoices",
        ["invoice_id", "Patient No", "status", "submitted on", "paid on", "total (EUR)"],
        invoices,
    )
    _write(
        folder,
        "invoice lines",
        ["invoice_id", "position", "medicine_id", "quantity", "unit price (EUR)", "amount (EUR)"],
        lines,
    )
    return folder


def write_haulier(folder: Path) -> Path:
    """Chinese names: customers, drivers, goods in stores, consignments with lines, complaints."""
    rng = Random(2)
    names = [family + given for family in _FAMILY for given in _GIVEN]
    customers = [f"K{number:03d}" for number in range(1, 61)]
    firms = rng.sample([f"{town}{name}商行" for town in _TOWNS for name in _GIVEN], len(customers))
    _write(
        folder,
        "客户",
        ["客户编号", "名称", "电话", "邮箱", "地址", "等级", "登记日期"],
        [
            [key, firm, f"0299 5550 1{number:02d}", f"k{number}@example.com",
             f"{rng.choice(_TOWNS)}{rng.choice(['海', '山', '河'])}路{rng.randint(1, 200)}号",
             rng.choice(["普通", "重要", "战略"]), day]
            for number, (key, firm, day) in enumerate(
                zip(customers, firms, _days(rng, len(customers), date(2022, 1, 1)), strict=True)
            )
        ],
    )  # fmt: skip
    drivers = [f"S{number}" for number in range(201, 231)]
    _write(
        folder,
        "司机",
        ["司机编号", "姓名", "手机", "状态"],
        [
            [key, name, f"0288 5550 2{number:02d}", rng.choice(["在岗", "休假", "培训"])]
            for number, (key, name) in enumerate(
                zip(drivers, rng.sample(names, len(drivers)), strict=True)
            )
        ],
    )
    goods = [f"G{number}" for number in range(31, 71)]
    prices = [rng.randint(500, 40_000) for _ in goods]
    kinds = ["陶瓷碗", "棉布", "竹席", "铜灯", "茶叶", "木椅", "玻璃瓶", "铁锅"]
    colours = ["青", "红", "白", "“特级”", "素"]
    _write(
        folder,
        "货物",
        ["货物编号", "名称", "单价"],
        [
            [key, colour + kind, f"{price / 100:.2f}"]
            for key, price, (kind, colour) in zip(
                goods, prices, [(k, c) for k in kinds for c in colours], strict=True
            )
        ],
    )
    stores = ["W1", "W2", "W3", "W4"]
    _write(
        folder,
        "仓库",
        ["仓库编号", "名称"],
        list(zip(stores, ["东仓", "西仓", "南仓", "北仓"], strict=True)),
    )
    held = [(good, store) for good in goods for store in rng.sample(stores, 3)]
    _write(
        folder,
        "库存",
        ["货物编号", "仓库编号", "数量"],
        [[*pair, rng.randint(0, 90)] for pair in held],
    )
    consignments: list[list[Any]] = []
    lines: list[list[Any]] = []
    for number, day in enumerate(_days(rng, 180, date(2025, 5, 1)), 1):
        key = f"Y2026-{number:04d}"
        status = rng.choice(["待处理", "运输中", "已签收", "已取消"])
        consignments.append(
            [key, rng.choice(customers), rng.choice(drivers), status,
             rng.choice(["普通", "加急", "特急"]), day,
             _soon(rng, day) if status == "已签收" else "",
             day + timedelta(days=rng.randint(3, 30)),
             rng.choice(["", "", "易碎", f"请先致电{number}", f"送至后门{number}号"])]
        )  # fmt: skip
        for position, at in enumerate(rng.sample(range(len(goods)), rng.randint(1, 3)), 1):
            quantity = rng.randint(2, 9)
            lines.append(
                [key, position, goods[at], quantity, f"{prices[at] / 100:.2f}",
                 f"{quantity * prices[at] / 100:.2f}"]
            )  # fmt: skip
    _write(
        folder,
        "运单",
        [
            "运单号",
            "客户编号",
            "司机编号",
            "状态",
            "优先级",
            "下单日期",
            "签收日期",
            "预计日期",
            "备注",
        ],
        consignments,
    )
    _write(folder, "运单明细", ["运单号", "行号", "货物编号", "数量", "单价", "金额"], lines)
    _write(
        folder,
        "投诉",
        ["投诉编号", "运单号", "主题", "优先级", "状态", "提交日期"],
        [
            [f"T-{number}", consignments[rng.randrange(len(consignments))][0],
             f"{rng.choice(['包装破损', '送货延误', '数量不符', '单据缺失'])}{number}",
             rng.choice(["高", "中", "低"]), rng.choice(["待处理", "处理中", "已关闭"]), day]
            for number, day in enumerate(_days(rng, 70, date(2025, 7, 1)), 301)
        ],
    )  # fmt: skip
    return folder
