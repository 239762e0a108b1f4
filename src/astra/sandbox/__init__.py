"""Confined execution of tool code: a fork server on this machine, or a remote one."""

from astra.sandbox.remote import RemoteSandbox
from astra.sandbox.server import LEVELS, ForkServer, open_sandbox

__all__ = ["LEVELS", "ForkServer", "RemoteSandbox", "open_sandbox"]
