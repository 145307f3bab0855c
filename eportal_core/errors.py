"""The errors a user may meet: each is one sentence, an exit code and an HTTP status.

Code raises these for everything that bad input or a bad moment can cause; the command line prints
the sentence and exits with ``exit_code``, HTTP answers ``status`` with ``{"error": code}``.
"""

from __future__ import annotations


class PortalError(Exception):
    """Root of the tree; the message is one sentence for whoever asked.

    Notes (``add_note``) are for the command line and the log alone.
    """

    code = "failed"
    exit_code = 1
    status = 400

    @property
    def in_full(self) -> str:
        """The sentence with its notes."""
        return " ".join([str(self), *getattr(self, "__notes__", ())])


class InvalidValue(PortalError):
    """A name, number or combination that the request may not carry."""

    code = "invalid-value"
    exit_code = 2


class NotFound(PortalError):
    """What the request names does not exist."""

    code = "not-found"
    status = 404


class Conflict(PortalError):
    """What the request would create exists already, or may not be changed."""

    code = "conflict"
    status = 409


class ConfigError(PortalError):
    """The configuration cannot be used; the sentence names the file and the line."""

    code = "configuration"
    exit_code = 2
    status = 500


class PluginError(PortalError):
    """A plugin cannot be used; the sentence names the plugin, or both of them."""

    code = "plugin"
    exit_code = 2
    status = 500


class ArchiveError(PortalError):
    """A patchset archive is refused; nothing of it was kept."""

    code = "bad-archive"
    status = 422


class StorageError(PortalError):
    """The disk refused: full, read-only, not ours."""

    code = "storage"
    status = 507


class DatabaseError(PortalError):
    """The database cannot be used as it is: missing migrations, not reachable, locked."""

    code = "database"
    status = 503


class UpstreamError(PortalError):
    """What the portal fetches from did not answer, or not with what it should.

    answered: the HTTP status of its answer, 0 when there was none or it was 200.
    """

    code = "upstream"
    status = 502

    def __init__(self, sentence: str, answered: int = 0) -> None:
        super().__init__(sentence)
        self.answered = answered


class WrongBytes(UpstreamError):
    """What came is not what it must be; nothing of it was kept."""


class SourceRefused(UpstreamError):
    """What the patch source offers is not what its publisher signed, or is too old."""

    code = "source-refused"


class NoSource(PortalError):
    """No patch source is set, or none that is trusted."""

    code = "no-source"
    status = 409


class AccessDenied(PortalError):
    """Whoever asks is not let in: no credentials, or wrong ones; no other backend is asked."""

    code = "access-denied"
    status = 401


class Forbidden(PortalError):
    """Whoever asks is known, and may not do this."""

    code = "forbidden"
    status = 403


class TooLarge(PortalError):
    """The request is larger than anything that makes sense."""

    code = "too-large"
    status = 413


class TooOften(PortalError):
    """The same was tried too often; ``wait`` is in seconds."""

    code = "too-often"
    status = 429

    def __init__(self, sentence: str, wait: int) -> None:
        super().__init__(sentence)
        self.wait = wait


class _Fixed(PortalError):
    """An error of one sentence."""

    sentence: str

    def __init__(self) -> None:
        super().__init__(self.sentence)


class RegistrationRefused(_Fixed):
    """A server may not register; ``number`` is the code that the agent understands.

    Source of the numbers: the registration answers of the agent protocol, docs/agents.md.
    """

    number: int


class KeyDisabled(RegistrationRefused):
    """The key is there, and an administrator has disabled it."""

    code = "account-locked"
    number = 1
    sentence = "The key is disabled."


class UnknownKey(RegistrationRefused):
    """No key has this name."""

    code = "invalid-key"
    number = 2
    sentence = "The key is not known here."


class KeyFull(RegistrationRefused):
    """The key has as many servers as it may have."""

    code = "key-limit-reached"
    number = 3
    sentence = "The key has no place left."


class AccessRefused(_Fixed):
    """The server that asks may not have what it asks for."""

    status = 403


class UnknownServer(AccessRefused):
    """The id is not registered, or there is none."""

    code = "unknown-server"
    status = 401
    sentence = "This server id is not registered here."


class ServerLocked(AccessRefused):
    """The key of the server is disabled."""

    code = "account-locked"
    sentence = "The key of this server is disabled."


class ProductMissing(AccessRefused):
    """The key of the server does not have the product."""

    code = "no-product"
    sentence = "The key of this server does not have this product."
