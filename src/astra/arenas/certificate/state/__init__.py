"""Checks of arenas whose tools change a database."""
