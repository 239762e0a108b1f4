"""Normalises the texts of a raw table before their types are decided."""

from __future__ import annotations

from collections.abc import Sequence

from astra.arenas.tables.load.raw import LoadSession, RawTable
from astra.arenas.tables.sql import count_where, literal
from astra.errors import TableError

_STRAY = r"[\p{Cc}\x{2028}\x{2029}]"
_INVISIBLE = r"[\x{200B}\x{FEFF}\x{202A}-\x{202E}\x{2066}-\x{2069}]"
_CHUNK = 50
"""Columns that one query looks at."""


def clean(raw: RawTable, cells: Sequence[str], session: LoadSession) -> list[str]:
    """Put the texts of `cells`, columns of a raw table, into normal form.

    That is NFC, one space for any run of white space and control characters, no invisible ones,
    and null for "". Other columns stay as they are. Gives notes on control characters.
    """
    connection, notes = session.connection, list[str]()
    if not cells:
        return notes
    for start in range(0, len(cells), _CHUNK):
        part = cells[start : start + _CHUNK]
        counts = ", ".join(
            f"max(length({c}::VARCHAR)), "
            + count_where(f"regexp_matches({c}::VARCHAR, {literal(_STRAY)})")
            for c in part
        )
        row = connection.execute(f"SELECT {counts} FROM {raw.relation}").fetchone() or ()
        for offset, cell in enumerate(part):
            column = raw.columns[int(cell[1:])].original
            longest, stray = row[2 * offset] or 0, row[2 * offset + 1] or 0
            if longest > session.limits.cell:
                position = connection.execute(
                    f"SELECT min(rowid) FROM {raw.relation} WHERE length({cell}::VARCHAR) = ?",
                    [longest],
                ).fetchone()
                number = int(position[0]) + raw.first_row if position else 0
                raise TableError(
                    f"{raw.source}: row {number}, column {column[:80]!r}: {longest} characters, "
                    f"but at most {session.limits.cell} are read; shorten the text or take the "
                    "column out"
                )
            if stray:
                where = repr(column) if column else str(int(cell[1:]) + 1)
                notes.append(
                    f"column {where}: line breaks or control characters in {stray} cells became "
                    "spaces"
                )
    spaces, invisible = literal(r"[\s\p{Z}\p{Cc}]+"), literal(_INVISIBLE)
    columns = [f"c{i}" for i in range(len(raw.columns))]
    for index in (int(cell[1:]) for cell in cells):
        text = f"c{index}::VARCHAR"
        visible = f"regexp_replace(nfc_normalize({text}), {invisible}, '', 'g')"
        tidy = f"nullif(trim(regexp_replace({visible}, {spaces}, ' ', 'g')), '')"
        # Most cells are ASCII with single spaces and need none of it.
        plain = f"regexp_full_match({text}, '[!-~]+( [!-~]+)*')"
        columns[index] = f"CASE WHEN {plain} THEN {text} ELSE {tidy} END AS c{index}"
    cleaned = session.fresh()
    connection.execute(f"CREATE TABLE {cleaned} AS SELECT {', '.join(columns)} FROM {raw.relation}")
    connection.execute(f"DROP TABLE {raw.relation}")
    connection.execute(f"ALTER TABLE {cleaned} RENAME TO {raw.relation}")
    return notes
