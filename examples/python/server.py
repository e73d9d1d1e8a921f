"""A service that accepts Watchword's access tokens. Its only setting is Watchword's URL."""

import json
import os
import re
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt  # PyJWT with cryptography

from feed import Feed

issuer = os.environ.get("ISSUER", "http://localhost:8080")
audience = os.environ.get("AUDIENCE", issuer)

with urllib.request.urlopen(issuer + "/.well-known/openid-configuration", timeout=5) as response:
    metadata = json.load(response)
keys = jwt.PyJWKClient(metadata["jwks_uri"])  # caches the keys, and fetches them again for an unknown key
feed = Feed(metadata["revocation_stream_endpoint"], keys, issuer, audience)


def verify(token):
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    key = keys.get_signing_key_from_jwt(token).key
    return jwt.decode(token, key, algorithms=["ES256"], issuer=issuer, audience=audience,
                      leeway=5,  # seconds of tolerated clock skew
                      options={"require": ["exp", "iat", "sub", "sid"]})


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        bearer = re.fullmatch(r"Bearer +(\S+)", self.headers.get("Authorization", ""), re.IGNORECASE)
        if not bearer:
            return self.respond(401, {"error": "Sign in first."}, "Bearer")
        try:
            claims = verify(bearer[1])
        except (jwt.InvalidTokenError, jwt.PyJWKClientError) as error:
            if isinstance(error.__context__, OSError):
                # Without keys the token can't be checked. A 401 would sign the user out, so respond 503.
                return self.respond(503, {"error": "Try again shortly."})
            return self.respond(401, {"error": "This token is not valid here."}, 'Bearer error="invalid_token"')
        if feed.rejects(claims):
            return self.respond(401, {"error": "This session has ended."}, 'Bearer error="invalid_token"')
        self.respond(200, {"sub": claims["sub"], "roles": claims["roles"]})

    def respond(self, status, body, challenge=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
