"""What ``kc.eportal doctor`` finds about single sign-on."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eportal_auth_oidc.provider import Provider, check_address
from eportal_auth_oidc.settings import configured, missing
from eportal_core import Check, PortalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eportal_core import Portal

_NAME = "single sign-on"


def checks(portal: Portal) -> Sequence[Check]:
    """Nothing when it is not set up."""
    if lacking := missing(portal):
        names = ", ".join(lacking)
        return [Check(_NAME, False, f"{names} not set, nobody can use it", f"Set {names}.")]
    client = configured(portal)
    if client is None:
        return []
    for name, address in client.addresses().items():
        try:
            check_address(address, name)
        except PortalError as error:
            return [Check(_NAME, False, str(error), f"Correct {name}.")]
        if not _is_safe(address):
            advice = "Use https: whoever is on the way may log in as anybody."
            return [Check(_NAME, False, f"{name} is no https address", advice)]
    try:
        endpoints = Provider(portal, client).endpoints()
    except PortalError as error:
        return [Check(_NAME, False, str(error), "Look at OIDC_DISCOVERY_URL, PROXY and the net.")]
    if not endpoints.issuer:
        return [Check(_NAME, True, "set up without OIDC_DISCOVERY_URL, so without signatures")]
    return [Check(_NAME, True, f"{endpoints.issuer} answers")]


def _is_safe(address: str) -> bool:
    parts = urlsplit(address)
    try:
        return parts.scheme == "https" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"
