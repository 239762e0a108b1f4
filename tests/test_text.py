"""Normalisation, containment, numbers and dates: what must match, and what must not."""

import time
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from astra.core.text import as_date, as_number, contains_text, dates_in, normalise, numbers_in


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  New\n\tYork ", "new york"),
        ("ＡＢＣ１２３", "abc123"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("cafe\u0301", "café"),
        ("1,234,567", "1234567"),
        ("1'234'567.5", "1234567.5"),
        ("1\u202f234\u202f567", "1234567"),
        ("１，２３４", "1234"),
        ("٣٤", "34"),
        ("\u22125", "-5"),
        ("Ger\u00adma\u200bny", "germany"),
        # Not thousands: a wrong group, a decimal part, too many digits before the first comma.
        ("1,23", "1,23"),
        ("3.141,592", "3.141,592"),
        ("2019,202", "2019,202"),
        ("1,234'567", "1234'567"),
        # A raised digit is no digit of the number before it.
        ("10²", "10 2"),
        ("km²", "km2"),
        ("5½", "5 1⁄2"),
        ("", ""),
    ],
)
def test_normalise(text: str, expected: str):
    assert normalise(text) == expected


@given(st.text())
@example("½²٣፩①⒈Ⅷ")
@example("\u0345ΐ")
@example("1,000\u200b,000")
@example("1\u2009000,000")
def test_normalise_is_idempotent(text: str):
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(alphabet=st.characters(categories=["Nd", "Nl", "No", "Sc", "Po"])))
def test_odd_digits_never_crash(text: str):
    as_number(text)
    numbers_in(text)
    as_date(text)
    dates_in(text)


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("The euro.", "euro"),
        ("the EURO", "Euro"),
        ("currency=euro", "euro"),
        ("首都是北京。", "北京"),
        ("共有3个国家", "3"),
        ("2020年", "2020"),
        ("population 1,402,112,000", "1402112000"),
        ("population 1402112000", "1,402,112,000"),
        ("3.", "3"),
        ("ｅｕｒｏ", "euro"),
        ("euros, euro", "euro"),
    ],
)
def test_stands_in_text(text: str, needle: str):
    assert contains_text(text, needle)


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("neuron", "euro"),
        ("euros", "euro"),
        ("13", "3"),
        ("3.14", "3"),
        ("3.14", "14"),
        ("北海", "北京"),
        ("anything", ""),
        ("anything", " \n"),
        ("", "a"),
    ],
)
def test_does_not_stand_in_text(text: str, needle: str):
    assert not contains_text(text, needle)


@given(st.text(min_size=1), st.text(), st.text())
def test_a_text_set_apart_by_spaces_is_found(needle: str, before: str, after: str):
    # A grouped number can grow across a border only where there is no space.
    if normalise(needle):
        assert contains_text(f"{before} \n {needle} \n {after}", needle)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (-2.5, -2.5),
        ("3.0", 3.0),
        (" 1,234.5 ", 1234.5),
        ("\u22125", -5),
        ("１２", 12),
        ("1.5E3", 1500.0),
        ("9007199254740993", 9007199254740993),
        # No numbers:
        (True, None),
        (None, None),
        ([1], None),
        ("", None),
        ("3 km", None),
        ("1.2.3", None),
        ("½", None),
        ("①²", 12),  # NFKC reads both as plain digits
        ("nan", None),
        ("inf", None),
        (float("nan"), None),
        (float("-inf"), None),
        ("1e999", None),
        ("9" * 5000, None),
        (10**400, None),
    ],
)
def test_as_number(value: object, expected: float | None):
    assert as_number(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 3, b -4 and 1,000", [3, -4, 1000]),
        ("2019-2021", [2019, 2021]),
        ("x-3", [3]),
        ("(-3)", [-3]),
        ("1e999 5", [5]),
        ("6.02e23", [6.02e23]),
        ("共3.5万", [3.5]),
        ("10²", [10, 2]),
        ("none", []),
    ],
)
def test_numbers_in(text: str, expected: list[float]):
    assert numbers_in(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        "2020-01-05",
        " 2020-01-05 ",
        "20200105",
        "2020-01-05T23:59:59",
        "2020-01-05T10:00:00Z",
        "2020-01-05 10:00:00.123456+08:00",
        "2020年1月5日",
        "2020 年 01 月 05 日",
        "２０２０年１月５日",
        "2020/1/5",
        "5 January 2020",
        "Jan. 5, 2020",
    ],
)
def test_as_date(value: str):
    assert as_date(value) == date(2020, 1, 5)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2020",
        "2020-13-01",
        "2020年2月30日",
        "1/5/2020",
        "on 2020-01-05",
        1578182400,
        None,
        True,
    ],
)
def test_no_date(value: object):
    assert as_date(value) is None


def test_dates_in():
    text = (
        "From 2020-01-05T08:00 to 2021年2月3日, not 2020-02-31, 12020-01-010 or may 3; 4 May 2022."
    )
    assert dates_in(text) == [date(2020, 1, 5), date(2021, 2, 3), date(2022, 5, 4)]


@pytest.mark.parametrize(
    "unit",
    ["1 2 ", "1,000", "中国1", "\u0300\u0316", "12", "１", "1,", "a.", "2020-01-05 ", "\u2009"],
)
def test_a_large_hostile_text_takes_linear_time(unit: str):
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        numbers_in(text)
        dates_in(text)
        contains_text(text, "absent 7")
        return time.process_time() - start

    # Quadratic code would take 64 times as long; linear code takes 8 times, give or take.
    small = max(min(seconds(50_000) for _ in range(3)), 0.002)
    assert seconds(400_000) < 32 * small
