"""Column names below a preamble, and in two rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from astra.arenas.tables.load.tables import load
from astra.errors import TableError

ROWS = "".join(f"Firm {n},Berlin,{n * 7},{n}.5\n" for n in range(1, 12))
HEADER = "company,city,employees,rating\n"


@pytest.mark.parametrize(
    ("preamble", "lines"),
    [
        ("Report of all firms\n", "line 1 left out"),
        ("Report of all firms\nAs of,2020-12-31\n\n", "lines 1 to 2 left out"),
        ("Report,,,\nSource: register,,,\n,,,\n", "lines 1 to 3 left out"),
        ("# made by hand\n# second remark\n", "lines 1 to 2 left out"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_preamble_is_left_out(tmp_path: Path, preamble: str, lines: str, separator: str) -> None:
    path = tmp_path / "firms.csv"
    path.write_text((preamble + HEADER + ROWS).replace(",", separator), encoding="utf-8")
    with load([path]) as tables:
        table = tables.tables[0]
        assert [c.name for c in table.columns] == ["company", "city", "employees", "rating"]
        assert table.rows == 11 and any(lines in note for note in table.notes)


@pytest.mark.parametrize(
    "names",
    [
        "company,city,sales,,2020\n,,q1,q2,q3\n",
        "company,city,sales,sales,sales\n,,q1,q2,q3\n",
        "company,city,length,weight,age\n,,(m),(kg),(years)\n",
    ],
)
def test_names_in_two_rows_are_refused_with_their_line(tmp_path: Path, names: str) -> None:
    rows = "".join(f"Firm {n},Berlin,{n * 7},{n}.5,{n}\n" for n in range(1, 12))
    path = tmp_path / "firms.csv"
    path.write_text(names + rows, encoding="utf-8")
    with pytest.raises(TableError) as caught, load([path]):
        pass
    assert "lines 1 and 2 both seem to hold column names" in str(caught.value)


def test_ordinary_tables_have_neither(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for text in (
        HEADER + ROWS,
        "name,n\nfirst,\nsecond,2\nthird,3\nfourth,4\n",
        "name,n,m\nfirst,NA,-\nsecond,2,5\nthird,3,6\nfourth,4,7\n",
        "name,a,b\nx,red,blue\ny,green,1\nz,blue,2\n",
        "name\nAda\nBo\nCy\nDi\n",
    ):
        path.write_text(text, encoding="utf-8")
        with load([path]) as tables:
            assert not [n for n in tables.tables[0].notes if "line" in n]
