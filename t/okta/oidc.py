#!/usr/bin/python3
"""The OpenID Connect half of the stand-in: an authorization server with Okta's endpoints.
  t/okta/oidc.py --listen 127.0.0.1:PORT [--tls CERT KEY] [--base-url URL] [--redirect-uri URL]

A person signs in on its page; a test answers an authorization request by approve(). `change` holds switches to misbehave:
"discovery", "keys", "header", "claims", "token", "push" and "userinfo" are functions of what would be sent; a result (status, body)
replaces the status too, and a Silence, a Cut or a Chunked body is sent as it says.
"""

import argparse
import base64
import contextlib
import dataclasses
import hashlib
import json
import pathlib
import secrets
import signal
import sys
import threading
import time
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlencode, urlsplit

from jwcrypto import jwk, jws

if __package__ in (None, ""):            # started as a program: the package is this file's directory
    sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)
    __package__ = "okta"
    import okta  # noqa: F401

from . import config, pages, serving

CLIENT, SECRET = "0oaclient0standin0697", "a secret of the stand-in"
USER = {"sub": "00u1amelia0standin697", "email": "amelia.earhart@acme.example", "given_name": "Amelia", "family_name": "Earhart",
        "groups": ["Everyone", "Engineering"]}
PEOPLE = [
    config.User("grace.hopper@globex.example", "Grace", "Hopper", ["Everyone", "Navy"], note="Navy"),
    config.User("jorge@globex.example", "Jorge", "Núñez", ["Everyone"], note="Accents"),
    config.User("carl@globex.example", "Carl", "Contractor", [], note="Not assigned to the app"),
]
THIN = ("sub", "email")                  # what an ID token holds when an access token comes with it (OKTA.md B.2.4)
SESSION_SECONDS = 2 * 3600


def same(value):
    return value


class Refused(Exception):
    """An error of RFC 6749 5.2."""


@dataclasses.dataclass
class Silence:
    """No answer, until this is set."""
    end: threading.Event


@dataclasses.dataclass
class Cut:
    """An answer that promises more than comes."""
    body: str


@dataclasses.dataclass
class Chunked:
    """The answer in chunks of a few bytes."""
    body: object


def claims_of(user):
    return {"sub": "00u" + hashlib.sha256(user.login.encode()).hexdigest()[:17], "email": user.email, "name": user.display_name,
            "given_name": user.first_name, "family_name": user.last_name, "groups": user.groups}


class Provider:
    """server: "" is Okta's org authorization server, else the name of a custom one."""

    def __init__(self, listen=("127.0.0.1", 0), tls=None, base_url=None, server="", redirect_uri=None):
        self.server = Server(listen, self, tls)
        self.base = (base_url or f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_address[1]}").rstrip("/")
        self.path = f"/oauth2/{server}" if server else ""
        self.issuer = self.base + self.path
        self.endpoints = (self.path or "/oauth2") + "/v1"
        self.redirect_uri = redirect_uri  # None: any
        self.codes, self.access, self.pushed, self.change, self.seen = {}, {}, {}, {}, []
        self.waiting, self.sessions = {}, {}
        self.keys = []
        self.roll()

    def roll(self, kind="RSA"):
        """A new key signs; the ones before stay published."""
        kid = f"key-{len(self.keys) + 1}"
        made = jwk.JWK.generate(kty=kind, kid=kid, use="sig", **({"size": 2048} if kind == "RSA" else {"crv": "P-256"}))
        self.keys.append(made)

    def discovery(self):
        at = self.base + self.endpoints
        return {"issuer": self.issuer, "authorization_endpoint": f"{at}/authorize", "token_endpoint": f"{at}/token",
                "userinfo_endpoint": f"{at}/userinfo", "jwks_uri": f"{at}/keys", "pushed_authorization_request_endpoint": f"{at}/par",
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]}

    def published(self):
        return {"keys": [json.loads(key.export_public()) for key in self.keys]}

    def asked(self, query):
        """The authorization request, in the query or pushed beforehand."""
        return self.pushed.pop(query["request_uri"], {}) if "request_uri" in query else query

    def request(self, location):
        """What the authorization request in a redirect asks for."""
        asked = dict(parse_qsl(urlsplit(location).query))
        assert location.startswith(f"{self.base}{self.endpoints}/authorize?") and asked["client_id"] == CLIENT, location
        asked = self.asked(asked)
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        return asked

    def approve(self, location, **user):
        """The fields of the answer to that request."""
        return self.grant(self.request(location), {**USER, **user})

    def grant(self, asked, user, since=None):
        code = secrets.token_urlsafe(24)
        self.codes[code] = (asked, user, since or time.time())
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
        asked, user, since = self.codes.pop(form.get("code"), (None, None, None))
        if not asked:
            raise Refused("invalid_grant", "The authorization code is invalid or has expired.")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            raise Refused("invalid_grant", "PKCE verification failed.")
        access, now = secrets.token_urlsafe(24), int(time.time())
        self.access[access] = user
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 3600, "auth_time": int(since), "nonce": asked["nonce"],
                  **{name: user[name] for name in THIN}, **({"acr": user["acr"]} if "acr" in user else {})}
        return {"access_token": access, "token_type": "Bearer", "expires_in": 3600,
                "id_token": self.sign(self.change.get("claims", same)(claims))}

    def push(self, form, authorization):
        self.authenticate(form, authorization)
        uri = f"urn:okta:{secrets.token_urlsafe(12)}"
        self.pushed[uri] = form
        return {"request_uri": uri, "expires_in": 3600}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536                     # head and body in one segment, else the second waits for an acknowledgement

    @property
    def provider(self):
        return self.server.provider

    def answer(self, status, body, headers=()):
        html = isinstance(body, str)
        text = (body if html else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8" if html else "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in [*headers, *([("Retry-After", "17")] if status == 429 else [])]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def serve(self, make, name):
        self.provider.seen.append(name)
        try:
            made = self.provider.change.get(name, same)(make())
        except Refused as error:
            return self.answer(401 if error.args[0] == "invalid_client" else 400, {"error": error.args[0], "error_description": error.args[1]})
        if isinstance(made, (Silence, Cut, Chunked)):
            return self.misbehave(made)
        return self.answer(*(made if isinstance(made, tuple) else (200, made)))

    def misbehave(self, made):
        if isinstance(made, Silence):
            made.end.wait(60)
            self.close_connection = True
            return
        text = made.body.encode() if isinstance(made, Cut) else json.dumps(made.body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if isinstance(made, Cut):
            self.send_header("Content-Length", str(len(text) + 100))
            self.end_headers()
            self.wfile.write(text)
            self.close_connection = True
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(text), 7):
            part = text[at:at + 7]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self):
        parts, at = urlsplit(self.path), self.provider
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.path == f"{at.path}/.well-known/openid-configuration":
            return self.serve(at.discovery, "discovery")
        if parts.path == f"{at.endpoints}/keys":
            return self.serve(at.published, "keys")
        if parts.path == f"{at.endpoints}/authorize":
            return self.authorize(query)
        if parts.path == "/style.css":
            self.send_response(200)
            self.send_header("Content-Type", "text/css")
            self.send_header("Content-Length", str(len(pages.STYLE)))
            self.end_headers()
            return self.wfile.write(pages.STYLE.encode())
        token = (self.headers.get("Authorization") or "").partition("Bearer ")[2]
        if parts.path == f"{at.endpoints}/userinfo" and token in at.access:
            return self.serve(lambda: at.access[token], "userinfo")
        return self.answer(404, pages.problem("Page not found", "There is nothing at this address.", "globex"))

    def do_POST(self):
        form = dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()))
        if self.path == "/login":
            return self.log_in(form)
        which = {f"{self.provider.endpoints}/token": "token", f"{self.provider.endpoints}/par": "push"}.get(self.path)
        if not which:
            return self.answer(404, "no such page")
        return self.serve(lambda: getattr(self.provider, which)(form, self.headers.get("Authorization") or ""), which)

    # ---- a person ----

    def authorize(self, query):
        at = self.provider
        asked = at.asked(query)
        if asked.get("client_id") != CLIENT or "redirect_uri" not in asked or at.redirect_uri not in (None, asked["redirect_uri"]):
            return self.answer(400, pages.problem("400 Bad Request", "The 'redirect_uri' parameter must be a Login redirect URI in the client app "
                                                  "settings.", "globex"))
        session = at.sessions.get(self.cookie())
        if session and asked.get("prompt") != "login" and time.time() - session[1] < int(asked.get("max_age", SESSION_SECONDS)):
            return self.send_back(asked, *session)
        if asked.get("prompt") == "none":
            return self.deliver(asked, {"error": "login_required", "error_description": "The client specified not to prompt, but the user is "
                                        "not logged in."})
        name = secrets.token_urlsafe(18)
        at.waiting[name] = asked
        return self.answer(200, pages.sign_in(name, PEOPLE, "Globex Web App", username=asked.get("login_hint", ""), org="globex"))

    def log_in(self, form):
        at = self.provider
        asked = at.waiting.get(form.get("state"))
        if asked is None:
            return self.answer(400, pages.problem("This sign-in is over", "Start again from the app.", "globex"))
        user = next((user for user in PEOPLE if user.login == (form.get("account") or form.get("username"))), None)
        if user is None or not ("account" in form or form.get("password") == user.password):
            return self.answer(401, pages.sign_in(form["state"], PEOPLE, "Globex Web App", "Unable to sign in: unknown user or wrong password.",
                                                  form.get("username", ""), "globex"))
        name, since = secrets.token_urlsafe(18), time.time()
        at.sessions[name] = (user, since)
        return self.send_back(asked, user, since, [("Set-Cookie", f"standin={name}; Path=/; HttpOnly")])

    def send_back(self, asked, user, since, headers=()):
        if not user.groups:
            return self.deliver(asked, {"error": "access_denied", "error_description": "User is not assigned to the client application."}, headers)
        return self.deliver(asked, self.provider.grant(asked, claims_of(user), since), headers)

    def deliver(self, asked, fields, headers=()):
        fields = {"state": asked["state"], **fields}
        if asked.get("response_mode") == "form_post":
            return self.answer(200, pages.post_form(asked["redirect_uri"], list(fields.items()), org="globex"), headers)
        return self.answer(303, "", [("Location", f"{asked['redirect_uri']}?{urlencode(fields)}"), *headers])

    def cookie(self):
        jar = SimpleCookie(self.headers.get("Cookie") or "")
        return jar["standin"].value if "standin" in jar else None

    def log_message(self, format, *args):
        pass


class Server(serving.Server):
    def __init__(self, address, provider, tls):
        super().__init__(address, Handler, tls)
        self.provider = provider


@contextlib.contextmanager
def started(**options):
    provider = Provider(**options)
    thread = threading.Thread(target=provider.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
        thread.join(10)


def main():
    parser = argparse.ArgumentParser(description="A local stand-in for Okta's OpenID Connect")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="PEM files; serve HTTPS")
    parser.add_argument("--base-url", metavar="URL", help="the outside URL; default: what --listen says")
    parser.add_argument("--redirect-uri", metavar="URL", help="the one Login redirect URI; default: any")
    args = parser.parse_args()
    host, _, port = args.listen.rpartition(":")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with started(listen=(host, int(port)), tls=args.tls, base_url=args.base_url, redirect_uri=args.redirect_uri) as provider:
        print(f"ready {provider.issuer}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
