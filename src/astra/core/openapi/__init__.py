"""OpenAPI documents of all versions: operations, and schemas that stand by themselves."""
