"""Arenas whose tools change a database, made from tables."""
