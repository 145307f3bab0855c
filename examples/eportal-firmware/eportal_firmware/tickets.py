"""No deploy without a ticket, of whichever product: ``EPORTAL_TICKET=CHG-1234 kc.eportal ...``."""

import re

from eportal_core import InvalidValue, Setting, hookimpl


@hookimpl
def eportal_settings():
    return [Setting("TICKET", str, None, "The ticket that allows a deploy, such as CHG-1234.")]


@hookimpl(wrapper=True)
def eportal_deploy(portal, product, archive):
    if not re.fullmatch(r"CHG-[0-9]+", portal.config["TICKET"] or ""):
        raise InvalidValue("A deploy needs a ticket: set EPORTAL_TICKET to one such as CHG-1234.")
    return (yield)
