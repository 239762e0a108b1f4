"""Small folders in the shapes of well-known public data: a music shop, a trading company, flights,
baseball. Columns are called as there; names and figures are invented."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

from .invented import ADJECTIVES, FIRST, LAST, NOUNS, PLACES, Rows, people_names, titles, write
from .league import league


def _day(rng: random.Random, year: int, years: int) -> str:
    return (date(year, 1, 1) + timedelta(days=rng.randrange(365 * years))).isoformat()


def music(folder: Path, seed: int = 1) -> Path:
    """A music shop in SQLite, with declared keys, a self-reference and a table of pairs."""
    rng = random.Random(seed)
    jobs = ["General Manager", "Sales Manager", "Sales Support Agent", "IT Staff"]
    employees: Rows = []
    for number, (first, last) in enumerate(people_names(rng, 24), start=1):
        city, state, country = PLACES[number % len(PLACES)]
        boss = None if number == 1 else rng.randint(1, min(number - 1, 8))
        row = (number, last, first, jobs[min(3, number // 3)], boss, _day(rng, 1950, 40))
        employees.append((*row, _day(rng, 2002, 5), city, state or None, country))
    customers: Rows = []
    for number, (first, last) in enumerate(people_names(rng, 59), start=1):
        city, state, country = rng.choice(PLACES)
        phone, mail = f"+1 555 {number:04}", f"{first}.{last}{number}@example.org".lower()
        row = (number, first, last, city, state or None, country, phone, mail)
        customers.append((*row, rng.randint(3, 8)))
    names = titles(rng, 100)
    artists = [(n, f"The {name}s") for n, name in enumerate(names[:25], start=1)]
    albums = [(n, name, rng.randint(1, 25)) for n, name in enumerate(names[25:75], start=1)]
    genres = list(enumerate("Rock Jazz Metal Latin Blues Soul Reggae".split(), start=1))
    media = [(1, "MPEG audio file"), (2, "AAC audio file"), (3, "Purchased audio file")]
    songs = [f"{a} {b}" for a in "Ballad Song March Dance Hymn".split() for b in names[:36]]
    tracks: Rows = [
        (n, name, rng.randint(1, 50), rng.randint(1, 3), rng.randint(1, 7),
         " & ".join(rng.choice(LAST) for _ in range(rng.randint(1, 2))) if rng.random() < 0.7
         else None, rng.randint(90_000, 600_000), rng.choice((0.99, 1.99)))
        for n, name in enumerate(songs, start=1)
    ]  # fmt: skip
    invoices: Rows = []
    for number in range(1, 121):
        buyer = rng.choice(customers)
        total = round(rng.uniform(1, 25), 2)
        invoices.append((number, buyer[0], _day(rng, 2009, 4), buyer[3], buyer[5], total))
    lines: Rows = [
        (n, rng.randint(1, 120), rng.randint(1, 180), rng.choice((0.99, 1.99)), rng.randint(1, 4))
        for n in range(1, 301)
    ]
    playlists = [(n, name) for n, name in enumerate(names[75:87], start=1)]
    pairs = sorted({(rng.randint(1, 12), rng.randint(1, 180)) for _ in range(200)})
    path = folder / "music.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            """
            CREATE TABLE Employee (EmployeeId INTEGER PRIMARY KEY, LastName TEXT, FirstName TEXT,
              Title TEXT, ReportsTo INTEGER REFERENCES Employee(EmployeeId), BirthDate TEXT,
              HireDate TEXT, City TEXT, State TEXT, Country TEXT);
            CREATE TABLE Customer (CustomerId INTEGER PRIMARY KEY, FirstName TEXT, LastName TEXT,
              City TEXT, State TEXT, Country TEXT, Phone TEXT, Email TEXT,
              SupportRepId INTEGER REFERENCES Employee(EmployeeId));
            CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY, Name TEXT);
            CREATE TABLE Album (AlbumId INTEGER PRIMARY KEY, Title TEXT,
              ArtistId INTEGER REFERENCES Artist(ArtistId));
            CREATE TABLE Genre (GenreId INTEGER PRIMARY KEY, Name TEXT);
            CREATE TABLE MediaType (MediaTypeId INTEGER PRIMARY KEY, Name TEXT);
            CREATE TABLE Track (TrackId INTEGER PRIMARY KEY, Name TEXT,
              AlbumId INTEGER REFERENCES Album(AlbumId),
              MediaTypeId INTEGER REFERENCES MediaType(MediaTypeId),
              GenreId INTEGER REFERENCES Genre(GenreId), Composer TEXT, Milliseconds INTEGER,
              UnitPrice REAL);
            CREATE TABLE Invoice (InvoiceId INTEGER PRIMARY KEY,
              CustomerId INTEGER REFERENCES Customer(CustomerId), InvoiceDate TEXT,
              BillingCity TEXT, BillingCountry TEXT, Total REAL);
            CREATE TABLE InvoiceLine (InvoiceLineId INTEGER PRIMARY KEY,
              InvoiceId INTEGER REFERENCES Invoice(InvoiceId),
              TrackId INTEGER REFERENCES Track(TrackId), UnitPrice REAL, Quantity INTEGER);
            CREATE TABLE Playlist (PlaylistId INTEGER PRIMARY KEY, Name TEXT);
            CREATE TABLE PlaylistTrack (PlaylistId INTEGER REFERENCES Playlist(PlaylistId),
              TrackId INTEGER REFERENCES Track(TrackId), PRIMARY KEY (PlaylistId, TrackId));
            """
        )
        tables: dict[str, Sequence[Sequence[object]]] = {
            "Employee": employees, "Customer": customers, "Artist": artists, "Album": albums,
            "Genre": genres, "MediaType": media, "Track": tracks, "Invoice": invoices,
            "InvoiceLine": lines, "Playlist": playlists, "PlaylistTrack": pairs,
        }  # fmt: skip
        for name, rows in tables.items():
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
        database.commit()
    return path


def trade(folder: Path, seed: int = 1) -> Path:
    """A trading company in CSV files that declare nothing: text codes, `shipVia`, `reportsTo`."""
    rng = random.Random(seed)
    out = folder / "trade"
    out.mkdir()
    names = titles(rng, 110)
    categories = "Beverages Condiments Confections Dairy Grains Meat Produce Seafood".split()
    write(out / "categories.csv", "categoryID categoryName",
           [(n, name) for n, name in enumerate(categories, start=1)])  # fmt: skip
    write(out / "shippers.csv", "shipperID companyName",
           list(enumerate(("Speedy", "United", "Federal"), start=1)))  # fmt: skip
    suppliers: Rows = []
    for number, (first, last) in enumerate(people_names(rng, 29), start=1):
        city, _, country = rng.choice(PLACES)
        title = rng.choice(("Sales Agent", "Owner", "Buyer"))
        suppliers.append((number, f"{names[number]} Ltd.", f"{first} {last}", title, city, country))
    header = "supplierID companyName contactName contactTitle city country"
    write(out / "suppliers.csv", header, suppliers)
    customers: Rows = []
    for number, (first, last) in enumerate(people_names(rng, 60)):
        city, _, country = rng.choice(PLACES)
        name = names[number + 40]
        code = (name.replace(" ", "")[:4] + chr(65 + number // 26) + chr(65 + number % 26)).upper()
        title = rng.choice(("Sales Agent", "Owner", "Accountant"))
        customers.append((code, f"{name} Trading", f"{first} {last}", title, city, country))
    write(out / "customers.csv", header.replace("supplier", "customer"), customers)
    employees: Rows = []
    for number, (first, last) in enumerate(people_names(rng, 12), start=1):
        city, _, country = rng.choice(PLACES)
        title = "Vice President, Sales" if number == 2 else "Sales Representative"
        boss = "" if number == 2 else 2 if number < 6 else 5
        birth, hired = _day(rng, 1950, 30), _day(rng, 1992, 3)
        employees.append((number, last, first, title, birth, hired, city, country, boss))
    header = "employeeID lastName firstName title birthDate hireDate city country reportsTo"
    write(out / "employees.csv", header, employees)
    products: Rows = [
        (n, f"{rng.choice(ADJECTIVES)} {noun} {kind}", rng.randint(1, 29), rng.randint(1, 8),
         f"{rng.randint(5, 40)} boxes", round(rng.uniform(2, 120), 2), rng.randint(0, 120),
         rng.randint(0, 1))
        for n, (noun, kind) in enumerate(itertools.product(NOUNS, ("Tea", "Jam", "Oil", "Rice")), 1)
    ]  # fmt: skip
    header = "productID productName supplierID categoryID quantityPerUnit unitPrice unitsInStock"
    write(out / "products.csv", f"{header} discontinued", products)
    orders: Rows = []
    for number in range(10248, 10398):
        buyer = rng.choice(customers)
        ordered = _day(rng, 1996, 2)
        shipped = (date.fromisoformat(ordered) + timedelta(days=rng.randint(2, 30))).isoformat()
        shipped = shipped if rng.random() < 0.9 else ""
        row = (number, buyer[0], rng.randint(1, 12), ordered, shipped, rng.randint(1, 3))
        orders.append((*row, round(rng.uniform(1, 300), 2), buyer[4], buyer[5]))
    header = "orderID customerID employeeID orderDate shippedDate shipVia freight shipCity"
    write(out / "orders.csv", f"{header} shipCountry", orders)
    pairs = sorted({(rng.randint(10248, 10397), rng.randint(1, 48)) for _ in range(400)})
    details: Rows = [
        (order, product, round(rng.uniform(2, 120), 2), rng.randint(1, 60),
         rng.choice((0, 0, 0.05, 0.1)))
        for order, product in pairs
    ]  # fmt: skip
    write(out / "order_details.csv", "orderID productID unitPrice quantity discount", details)
    return out


def flights(folder: Path, seed: int = 1) -> Path:
    """Flights of a year: no key, HHMM times, numbers with nulls written as `5.0`, weather."""
    rng = random.Random(seed)
    out = folder / "flights"
    out.mkdir()
    carriers = [("9E", "Endeavor Air"), ("AA", "American Airways"), ("B6", "Jet Azul"),
                ("DL", "Delta Lines"), ("UA", "United Wings"), ("WN", "South Winds")]  # fmt: skip
    write(out / "airlines.csv", "carrier name", list(carriers))
    codes = sorted(
        {"".join(rng.choice("ABCDEFGHKLMNOPRSTUV") for _ in range(3)) for _ in range(60)}
    )
    names = titles(rng, len(codes))
    airports: Rows = [
        (code, f"{name} Field", round(rng.uniform(25, 48), 6), round(rng.uniform(-120, -70), 6),
         rng.randint(3, 6000), -rng.randint(5, 8), "A",
         rng.choice(("America/New_York", "America/Chicago", "America/Denver")))
        for code, name in zip(codes, names, strict=True)
    ]  # fmt: skip
    write(out / "airports.csv", "faa name lat lon alt tz dst tzone", airports)
    makers = ("BOEING", "AIRBUS", "EMBRAER", "BOMBARDIER")
    planes: Rows = [
        (f"N{10000 + 37 * n}AB"[:6], f"{rng.randint(1985, 2013)}.0" if rng.random() < 0.9 else "",
         "Fixed wing multi engine", rng.choice(makers), f"A{rng.randint(100, 130)}",
         2, rng.randint(20, 300), "Turbo-fan")
        for n in range(80)
    ]  # fmt: skip
    write(out / "planes.csv", "tailnum year type manufacturer model engines seats engine", planes)
    rows: Rows = []
    for _ in range(700):
        month, day, minutes = rng.randint(1, 12), rng.randint(1, 28), rng.randint(300, 1300)
        hhmm = minutes // 60 * 100 + minutes % 60
        late, missing = rng.randint(-10, 90), rng.random() < 0.05
        length, sched = rng.randint(100, 2600), minutes - late
        rows.append(
            (2013, month, day, "" if missing else f"{hhmm}.0", sched // 60 * 100 + sched % 60,
             "" if missing else f"{late}.0", rng.choice(carriers)[0], rng.randint(1, 2000),
             rng.choice(planes)[0], rng.choice(codes[:3]), rng.choice(codes[3:]),
             "" if missing else f"{length // 8}.0", length, sched // 60, sched % 60,
             f"2013-{month:02}-{day:02}T{sched // 60:02}:00:00Z")
        )  # fmt: skip
    header = "year month day dep_time sched_dep_time dep_delay carrier flight tailnum origin dest"
    write(out / "flights.csv", f"{header} air_time distance hour minute time_hour", rows)
    weather: Rows = [
        (code, 2013, month, day, 12, round(rng.uniform(10, 95), 2), round(rng.uniform(0, 30), 2))
        for code in codes[:3] for month in range(1, 13) for day in (1, 11, 21)
    ]  # fmt: skip
    write(out / "weather.csv", "origin year month day hour temp wind_speed", weather)
    return out


def baseball(folder: Path, seed: int = 1) -> Path:
    """Tables about baseball: `nameFirst`, `teamIDwinner`, places of one name, a batting table."""
    rng = random.Random(seed)
    out = folder / "baseball"
    out.mkdir()
    people: Rows = []
    for number, (first, last) in enumerate(people_names(rng, 150)):
        city, state, country = rng.choice(PLACES)
        born = rng.randint(1900, 1995)
        debut = f"{born + rng.randint(19, 25)}-0{rng.randint(4, 9)}-{rng.randint(10, 28)}"
        people.append(
            (f"{last[:5]}{first[:2]}{number:02}".lower(), born, rng.randint(1, 12),
             rng.randint(1, 28), country, state, city, first, last, rng.randint(140, 280),
             rng.randint(64, 82), rng.choice("LRB"), rng.choice("LR"), debut)
        )  # fmt: skip
    header = "playerID birthYear birthMonth birthDay birthCountry birthState birthCity nameFirst"
    write(out / "People.csv", f"{header} nameLast weight height bats throws debut", people)
    nicknames = [f"{a} {b}s" for a, b in zip(ADJECTIVES + FIRST, NOUNS * 3, strict=False)][:20]
    franchises = [(name.replace(" ", "")[:3].upper(), name, "NY"[n % 2])
                  for n, name in enumerate(nicknames)]  # fmt: skip
    franchises = list({row[0]: row for row in franchises}.values())
    write(out / "TeamsFranchises.csv", "franchID franchName active", list(franchises))
    teams: Rows = [
        (year, rng.choice(("AL", "NL")), f"{code}T", code, n + 1, 162, wins := rng.randint(50, 110),
         162 - wins, "N", name, f"{name.split()[0]} Park", rng.randint(400_000, 4_000_000))
        for year in range(2000, 2012) for n, (code, name, _) in enumerate(franchises)
    ]  # fmt: skip
    header = "yearID lgID teamID franchID Rank G W L DivWin name park attendance"
    write(out / "Teams.csv", header, teams)
    batting: Rows = [
        (player[0], year, 1, rng.choice(teams)[2], rng.choice(("AL", "NL")),
         games := rng.randint(20, 162), games * 4, rng.randint(0, 120), rng.randint(0, 200),
         rng.randint(0, 45), f"{rng.randint(0, 100)}.0" if rng.random() < 0.9 else "")
        for player in people for year in rng.sample(range(2000, 2012), 4)
    ]  # fmt: skip
    header = "playerID yearID stint teamID lgID G AB R H HR RBI"
    write(out / "Batting.csv", header, batting)
    series: Rows = []
    for year in range(2000, 2012):
        for name in ("WS", "ALCS", "NLCS", "ALDS1"):
            winner, loser = rng.sample(franchises, 2)
            wins, losses = rng.randint(3, 4), rng.randint(0, 3)
            series.append((year, name, f"{winner[0]}T", "AL", f"{loser[0]}T", "NL", wins, losses))
    header = "yearID round teamIDwinner lgIDwinner teamIDloser lgIDloser wins losses"
    write(out / "SeriesPost.csv", header, series)
    return out


SHAPES: dict[str, Callable[[Path], Path]] = {
    "music": music,
    "trade": trade,
    "flights": flights,
    "baseball": baseball,
    "league": league,
}
