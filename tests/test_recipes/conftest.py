"""A toy model and toy arenas, as in the tests of training."""

from tests.training.conftest import model, world

__all__ = ["model", "world"]
