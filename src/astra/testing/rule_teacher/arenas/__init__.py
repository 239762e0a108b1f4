"""The rule teacher: answers every prompt of arena synthesis from tables, without a model.

It is for trying out and testing. It makes no better training data than `astra arenas make`,
from whose arenas all its answers come.
"""

from astra.testing.rule_teacher.arenas.catalogue import Catalogue, CatalogueOptions
from astra.testing.rule_teacher.arenas.defects import ArenaDefect
from astra.testing.rule_teacher.arenas.teacher import RuleTeacher

__all__ = [
    "ArenaDefect",
    "Catalogue",
    "CatalogueOptions",
    "RuleTeacher",
]
