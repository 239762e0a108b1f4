"""Arenas over the wire: sessions, and the protocols that reach them."""
