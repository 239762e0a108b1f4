"""Sources of synthesized arenas: questions, a corpus, or domains. Files become `SynthesisItem`s.

The published formats: {question, domain} and {domain, knowledge_corpus}, one JSON object per line,
optionally with `language`; other fields are ignored. A corpus may also be a folder of .txt and .md
files. A defect of a file is a `ConfigError` with file and line. A teacher may take text in a file
for an instruction; the checks of its answers contain that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from astra.arenas.synthesis.records import SynthesisItem, SynthesisMode
from astra.configs.spelling import option_name
from astra.core.files import read_bounded
from astra.core.language import language_of
from astra.core.untrusted import odd_character
from astra.errors import ConfigError
from astra.types import Json, Language, content_hash

MOST_FILES = 100_000
FILE_BYTES = 64 * 2**20
LINE_CHARACTERS = 1_000_000
QUESTION_CHARACTERS = 4_000
DOMAIN_CHARACTERS = 200
PASSAGE_CHARACTERS = 8_000
"""A longer corpus is cut into passages of at most this length, between paragraphs if possible."""
_SUFFIXES = (".txt", ".md")


@dataclass(frozen=True, slots=True)
class SourceMaterial:
    """One source, from which one or many questions are made."""

    mode: SynthesisMode
    domain: str
    language: Language
    text: str
    """The question or the corpus. Empty for a domain."""
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
    materials: Sequence[SourceMaterial], languages: Collection[Language] = get_args(Language)
) -> Iterator[SynthesisItem]:
    """Questions once each; other sources endlessly, with rising numbers.

    `languages`: sources in other languages are left out.
    """
    remaining = [material for material in materials if material.language in languages]
    if not remaining:
        present = ", ".join(sorted({material.language for material in materials})) or "none"
        raise ConfigError(
            f"no source is in {', '.join(languages)} (found: {present}): give other "
            f"{option_name('languages')}"
        )
    number = 0
    while remaining:
        yield from (material.item(number) for material in remaining)
        # A question asked twice would be a duplicate; a text yields another question each time.
        remaining = [material for material in remaining if material.mode != "question"]
        number += 1


def read_questions(path: Path) -> list[SourceMaterial]:
    """A JSONL file of {question, domain}."""
    materials: list[SourceMaterial] = []
    for row in _rows(path):
        question = row.text("question", QUESTION_CHARACTERS)
        materials.append(row.material("question", question))
    return _not_empty(path, materials)


def read_domains(path: Path) -> list[SourceMaterial]:
    """A JSONL file of {domain, knowledge_corpus: ""}; a corpus that is not empty is used."""
    materials: list[SourceMaterial] = []
    for row in _rows(path):
        corpus = row.text("knowledge_corpus", LINE_CHARACTERS, optional=True)
        if corpus.strip():
            materials += [row.material("corpus", passage) for passage in passages(corpus)]
        else:
            materials.append(row.material("domain", ""))
    return _not_empty(path, materials)


def read_corpus(path: Path) -> list[SourceMaterial]:
    """A folder of .txt and .md files, one such file, or JSONL of {domain, knowledge_corpus}."""
    if path.is_dir():
        return _not_empty(path, [m for file in _files(path) for m in _from_text(file, path)])
    if path.suffix.lower() in _SUFFIXES:
        return _not_empty(path, _from_text(path, path.parent))
    materials = read_domains(path)
    if empty := next((m for m in materials if m.mode == "domain"), None):
        raise ConfigError(
            f"{empty.origin}: knowledge_corpus is empty: give it a text, or use "
            f"{option_name('domains')}"
        )
    return materials


def _not_empty(path: Path, materials: list[SourceMaterial]) -> list[SourceMaterial]:
    if not materials:
        raise ConfigError(f"{str(path)!r} contains nothing to make arenas from")
    return materials


# --- JSONL ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SourceRow:
    """A row of a JSONL source."""

    where: str
    value: dict[str, Json]
    language: Language | None
    """The language that the row declares."""

    def text(self, name: str, most: int, *, optional: bool = False) -> str:
        """A text field without control characters and the like."""
        value = self.value.get(name, "" if optional else None)
        if not isinstance(value, str) or not (optional or value.strip()):
            raise ConfigError(f"{self.where}: {name!r} must be a text, it is {value!r:.80}")
        if len(value) > most:
            raise ConfigError(
                f"{self.where}: {name!r} has {len(value)} characters; at most {most} are allowed"
            )
        return _clean(value, f"{self.where}: {name!r}")

    def material(self, mode: SynthesisMode, text: str) -> SourceMaterial:
        """The row, or a passage of it, as a source."""
        domain = self.text("domain", DOMAIN_CHARACTERS)
        language = self.language or _language(text or domain, self.where)
        return SourceMaterial(mode, domain, language, text, self.where)


def _rows(path: Path) -> Iterator[_SourceRow]:
    """The rows of a JSONL file; blank lines are skipped."""
    for number, line in enumerate(_read(path).split("\n"), start=1):
        where = f"{path.name}, line {number}"
        if not line.strip():
            continue
        if len(line) > LINE_CHARACTERS:
            raise ConfigError(f"{where}: longer than {LINE_CHARACTERS} characters")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where}: not JSON ({error}): write one object per line") from error
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: {value!r:.80} is not a JSON object")
        language = value.get("language")
        if language is not None and language not in get_args(Language):
            raise ConfigError(
                f"{where}: language {language!r:.40}: write en or zh, or leave it out"
            )
        yield _SourceRow(where, value, cast(Language | None, language))


def _language(text: str, where: str) -> Language:
    language = language_of(text)
    if language is None:
        raise ConfigError(
            f'{where}: neither English nor Chinese: add "language": "en" or "zh" if it is'
        )
    return language


# --- text files -------------------------------------------------------------------------------


def _files(folder: Path) -> Iterator[Path]:
    """The texts of a folder in the order of their paths; links that lead out of it are refused."""

    def fail(error: OSError) -> None:
        # `os.walk` passes over unreadable folders unless its handler raises.
        raise error

    root = os.path.realpath(folder)
    count = 0
    try:
        for directory, names, files in os.walk(folder, onerror=fail, followlinks=False):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in [*names, *sorted(files)]:
                path = Path(directory) / name
                if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                    raise ConfigError(
                        f"{str(path)!r} is a link that leads out of the corpus: copy the file "
                        "itself"
                    )
            for name in sorted(files):
                path = Path(directory) / name
                # A link inside the folder leads to a file that is read anyway.
                if name.startswith(".") or path.is_symlink():
                    continue
                if path.suffix.lower() not in _SUFFIXES:
                    continue
                count += 1
                if count > MOST_FILES:
                    raise ConfigError(
                        f"{str(folder)!r} contains more than {MOST_FILES} texts: split it"
                    )
                yield path
    except OSError as error:
        path_text = f"{error.filename!s:.200}"
        raise ConfigError(
            f"can't read the corpus at {path_text!r}: {error.strerror}: make it readable, or "
            "remove it"
        ) from error


def _from_text(path: Path, root: Path) -> list[SourceMaterial]:
    """The passages of a text file; its domain is its name."""
    where = path.relative_to(root).as_posix()
    text = _clean(_read(path), where)
    if not text.strip():
        return []
    domain = path.stem.replace("_", " ").replace("-", " ").strip()[:DOMAIN_CHARACTERS] or "text"
    domain = _clean(domain, where)
    language = _language(text, where)
    return [
        SourceMaterial("corpus", domain, language, passage, f"{where}, passage {number}")
        for number, passage in enumerate(passages(text), start=1)
    ]


def _read(path: Path) -> str:
    """A file's text with plain line ends."""
    # Opening a pipe would wait for its writer.
    if not os.path.isfile(path):
        raise ConfigError(f"{str(path)!r} is not a readable file: name a text file")
    data = read_bounded(path, FILE_BYTES, "split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path.name}, line {line}: not UTF-8 (byte {data[error.start]:#04x}): convert the file"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _clean(text: str, where: str) -> str:
    """The text with form feeds as line ends; ConfigError for characters that no text needs."""
    text = text.replace("\f", "\n").replace("\v", "\n").replace("\ufeff", "")
    # Zero-width spaces come along with text that is copied from web pages.
    text = text.replace("\u200b", "").replace("\u2060", "")
    if odd := odd_character(text):
        line = text.count("\n", 0, text.index(chr(int(odd[2:], 16)))) + 1
        raise ConfigError(f"{where}: line {line} contains the character {odd}: remove it")
    return text


def passages(text: str) -> list[str]:
    """A text in pieces of at most `PASSAGE_CHARACTERS`, cut at blank lines, lines, or anywhere."""
    pieces: list[str] = []
    text, start = text.strip(), 0
    # By position: copying the rest for each piece would be quadratic in a long text.
    while len(text) - start > PASSAGE_CHARACTERS:
        least, end = start + PASSAGE_CHARACTERS // 2, start + PASSAGE_CHARACTERS
        for mark in ("\n\n", "\n", "。", ". ", " "):
            at = text.rfind(mark, least, end)
            if at > 0:
                end = at + len(mark)
                break
        pieces.append(text[start:end].strip())
        start = end
        while text[start].isspace():  # the stripped text ends with something else
            start += 1
    return [piece for piece in [*pieces, text[start:]] if piece]
