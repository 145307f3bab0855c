"""How a login at the directory fails: the directory cannot be asked, or it says no."""

from __future__ import annotations

from eportal_core import AccessDenied, UpstreamError


class Fault(UpstreamError):
    """The directory cannot be asked: settings, network, certificate, or what it answers.

    step: where that showed, as ``kc.eportal ldap test`` calls it. reason: without a full stop.
    """

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"The LDAP directory cannot be asked ({step}): {reason}.")
        self.step = step
        self.reason = reason


class Refusal(AccessDenied):
    """The directory was asked, and the user is not let in.

    words: what the server said of it. is_known: name and password are right, and the filter keeps
    the user out.
    """

    def __init__(self, step: str, reason: str, *, words: str = "", is_known: bool = False) -> None:
        super().__init__("This user of the LDAP directory may not use the portal.")
        self.step = step
        self.reason = reason
        self.words = words
        self.is_known = is_known
