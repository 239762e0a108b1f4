"""An MCP server to try things on: notes and to-dos in memory, with ids that later calls need.

    python -m astra.testing.mcp_notes   # over stdio

State lives as long as the process does. The same calls give the same results.
"""

from __future__ import annotations

from typing import Annotated, Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

READS = ToolAnnotations(read_only_hint=True)
WRITES = ToolAnnotations(read_only_hint=False)


class Note(BaseModel):
    """A note with its id."""

    id: str = Field(description="Id of the note, as in note-1.")
    title: str
    text: str
    tags: list[str] = Field(description="Labels of the note, sorted.")
    done: bool = Field(description="Whether the to-do behind it is finished.")


class Notes(BaseModel):
    """Notes that were found, and how many."""

    notes: list[Note]
    total: int


NoteId = Annotated[str, Field(description="Id of a note, as create_note and list_notes give it.")]


def server() -> MCPServer:
    """A server with no notes yet."""
    made = MCPServer(
        "notes", log_level="ERROR", instructions="Keeps short notes and to-dos with tags."
    )
    notes: dict[str, Note] = {}

    def find(note_id: str) -> Note:
        if note_id not in notes:
            raise ToolError(f"there is no note {note_id!r}; ids come from list_notes")
        return notes[note_id]

    @made.tool(annotations=WRITES)
    def create_note(
        title: Annotated[str, Field(description="Short title.", min_length=1, max_length=100)],
        text: Annotated[str, Field(description="The text of the note.")] = "",
        tags: Annotated[list[str] | None, Field(description="Labels, any order.")] = None,
    ) -> Note:
        """Create a note and return it with its new id."""
        note = Note(
            id=f"note-{len(notes) + 1}",
            title=title,
            text=text,
            tags=sorted(set(tags or [])),
            done=False,
        )
        notes[note.id] = note
        return note

    @made.tool(annotations=READS)
    def list_notes(
        tag: Annotated[str | None, Field(description="Only notes with this label.")] = None,
        state: Annotated[
            Literal["all", "open", "done"], Field(description="Which to-dos are listed.")
        ] = "all",
    ) -> Notes:
        """List notes in the order of their creation, all or those with a tag or a state."""
        found = [
            note
            for note in notes.values()
            if (tag is None or tag in note.tags)
            and state in ("all", "done" if note.done else "open")
        ]
        return Notes(notes=found, total=len(found))

    @made.tool(annotations=READS)
    def get_note(note_id: NoteId) -> Note:
        """Return one note by its id."""
        return find(note_id)

    @made.tool(annotations=READS)
    def search_notes(
        words: Annotated[str, Field(description="Text that stands in title or text.")],
    ) -> Notes:
        """Find notes whose title or text contains the given words, in any case."""
        wanted = words.casefold()
        found = [n for n in notes.values() if wanted in f"{n.title}\n{n.text}".casefold()]
        return Notes(notes=found, total=len(found))

    @made.tool(annotations=WRITES)
    def complete_note(note_id: NoteId) -> Note:
        """Mark the to-do behind a note as finished and return the note."""
        notes[note_id] = find(note_id).model_copy(update={"done": True})
        return notes[note_id]

    @made.tool(annotations=WRITES)
    def tag_note(
        note_id: NoteId, tag: Annotated[str, Field(description="The label to add.", min_length=1)]
    ) -> Note:
        """Add a label to a note and return the note."""
        note = find(note_id)
        notes[note_id] = note.model_copy(update={"tags": sorted({*note.tags, tag})})
        return notes[note_id]

    return made


if __name__ == "__main__":
    server().run("stdio")
