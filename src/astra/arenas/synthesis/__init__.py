"""Arenas from a teacher: sources ► decompositions ► judged ► validated ► implemented ► merged."""
