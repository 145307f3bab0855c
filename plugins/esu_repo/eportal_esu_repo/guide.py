"""How a host of AlmaLinux gets its packages from here."""

from __future__ import annotations

from collections.abc import Sequence

from eportal_core import Guide


def guides(product: str, title: str) -> Sequence[Guide]:
    return [
        Guide(
            title,
            "The packages are those that this portal mirrors. The server needs a key that has the "
            "product; the commands are for root on the server, with curl.",
            (
                (
                    "Set up the repositories. A server that has no server id yet is registered "
                    "with the key.",
                    "curl -s @ADDRESS@/install-tuxcare | EPORTAL_KEY=@KEY@ bash",
                ),
                ("Where the tool for it is among the packages:", "tuxctl --license-key @KEY@"),
                ("Update.", "dnf upgrade"),
            ),
            product,
            order=100,
        )
    ]
