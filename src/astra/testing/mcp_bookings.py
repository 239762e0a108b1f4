"""An MCP server to try things on: rooms, free times and bookings with structured results.

    python -m astra.testing.mcp_bookings   # over stdio

A booking needs the id of a room that `search_rooms` gave, and is cancelled by the id that
`book_room` gave. State lives as long as the process does. The same calls give the same results.
"""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

READS = ToolAnnotations(read_only_hint=True)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=True)


class BookableRoom(BaseModel):
    """A room that can be booked."""

    room_id: str
    city: str
    seats: int
    price: float = Field(description="Euros per hour.")


class Rooms(BaseModel):
    """Rooms that were found."""

    rooms: list[BookableRoom]


class Hours(BaseModel):
    """Free hours of a room on a day."""

    room_id: str
    day: str
    free_hours: list[int]


class Booking(BaseModel):
    """A booking with its id and price."""

    booking_id: str
    room_id: str
    day: str
    hour: int
    total: float = Field(description="Euros.")
    status: str = Field(description="booked or cancelled")


ROOMS = [
    BookableRoom(
        room_id=f"{city[:3].lower()}-{seats}", city=city, seats=seats, price=seats * factor
    )
    for city, factor in (("Oslo", 2.5), ("Bergen", 2.0), ("Lyon", 1.5))
    for seats in (4, 8, 20)
]
RoomId = Annotated[str, Field(description="Id of a room, as search_rooms gives it.")]
Day = Annotated[str, Field(description="Day as YYYY-MM-DD.", pattern=r"^\d{4}-\d{2}-\d{2}$")]


def server() -> MCPServer:
    """A server with nine rooms and no bookings yet."""
    made = MCPServer(
        "bookings",
        log_level="ERROR",
        instructions="Finds meeting rooms by city and size, and books.",
    )
    bookings: dict[str, Booking] = {}

    def room(room_id: str) -> BookableRoom:
        for one in ROOMS:
            if one.room_id == room_id:
                return one
        raise ToolError(f"there is no room {room_id!r}; ids come from search_rooms")

    def taken(room_id: str, day: str) -> set[int]:
        return {
            booking.hour
            for booking in bookings.values()
            if (booking.room_id, booking.day, booking.status) == (room_id, day, "booked")
        }

    @made.tool(annotations=READS)
    def search_rooms(
        city: Annotated[str, Field(description="City, as in Oslo.")],
        seats: Annotated[int, Field(description="Least number of seats.", ge=1, le=50)] = 1,
    ) -> Rooms:
        """Find rooms in a city that have at least so many seats, the smallest first."""
        found = [one for one in ROOMS if one.city.casefold() == city.casefold()]
        return Rooms(rooms=[one for one in found if one.seats >= seats])

    @made.tool(annotations=READS)
    def free_hours(room_id: RoomId, day: Day) -> Hours:
        """List the hours from 8 to 17 at which a room is free on a day."""
        room(room_id)
        hours = [hour for hour in range(8, 18) if hour not in taken(room_id, day)]
        return Hours(room_id=room_id, day=day, free_hours=hours)

    @made.tool(annotations=WRITES)
    def book_room(
        room_id: RoomId,
        day: Day,
        hour: Annotated[int, Field(description="Full hour at which it begins.", ge=8, le=17)],
    ) -> Booking:
        """Book a room for one hour and return the booking with its id."""
        price = room(room_id).price
        if hour in taken(room_id, day):
            raise ToolError(f"{room_id!r} is taken at {hour} on {day}; see free_hours")
        booking = Booking(
            booking_id=f"b-{len(bookings) + 1:03d}",
            room_id=room_id,
            day=day,
            hour=hour,
            total=price,
            status="booked",
        )
        bookings[booking.booking_id] = booking
        return booking

    @made.tool(annotations=READS)
    def get_booking(
        booking_id: Annotated[str, Field(description="Id of a booking, as book_room gives it.")],
    ) -> Booking:
        """Return one booking by its id."""
        if booking_id not in bookings:
            raise ToolError(f"there is no booking {booking_id!r}; ids come from book_room")
        return bookings[booking_id]

    @made.tool(annotations=WRITES)
    def cancel_booking(
        booking_id: Annotated[str, Field(description="Id of a booking, as book_room gives it.")],
    ) -> Booking:
        """Cancel a booking, which frees its hour, and return it."""
        booking = get_booking(booking_id)
        bookings[booking_id] = booking.model_copy(update={"status": "cancelled"})
        return bookings[booking_id]

    return made


if __name__ == "__main__":
    server().run("stdio")
