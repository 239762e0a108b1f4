"""Arenas over a store that is generated from an OpenAPI document: its resources become tables,
its operations the tools that read and change them."""
