"""A small OpenID Connect provider that knows one person and lets them in without asking."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from time import time
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "dashboard", "of the dashboard"


class Provider(ThreadingHTTPServer):
    """Serves discovery, sign-in, tokens and keys.

    Attributes:
        claims: what it says of the person, beside what every identity token says.
    """

    def __init__(self, claims: dict[str, object]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.claims = claims
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.nonces: dict[str, str] = {}

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def identity_token(self, nonce: str) -> str:
        now = int(time())
        standard = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 600, "nonce": nonce}
        signed: str = jwt.encode({"alg": "RS256", "kid": "one"}, {**standard, **self.claims}, self.key)
        return signed


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        if asked.path == "/authorize":
            code = token_urlsafe()
            self.server.nonces[code] = query.get("nonce", "")
            answer = urlencode({"code": code, "state": query["state"]})
            self.send_response(302)
            self.send_header("Location", f"{query['redirect_uri']}?{answer}")
            self.end_headers()
            return
        issuer = self.server.issuer
        self._answer(
            {
                "/jwks": {"keys": [self.server.key.as_dict(private=False)]},
                "/.well-known/openid-configuration": {
                    "issuer": issuer,
                    "authorization_endpoint": f"{issuer}/authorize",
                    "token_endpoint": f"{issuer}/token",
                    "jwks_uri": f"{issuer}/jwks",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                },
            }[asked.path]
        )

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        nonce = self.server.nonces.pop(sent["code"][0])
        self._answer({"access_token": "x", "token_type": "Bearer", "id_token": self.server.identity_token(nonce)})

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def providing(**claims: object) -> Iterator[Provider]:
    """Run a provider that says this of the person."""
    with Provider(claims) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
