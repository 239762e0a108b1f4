"""Disguised values are read, and texts that look like one by chance are not."""

from __future__ import annotations

import base64
import codecs

import pytest

from astra.arenas.certificate import certify
from astra.arenas.certificate.leak import leaks
from astra.arenas.certificate.readings import can_be_read
from astra.protocols import Sandbox
from tests.support.arenas import changed, multi_hop_arena, single_hop_arena


def tags(text: str) -> str:
    """Invisible tags that spell a text."""
    return "".join(chr(0xE0000 + ord(character)) for character in text)


def selectors(text: str) -> str:
    """Variation selectors that carry the bytes of a text."""
    return "".join(chr(0xFE00 + b if b < 16 else 0xE0100 + b - 16) for b in text.encode())


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Berlin", base64_of("Berlin")),
        ("Berlin", base64_of("answer: Berlin!")),
        ("Berlin", base64_of(base64_of("Berlin"))),
        ("Oslo", base64_of("Oslo").rstrip("=")),
        ("北京", base64_of("北京")),
        (42, base64_of("42")),
        ("Berlin", base64.b32encode(b"Berlin").decode()),
        ("Berlin", b"Berlin".hex(" ")),
        ("Berlin", codecs.encode("Berlin", "rot13")),
        ("Berlin", "%42erlin"),
        ("Berlin", "&#66;erlin"),
        ("Berlin", r"\u0042erlin"),
        ("Berlin", "where?" + tags("Berlin")),
        ("Berlin", tags("Be") + "who" + tags("rlin")),
        ("Berlin", "\N{GRINNING FACE}" + selectors("Berlin")),
        ("Berlin", "nilreB eht"),
        ("Oslo", "hint: olsO"),
        ("New York", "kroY weN"),
        ("Berlin", "B e r l i n"),
        ("Berlin", "b-e-r-l-i-n"),
        ("Berlin", "Ber-lin"),
        ("New York", "NewYork"),
        ("中国人", "中 国 人"),
        ("Brasília", "brasilia"),
        ("Brasilia", "BRASÍLIA"),
        ("Łódź", "Lodz"),
        ("Malmø", "Malmo"),
        ("2024-03-01", "20240301"),
        (83_190_556, "8 3 1 9 0 5 5 6"),
        (83_190_556, "83.190.556"),
        (83_190_556, "83 190 556"),
        (83_190_556, "8319 0556"),
        (83_190_556, "65509138"),
        (83_190_556, "83.190556 million"),
        (83_190_556, "83,190.556 thousand"),
        (83_190_556, "8319.0556万"),
        (1_400_000, "1.4M"),
        (12_000, "12k"),
        (2512, "2.512"),
        (1998, "MCMXCVIII"),
        (42, "xlii"),
        (6.02e23, "6.02×10^23"),
        (5897, "0x1709"),
        (5897, "0b1011100001001"),
        ("Berlin", "66, 101, 114, 108, 105, 110"),
        ("Berlin", "В\u0435rlin"),
    ],
)
def test_disguised_values_are_read(value: str | float, text: str) -> None:
    assert can_be_read(value, text)
    assert leaks(value, f"What is it? {text}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "None"),
        ("no", "on the way"),
        ("7", "Nw"),
        (7, "Nw=="),
        ("Togo", "go to: to go"),
        ("Iran", "I ran"),
        ("Germany", "germ any"),
        ("Norway", "nor way"),
        ("Roma", "amor"),
        ("Laos", "soal"),
        ("Peru", "in Perugia"),
        ("Berlin", "Berliner"),
        ("green", "terra"),
        (8, "Henry VIII"),
        ("ABC", "in 65, 66 and 67"),
        ("Сочи", "a Couu"),
        (40, "size XL"),
        (5_000_000, "5 m"),
        (314, "314.5"),
        (2512, "25.12"),
        (1250, "12.50"),
        (12_000, "120.00"),
        (2102, "2012"),
        (123, "1, 2, 3"),
        (90_556, "83 190 556"),
    ],
)
def test_what_looks_like_a_value_by_chance_is_not_read(
    value: str | float | None, text: str
) -> None:
    assert not can_be_read(value, text)


@pytest.mark.parametrize(
    ("text", "leaked"),
    [("the U.S.A. has", True), (base64_of("USA"), True), ("the Usage", False), ("us a", False)],
)
def test_codes_are_compared_with_case(text: str, leaked: bool) -> None:
    assert leaks("USA", text) is leaked


async def test_a_disguised_answer_in_the_question_is_a_leak(sandbox: Sandbox) -> None:
    arena = single_hop_arena()
    certificate = await certify(
        changed(arena, question=f"{arena.question} {base64_of('Berlin')}"), sandbox
    )
    (failed,) = [check for check in certificate.checks if not check.passed]
    assert failed.check == "leak"


async def test_a_dependency_that_can_be_read_is_not_one(sandbox: Sandbox) -> None:
    arena = multi_hop_arena()
    certificate = await certify(changed(arena, question=f"{arena.question} dnaloP"), sandbox)
    (failed,) = [check for check in certificate.checks if not check.passed]
    assert failed.check == "ablation"
