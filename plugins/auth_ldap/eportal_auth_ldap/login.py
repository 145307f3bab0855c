"""A login at the directory, step by step: address, connect, TLS, bind, search base, filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from eportal_auth_ldap.errors import Fault, Refusal
from eportal_auth_ldap.names import normal_form
from eportal_auth_ldap.settings import Directory
from eportal_auth_ldap.template import bind_name
from eportal_auth_ldap.transport import Deadline, Wire, connect, context_of, resolve, secure

if TYPE_CHECKING:
    from eportal_auth_ldap.client import Client

#: Is told each step that went well, and what there is to say of it.
Tell = Callable[[str, str], None]


def nobody(step: str, finding: str) -> None:
    """For who does not want to be told."""


def log_in(directory: Directory, typed: str, password: str, tell: Tell = nobody) -> str:
    """The name of the user here, when the directory lets ``typed`` in with ``password``.

    Takes ``directory.address.timeout`` seconds at most.

    Raises:
        Refusal: it does not.
        Fault: it cannot be asked.
    """
    name = normal_form(typed)
    if name is None:
        raise Refusal("name", "nobody can have this name here")
    bound = bind_name(directory.template, name)
    if bound is None:
        raise Refusal("name", f"no account is named {name!r}")
    # A server written in C may take what begins with NUL for nothing, and nothing for anybody.
    if not password or not _is_text(password):
        raise Refusal("bind", "the password is empty, or no text")
    with client_of(directory, tell) as client:
        _bind(client, bound, password, tell)
        if directory.search is not None:
            _search(client, directory, name, tell)
    return name


@contextmanager
def client_of(directory: Directory, tell: Tell = nobody) -> Iterator[Client]:
    """A client whose requests go over TLS, unless the settings want none.

    Raises:
        Fault: the server cannot be reached, or not be trusted.
    """
    from eportal_auth_ldap.client import SUCCESS, Client, check_filter

    address = directory.address
    context = context_of(address, directory.ca_file) if address.tls else None
    if directory.search is not None:
        check_filter(directory.search.filled("x").filter)
    deadline = Deadline(address.timeout)
    tell("settings", f"{address}, {address.protection}, timeout {address.timeout} s")
    places = resolve(address, deadline)
    tell("address", ", ".join(dict.fromkeys(str(place[0]) for _, place in places)))
    connected = connect(places, deadline)
    try:
        tell("connect", f"{connected.getpeername()[0]}, port {address.port}")
        if address.tls == "starttls":
            answer = Client(Wire(connected, deadline), deadline).start_tls()
            if answer.code != SUCCESS:
                raise Fault("TLS", f"the server offers no StartTLS ({answer.words})")
        if context is not None:
            connected = secured = secure(connected, address.host, context, deadline)
            checked = "checked" if address.strict else "not checked"
            tell("TLS", f"{secured.version()}, the certificate was {checked}")
        yield Client(Wire(connected, deadline), deadline)
    finally:
        connected.close()


def _bind(client: Client, bound: str, password: str, tell: Tell) -> None:
    from eportal_auth_ldap.client import REFUSED, SUCCESS

    answer = client.bind(bound, password)
    if answer.code in REFUSED:
        raise Refusal(
            "bind", f"the server does not let {bound} in ({answer.words})", words=answer.words
        )
    if answer.code != SUCCESS:
        raise Fault("bind", f"the server refused the request of {bound} ({answer.words})")
    tell("bind", bound)


def _search(client: Client, directory: Directory, name: str, tell: Tell) -> None:
    from eportal_auth_ldap.client import NO_SUCH_OBJECT, SIZE_LIMIT_EXCEEDED, SUCCESS

    assert directory.search is not None
    wanted = directory.search.filled(name)
    answer = client.search(wanted.base, wanted.scope, wanted.filter)
    if answer.code == NO_SUCH_OBJECT:
        reason = f"{wanted.base} is not there, or not for this user to see"
        raise Refusal("search base", reason, is_known=True)
    if answer.code not in (SUCCESS, SIZE_LIMIT_EXCEEDED):
        raise Fault("filter", f"the server refused the search ({answer.words})")
    tell("search base", f"{wanted.base}, scope {wanted.scope}")
    if not answer.entries:
        raise Refusal("filter", f"{wanted.filter} matches nothing", is_known=True)
    tell("filter", f"{wanted.filter} matches")


def _is_text(password: str) -> bool:
    """Whether ``password`` can be sent, and be read as a whole."""
    try:
        password.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in password
