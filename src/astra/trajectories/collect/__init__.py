"""From MCP servers, OpenAPI documents and lists of functions to `Server` rows (spec 1.1)."""
