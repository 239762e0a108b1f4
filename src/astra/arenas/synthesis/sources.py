"""What arenas are made from: questions, a corpus, or domains. Read from files, as `SynthesisItem`s.

The published formats: {question, domain} and {domain, knowledge_corpus}, one JSON object per line;
`language` may stand beside them, other fields are ignored. A corpus may also be a folder of .txt
and .md files. Whatever is wrong with a file is a `ConfigError` with file and line. Nothing in a
file is an instruction to us; that a teacher may take it for one is contained by what checks the
teacher's answers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from astra.arenas.synthesis.language import language_of
from astra.arenas.synthesis.records import SynthesisItem, SynthesisMode
from astra.core.untrusted import odd_character
from astra.errors import ConfigError
from astra.types import Json, Language, content_hash

MOST_FILES = 100_000
FILE_BYTES = 64 * 2**20
LINE_CHARACTERS = 1_000_000
QUESTION_CHARACTERS = 4_000
DOMAIN_CHARACTERS = 200
PASSAGE_CHARACTERS = 8_000
"""A longer corpus is cut into passages of at most so many, between paragraphs where it can be."""
_SUFFIXES = (".txt", ".md")


@dataclass(frozen=True, slots=True)
class SourceMaterial:
    """One source, before it is known how many questions it is for."""

    mode: SynthesisMode
    domain: str
    language: Language
    text: str
    """The question, the corpus, or ""."""
    origin: str

    def item(self, number: int) -> SynthesisItem:
        """The source as the `number`-th item about it."""
        fields: dict[str, Json] = {
            "mode": self.mode,
            "domain": self.domain,
            "language": self.language,
            "question" if self.mode == "question" else "corpus": self.text,
            "number": number,
        }
        return SynthesisItem.model_validate(
            {"key": content_hash(fields), "origin": self.origin, **fields}
        )


def items(
    materials: Sequence[SourceMaterial], languages: Sequence[Language] = get_args(Language)
) -> Iterator[SynthesisItem]:
    """Questions once each; other sources again and again, with rising numbers. Without end there.

    `languages`: sources in others are left out.
    """
    wanted = [material for material in materials if material.language in languages]
    if not wanted:
        found = ", ".join(sorted({material.language for material in materials})) or "none"
        raise ConfigError(
            f"no source is in {', '.join(languages)} (found: {found}): give other --languages"
        )
    number = 0
    while wanted:
        yield from (material.item(number) for material in wanted)
        wanted = [material for material in wanted if material.mode != "question"]
        number += 1


def read_questions(path: Path) -> list[SourceMaterial]:
    """A JSONL file of {question, domain}."""
    found = [
        _material("question", row, row.text("question", QUESTION_CHARACTERS), language)
        for row, language in _rows(path)
    ]
    return _some(path, found)


def read_domains(path: Path) -> list[SourceMaterial]:
    """A JSONL file of {domain, knowledge_corpus: ""}; a corpus that is given is used."""
    return _some(path, list(_from_corpora(path)))


def read_corpus(path: Path) -> list[SourceMaterial]:
    """A folder of .txt and .md files, one such file, or JSONL of {domain, knowledge_corpus}."""
    if path.is_dir():
        return _some(path, [m for file in _files(path) for m in _from_text(file, path)])
    if path.suffix.lower() in _SUFFIXES:
        return _some(path, _from_text(path, path.parent))
    found = list(_from_corpora(path))
    if empty := next((m for m in found if m.mode == "domain"), None):
        raise ConfigError(
            f"{empty.origin}: knowledge_corpus is empty: give it a text, or use --domains"
        )
    return _some(path, found)


def _some(path: Path, found: list[SourceMaterial]) -> list[SourceMaterial]:
    if not found:
        raise ConfigError(f"{str(path)!r} holds nothing to make arenas from")
    return found


# --- JSONL ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    value: dict[str, Json]

    def text(self, name: str, most: int, *, may_be_empty: bool = False) -> str:
        """A field that must be text; control characters and odd ones are refused."""
        value = self.value.get(name, "" if may_be_empty else None)
        if not isinstance(value, str) or not (may_be_empty or value.strip()):
            raise ConfigError(f"{self.where}: {name!r} must be a text, it is {value!r:.80}")
        if len(value) > most:
            raise ConfigError(
                f"{self.where}: {name!r} has {len(value)} characters; at most {most} are allowed"
            )
        return _clean(value, f"{self.where}: {name!r}")


def _rows(path: Path) -> Iterator[tuple[_Row, Language | None]]:
    """The rows of a JSONL file with the language that each declares; blank lines are skipped."""
    for number, line in enumerate(_text(path).split("\n"), start=1):
        where = f"{path.name}, line {number}"
        if not line.strip():
            continue
        if len(line) > LINE_CHARACTERS:
            raise ConfigError(f"{where}: longer than {LINE_CHARACTERS} characters")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where}: no JSON ({error}): write one object per line") from error
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: {value!r:.80} is no JSON object")
        language = value.get("language")
        if language is not None and language not in get_args(Language):
            raise ConfigError(
                f"{where}: language {language!r:.40}: write en or zh, or leave it out"
            )
        yield _Row(where, value), cast(Language | None, language)


def _from_corpora(path: Path) -> Iterator[SourceMaterial]:
    for row, language in _rows(path):
        corpus = row.text("knowledge_corpus", LINE_CHARACTERS, may_be_empty=True)
        if not corpus.strip():
            yield _material("domain", row, "", language)
            continue
        for passage in passages(corpus):
            yield _material("corpus", row, passage, language)


def _material(
    mode: SynthesisMode, row: _Row, text: str, language: Language | None
) -> SourceMaterial:
    domain = row.text("domain", DOMAIN_CHARACTERS)
    return SourceMaterial(
        mode, domain, language or _language(text or domain, row.where), text, row.where
    )


def _language(text: str, where: str) -> Language:
    found = language_of(text)
    if found is None:
        raise ConfigError(
            f'{where}: neither English nor Chinese: add "language": "en" or "zh" if it is'
        )
    return found


# --- text files -------------------------------------------------------------------------------


def _files(folder: Path) -> Iterator[Path]:
    """The texts of a folder in the order of their paths; links that lead out of it are refused."""
    try:
        yield from _walk(folder)
    except OSError as error:
        place = f"{error.filename!s:.200}"
        raise ConfigError(
            f"can't read the corpus at {place!r}: {error.strerror}: take it out, or mend it"
        ) from error


def _unreadable(error: OSError) -> None:
    raise error


def _walk(folder: Path) -> Iterator[Path]:
    """As `_files`; what the system says is passed on."""
    root = os.path.realpath(folder)
    count = 0
    for directory, names, files in os.walk(folder, onerror=_unreadable, followlinks=False):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in [*names, *sorted(files)]:
            path = Path(directory) / name
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                raise ConfigError(
                    f"{str(path)!r} is a link that leads out of the corpus: copy the file itself"
                )
        for name in sorted(files):
            path = Path(directory) / name
            # A link inside the folder leads to a file that is read anyway.
            if name.startswith(".") or path.is_symlink() or path.suffix.lower() not in _SUFFIXES:
                continue
            count += 1
            if count > MOST_FILES:
                raise ConfigError(f"{str(folder)!r} holds more than {MOST_FILES} texts: split it")
            yield path


def _from_text(path: Path, root: Path) -> list[SourceMaterial]:
    """The passages of a text; its domain is its name."""
    where = path.relative_to(root).as_posix()
    text = _clean(_text(path), where)
    if not text.strip():
        return []
    domain = path.stem.replace("_", " ").replace("-", " ").strip()[:DOMAIN_CHARACTERS] or "text"
    domain = _clean(domain, where)
    language = _language(text, where)
    return [
        SourceMaterial("corpus", domain, language, passage, f"{where}, passage {number}")
        for number, passage in enumerate(passages(text), start=1)
    ]


def _text(path: Path) -> str:
    """A file's text, its line ends made plain."""
    try:
        if not path.is_file():
            raise ConfigError(f"{str(path)!r} is no file that can be read")
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    if len(data) > FILE_BYTES:
        raise ConfigError(f"{str(path)!r} has more than {FILE_BYTES} bytes: split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path.name}, line {line}: not UTF-8 (byte {data[error.start]:#04x}): convert the file"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _clean(text: str, where: str) -> str:
    """The text, form feeds made line ends; ConfigError for characters that have no place in it."""
    text = text.replace("\f", "\n").replace("\v", "\n").replace("\ufeff", "")
    # Zero-width spaces come along with text that is copied from web pages.
    text = text.replace("\u200b", "").replace("\u2060", "")
    if odd := odd_character(text):
        line = text.count("\n", 0, text.index(chr(int(odd[2:], 16)))) + 1
        raise ConfigError(f"{where}: line {line} holds the character {odd}: take it out")
    return text


def passages(text: str) -> list[str]:
    """A text in pieces of at most `PASSAGE_CHARACTERS`, cut at blank lines, lines, or anywhere."""
    found: list[str] = []
    text, start = text.strip(), 0
    # By position: what is left is not copied for each piece, for texts may be long.
    while len(text) - start > PASSAGE_CHARACTERS:
        least, end = start + PASSAGE_CHARACTERS // 2, start + PASSAGE_CHARACTERS
        for mark in ("\n\n", "\n", "。", ". ", " "):
            at = text.rfind(mark, least, end)
            if at > 0:
                end = at + len(mark)
                break
        found.append(text[start:end].strip())
        start = end
        while text[start].isspace():  # it ends with something else
            start += 1
    return [piece for piece in [*found, text[start:]] if piece]
