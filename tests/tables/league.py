"""A folder of 27 CSV files in the shape of a baseball archive: most tables have no name and no key
of one column, but are joined by `playerID`, `yearID`, `teamID` and `lgID`, which nothing declares.
Names and figures are invented."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from .invented import ADJECTIVES, NOUNS, PLACES, Rows, people_names, write

YEARS = range(1998, 2008)
_Number = Callable[[], object]


def league(folder: Path, seed: int = 1) -> Path:
    rng = random.Random(seed)
    out = folder / "league"
    out.mkdir()

    def number(low: int, high: int) -> _Number:
        return lambda: rng.randint(low, high)

    def gapped(low: int, high: int) -> _Number:
        """Whole numbers as pandas writes them beside missing ones."""
        return lambda: f"{rng.randint(low, high)}.0" if rng.random() < 0.9 else ""

    def choice(*values: object) -> _Number:
        return lambda: rng.choice(values)

    def table(name: str, header: str, keys: Sequence[Sequence[object]], *rest: _Number) -> None:
        write(out / f"{name}.csv", header, [(*key, *(make() for make in rest)) for key in keys])

    players = _players(rng, out)
    teams = _teams(rng, out)
    seasons = [
        (player, year, 1, *rng.choice(teams)[1:])
        for player in players
        for year in sorted(rng.sample(YEARS, 3))
    ]
    start = "playerID yearID stint teamID lgID"
    table(
        "Batting",
        f"{start} G AB R H 2B 3B HR RBI SB CS BB SO IBB HBP SH SF GIDP",
        seasons,
        number(20, 162),
        number(60, 640),
        *[number(0, 200)] * 5,
        gapped(0, 130),
        *[gapped(0, 40)] * 9,
    )
    throwing = [row for row in seasons if rng.random() < 0.4]
    table(
        "Pitching",
        f"{start} W L G GS CG SHO SV IPouts H ER HR BB SO BAOpp ERA",
        throwing,
        number(0, 24),
        number(0, 20),
        *[number(0, 70)] * 5,
        number(30, 750),
        *[number(0, 250)] * 5,
        lambda: round(rng.uniform(0.15, 0.4), 3),
        lambda: round(rng.uniform(1, 9), 2),
    )
    fielding = [
        (*row, position) for row in seasons for position in rng.sample(("1B", "SS", "OF"), 2)
    ]
    table("Fielding", f"{start} POS G GS InnOuts PO A E DP", fielding, *[gapped(0, 160)] * 7)
    table(
        "FieldingOF",
        "playerID yearID stint Glf Gcf Grf",
        [row[:3] for row in throwing],
        *[gapped(0, 120)] * 3,
    )
    table(
        "FieldingOFsplit",
        f"{start} POS G GS InnOuts PO A E DP",
        [(*row, "LF") for row in throwing],
        *[number(0, 160)] * 7,
    )
    appearances = [(year, team, lg, player) for player, year, _, team, lg in seasons]
    table(
        "Appearances",
        "yearID teamID lgID playerID G_all GS G_batting G_p G_c G_1b",
        appearances,
        number(20, 162),
        *[number(0, 162)] * 5,
    )
    leading = [(rng.choice(players), *team, 1) for team in teams]
    table(
        "Managers",
        "playerID yearID teamID lgID inseason G W L rank plyrMgr",
        leading,
        number(100, 162),
        number(40, 110),
        number(40, 110),
        number(1, 5),
        choice("N", "Y"),
    )
    table(
        "ManagersHalf",
        "playerID yearID teamID lgID inseason half G W L rank",
        [(*row, half) for row in leading[:30] for half in (1, 2)],
        number(40, 81),
        number(20, 60),
        number(20, 60),
        number(1, 5),
    )
    table(
        "TeamsHalf",
        "yearID lgID teamID Half divID DivWin Rank G W L",
        [(year, lg, team, half) for year, team, lg in teams[:40] for half in (1, 2)],
        choice("E", "W"),
        choice("N", "Y"),
        number(1, 5),
        number(40, 81),
        number(20, 60),
        number(20, 60),
    )
    table(
        "AllstarFull",
        "playerID yearID gameNum gameID teamID lgID GP startingPos",
        [(p, y, 0, f"{lg}S{y}07{10 + y % 9}0", team, lg) for p, y, _, team, lg in seasons[::6]],
        choice(0, 1),
        gapped(0, 9),
    )
    for name, award, people in (
        ("Players", "Most Valuable Player", players[::3]),
        ("Managers", "Manager of the Year", players[:20]),
    ):
        won = [(p, award, rng.choice(YEARS), rng.choice(("AL", "NL"))) for p in people]
        table(
            f"Awards{name}",
            "playerID awardID yearID lgID tie notes",
            won,
            choice("", "Y"),
            choice("", "tied"),
        )
        shares = [(award, year, lg, player) for player, award, year, lg in won]
        table(
            f"AwardsShare{name}",
            "awardID yearID lgID playerID pointsWon pointsMax votesFirst",
            shares,
            number(1, 330),
            choice(336, 420),
            gapped(0, 24),
        )
    late = [
        (y, rng.choice(("WS", "ALCS", "NLCS")), p, team, lg) for p, y, _, team, lg in seasons[::4]
    ]
    table(
        "BattingPost",
        "yearID round playerID teamID lgID G AB R H HR RBI",
        late,
        number(1, 7),
        *[number(0, 30)] * 5,
    )
    table(
        "PitchingPost",
        "playerID yearID round teamID lgID W L G IPouts H ER ERA",
        [(p, y, r, team, lg) for y, r, p, team, lg in late[::2]],
        *[number(0, 3)] * 3,
        *[number(0, 60)] * 3,
        lambda: rng.choice(("", round(rng.uniform(0, 12), 2))),
    )
    table(
        "FieldingPost",
        "playerID yearID teamID lgID round POS G GS PO A E DP",
        [(p, y, team, lg, r, "OF") for y, r, p, team, lg in late[::2]],
        *[number(0, 9)] * 6,
    )
    sides = "teamIDwinner lgIDwinner teamIDloser lgIDloser"
    table(
        "SeriesPost",
        f"yearID round {sides} wins losses ties",
        [
            (year, name, rng.choice(teams)[1], "AL", rng.choice(teams)[1], "NL", 4)
            for year in YEARS
            for name in ("WS", "ALCS", "NLCS")
        ],
        number(0, 3),
        choice(0, 0, 1),
    )
    vote = "playerID yearid votedBy ballots needed votes"
    table(
        "HallOfFame",
        f"{vote} inducted category needed_note",
        [
            (player, year, "BBWAA")
            for player in players[::4]
            for year in rng.sample(range(2010, 2016), 2)
        ],
        number(400, 600),
        number(300, 450),
        number(0, 500),
        choice("Y", "N"),
        choice("Player", "Manager"),
        choice("", "1st"),
    )
    table(
        "Salaries",
        "yearID teamID lgID playerID salary",
        [(y, team, lg, p) for p, y, _, team, lg in seasons],
        number(109_000, 22_000_000),
    )
    parks = _parks(rng, out)
    season = "year.key league.key team.key park.key span.first span.last"
    table(
        "HomeGames",
        f"{season} games openings attendance",
        [(y, lg, team, rng.choice(parks), f"{y}-04-03", f"{y}-09-30") for y, team, lg in teams],
        number(70, 82),
        number(70, 81),
        number(300_000, 4_200_000),
    )
    schools = _schools(rng, out)
    table(
        "CollegePlaying",
        "playerID schoolID yearID",
        sorted({(p, rng.choice(schools), rng.choice(range(1990, 1998))) for p in players * 2}),
    )
    return out


def _players(rng: random.Random, out: Path) -> list[str]:
    rows: Rows = []
    for index, (first, last) in enumerate(people_names(rng, 120)):
        city, state, country = rng.choice(PLACES)
        died, _, _ = rng.choice(PLACES)
        year = rng.randint(1955, 1982)
        code = f"{last[:5]}{first[:2]}{index:02}".lower()
        gone = rng.random() < 0.2
        rows.append(
            (
                code,
                year,
                rng.randint(1, 12),
                rng.randint(1, 28),
                country,
                state,
                city,
                f"{rng.randint(2008, 2019)}.0" if gone else "",
                died if gone else "",
                first,
                last,
                f"{first} {rng.choice(NOUNS)}",
                f"{rng.randint(140, 280)}.0" if index % 11 else "",
                rng.randint(64, 82),
                rng.choice("LRB"),
                rng.choice("LR"),
                f"{year + 22}-04-{rng.randint(10, 28)}",
                f"{code[:5]}{index:03}",
                f"{code}x",
            )
        )
    write(
        out / "People.csv",
        "playerID birthYear birthMonth birthDay birthCountry birthState birthCity deathYear "
        "deathCity nameFirst nameLast nameGiven weight height bats throws debut retroID bbrefID",
        rows,
    )
    return [str(row[0]) for row in rows]


def _teams(rng: random.Random, out: Path) -> list[tuple[int, str, str]]:
    """Year, team and league of every season of a team."""
    names = [f"{a} {b}s" for a, b in zip(ADJECTIVES * 2, NOUNS * 2, strict=False)][:16]
    franchises = {name.replace(" ", "")[:1] + name[-4:-1].upper(): name for name in names}
    write(
        out / "TeamsFranchises.csv",
        "franchID franchName active NAassoc",
        [(code, name, rng.choice("YN"), "") for code, name in franchises.items()],
    )
    rows: Rows = []
    for year in YEARS:
        for index, (code, name) in enumerate(franchises.items()):
            wins = rng.randint(50, 110)
            rows.append(
                (
                    year,
                    "AL" if index % 2 else "NL",
                    f"{code}T",
                    code,
                    "EWC"[index % 3],
                    index % 5 + 1,
                    162,
                    "81.0" if rng.random() < 0.9 else "",
                    wins,
                    162 - wins,
                    "NY"[wins > 95],
                    rng.randint(500, 950),
                    rng.randint(100, 240),
                    round(rng.uniform(3, 6), 2),
                    name,
                    f"{name.split()[0]} Park",
                    f"{rng.randint(400_000, 4_000_000)}.0",
                    rng.randint(90, 110),
                )
            )
    header = "yearID lgID teamID franchID divID Rank G Ghome W L DivWin R HR ERA name park"
    write(out / "Teams.csv", f"{header} attendance BPF", rows)
    return [(int(str(row[0])), str(row[2]), str(row[1])) for row in rows]


def _parks(rng: random.Random, out: Path) -> list[str]:
    rows: Rows = []
    for index in range(30):
        city, state, country = rng.choice(PLACES)
        name = f"{ADJECTIVES[index % 10]} {NOUNS[index // 3]} Grounds"
        rows.append((f"{city[:3].upper()}{index:02}", name, "", city, state, country))
    write(out / "Parks.csv", "park.key park.name park.alias city state country", rows)
    return [str(row[0]) for row in rows]


def _schools(rng: random.Random, out: Path) -> list[str]:
    rows: Rows = []
    for index in range(40):
        city, state, country = rng.choice(PLACES)
        name = f"{NOUNS[index % 12]} {ADJECTIVES[index // 4]} College"
        rows.append((f"{name.replace(' ', '')[:7]}{index}".lower(), name, city, state, country))
    write(out / "Schools.csv", "schoolID name_full city state country", rows)
    return [str(row[0]) for row in rows]
