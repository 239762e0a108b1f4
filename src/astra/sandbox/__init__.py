"""Confined execution of tool code: a local fork server, or a remote one."""

from astra.sandbox.opening import sandbox_from
from astra.sandbox.remote import RemoteSandbox
from astra.sandbox.server import LEVELS, ForkServer, open_sandbox

__all__ = ["LEVELS", "ForkServer", "RemoteSandbox", "open_sandbox", "sandbox_from"]
