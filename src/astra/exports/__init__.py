"""Arenas in the forms that other trainers and evaluators read: one file a reader, one registry."""
