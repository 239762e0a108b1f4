"""Servers for the tests: a calendar in English, a shop in Chinese, and notes without schemas."""

from __future__ import annotations

from typing import Any

from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.trajectories.records import CollectedTool, CollectedToolServer
from astra.types import Json, Language, ToolSchema, content_hash


def config(**fields: Any) -> MakeTrajectoriesConfig:
    """Options of a run by rule, without a folder."""
    return MakeTrajectoriesConfig(tools="tools", teacher="rules", model="scripted", **fields)


def tool(
    name: str,
    description: str,
    parameters: dict[str, Json],
    required: tuple[str, ...] = (),
    returns: dict[str, Json] | None = None,
    examples: tuple[dict[str, Json], ...] = (),
) -> CollectedTool:
    schema = {"type": "object", "properties": parameters, "required": list(required)}
    return CollectedTool(
        document=ToolSchema(name=name, description=description, parameters=schema),
        original_name=name,
        output_schema=returns,
        examples=examples,
    )


def text(description: str, **more: Json) -> dict[str, Json]:
    return {"type": "string", "description": description, **more}


def returning(**fields: dict[str, Json]) -> dict[str, Json]:
    return {"type": "object", "properties": fields}


def server(
    name: str, tools: tuple[CollectedTool, ...], language: Language = "en", **more: Any
) -> CollectedToolServer:
    made = CollectedToolServer(
        id="", name=name, source="functions", tools=tools, language=language, **more
    )
    fields = made.model_dump(mode="json", exclude={"id", "connection"})
    return made.model_copy(update={"id": content_hash(fields)})


EVENT = {"id": {"type": "string"}, "title": {"type": "string"}, "room": {"type": "string"}}


def calendar() -> CollectedToolServer:
    return server(
        "calendar",
        (
            tool(
                "list_events",
                "List the events of a calendar on a day.",
                {
                    "calendar": text("Name of the calendar.", enum=["work", "home", "school"]),
                    "day": text("The day.", format="date"),
                },
                ("calendar", "day"),
                returning(events={"type": "array", "items": returning(**EVENT)}),
            ),
            tool(
                "get_event",
                "Get an event with its guests.",
                {"event_id": text("Id of the event.")},
                ("event_id",),
                returning(
                    title={"type": "string"},
                    guests={"type": "array", "items": {"type": "string"}},
                    organiser_email={"type": "string", "format": "email"},
                ),
            ),
            tool(
                "send_message",
                "Send a message to a person.",
                {
                    "email": text("Address of the person.", format="email"),
                    "subject": text("Subject of the message.", examples=["Lunch", "Our plan"]),
                },
                ("email", "subject"),
                returning(message_id={"type": "string"}),
            ),
            tool(
                "find_room",
                "Find a free room for a number of people.",
                {
                    "people": {"type": "integer", "minimum": 2, "maximum": 30},
                    "projector": {"type": "boolean", "description": "Whether it needs one."},
                },
                ("people",),
                returning(room={"type": "string"}, floor={"type": "integer"}),
            ),
        ),
        description="Calendars, events and rooms of a company.",
        domain="office",
    )


def shop() -> CollectedToolServer:
    return server(
        "shop",
        (
            tool(
                "search_products",
                "按关键词搜索商品。",
                {
                    "keyword": text("关键词。", examples=["雨伞", "台灯", "背包"]),
                    "limit": {"type": "integer", "minimum": 1, "maximum": 20},
                },
                ("keyword",),
                returning(
                    products={
                        "type": "array",
                        "items": returning(product_id={"type": "string"}, price={"type": "number"}),
                    }
                ),
            ),
            tool(
                "get_stock",
                "查询商品的库存。",
                {"product_id": text("商品编号。")},
                ("product_id",),
                returning(stock={"type": "integer"}, warehouse={"type": "string"}),
            ),
            tool(
                "list_stores",
                "列出一个城市的门店。",
                {"city": text("城市。", enum=["北京", "上海", "成都"])},
                ("city",),
                returning(
                    stores={"type": "array", "items": returning(store_id={"type": "string"})}
                ),
            ),
        ),
        language="zh",
        description="一家网上商店。",
        domain="购物",
    )


def notes() -> CollectedToolServer:
    """No result is documented, and a name that the calendar has, too."""
    return server(
        "Notes & more",
        (
            tool("send_message", "Send a note.", {"text": text("Words.")}, ("text",)),
            tool("read_note", "Read a note.", {"title": text("Title of the note.")}, ("title",)),
            tool("count_notes", "Count the notes.", {}),
        ),
    )
