"""Which encoding a text file is in.

Marks and UTF-8 are certain; between GB 18030 and Windows-1252 two rules decide, which are right on
the short, mostly ASCII files that tables are (a detector of character frequencies is not).
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from astra.arenas.tables.load.files import SourceFile

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # UTF-32 before UTF-16, whose little-endian mark is the beginning of UTF-32's.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")


def text_encoding(file: SourceFile) -> tuple[str, list[str]]:
    """The encoding of a text file, and a note where it had to be guessed."""
    with file.path.open("rb") as stream:
        head = stream.read(4)
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding, []
    if _decodes(file.path, "utf-8"):
        return "utf-8", []
    # A chunk is enough: one script's habits show in its first names.
    with file.path.open("rb") as stream:
        runs = [len(run) for run in _HIGH_BYTES.findall(stream.read(_CHUNK))]
    # Bytes above 127 come in pairs in GB 18030; Western accents stand alone.
    pairs = sum(1 for length in runs if length % 2 == 0)
    chinese = bool(runs) and pairs >= 0.9 * len(runs) and _decodes(file.path, "gb18030")
    guess = "gb18030" if chinese else "cp1252"
    if not _decodes(file.path, guess):
        guess = "latin-1"
    return guess, [f"not UTF-8; read as {guess}. Save it as UTF-8 if names look odd"]


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
