"""Certificates: an arena is released only after twelve checks by execution and comparison."""

from astra.arenas.certificate.certify import CHECKS, certify
from astra.arenas.certificates import VERSION

__all__ = ["CHECKS", "VERSION", "certify"]
