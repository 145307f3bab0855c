"""Identity providers: a real one, and one that says what a test wants it to say."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.npm import installed

_FOLDER = Path(__file__).parent / "oidc_provider"
CLIENT_ID = "eportal"
CLIENT_SECRET = "a secret+with%odd/characters"


@contextmanager
def real_provider(port: int, redirect: str, after_logout: str) -> Iterator[str]:
    """The npm package oidc-provider on ``port``; yields its issuer."""
    program = installed(_FOLDER, "oidc-provider") / "provider.mjs"
    arguments = ["node", str(program), str(port), redirect, after_logout]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


@cache
def key(name: str) -> RSAKey:
    """A key of a provider; one of each name."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"})


@dataclass
class HostileProvider:
    """Says what it is told to say. ``url`` is its issuer.

    claims: change what the ID token says, None takes a claim away. userinfo: what that says.
    discovery: change the document. sign: makes the ID token of its claims. keys: what it publishes.
    tokens: change the answer of the token endpoint. status: of that answer. asked: forms that came.
    """

    url: str = ""
    nonce: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    body: bytes | None = None
    keys: list[RSAKey] = field(default_factory=lambda: [key("one")])
    sign: Any = None
    asked: list[dict[str, str]] = field(default_factory=list)

    def id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "1",
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": self.nonce,
            "preferred_username": "gauss",
        } | self.claims
        said = {name: value for name, value in claims.items() if value is not None}
        if self.sign is not None:
            text: str = self.sign(said)
            return text
        return signed(said)

    def answer(self, path: str) -> tuple[int, bytes]:
        if path == "/.well-known/openid-configuration":
            document = {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize?tenant=1",
                "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/keys",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            } | self.discovery
            return 200, json.dumps(document).encode()
        if path == "/keys":
            found = [each.as_dict(private=False) for each in self.keys]
            return 200, json.dumps({"keys": found}).encode()
        if path == "/userinfo":
            return 200, json.dumps({"sub": "1"} | self.userinfo).encode()
        if path == "/token":
            tokens = {"access_token": "t", "token_type": "Bearer", "id_token": self.id_token()}
            told = {name: v for name, v in (tokens | self.tokens).items() if v is not None}
            return self.status, json.dumps(told).encode() if self.body is None else self.body
        return 404, b"{}"


def signed(claims: dict[str, Any], name: str = "one", **header: Any) -> str:
    return jwt.encode({"alg": "RS256", "kid": name} | header, claims, key(name))


@contextmanager
def hostile_provider() -> Iterator[HostileProvider]:
    provider = HostileProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["content-length"])).decode()
            told = {name: values[0] for name, values in parse_qs(form).items()}
            told["authorization"] = self.headers.get("authorization", "")
            provider.asked.append(told)
            self._answer()

        def _answer(self) -> None:
            status, body = provider.answer(urlsplit(self.path).path)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
