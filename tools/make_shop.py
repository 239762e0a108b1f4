"""Write the tables of `examples/shop`: `python tools/make_shop.py [folder]`.

All is drawn from one seed and the invented words in `shop_words.toml`: the same bytes every time.
"""

from __future__ import annotations

import csv
import sys
import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import count, cycle, islice, product
from pathlib import Path
from random import Random
from typing import Any

WORDS = tomllib.loads(Path(__file__).with_name("shop_words.toml").read_text("utf-8"))
COLUMNS = {
    "customers": "customer_id name name_zh email phone city city_zh address tier newsletter joined",
    "products": "product_id name name_zh category category_zh price warranty_months",
    "warehouses": "warehouse_id name name_zh city",
    "stock": "stock_id product_id warehouse_id quantity",
    "orders": "order_id customer_id ordered_on status shipping_address shipped_on total",
    "order_lines": "line_id order_id product_id quantity unit_price amount",
    "returns": "return_id order_id product_id reason status requested_on refund",
    "staff": "staff_id name name_zh team email hired",
    "tickets": "ticket_id customer_id staff_id subject priority status opened_on closed_on",
}
TODAY = date(2026, 2, 28)  # nothing in the tables is later
RECENT = date(2025, 12, 31)  # what began before is finished
Row = dict[str, Any]


def row(table: str, *values: Any) -> Row:
    return dict(zip(COLUMNS[table].split(), values, strict=True))


def day_between(rng: Random, first: date, last: date) -> date:
    return first + timedelta(days=rng.randint(0, (last - first).days))


def late_days(rng: Random, number: int, first: date, last: date) -> list[date]:
    """Sorted days, most of them in the second half."""
    span = (last - first).days
    return sorted(first + timedelta(round(rng.triangular(0, span, span))) for _ in range(number))


def soon_after(rng: Random, day: date, days: int) -> date:
    return min(day + timedelta(days=rng.randint(1, days)), TODAY)


def draw(rng: Random, **weights: int) -> str:
    """One of the names, `_` read as a space."""
    return rng.choices(list(weights), list(weights.values()))[0].replace("_", " ")


def draw_street(rng: Random) -> str:
    return f"{rng.randint(1, 180)} {rng.choice(WORDS['streets'])}"


def people(rng: Random) -> Iterator[tuple[str, str]]:
    """Whole names in English and Chinese, each once; first and last names come again."""
    pairs = list(product(WORDS["first_names"].items(), WORDS["last_names"].items()))
    for (first, first_zh), (last, last_zh) in rng.sample(pairs, len(pairs)):
        yield f"{first} {last}", f"{first_zh}·{last_zh}"


def make_customers(rng: Random, names: Iterator[tuple[str, str]]) -> Iterator[Row]:
    for number, (name, name_zh) in enumerate(islice(names, 150), 1001):
        email = name.lower().replace(" ", ".") + rng.choice(("@example.com", "@example.org"))
        # Area codes like 290 are not assigned, and 555-01xx is kept for fiction.
        phone = f"+1 {rng.choice((290, 390, 490))} 555 01{rng.randint(0, 99):02}"
        home = (*rng.choice(list(WORDS["cities"].items())), draw_street(rng))
        tier, newsletter = draw(rng, bronze=6, silver=3, gold=2), draw(rng, true=1, false=1)
        joined = day_between(rng, date(2021, 3, 1), date(2025, 11, 30))
        about = (name, name_zh, email, phone, *home, tier, newsletter, joined)
        yield row("customers", f"C-{number}", *about)


def make_products(rng: Random) -> Iterator[Row]:
    """Two of every item: one is of another size in the same range, or of another range."""
    ranges, sizes = WORDS["ranges"], WORDS["sizes"]
    goods: list[tuple[Any, ...]] = []
    for category, words in WORDS["categories"].items():
        for item, item_zh, usual in words["items"]:
            first, other = rng.sample(list(ranges), 2)
            twin = rng.choice(((first, rng.choice(list(sizes))), (other, "")))
            for series, size in ((first, ""), twin):
                name = f"{series} {item} {size}".strip()
                name_zh = ranges[series] + item_zh + sizes.get(size, "")
                price = rng.randint(usual * 4 // 5, usual * 13 // 10)
                price += Decimal(rng.choice(("0.00", "0.25", "0.50", "0.90", "0.99")))
                warranty = rng.choice((6, 12, 24, 36, 60))
                goods.append((name, name_zh, category, words["zh"], price, warranty))
    rng.shuffle(goods)
    for number, about in enumerate(goods, 101):
        yield row("products", f"P-{number}", *about)


def make_stock(rng: Random, products: list[Row], warehouses: list[Row]) -> Iterator[Row]:
    """Every product in three warehouses, sold out in some."""
    places = [(good, house) for good in products for house in rng.sample(warehouses, 3)]
    for number, (good, house) in enumerate(places, 1):
        quantity = 0 if rng.random() < 0.1 else rng.randint(1, 120)
        yield row("stock", number, good["product_id"], house["warehouse_id"], quantity)


def make_orders(rng: Random, customers: list[Row], products: list[Row]) -> Iterator[Row]:
    """Orders by date, each with its `lines`."""
    line_ids = count(1)
    for number, day in enumerate(late_days(rng, 300, date(2025, 1, 2), date(2026, 2, 27)), 2001):
        buyer = rng.choice([c for c in customers if c["joined"] < day])
        status = draw(rng, delivered=10, cancelled=1)
        if day >= RECENT:
            status = draw(rng, pending=4, paid=4, shipped=4, delivered=4, cancelled=1)
        elsewhere = f"{draw_street(rng)}, {rng.choice(list(WORDS['cities']))}"
        home = f"{buyer['address']}, {buyer['city']}"
        address = rng.choices((home, elsewhere), (6, 1))[0]
        shipped_on = soon_after(rng, day, 6) if status in ("shipped", "delivered") else ""
        lines: list[Row] = []
        for good in rng.sample(products, rng.choices((1, 2, 3, 4), (35, 35, 20, 10))[0]):
            quantity = rng.choices(range(1, 7), (40, 25, 14, 10, 6, 5))[0]
            sold = (good["product_id"], quantity, good["price"], quantity * good["price"])
            lines.append(row("order_lines", next(line_ids), f"O-{number}", *sold))
        state = (day, status, address, shipped_on, sum(line["amount"] for line in lines))
        yield row("orders", f"O-{number}", buyer["customer_id"], *state) | {"lines": lines}


def make_returns(rng: Random, orders: list[Row]) -> Iterator[Row]:
    """Lines of delivered orders that came back, by date."""
    delivered = [order for order in orders if order["status"] == "delivered"]
    lines = [(order["shipped_on"], line) for order in delivered for line in order["lines"]]
    # The newest lines, so that enough returns are still open.
    back = [(soon_after(rng, shipped, 30), line) for shipped, line in rng.sample(lines[-160:], 60)]
    for number, (day, line) in enumerate(sorted(back, key=lambda pair: pair[0]), 301):
        reason = draw(rng, damaged=3, wrong_item=2, changed_mind=3, too_late=1)
        status = draw(rng, refunded=4, rejected=1)
        if day >= RECENT:
            status = draw(rng, requested=3, received=3, refunded=1)
        value = rng.randint(1, line["quantity"]) * line["unit_price"]
        refund = value if status == "refunded" else ""
        state = (reason, status, day, refund)
        yield row("returns", f"R-{number}", line["order_id"], line["product_id"], *state)


def make_staff(rng: Random, names: Iterator[tuple[str, str]]) -> Iterator[Row]:
    teams = cycle(WORDS["subjects"])
    for number, (name, name_zh) in enumerate(islice(names, 20), 1):
        email = name.lower().replace(" ", ".") + "@shop.example"
        hired = day_between(rng, date(2018, 1, 8), date(2024, 12, 16))
        yield row("staff", f"S-{number:02}", name, name_zh, next(teams), email, hired)


def make_tickets(rng: Random, customers: list[Row], staff: list[Row]) -> Iterator[Row]:
    """Questions of customers, each with a member of the team it is for, by date."""
    for number, day in enumerate(late_days(rng, 120, date(2025, 1, 7), TODAY), 5001):
        buyer, clerk = rng.choice([c for c in customers if c["joined"] < day]), rng.choice(staff)
        subject = rng.choice(WORDS["subjects"][clerk["team"]])
        priority = draw(rng, low=2, normal=5, high=2, urgent=1)
        status = draw(rng, open=3, waiting=2, closed=2) if day >= RECENT else "closed"
        state = (status, day, soon_after(rng, day, 14) if status == "closed" else "")
        about = (buyer["customer_id"], clerk["staff_id"], subject, priority)
        yield row("tickets", f"T-{number}", *about, *state)


def make_shop(seed: int = 1) -> dict[str, list[Row]]:
    """All tables by name."""
    rng = Random(seed)
    names = people(rng)
    customers, products = list(make_customers(rng, names)), list(make_products(rng))
    warehouses = [row("warehouses", *values) for values in WORDS["warehouses"]]
    orders = list(make_orders(rng, customers, products))
    staff = list(make_staff(rng, names))
    return {
        "customers": customers,
        "products": products,
        "warehouses": warehouses,
        "stock": list(make_stock(rng, products, warehouses)),
        "orders": orders,
        "order_lines": [line for order in orders for line in order["lines"]],
        "returns": list(make_returns(rng, orders)),
        "staff": staff,
        "tickets": list(make_tickets(rng, customers, staff)),
    }


def write(folder: Path) -> None:
    for name, rows in make_shop().items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            columns = COLUMNS[name].split()
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "examples/shop"))
