"""From the code that a browser brings back to the user whom the provider means by it.

Source: OpenID Connect Core 1.0, 3.1.3 and 5.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from eportal_auth_oidc import BACKEND
from eportal_auth_oidc.provider import json_of, read_json
from eportal_core import AccessDenied, Identity, http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eportal_auth_oidc.provider import Endpoints, Provider
    from eportal_auth_oidc.settings import Client
    from eportal_auth_oidc.transaction import Transaction
    from eportal_core import Portal

#: Seconds by which the clocks of both may differ.
_LEEWAY = 60
#: What an error is called. Source: RFC 6749, 4.1.2.1 and 5.2.
_ERROR = re.compile(r"[a-z_]{1,40}")
_CODE_MAX_LENGTH = 4000


def authorization_address(
    client: Client, endpoints: Endpoints, transaction: Transaction, redirect: str
) -> str:
    """Where the browser asks the provider for a code; ``redirect`` is where it comes back to."""
    from authlib.oauth2.client import OAuth2Client

    begins = OAuth2Client(
        None,
        client_id=client.id,
        scope=" ".join(client.scopes),
        redirect_uri=redirect,
        code_challenge_method="S256",
    )
    address: str
    address, _ = begins.create_authorization_url(
        endpoints.authorization,
        state=transaction.state,
        code_verifier=transaction.verifier,
        nonce=transaction.nonce,
    )
    return address


def identify(
    portal: Portal,
    client: Client,
    provider: Provider,
    transaction: Transaction,
    redirect: str,
    answer: Mapping[str, str],
) -> tuple[Identity, str]:
    """Who has logged in at the provider, and the ID token that says so, if there is one.

    answer: the arguments that the browser brought back from it.

    Raises:
        AccessDenied: nobody, or what the provider says cannot be believed.
        UpstreamError: the provider does not answer.
    """
    endpoints = provider.endpoints()
    code = _code(endpoints, answer)
    tokens = _tokens(portal, client, endpoints, code, transaction, redirect)
    id_token = tokens.get("id_token")
    access_token = tokens.get("access_token")
    claims: dict[str, Any] = {}
    if isinstance(id_token, str):
        claims = _claims(client, provider, id_token, transaction.nonce, access_token)
    elif endpoints.issuer:
        raise _refused("it has no ID token")
    if endpoints.userinfo and isinstance(access_token, str):
        headers = {"Authorization": f"Bearer {access_token}"}
        told = read_json(http.new_session(portal.config, tries=2), endpoints.userinfo, headers)
        # Source: OpenID Connect Core 1.0, 5.3.2: it may be somebody else's otherwise.
        if claims and told.get("sub") != claims["sub"]:
            raise _refused("it speaks of two users")
        claims = {**told, **claims}
    return _identity(client, claims), id_token if isinstance(id_token, str) else ""


def _code(endpoints: Endpoints, answer: Mapping[str, str]) -> str:
    if error := answer.get("error"):
        raise AccessDenied(f"The identity provider lets nobody in: {_told(error)}.")
    issuer = answer.get("iss")
    # Source: RFC 9207, 2.4: a code of another provider would be shown to this one.
    if endpoints.issuer and (issuer or endpoints.says_issuer) and issuer != endpoints.issuer:
        raise _refused("it is of another issuer")
    code = answer.get("code", "")
    if not 0 < len(code) <= _CODE_MAX_LENGTH:
        raise _refused("it has no code")
    return code


def _tokens(
    portal: Portal,
    client: Client,
    endpoints: Endpoints,
    code: str,
    transaction: Transaction,
    redirect: str,
) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect,
        "code_verifier": transaction.verifier,
    }
    if client.secret is None or endpoints.secret_in_form:
        form["client_id"] = client.id
        if client.secret is not None:
            form["client_secret"] = client.secret
        session = http.new_session(portal.config, tries=2)
    else:
        # Source: RFC 6749, 2.3.1: encoded as in a form, then as in Basic authentication.
        user, password = quote_plus(client.id), quote_plus(client.secret)
        session = http.new_session(portal.config, user, password, tries=2)
    url = endpoints.token
    with http.post(session, url, form) as response:
        if response.status_code not in (200, 400, 401):
            http.check_status(response, url)
        tokens = json_of(response, url)
        if response.status_code != 200:
            raise AccessDenied(
                f"The identity provider refused the code: {_told(tokens.get('error'))}."
            )
    if str(tokens.get("token_type", "bearer")).lower() != "bearer":
        raise _refused("its token is of an unknown type")
    return tokens


def _claims(
    client: Client, provider: Provider, id_token: str, nonce: str, access_token: object
) -> dict[str, Any]:
    """What an ID token says, when all of it is as it must be.

    Without a discovery document neither keys nor issuer are known; that it comes from the token
    endpoint itself has to do then. Source: OpenID Connect Core 1.0, 3.1.3.7, point 6.

    Raises:
        AccessDenied: it is not.
    """
    from authlib.oidc.core import CodeIDToken
    from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError

    endpoints = provider.endpoints()
    options: dict[str, Any] = {"aud": {"essential": True, "value": client.id}}
    if endpoints.issuer:
        options["iss"] = {"essential": True, "value": endpoints.issuer}
    try:
        header, said = _opened(provider, endpoints, id_token)
        params = {"nonce": nonce, "client_id": client.id, "access_token": access_token}
        claims = CodeIDToken(said, header, options, params)
        claims.validate(leeway=_LEEWAY)
    except ExpiredTokenError:
        raise _refused("its time is over; the clocks may differ") from None
    except (InvalidClaimError, MissingClaimError) as error:
        raise _refused(f"its {error.claim} is not as it must be") from None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _refused("its signature cannot be verified") from None
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise _refused("its sub is not as it must be")
    return dict(claims)


def _opened(
    provider: Provider, endpoints: Endpoints, id_token: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of an ID token, verified as far as the provider's keys are known."""
    import json

    from joserfc import jws, jwt
    from joserfc.errors import InvalidKeyIdError

    if not endpoints.issuer:
        found = jws.extract_compact(id_token.encode())
        claims = json.loads(found.payload)
        if not isinstance(claims, dict):
            raise ValueError("no claims")
        return dict(found.headers()), claims
    algorithms = list(endpoints.algorithms)
    try:
        token = jwt.decode(id_token, provider.keys(), algorithms)
    except InvalidKeyIdError:
        token = jwt.decode(id_token, provider.keys(fresh=True), algorithms)
    return dict(token.header), dict(token.claims)


def _identity(client: Client, claims: Mapping[str, Any]) -> Identity:
    username = claims.get(client.username_claim)
    if not isinstance(username, str) or not username:
        raise AccessDenied(
            f"The identity provider does not tell the {client.username_claim} of this user: see "
            f"OIDC_USERNAME_CLAIM."
        )
    if client.username_claim == "email" and claims.get("email_verified") is False:
        raise AccessDenied("The identity provider has not verified the address of this user.")
    readonly = None
    if client.admin_group is not None:
        groups = claims.get(client.groups_claim)
        found = [groups] if isinstance(groups, str) else groups
        readonly = not (isinstance(found, list) and client.admin_group in found)
    return Identity(username, BACKEND, readonly, "SSO")


def _refused(why: str) -> AccessDenied:
    return AccessDenied(f"The answer of the identity provider is refused: {why}.")


def _told(error: object) -> str:
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else "it does not say why"
