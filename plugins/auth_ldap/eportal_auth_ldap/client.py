"""The only module that knows ldap3: requests and answers on a wire that others made.

ldap3 (LGPLv3) is used as it is installed. It would make sockets by itself and follow referrals;
here it does neither, and it knows nothing of certificates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ldap3 import BASE, LEVEL, NONE, SIMPLE, SUBTREE, Connection, Server
from ldap3.core.exceptions import LDAPInvalidFilterError, LDAPSessionTerminatedByServerError
from ldap3.operation.search import compile_filter, parse_filter
from ldap3.utils.conv import escape_filter_chars as _escape_filter_chars
from ldap3.utils.dn import escape_rdn as _escape_rdn

from eportal_auth_ldap.errors import Fault
from eportal_auth_ldap.transport import Deadline, Wire, told

#: Source: RFC 4511, 4.14.1 and appendix A.
_START_TLS = "1.3.6.1.4.1.1466.20037"
SUCCESS = 0
SIZE_LIMIT_EXCEEDED = 4
NO_SUCH_OBJECT = 32
#: Codes by which a bind says no to this name and password, and not to everybody.
REFUSED = {
    19: "constraintViolation",
    32: "noSuchObject",
    48: "inappropriateAuthentication",
    49: "invalidCredentials",
    50: "insufficientAccessRights",
    53: "unwillingToPerform",
}

_SCOPES = {"base": BASE, "one": LEVEL, "sub": SUBTREE}
#: What a server says is cut here, characters.
_WORDS_MAX = 200


@dataclass(frozen=True)
class Answer:
    """What the server answered. entries: how many a search found, one at most is counted."""

    code: int
    words: str
    entries: int = 0


class Client:
    """Speaks LDAP on ``wire``; every method raises ``Fault`` when no answer comes."""

    def __init__(self, wire: Wire, deadline: Deadline) -> None:
        self._wire = wire
        self._deadline = deadline
        self._connection = Connection(
            # Its address is of no use: it never connects.
            Server("localhost", get_info=NONE),
            authentication=SIMPLE,
            auto_referrals=False,
            auto_escape=False,
            auto_range=False,
            check_names=False,
            # The fast one cannot read a bind that is answered by a referral.
            fast_decoder=False,
        )
        self._connection.strategy._outstanding = {}
        self._connection.socket = wire
        self._connection.closed = False
        self._connection.listening = True

    def start_tls(self) -> Answer:
        """Ask for TLS; after success, the next byte is TLS's."""
        return self._ask("TLS", "extendedResp", lambda: self._connection.extended(_START_TLS))

    def bind(self, name: str, password: str) -> Answer:
        """Simple bind; neither may be empty, which some servers take for nobody and let in."""
        assert name
        assert password
        self._connection.user = name
        # As bytes: what was typed, not what SASLprep would make of it.
        self._connection.password = password.encode()
        return self._ask(
            "bind", "bindResponse", lambda: self._connection.bind(read_server_info=False)
        )

    def search(self, base: str, scope: str, search_filter: str) -> Answer:
        """Whether there is an entry; its attributes are not fetched, referrals not followed."""
        return self._ask(
            "filter",
            "searchResDone",
            lambda: self._connection.search(
                base,
                search_filter,
                _SCOPES[scope],
                attributes=["1.1"],
                size_limit=1,
                time_limit=max(1, round(self._deadline.seconds)),
            ),
        )

    def _ask(self, step: str, wanted: str, request: Callable[[], Any]) -> Answer:
        try:
            request()
            result = self._connection.result
            # ldap3 takes the answer to any request for the answer to this one.
            if result["type"] != wanted:
                raise ValueError(result["type"])
            found = self._connection.response or []
            entries = sum(each["type"] == "searchResEntry" for each in found)
            return Answer(int(result["result"]), _words(result), entries)
        except LDAPInvalidFilterError as error:
            raise Fault("filter", f"LDAP_FILTER has no valid filter ({error})") from None
        except LDAPSessionTerminatedByServerError:
            raise Fault(step, "the server closed the connection") from None
        # Garbage makes the decoder raise whatever it meets.
        except Exception as error:
            if self._wire.error is not None:
                raise Fault(step, told(self._wire.error, self._deadline)) from None
            raise Fault(step, f"the server does not speak LDAP ({type(error).__name__})") from None


def escape_rdn(name: str) -> str:
    """``name``, which is not empty, as a value in a DN (RFC 4514)."""
    escaped: str = _escape_rdn(name)
    return escaped


def escape_filter_chars(name: str) -> str:
    """``name`` as a value in a filter (RFC 4515)."""
    escaped: str = _escape_filter_chars(name)
    return escaped


def check_filter(text: str) -> None:
    """See whether ``text`` is a filter.

    Raises:
        Fault: it is none.
    """
    try:
        compile_filter(parse_filter(text, None, False, True, None, False).elements[0])
    # Its parser raises whatever it meets.
    except Exception as error:
        raise Fault("settings", f"LDAP_FILTER has no valid filter ({error})") from None


def _words(result: dict[str, Any]) -> str:
    """Code and message of an answer, on one line: the message is the server's."""
    message = "".join(each for each in str(result["message"] or "") if each.isprintable())
    name = str(result["description"] or f"code {result['result']}")
    return f"{name}, {message[:_WORDS_MAX]}" if message else name
