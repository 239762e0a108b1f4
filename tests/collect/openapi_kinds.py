"""Small OpenAPI documents, one of each kind that people publish, written for the tests.

A kind is `(document, small)`: a parsed document or the text of a file, and the names of its
operations that should become tools: those with small arguments.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

Document = dict[str, Any]


class DocumentKind(NamedTuple):
    """A document of a kind, and what should come of it."""

    content: Document | str
    """A text is a YAML file."""
    small: tuple[str, ...]
    """Operations of small arguments."""
    refused: tuple[str, ...] = ()
    """Operations that can't become tools."""


KindMaker = Callable[[], DocumentKind]


def operation(name: str, summary: str, **more: Any) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": {"200": {}}, **more}


def document(paths: dict[str, Any], version: str = "3.0.3", **schemas: Any) -> Document:
    info = {"title": "Library", "version": "1"}
    value: Document = {"openapi": version, "info": info, "paths": paths}
    return value | ({"components": {"schemas": schemas}} if schemas else {})


def answer(schema: Any, media: str = "application/json") -> dict[str, Any]:
    return {"200": {"description": "ok", "content": {media: {"schema": schema}}}}


def body(schema: Any, media: str = "application/json") -> dict[str, Any]:
    return {"required": True, "content": {media: {"schema": schema}}}


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


def parameter(name: str, place: str = "query", **more: Any) -> dict[str, Any]:
    needed = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, "schema": TEXT, **needed, **more}


def others(*names: str) -> dict[str, Any]:
    """Plain operations, so that a document has enough tools to be a server."""
    return {
        f"/{n}": {"get": operation(f"list_{n}", f"Lists all {n} of the library.")} for n in names
    }


# --- the kinds -----------------------------------------------------------------------------------


def swagger2() -> DocumentKind:
    shelf = {"type": "object", "required": ["name"], "properties": {"name": TEXT, "floor": NUMBER}}
    paths = {
        "/shelves": {
            "get": operation("listShelves", "Lists the shelves of a floor.")
            | {"parameters": [{"name": "floor", "in": "query", "type": "integer"}]},
            "post": operation("addShelf", "Adds a shelf to a floor.")
            | {
                "parameters": [
                    {"in": "body", "name": "shelf", "schema": {"$ref": "#/definitions/Shelf"}}
                ]
            },
        },
        "/shelves/{id}/label": {
            "put": operation("labelShelf", "Puts a label on a shelf.")
            | {
                "consumes": ["application/x-www-form-urlencoded"],
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "type": "string"},
                    {"name": "text", "in": "formData", "type": "string", "required": True},
                ],
            }
        },
    }
    value = {
        "swagger": "2.0",
        "info": {"title": "Shelves", "version": "1"},
        "host": "library.example",
        "securityDefinitions": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
        "paths": paths,
        "definitions": {"Shelf": shelf},
    }
    return DocumentKind(value, ("listShelves", "addShelf", "labelShelf"))


def cyclic() -> DocumentKind:
    folder = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": TEXT,
            "parent": reference("Folder"),
            "children": {"type": "array", "items": reference("Folder")},
        },
    }
    author = {
        "type": "object",
        "properties": {"books": {"type": "array", "items": reference("Book")}},
    }
    book = {"type": "object", "properties": {"title": TEXT, "author": reference("Author")}}
    paths = {
        "/folders": {
            "get": operation(
                "listFolders", "Lists all folders.", responses=answer(reference("Folder"))
            ),
            "post": operation(
                "addFolder", "Adds a folder with its parts.", requestBody=body(reference("Folder"))
            ),
        },
        "/books": {
            "get": operation("listBooks", "Lists books.", responses=answer(reference("Book")))
        },
    }
    value = document(paths, Folder=folder, Author=author, Book=book)
    return DocumentKind(value, ("listFolders", "addFolder", "listBooks"))


def all_of() -> DocumentKind:
    paged = {
        "type": "object",
        "properties": {"data": {"type": "array", "items": {"type": "object"}}},
    }
    base = {"type": "object", "properties": {"title": TEXT, "year": NUMBER}}
    new = {"allOf": [reference("Base"), {"required": ["title"]}]}
    kept = {"allOf": [reference("New"), {"type": "object", "properties": {"id": TEXT}}]}
    listed = {
        "allOf": [
            reference("Paged"),
            {"properties": {"data": {"type": "array", "items": reference("Kept")}}},
        ]
    }
    paths = {
        "/books": {
            "get": operation("listBooks", "Lists the books.", responses=answer(listed)),
            "post": operation("addBook", "Adds a book.", requestBody=body(reference("New"))),
        },
        "/books/{id}": {
            "patch": operation(
                "changeBook",
                "Changes a book.",
                parameters=[parameter("id", "path", schema={"allOf": [TEXT]})],
                requestBody=body({"allOf": [reference("Base")], "description": "What changes."}),
            )
        },
    }
    value = document(paths, Paged=paged, Base=base, New=new, Kept=kept)
    return DocumentKind(value, ("listBooks", "addBook", "changeBook"))


def many() -> DocumentKind:
    """500 operations."""
    paths: dict[str, Any] = {}
    names: list[str] = []
    for resource in range(50):
        noun = f"record{resource}"
        ways = {
            "list": ("get", f"/{noun}s", "Lists all {}s of the archive."),
            "add": ("post", f"/{noun}s", "Adds a {} to the archive."),
            "show": ("get", f"/{noun}s/{{id}}", "Shows one {} of the archive."),
            "change": ("put", f"/{noun}s/{{id}}", "Changes a {} of the archive."),
            "drop": ("delete", f"/{noun}s/{{id}}", "Deletes a {} of the archive."),
            "lock": ("post", f"/{noun}s/{{id}}/lock", "Locks a {} against changes."),
            "free": ("delete", f"/{noun}s/{{id}}/lock", "Unlocks a {} for changes."),
            "log": ("get", f"/{noun}s/{{id}}/log", "Shows what was done to a {}."),
            "share": ("post", f"/{noun}s/{{id}}/share", "Shares a {} with somebody."),
            "count": ("get", f"/{noun}s/count", "Counts the {}s of the archive."),
        }
        for verb, (method, path, words) in ways.items():
            one = operation(f"{verb}_{noun}", words.format(noun), tags=[noun])
            if "{id}" in path:
                one["parameters"] = [parameter("id", "path")]
            if method in ("post", "put"):
                fields = {"type": "object", "properties": {"title": TEXT, "size": NUMBER}}
                one["requestBody"] = body(fields)
            paths.setdefault(path, {})[method] = one
            names.append(f"{verb}_{noun}")
    return DocumentKind(document(paths), tuple(names))


def written_out(megabytes: int = 1) -> DocumentKind:
    """References written out by a tool: every answer holds the whole model of the service."""
    count = 40
    share = megabytes * 2**20 // count
    detail = {f"field_{i}": {**TEXT, "description": "A detail. " * 10} for i in range(share // 140)}
    whole = {"type": "object", "properties": detail}
    paths = {
        f"/things/{n}": {
            "post": operation(
                f"thing_{n}",
                f"Makes thing number {n} anew.",
                parameters=[parameter("name")],
                requestBody=body({"type": "object", "properties": {"size": NUMBER}}),
                responses=answer({"type": "array", "items": whole}),
            )
        }
        for n in range(count)
    }
    return DocumentKind(document(paths), tuple(f"thing_{n}" for n in range(count)))


def yaml() -> DocumentKind:
    text = """
        # A comment, an anchor, codes that are numbers, a date, and a country that was a boolean.
        openapi: 3.0.3
        info: {title: Loans, version: 1.0}
        x-page: &page
          name: page
          in: query
          schema: {type: integer, default: 1}
        paths:
          /loans:
            get:
              operationId: listLoans
              summary: Lists the loans of a day.
              parameters:
                - *page
                - name: day
                  in: query
                  example: 2026-05-09
                  schema: {type: string, format: date}
                - name: country
                  in: query
                  schema: {type: string, enum: [NO, SE, DK]}
              responses:
                200:
                  description: ok
                  content:
                    application/json:
                      schema: {type: array, items: {type: object}}
                404: {description: none}
          /loans/{id}:
            parameters: [{name: id, in: path, required: true, schema: {type: string}}]
            get:
              operationId: getLoan
              summary: >
                Shows one loan,
                with its dates.
              responses: {200: {description: ok}}
            delete:
              operationId: endLoan
              summary: 'Ends a loan: the book is back.'
              responses: {204: {description: done}}
        """
    return DocumentKind(textwrap.dedent(text), ("listLoans", "getLoan", "endLoan"))


def version_3_1() -> DocumentKind:
    person = {
        "type": ["object", "null"],
        "properties": {
            "name": {"type": ["string", "null"], "examples": ["Ada"]},
            "kind": {"const": "reader"},
            "age": {"type": "integer", "exclusiveMinimum": 0},
        },
        "$defs": {"Card": {"type": "object", "properties": {"number": TEXT}}},
    }
    paths = {
        "/readers": {
            "get": operation(
                "findReaders",
                "Finds readers by name.",
                parameters=[parameter("name", schema={"type": ["string", "null"]})],
                responses=answer({"type": "array", "items": reference("Reader")}),
            ),
            "post": operation(
                "addReader",
                "Adds a reader.",
                requestBody=body({**reference("Reader"), "description": "The new one."}),
            ),
        },
        "/cards": {
            "post": operation(
                "addCard",
                "Gives a reader a card.",
                requestBody=body({"$ref": "#/components/schemas/Reader/$defs/Card"}),
            )
        },
    }
    value = document(paths, "3.1.0", Reader=person)
    value["jsonSchemaDialect"] = "https://spec.openapis.org/oas/3.1/dialect/base"
    return DocumentKind(value, ("findReaders", "addReader", "addCard"))


def one_of() -> DocumentKind:
    def kind(name: str, **properties: Any) -> dict[str, Any]:
        own = {"kind": {"type": "string", "enum": [name]}, **properties}
        return {"type": "object", "required": ["kind"], "properties": own}

    payment = {
        "oneOf": [reference("Card"), reference("Cash")],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {"card": "#/components/schemas/Card", "cash": "#/components/schemas/Cash"},
        },
    }
    paths = {
        "/fees": {
            "get": operation(
                "listFees", "Lists open fees.", responses=answer(reference("Payment"))
            ),
            "post": operation("payFee", "Pays a fee.", requestBody=body(reference("Payment"))),
        },
        "/fees/{id}": {
            "get": operation(
                "getFee",
                "Shows a fee by its number or code.",
                parameters=[parameter("id", "path", schema={"anyOf": [NUMBER, TEXT]})],
            )
        },
    }
    schemas = {"Card": kind("card", number=TEXT), "Cash": kind("cash", coins=NUMBER)}
    return DocumentKind(
        document(paths, Payment=payment, **schemas), ("listFees", "payFee", "getFee")
    )


def no_operation_id() -> DocumentKind:
    def unnamed(summary: str, **more: Any) -> dict[str, Any]:
        return {"summary": summary, "responses": {"200": {}}, **more}

    one = {"parameters": [parameter("id", "path")]}
    paths = {
        "/v1/rooms": {"get": unnamed("Lists the rooms."), "post": unnamed("Adds a room.")},
        "/v1/rooms/{id}": {"get": unnamed("Shows a room.", **one)},
        "/v1/rooms/{id}:book": {"post": unnamed("Books a room for a day.", **one)},
    }
    names = ("get_v1_rooms", "post_v1_rooms", "get_v1_rooms_id", "post_v1_rooms_id_book")
    return DocumentKind(document(paths), names)


def form_bodies() -> DocumentKind:
    fields = {
        "type": "object",
        "required": ["title"],
        "properties": {"title": TEXT, "pages": NUMBER},
    }
    upload = {"type": "object", "properties": {"scan": {**TEXT, "format": "binary"}, "note": TEXT}}
    paths = {
        "/requests": {
            "post": operation(
                "requestBook",
                "Asks the library to buy a book.",
                requestBody=body(fields, "application/x-www-form-urlencoded"),
            )
        },
        "/scans": {
            "post": operation(
                "addScan",
                "Adds the scan of a page.",
                requestBody=body(upload, "multipart/form-data"),
            )
        },
        "/notes": {
            "post": operation("addNote", "Adds a note.", requestBody=body(TEXT, "text/plain"))
        },
        "/covers": {
            "post": operation(
                "addCover",
                "Adds a cover.",
                requestBody=body({**TEXT, "format": "binary"}, "image/png"),
            )
        },
        **others("journals"),
    }
    small = ("requestBook", "addScan", "addNote", "list_journals")
    return DocumentKind(document(paths), small, ("addCover",))


def path_level() -> DocumentKind:
    paths = {
        "/branches/{branch}/desks/{desk}": {
            "summary": "A desk of a branch.",
            "parameters": [
                parameter("branch", "path", description="Which branch."),
                {"$ref": "#/components/parameters/Desk"},
                parameter("desk", "query"),
            ],
            "get": operation("getDesk", "Shows a desk of a branch."),
            "put": operation(
                "bookDesk",
                "Books a desk of a branch.",
                parameters=[parameter("desk", "path", schema=NUMBER)],
            ),
        },
        "/desks": {"$ref": "#/components/pathItems/Desks"},
    }
    value = document(paths, "3.1.0", Unused={})
    value["components"] |= {
        "parameters": {"Desk": parameter("desk", "path", description="Which desk.")},
        "pathItems": {"Desks": {"get": operation("listDesks", "Lists the free desks.")}},
    }
    return DocumentKind(value, ("getDesk", "bookDesk", "listDesks"))


def headers_and_cookies() -> DocumentKind:
    shared = [
        parameter("Authorization", "header"),
        parameter("X-API-Key", "header", required=True),
        parameter("session", "cookie"),
        parameter("Accept-Language", "header"),
        parameter("X-Request-Id", "header"),
        parameter("If-Match", "header", required=True),
    ]
    paths = {
        "/holds": {
            "get": operation("listHolds", "Lists the holds of a reader.", parameters=shared),
            "post": operation("addHold", "Puts a hold on a book.", parameters=shared[:3]),
        },
        "/holds/{id}": {
            "delete": operation(
                "dropHold", "Gives up a hold.", parameters=[*shared, parameter("id", "path")]
            )
        },
    }
    return DocumentKind(document(paths), ("listHolds", "addHold", "dropHold"))


def other_files() -> DocumentKind:
    """References to other files, at the top, deep inside, and behind another reference."""
    remote = {"$ref": "https://library.example/schemas.json#/Book"}
    local = {"$ref": "../schemas/book.yaml#/Book"}
    deep = {"type": "object", "properties": {"a": {"type": "array", "items": {"allOf": [local]}}}}
    paths = {
        "/a": {"post": operation("addA", "Adds an a to the library.", requestBody=body(remote))},
        "/b": {"post": operation("addB", "Adds a b to the library.", requestBody=body(deep))},
        "/c": {
            "post": operation(
                "addC", "Adds a c to the library.", requestBody=body(reference("Behind"))
            )
        },
        "/d": {"$ref": "./paths/d.yaml"},
        # What is not known of a result costs no tool.
        "/e": {"get": operation("getE", "Shows the e of the library.", responses=answer(remote))},
        **others("maps", "films", "globes"),
    }
    small = ("getE", "list_maps", "list_films", "list_globes")
    return DocumentKind(document(paths, Behind=deep), small, ("addA", "addB", "addC", "/d"))


def odd_places() -> DocumentKind:
    """References into other operations, escaped names, parameters as JSON, and as objects."""
    window = {"type": "object", "properties": {"from": TEXT, "to": TEXT}}
    listed = [
        parameter("filter", style="deepObject", explode=True, schema=window),
        {
            "name": "sort",
            "in": "query",
            "content": {"application/json": {"schema": {"type": "array", "items": TEXT}}},
        },
        parameter("tags", schema={"type": "array", "items": TEXT}, explode=False),
    ]
    again = {"$ref": "#/paths/~1visits~1{day}/get/parameters/0"}
    paths = {
        "/visits/{day}": {
            "get": operation(
                "getVisits",
                "Counts the visits of a day.",
                parameters=[parameter("day", "path"), *listed],
                responses=answer({"$ref": "#/components/schemas/Visit%20count"}),
            ),
            "options": {"responses": {}},
            "x-internal": True,
        },
        "/visits/{day}/notes": {
            "get": operation("getNotes", "Shows the notes of a day.", parameters=[again]),
            "post": operation(
                "addNote",
                "Adds a note to a day.",
                parameters=[again],
                deprecated=True,
                requestBody=body(
                    {"type": "object", "properties": {"a/b": TEXT}}, "application/vnd.api+json"
                ),
            ),
        },
    }
    value = document(paths, **{"Visit count": {"type": "object", "properties": {"n": NUMBER}}})
    return DocumentKind(value, ("getVisits", "getNotes", "addNote"))


def bare() -> DocumentKind:
    """Nothing but names: no summaries, no descriptions, as generators write it."""

    def one(name: str, **more: Any) -> dict[str, Any]:
        return {"operationId": name, "responses": {"200": {"description": ""}}, **more}

    paths = {
        "/api/members": {"get": one("listMembers"), "post": one("createMember")},
        "/api/members/{memberId}": {
            "get": one("getMember", parameters=[parameter("memberId", "path")]),
            "delete": one("deleteMember", parameters=[parameter("memberId", "path")]),
        },
    }
    return DocumentKind(
        document(paths), ("listMembers", "createMember", "getMember", "deleteMember")
    )


def webhooks_only() -> DocumentKind:
    value = document({}, "3.1.0")
    hook = {"post": operation("onReturn", "A book came back.", requestBody=body(TEXT))}
    return DocumentKind(value | {"webhooks": {"returned": hook}}, ())


KINDS: tuple[KindMaker, ...] = (
    *(swagger2, cyclic, all_of, many, written_out, yaml, version_3_1, one_of, no_operation_id),
    *(form_bodies, path_level, headers_and_cookies, other_files, odd_places, bare, webhooks_only),
)
