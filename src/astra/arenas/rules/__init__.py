"""The rule teacher: answers every prompt of arena synthesis from tables, without a model.

It is for trying out and testing. It makes no better training data than `arenas make --tables`,
from whose arenas all its answers come.
"""

from astra.arenas.rules.catalogue import Catalogue, CatalogueOptions
from astra.arenas.rules.teacher import RuleTeacher
from astra.arenas.rules.wrong import Defect, Planted, Wrongness
from astra.teacher.chance import input_key

__all__ = [
    "Catalogue",
    "CatalogueOptions",
    "Defect",
    "Planted",
    "RuleTeacher",
    "Wrongness",
    "input_key",
]
