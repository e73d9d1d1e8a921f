"""A service that lets in whom Watchword knows. The URL of Watchword is all it needs."""

import json
import os
import re
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt  # PyJWT with cryptography

issuer = os.environ.get("ISSUER", "http://localhost:8080")
audience = os.environ.get("AUDIENCE", issuer)

with urllib.request.urlopen(issuer + "/.well-known/openid-configuration", timeout=5) as answer:
    keys = jwt.PyJWKClient(json.load(answer)["jwks_uri"])  # kept, and fetched again for a new key


def verify(token):
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    key = keys.get_signing_key_from_jwt(token).key
    return jwt.decode(token, key, algorithms=["ES256"], issuer=issuer, audience=audience,
                      leeway=5,  # seconds that the two clocks may differ by
                      options={"require": ["exp", "iat", "sub", "sid"]})


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        bearer = re.fullmatch(r"Bearer +(\S+)", self.headers.get("Authorization", ""), re.IGNORECASE)
        if not bearer:
            return self.answer(401, {"error": "Sign in first."}, "Bearer")
        try:
            who = verify(bearer[1])
        except (jwt.InvalidTokenError, jwt.PyJWKClientError) as fault:
            if isinstance(fault.__context__, OSError):
                # Keys that can't be fetched say nothing about the token: nobody is to be signed out for it.
                return self.answer(503, {"error": "Try again shortly."})
            return self.answer(401, {"error": "This token is not valid here."}, 'Bearer error="invalid_token"')
        self.answer(200, {"sub": who["sub"], "roles": who["roles"]})

    def answer(self, status, body, challenge=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
