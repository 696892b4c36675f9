"""The OpenID Connect half of the stand-in: a provider in threads of this process, with the endpoints of Okta's org server.

A test answers an authorization request by approve(); `change` holds switches to misbehave: "discovery", "keys", "claims", "header",
"token", "userinfo" are functions of what would be sent.
"""

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from jwcrypto import jwk, jws

CLIENT, SECRET = "0oaclient0standin0697", "a secret of the stand-in"
USER = {"sub": "00u1amelia0standin697", "email": "amelia.earhart@acme.example", "given_name": "Amelia", "family_name": "Earhart",
        "groups": ["Everyone", "Engineering"]}
THIN = ("sub", "email")                  # what an ID token holds when an access token comes with it (OKTA.md B.2.4)


def same(value):
    return value


class Refused(Exception):
    """An error of RFC 6749 5.2."""


class Provider:
    def __init__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"provider": self}))
        self.server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.codes, self.access, self.pushed, self.change, self.seen = {}, {}, {}, {}, []
        self.keys = []
        self.roll()

    def roll(self, kind="RSA"):
        """A new key signs; the ones before stay published."""
        kid = f"key-{len(self.keys) + 1}"
        made = jwk.JWK.generate(kty=kind, kid=kid, use="sig", **({"size": 2048} if kind == "RSA" else {"crv": "P-256"}))
        self.keys.append(made)

    def discovery(self):
        at = f"{self.issuer}/oauth2/v1"
        return {"issuer": self.issuer, "authorization_endpoint": f"{at}/authorize", "token_endpoint": f"{at}/token",
                "userinfo_endpoint": f"{at}/userinfo", "jwks_uri": f"{at}/keys", "pushed_authorization_request_endpoint": f"{at}/par",
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]}

    def published(self):
        return {"keys": [json.loads(key.export_public()) for key in self.keys]}

    def request(self, location):
        """What the authorization request asked for."""
        asked = dict(parse_qsl(urlsplit(location).query))
        assert location.startswith(f"{self.issuer}/oauth2/v1/authorize?") and asked["client_id"] == CLIENT, location
        if "request_uri" in asked:
            asked = self.pushed.pop(asked["request_uri"])
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        return asked

    def approve(self, location, **user):
        """The fields of the answer to that request."""
        asked = self.request(location)
        code = secrets.token_urlsafe(24)
        self.codes[code] = (asked, {**USER, **user})
        return {"code": code, "state": asked["state"]}

    def sign(self, claims):
        key = self.keys[-1]
        header = self.change.get("header", same)({"alg": "RS256" if key["kty"] == "RSA" else "ES256", "kid": key["kid"]})
        token = jws.JWS(json.dumps(claims))
        token.add_signature(key, None, json.dumps(header), None)
        return token.serialize(compact=True)

    def authenticate(self, form, authorization):
        said = form.get("client_secret")
        if authorization.startswith("Basic "):
            said = base64.b64decode(authorization[6:]).decode().partition(":")[2].replace("%20", " ")
        if said != SECRET:
            raise Refused("invalid_client", "The client secret supplied for a confidential client is invalid.")

    def token(self, form, authorization):
        self.authenticate(form, authorization)
        asked, user = self.codes.pop(form.get("code"), (None, None))
        if not asked:
            raise Refused("invalid_grant", "The authorization code is invalid or has expired.")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            raise Refused("invalid_grant", "PKCE verification failed.")
        access, now = secrets.token_urlsafe(24), int(time.time())
        self.access[access] = user
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 3600, "auth_time": now, "nonce": asked["nonce"],
                  **{name: user[name] for name in THIN}}
        return {"access_token": access, "token_type": "Bearer", "expires_in": 3600,
                "id_token": self.sign(self.change.get("claims", same)(claims))}

    def push(self, form, authorization):
        self.authenticate(form, authorization)
        uri = f"urn:okta:{secrets.token_urlsafe(12)}"
        self.pushed[uri] = form
        return {"request_uri": uri, "expires_in": 3600}


class Handler(BaseHTTPRequestHandler):
    provider = None

    def answer(self, status, body):
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        if status == 429:
            self.send_header("Retry-After", "17")
        self.end_headers()
        self.wfile.write(text)

    def serve(self, make, name):
        self.provider.seen.append(name)
        try:
            made = self.provider.change.get(name, same)(make())
        except Refused as error:
            return self.answer(401 if error.args[0] == "invalid_client" else 400, {"error": error.args[0], "error_description": error.args[1]})
        return self.answer(*(made if isinstance(made, tuple) else (200, made)))

    def do_GET(self):
        path, at = urlsplit(self.path).path, self.provider
        if path == "/.well-known/openid-configuration":
            return self.serve(at.discovery, "discovery")
        if path == "/oauth2/v1/keys":
            return self.serve(at.published, "keys")
        token = (self.headers.get("Authorization") or "").partition("Bearer ")[2]
        if path == "/oauth2/v1/userinfo" and token in at.access:
            return self.serve(lambda: at.access[token], "userinfo")
        return self.answer(404, "no such page")

    def do_POST(self):
        form = dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()))
        which = {"/oauth2/v1/token": "token", "/oauth2/v1/par": "push"}.get(self.path)
        if not which:
            return self.answer(404, "no such page")
        return self.serve(lambda: getattr(self.provider, which)(form, self.headers.get("Authorization") or ""), which)

    def log_message(self, format, *args):
        pass


@contextlib.contextmanager
def started():
    provider = Provider()
    thread = threading.Thread(target=provider.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
        thread.join(10)
