"""Follows Watchword's revocation feed, so that tokens of ended sessions are rejected within a second."""

import sys
import threading
import time
import urllib.request

import jwt

CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RETENTION = 65 * 60  # seconds: tokens issued before an event have expired by then


class Feed:
    """Holds the ended sessions, and since when tokens of a user are out of date."""

    def __init__(self, stream, keys, issuer, audience):
        self.stream, self.keys, self.issuer, self.audience = stream, keys, issuer, audience
        self.sessions, self.users, self.largest, self.cursor = {}, {}, 0, 0
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        while True:
            try:  # the server sends a heartbeat every 2 s, so 7 s of silence mean a broken connection
                request = urllib.request.Request(self.stream, headers={"Last-Event-ID": str(self.cursor)})
                with urllib.request.urlopen(request, timeout=7) as lines:
                    for line in lines:
                        if line.startswith(b"data:"):
                            self.take(line[5:].strip().decode())
            except Exception as error:  # any error: without this thread, tokens of ended sessions are accepted
                print(f"can't read the revocation feed: {error}", file=sys.stderr)
            time.sleep(0.2)

    def take(self, token):
        if jwt.get_unverified_header(token).get("typ") != "secevent+jwt":
            raise ValueError("not a security event token")
        key = self.keys.get_signing_key_from_jwt(token).key
        event = jwt.decode(token, key, algorithms=["ES256"], issuer=self.issuer, audience=self.audience, leeway=5)
        self.largest = max(self.largest, event.get("number", 0))
        (kind, body), = event["events"].items()
        if kind == CAEP + "session-revoked":
            self.sessions[event["sub_id"]["session"]["id"]] = time.monotonic()
        elif kind == CAEP + "token-claims-change":
            self.users[event["sub_id"]["sub"]] = body["event_timestamp"]
        elif "state" in body:  # a heartbeat: all smaller numbers have arrived
            self.cursor = self.largest
            self.sessions = {sid: at for sid, at in self.sessions.items() if at > time.monotonic() - RETENTION}
            self.users = {sub: at for sub, at in self.users.items() if at > time.time() - RETENTION}

    def rejects(self, claims):
        return claims["sid"] in self.sessions or claims["iat"] < self.users.get(claims["sub"], 0)
