"""What tests of certificates share."""

from __future__ import annotations

import pytest

from astra.protocols import Sandbox


@pytest.fixture
def sandbox(session_sandbox: Sandbox) -> Sandbox:
    return session_sandbox
