"""Sources: the published formats, hostile files, languages."""

from __future__ import annotations

import json
import os
import time
from itertools import islice
from pathlib import Path

import pytest

from astra.arenas.synthesis.sources import (
    PASSAGE_CHARACTERS,
    SourceMaterial,
    items,
    passages,
    read_corpus,
    read_domains,
    read_questions,
)
from astra.core.language import in_script, language_of
from astra.errors import ConfigError


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


# --- languages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Which year was the bridge opened?", "en"),
        ("大桥是哪一年通车的？", "zh"),
        ("In which year was 北京大学 founded?", "en"),
        ("请问 ChatGPT 的开发公司 OpenAI 成立于哪一年？", "zh"),
        ("В каком году открыт мост?", None),
        ("橋はいつひらかれましたか", None),
        ("12:30, 2026-01-02", None),
        ("", None),
    ],
)
def test_language_by_script(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_what_has_no_letters_is_in_any_language() -> None:
    assert in_script("12 + 3?", "zh") and in_script("12 + 3?", "en")
    assert not in_script("Что?", "en")


# --- formats ----------------------------------------------------------------------------------


def test_questions(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "q.jsonl",
        {"question": "Where?", "domain": "places", "unknown": 1},
        {"question": "谁？", "domain": "people"},
        {"question": "12?", "domain": "numbers", "language": "zh"},
    )
    path.write_text("\ufeff" + path.read_text("utf-8").replace("\n", "\r\n\r\n"), "utf-8")
    found = read_questions(path)
    assert [(m.mode, m.domain, m.language, m.text) for m in found] == [
        ("question", "places", "en", "Where?"),
        ("question", "people", "zh", "谁？"),
        ("question", "numbers", "zh", "12?"),
    ]
    assert found[1].origin == "q.jsonl, line 3"


def test_questions_are_asked_once_and_sources_again_and_again() -> None:
    question = SourceMaterial("question", "d", "en", "Where?", "a")
    domain = SourceMaterial("domain", "d", "en", "", "b")
    found = list(islice(items([question, domain]), 4))
    assert [(item.mode, item.number) for item in found] == [
        ("question", 0),
        ("domain", 0),
        ("domain", 1),
        ("domain", 2),
    ]
    assert len({item.key for item in found}) == 4
    assert len(list(items([question]))) == 1


def test_languages_that_are_not_wanted_are_left_out() -> None:
    material = [SourceMaterial("question", "d", "en", "Where?", "a")]
    with pytest.raises(ConfigError, match="found: en"):
        list(items(material, ["zh"]))


def test_a_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "old_rivers.md").write_text("Rivers flow.\f\nThey do.", "utf-8")
    (tmp_path / "a.txt").write_text("水" * 10, "utf-8")
    (tmp_path / "empty.txt").write_text(" \n", "utf-8")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\x00")
    (tmp_path / ".hidden.txt").write_text("no", "utf-8")
    (tmp_path / "again.txt").symlink_to(tmp_path / "a.txt")
    found = read_corpus(tmp_path)
    assert [(m.domain, m.language, m.mode) for m in found] == [
        ("a", "zh", "corpus"),
        ("old rivers", "en", "corpus"),
    ]
    assert found[1].origin == "sub/old_rivers.md, passage 1"


def test_long_texts_are_cut_between_paragraphs() -> None:
    text = "\n\n".join(f"Paragraph {n}. " + "word " * 300 for n in range(30))
    found = passages(text)
    assert all(0 < len(piece) <= PASSAGE_CHARACTERS for piece in found)
    assert all(piece.startswith("Paragraph") for piece in found)
    assert sum(piece.count("Paragraph") for piece in found) == 30
    assert len(passages("x" * (3 * PASSAGE_CHARACTERS))) == 3


@pytest.mark.parametrize("text", ["word. \n" * 2_000_000, "x" * 12_000_000, "a" + "\n" * 9_000_000])
def test_long_texts_are_cut_in_one_go(text: str) -> None:
    """Far above what it takes, far below what it takes to copy the rest for each piece."""
    start = time.process_time()
    found = passages(text)
    assert time.process_time() - start < 10
    assert all(0 < len(piece) <= PASSAGE_CHARACTERS for piece in found)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_domains_and_corpora_of_the_published_format(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "c.jsonl",
        {"domain": "weather", "knowledge_corpus": "It rains in Miami."},
        {"domain": "天气", "knowledge_corpus": ""},
    )
    assert [(m.mode, m.language) for m in read_domains(path)] == [
        ("corpus", "en"),
        ("domain", "zh"),
    ]
    with pytest.raises(ConfigError, match=r"c\.jsonl, line 2: knowledge_corpus is empty"):
        read_corpus(path)


# --- hostile files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"question": "a", "domain": "b"}\nnot json\n', "line 2: not JSON"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b"[1]\n", "line 1: .* is not a JSON object"),
        (b'{"question": "a"}\n', "line 1: 'domain' must be a text"),
        (b'{"question": 3, "domain": "b"}', "line 1: 'question' must be a text"),
        (b'{"question": "  ", "domain": "b"}', "line 1: 'question' must be a text"),
        (b'{"question": "a", "domain": "b", "language": "de"}', "language 'de'"),
        (b'{"question": "12?", "domain": "b"}', "neither English nor Chinese"),
        (b'{"question": "a\\u0000b", "domain": "b"}', "line 1: 'question'.*U\\+0000"),
        (b'{"question": "a\\u202eb", "domain": "b"}', "U\\+202E"),
        (b'{"question": "a\\ud800b", "domain": "b"}', "U\\+D800"),
        (b'{"question": "' + b"a" * 5000 + b'", "domain": "b"}', "5000 characters"),
        (b'{"question": "a", "domain": "' + b"a" * 300 + b'"}', "300 characters"),
        (b'{"question": "a", "domain": "b"}\n\xff\xfe', "line 2: not UTF-8"),
        (b'{"x": "' + b"a" * 1_100_000 + b'"}', "longer than"),
        (b"", "nothing to make arenas from"),
        (b"\n\n", "nothing to make arenas from"),
    ],
)
def test_bad_questions_are_refused_with_their_line(
    tmp_path: Path, data: bytes, message: str
) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=message):
        read_questions(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing.jsonl", tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="not a readable file"):
            read_questions(path)
    with pytest.raises(ConfigError, match="nothing"):
        (tmp_path / "empty").mkdir()
        read_corpus(tmp_path / "empty")


def test_links_out_of_a_corpus_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", "utf-8")
    for number, (name, target) in enumerate(
        [("a.txt", secret), ("dir", tmp_path), ("odd.bin", secret)]
    ):
        corpus = tmp_path / f"corpus{number}"
        corpus.mkdir()
        (corpus / "real.txt").write_text("real", "utf-8")
        (corpus / name).symlink_to(target)
        with pytest.raises(ConfigError, match="leads out of the corpus"):
            read_corpus(corpus)


def test_links_in_circles_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("real text", "utf-8")
    (tmp_path / "itself.txt").symlink_to(tmp_path / "itself.txt")
    (tmp_path / "folder").symlink_to(tmp_path)
    assert [material.origin for material in read_corpus(tmp_path)] == ["real.txt, passage 1"]


def test_folders_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    place = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(25):  # a path longer than the system takes
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        Path("deep.txt").write_text("text", "utf-8")
    finally:
        os.chdir(place)
    with pytest.raises(ConfigError, match=r"can't read the corpus at .*too long"):
        read_corpus(tmp_path)


def test_binary_texts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"line one\nline \x00 two")
    with pytest.raises(ConfigError, match=r"a\.txt.*line 2.*U\+0000"):
        read_corpus(tmp_path)
