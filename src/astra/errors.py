"""Every error that the package raises on purpose, one class per boundary.

    AstraError
    ├── ConfigError            an option or a TOML file says something impossible
    ├── TableError             a data file can't be read as a table (names file, row, column, fix)
    ├── StoreError             a run folder is damaged, locked or of another version
    ├── StageError             a stage stopped because item after item broke
    ├── SandboxError
    │   ├── SandboxUnavailable no confinement works here, or the asked level does not
    │   │   └── SandboxInterrupted  its processes were ended from outside, after all retries
    │   ├── SandboxDied        the child was killed or left without an answer
    │   ├── SandboxLimit       a limit was hit; `.limit` says which
    │   ├── SandboxBadResult   the child's reply is not what the protocol allows
    │   └── SandboxRemote      a remote sandbox could not be reached or answered nonsense
    ├── ModelError
    │   ├── ModelUnavailable   the endpoint did not answer, after all retries
    │   │   └── ModelRejects   it answers that it will never take this request
    │   └── ModelBadReply      the endpoint answered something that can't be used
    ├── TeacherError           a prompt could not be answered, after asking again with the error
    ├── WorkerLost             the process or machine that did the work is gone, after all retries
    ├── BudgetExceeded         what may be spent is spent: the run stops and can be resumed
    ├── EmbedderError          no embeddings could be had
    ├── SessionError           a request to the server of arenas can't be met; `.status` says how
    ├── HostError              the place where tools run broke (ours, never the agent's failure)
    └── Rejected               an item is set aside on purpose; `.check` and `.reason` say why

Error text names the value with `!r` and says what to do.
"""

from __future__ import annotations

from typing import Any, Literal


class AstraError(Exception):
    """Base of all errors raised on purpose by this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By its parts: what Python does calls the class with the message alone, which those that
        # take more refuse. Errors cross from workers to the process that they work for.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[AstraError], args: tuple[Any, ...], fields: dict[str, Any]) -> AstraError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class ConfigError(AstraError):
    """An option or a configuration file asks for something impossible."""


class TableError(AstraError):
    """A data file can't be read as a table."""


class StoreError(AstraError):
    """A run folder is damaged, locked, or was written with other settings."""


class StoreWarning(UserWarning):
    """What a user should know of a run folder, e.g. damage, and what was done. The run goes on."""


class StageError(AstraError):
    """A stage stopped early because item after item broke; its rows tell how."""


class SandboxError(AstraError):
    """Base of what can go wrong when confined code runs."""


class SandboxUnavailable(SandboxError):
    """No confinement works on this machine, or the level that was asked for does not."""


class SandboxInterrupted(SandboxUnavailable):
    """Processes of the sandbox were ended from outside, or could not start, after all retries.

    An infrastructure failure, as when memory runs out: it says nothing about the tool.
    """


class SandboxDied(SandboxError):
    """The child process ended by its own doing, without an answer."""


LimitName = Literal["cpu", "wall", "memory", "output", "processes"]


class SandboxLimit(SandboxError):
    """The child hit a limit."""

    def __init__(self, limit: LimitName, message: str) -> None:
        super().__init__(message)
        self.limit: LimitName = limit


class SandboxBadResult(SandboxError):
    """The child's reply breaks the protocol: not JSON, too deep, or of the wrong form."""


class SandboxRemote(SandboxError):
    """A remote sandbox could not be reached or answered something unusable."""


class ModelError(AstraError):
    """Base of what can go wrong when a model is asked."""


class ModelUnavailable(ModelError):
    """The endpoint did not answer usably, after all retries."""


class ModelRejects(ModelUnavailable):
    """The endpoint answered that it will not take the request, however often it is sent."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status: a 4xx, or a 3xx, since redirects are not followed."""


class ModelBadReply(ModelError):
    """The endpoint answered, but not with anything that can be used."""


class TeacherError(AstraError):
    """A prompt could not be answered in the form that is wanted, after bounded retries."""


class WorkerLost(AstraError):
    """The worker that did the work ended without a result, and so did those that tried again.

    An infrastructure failure: it says nothing about the item.
    """


class BudgetExceeded(AstraError):
    """What a run may spend is spent. Never an item's failure: the run stops, and can be resumed."""


class EmbedderError(AstraError):
    """Embeddings could not be computed."""


class HostError(AstraError):
    """The place where tools run broke. Never counted as the agent's failure."""


class SessionError(AstraError):
    """A request to the server of arenas can't be met, and says why to its client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status of the answer."""


class Rejected(AstraError):
    """An item is set aside on purpose and recorded with the check that it failed."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(f"{check}: {reason}")
        self.check = check
        self.reason = reason
