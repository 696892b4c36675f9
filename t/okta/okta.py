#!/usr/bin/python3
"""The stand-in's server:
  t/okta/okta.py --listen 127.0.0.1:PORT [--tls CERT KEY] --state DIR [--config FILE | --acs URL]

  /app/{exk}/sso/saml/metadata      metadata
  /app/{appName}/{exk}/sso/saml     sign-on: AuthnRequest by Redirect or POST; without one, IdP-initiated
  /  /login  /login/signout         my apps, sign-in page, sign-out
  /provisioning                     what Okta's SCIM client tells the app (--scim)
  /_control /_mint /_health         for tests; see README.md in this directory
"""

import argparse
import collections
import dataclasses
import hashlib
import hmac
import pathlib
import secrets
import signal
import sys
import threading
import time
import traceback
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler
from json import JSONDecodeError, loads
from urllib.parse import parse_qsl, urlencode, urlsplit

if __package__ in (None, ""):            # started as a program: the package is this file's directory
    sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)
    __package__ = "okta"
    import okta  # noqa: F401

from . import config, keys, pages, provisioning, saml, serving

BODY_MAX = 1024 * 1024
PENDING_MAX = 1000
LOG_MAX = 200
KEEP = object()
SESSION_SECONDS = 2 * 3600


@dataclasses.dataclass
class Delivery:
    """How a Response is brought to the app, beside what is in it (saml.Options)."""

    relay_state: object = KEEP           # None: the field is left out; a string: in place of what came
    duplicate: list = dataclasses.field(default_factory=list)   # fields that the form holds twice
    replay: bool = False                 # the Response before, once more
    auto: bool = True                    # False: the form waits for the Continue button
    post_to: str = ""                    # another URL for the form


@dataclasses.dataclass
class Reply:
    status: int = 200
    body: str = ""
    content_type: str = "text/html; charset=utf-8"
    headers: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Session:
    login: str
    since: float


@dataclasses.dataclass
class Pending:
    """A sign-on that waits for the sign-in page."""

    exk: str
    request: object                      # saml.AuthnRequest, or None: IdP-initiated
    relay_state: object
    fresh: bool = False                  # ForceAuthn was asked for, and has been satisfied


class Refused(Exception):
    """Ends a request with an error page."""

    def __init__(self, status, title, detail):
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail


class KeyRing:
    """The signing keys of one app. Rolling adds a key and chooses what metadata lists and what signs."""

    def __init__(self, directory, app):
        self.directory, self.app = directory, app
        self.signers = [self._signer(0)]
        self.active, self.listed = 0, [0]

    def _signer(self, number):
        return keys.Signer.load_or_generate(self.directory / f"{self.app.exk}-{number}.pem", self.app.org)

    def roll(self, listed="both", sign="new"):
        """listed: both, new, old (metadata behind); sign: new, old (announced beforehand)."""
        old = self.active
        self.signers.append(self._signer(len(self.signers)))
        new = len(self.signers) - 1
        self.listed = {"both": [old, new], "new": [new], "old": [old]}[listed]
        self.active = {"new": new, "old": old}[sign]

    def named(self, name):
        if name == "wrong":              # a stranger's key in a certificate that reads the same
            return keys.Signer.load_or_generate(self.directory / "wrong.pem", self.app.org)
        if name in ("first", "last"):
            return self.signers[0 if name == "first" else -1]
        raise ValueError(f"no such key: {name}; known: wrong, first, last")


class Okta:
    """The identity provider without its HTTP side. Everything mutable is used under the lock."""

    def __init__(self, state_dir, base_url, apps, users):
        self.directory = pathlib.Path(state_dir)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.base_url = base_url.rstrip("/")
        self.lock = threading.RLock()
        self.apps, self.rings, self.users = {}, {}, {}
        self.sessions, self.pending = {}, collections.OrderedDict()
        self.scim = None                 # provisioning.Provisioning, where an app takes it
        for user in users:
            self.users[user.login] = user
        for app in apps:
            self.put_app(app)
        self.clear()

    def clear(self):
        self.next, self.always, self.metadata_switch = [], {}, {}
        self.requests, self.responses = collections.deque(maxlen=LOG_MAX), collections.deque(maxlen=LOG_MAX)
        self.metadata_fetches = self.metadata_unchanged = 0
        self.fetches_of = collections.Counter()

    def put_app(self, app):
        if app.exk not in self.rings:
            self.rings[app.exk] = KeyRing(self.directory, app)
        self.apps[app.exk] = app

    def app(self, exk, name=None):
        app = self.apps.get(exk)
        if app is None or (name is not None and app.name != name):
            raise Refused(404, "No such app", "This address does not belong to an app of this organization.")
        return app

    def org(self):
        return next(iter(self.apps.values())).org if self.apps else "acme"

    def sso_url(self, app):
        return f"{self.base_url}/app/{app.name}/{app.exk}/sso/saml"

    def metadata(self, exk):
        """(document, seconds to wait first, status)"""
        with self.lock:
            app, ring = self.app(exk), self.rings[exk]
            self.metadata_fetches += 1
            self.fetches_of[exk] += 1
            switch = dict(self.metadata_switch)
            if "count" in self.metadata_switch:
                self.metadata_switch["count"] -= 1
                if self.metadata_switch["count"] <= 0:
                    self.metadata_switch = {}
            document = switch.get("body") or saml.metadata(
                app.entity_id, self.sso_url(app), [ring.signers[i].certificate_base64() for i in ring.listed],
                app.name_id_format)
            return document, float(switch.get("delay", 0)), int(switch.get("status", 200))

    def check_request(self, app, request):
        """What Okta checks of an AuthnRequest (OKTA.md B.1.3); returns the ACS URL to answer to."""
        allowed = [app.acs] + list(app.requestable)
        acs = request.acs_url or app.acs
        if request.acs_index is not None:
            try:
                acs = app.requestable[int(request.acs_index)]
            except (ValueError, IndexError) as error:
                raise saml.SamlError("The AuthnRequest's AssertionConsumerServiceIndex is not configured.") from error
        if acs not in allowed:
            raise saml.SamlError(f"The AuthnRequest's AssertionConsumerServiceURL {acs} is not the app's Single "
                                 f"sign-on URL {app.acs}.")
        if request.destination and request.destination != self.sso_url(app):
            raise saml.SamlError(f"The AuthnRequest's Destination {request.destination} is not {self.sso_url(app)}.")
        if request.binding and request.binding != saml.POST:
            raise saml.SamlError("The AuthnRequest's ProtocolBinding is not HTTP-POST.")
        if request.name_id_policy not in (None, saml.UNSPECIFIED, app.name_id_format):
            raise saml.SamlError(f"The AuthnRequest's NameIDPolicy {request.name_id_policy} is not the app's Name ID "
                                 f"format {app.name_id_format}.")
        return acs

    def mint(self, app, user, acs=None, request_id=None, authn_age=0.0, fields=None):
        """A Response for `user`; `fields` are names of saml.Options, plus preset, key, response_key, …"""
        ring = self.rings[app.exk]
        values = {
            "acs": acs or app.acs, "audience": app.audience, "issuer": app.entity_id,
            "name_id": user.value(app.name_id) if user else "", "name_id_format": app.name_id_format,
            "attributes": app.attributes_of(user) if user else {}, "in_response_to": request_id,
            "authn_age": authn_age,
        }
        values.update(self.option_fields(ring, dict(fields or {})))
        return saml.mint(saml.Options(**values), ring.signers[ring.active])

    @staticmethod
    def option_fields(ring, fields):
        out = {}
        preset = fields.pop("preset", None)
        if preset is not None:
            if preset not in saml.PRESETS:
                raise ValueError(f"no such preset: {preset}; known: {', '.join(sorted(saml.PRESETS))}")
            out.update(saml.PRESETS[preset])
        if "key" in fields:
            name = fields.pop("key")
            out["response_signer"] = out["assertion_signer"] = ring.named(name)
        for key in ("response_key", "assertion_key", "key_info_key"):
            if key in fields:
                out[key[:-len("key")] + "signer"] = ring.named(fields.pop(key))
        known = {field.name for field in dataclasses.fields(saml.Options)}
        unknown = set(fields) - known
        if unknown:
            raise ValueError(f"unknown options: {', '.join(sorted(unknown))}")
        out.update(fields)
        return out

    def misbehaviour(self, exk):
        """(Delivery, fields for mint) of the switches that are set for the next Response of this app."""
        fields = dict(self.always)
        for entry in self.next:
            if entry["app"] in (None, exk):
                fields.update(entry["fields"])
                entry["count"] -= 1
                if entry["count"] <= 0:
                    self.next.remove(entry)
                break
        names = {field.name for field in dataclasses.fields(Delivery)}
        delivery = Delivery(**{name: value for name, value in fields.items() if name in names})
        return delivery, {name: value for name, value in fields.items() if name not in names}

    def answer(self, app, user, session, waiting):
        """The page with the Response."""
        with self.lock:
            delivery, fields = self.misbehaviour(app.exk)
            request, acs, relay_state = waiting.request, app.acs, waiting.relay_state
            if request is not None:
                acs = self.check_request(app, request)
            elif relay_state is None:
                relay_state = app.default_relay_state
            before = next((r for r in reversed(self.responses) if r["app"] == app.exk), None)
            if delivery.replay and before:
                value = before["base64"]
            else:
                age = time.time() - session.since if session else 0.0
                merge = fields.pop("attributes_merge", None)
                if merge is not None:
                    fields["attributes"] = {**app.attributes_of(user), **merge}
                minted = self.mint(app, user, acs, request.id if request else None, age, fields)
                value = minted.base64
                self.responses.append({"app": app.exk, "user": user.login if user else None, "base64": value,
                                       "id": minted.response_id, "assertion_id": minted.assertion_id,
                                       "in_response_to": request.id if request else None,
                                       "relay_state": relay_state, "time": time.time()})
        if delivery.relay_state is not KEEP:
            relay_state = delivery.relay_state
        form = [("SAMLResponse", value)]
        if relay_state is not None:
            form.append(("RelayState", relay_state))
        form += [pair for pair in form if pair[0] in delivery.duplicate]
        return Reply(body=pages.post_form(delivery.post_to or acs, form, delivery.auto, app.org))

    def wait(self, waiting):
        """Keeps a sign-on for the sign-in page; its name. The oldest make room."""
        with self.lock:
            state = secrets.token_urlsafe(18)
            self.pending[state] = waiting
            while len(self.pending) > PENDING_MAX:
                self.pending.popitem(last=False)
            return state

    def control(self, command):
        """POST /_control. Unknown keys are errors, so that a misspelt switch is not a passing test."""
        known = {"clear", "next", "count", "app", "always", "metadata", "roll", "apps", "users", "sign_out"}
        if set(command) - known:
            raise ValueError(f"unknown: {', '.join(sorted(set(command) - known))}; known: {', '.join(sorted(known))}")
        with self.lock:
            if command.get("clear"):
                self.clear()
            for fields in command.get("users", []):
                user = config.User(**fields)
                self.users[user.login] = user
            for fields in command.get("apps", []):
                self.put_app(config.App(**fields))
            if "next" in command:
                self.check_fields(command["next"])
                self.next.append({"app": command.get("app"), "fields": command["next"],
                                  "count": int(command.get("count", 1))})
            if "always" in command:
                self.check_fields(command["always"] or {})
                self.always = command["always"] or {}
            if "metadata" in command:
                self.metadata_switch = dict(command["metadata"] or {})
            if "roll" in command:
                self.rings[self.app(command.get("app") or next(iter(self.apps))).exk].roll(**command["roll"])
            if command.get("sign_out"):
                self.sessions.clear()
            return self.status()

    def check_fields(self, fields):
        """A wrong switch is told to the one who sets it, not to the browser that meets it."""
        names = {field.name for field in dataclasses.fields(Delivery)} | {"attributes_merge"}
        ring = next(iter(self.rings.values()))
        options = self.option_fields(ring, {name: value for name, value in fields.items() if name not in names})
        bad = set(options.get("omit", [])) - saml.OMITTABLE
        if bad:
            raise ValueError(f"cannot omit {sorted(bad)}; known: {sorted(saml.OMITTABLE)}")

    def status(self):
        with self.lock:
            return {
                "base_url": self.base_url, "metadata_fetches": self.metadata_fetches, "metadata_unchanged": self.metadata_unchanged,
                "fetches_of": dict(self.fetches_of), "sessions": len(self.sessions),
                "pending": len(self.pending), "requests": list(self.requests), "responses": list(self.responses),
                "next": self.next, "always": self.always, "metadata": self.metadata_switch,
                "apps": {app.exk: {**dataclasses.asdict(app), "sso_url": self.sso_url(app), "metadata_url":
                                   f"{self.base_url}/app/{app.exk}/sso/saml/metadata"} for app in self.apps.values()},
                "users": [user.login for user in self.users.values()],
            }

    def mint_for_test(self, fields):
        """/_mint: a Response without a browser. `location` is where a service provider redirected to."""
        fields = dict(fields)
        with self.lock:
            app = self.app(fields.pop("app", None) or next(iter(self.apps)))
            login = fields.pop("user", None) or next(iter(self.users))
            if login not in self.users:
                raise ValueError(f"no such user: {login}")
            user, acs, relay_state = self.users[login], None, app.default_relay_state
            location = fields.pop("location", None)
            request_id = fields.pop("in_response_to", None)
            if location:
                request, relay_state = saml.request_of_location(location)
                acs = self.check_request(app, request)
                request_id = request_id or request.id
            merge = fields.pop("attributes_merge", None)
            if merge is not None:
                fields["attributes"] = {**app.attributes_of(user), **merge}
            minted = self.mint(app, user, acs, request_id, 0.0, fields)
            return {"SAMLResponse": minted.base64, "RelayState": relay_state, "acs": acs or app.acs,
                    "id": minted.response_id, "assertion_id": minted.assertion_id, "xml": minted.xml.decode("utf-8")}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "standin"
    sys_version = ""
    timeout = 30

    @property
    def idp(self):
        return self.server.idp

    def do_GET(self):
        self.handle_request({})

    do_HEAD = do_GET

    def do_POST(self):
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if length < 0 or length > BODY_MAX:
            self.close_connection = True
            return self.send(Reply(413, "too large", "text/plain"))
        body = self.rfile.read(length)
        kind = (self.headers.get("Content-Type") or "").split(";")[0].strip().lower()
        try:
            if kind == "application/json":
                form = loads(body or b"{}")
                if not isinstance(form, dict):
                    raise ValueError("an object is needed")
            else:
                form = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True))
        except (JSONDecodeError, UnicodeDecodeError, ValueError) as error:
            return self.send(Reply(400, f"bad body: {error}", "text/plain"))
        self.handle_request(form, kind == "application/json")

    def handle_request(self, form, is_json=False):
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            reply = self.route(parts.path, query, form, is_json)
        except Refused as refusal:
            reply = Reply(refusal.status, pages.problem(refusal.title, refusal.detail, self.idp.org()))
        except saml.SamlError as error:
            reply = Reply(400, pages.problem("400 Bad Request", str(error), self.idp.org()))
        except (ValueError, TypeError, KeyError) as error:
            if not parts.path.startswith("/_"):
                traceback.print_exc()
            reply = Reply(400, pages.as_json({"error": str(error)}), "application/json")
        self.send(reply)

    def route(self, path, query, form, is_json):
        segments = path.strip("/").split("/")
        if path == "/":
            return self.page_tiles()
        if path == "/login":
            return self.page_login(query, form)
        if path == "/login/signout":
            return self.page_sign_out()
        if path == "/style.css":
            return Reply(200, pages.STYLE, "text/css")
        if path == "/provisioning" and self.idp.scim:
            return self.page_provisioning(form)
        if path == "/_health":
            return Reply(200, "ok\n", "text/plain")
        if path in ("/_control", "/_mint"):
            return self.api(path, query, form, is_json)
        if len(segments) == 5 and segments[0] == "app" and segments[2:] == ["sso", "saml", "metadata"]:
            document, delay, status = self.idp.metadata(segments[1])
            time.sleep(delay)
            tag = f'"{hashlib.sha256(document.encode()).hexdigest()[:16]}"'
            if status == 200 and self.headers.get("If-None-Match") == tag:
                with self.idp.lock:
                    self.idp.metadata_unchanged += 1
                return Reply(304, headers=[("ETag", tag)])
            return Reply(status, document if status == 200 else "unavailable\n",
                         "application/xml" if status == 200 else "text/plain", [("ETag", tag)] if status == 200 else [])
        if len(segments) == 5 and segments[0] == "app" and segments[3:] == ["sso", "saml"]:
            return self.sign_on(segments[1], segments[2], query, form)
        raise Refused(404, "Page not found", "There is nothing at this address.")

    def api(self, path, query, form, is_json):
        # A web page that the tester has open must not steer the stand-in: JSON needs a preflight, which gets no
        # consent here.
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Refused(403, "Refused", "The control interface is not for other sites.")
        if self.command == "POST" and not is_json:
            return Reply(415, pages.as_json({"error": "Content-Type must be application/json"}), "application/json")
        if path == "/_mint":
            result = self.idp.mint_for_test(form if self.command == "POST" else query)
        else:
            result = self.idp.control(form) if self.command == "POST" else self.idp.status()
        return Reply(200, pages.as_json(result), "application/json")

    def sign_on(self, name, exk, query, form):
        app = self.idp.app(exk, name)
        fields = form if self.command == "POST" else query
        if "state" in query and self.command != "POST":
            with self.idp.lock:
                waiting = self.idp.pending.get(query["state"])
            if waiting is None or waiting.exk != exk:
                raise Refused(400, "This sign-in is over", "Start again from the app.")
            session = self.session()
            if session is None:
                return self.to_login(query["state"])
            return self.complete(app, session, waiting, query["state"])
        request = None
        if "SAMLRequest" in fields:
            request = saml.decode_request(fields["SAMLRequest"], self.command != "POST")
        with self.idp.lock:
            if request is not None:
                self.idp.requests.append({
                    "app": exk, "id": request.id, "issuer": request.issuer, "acs_url": request.acs_url,
                    "relay_state": fields.get("RelayState"), "method": self.command, "xml": request.xml,
                    "force_authn": request.force_authn, "authn_contexts": request.authn_contexts,
                    "name_id_policy": request.name_id_policy,
                    "signed": "Signature" in fields, "time": time.time()})
                self.idp.check_request(app, request)
        waiting = Pending(exk, request, fields.get("RelayState"))
        session = self.session()
        if request is not None and request.is_passive and session is None:
            minted = self.idp.mint(app, None, request.acs_url, request.id, 0.0,
                                   {"status": "Responder", "sub_status": "NoPassive"})
            form = [("SAMLResponse", minted.base64)] + [("RelayState", fields["RelayState"])] * ("RelayState" in fields)
            return Reply(body=pages.post_form(request.acs_url or app.acs, form, True, app.org))
        if self.command == "POST" or session is None or (request is not None and request.force_authn):
            # After a cross-site POST the browser may hold the cookie back; the redirect brings it.
            state = self.idp.wait(waiting)
            if session is None and self.command != "POST" or (request is not None and request.force_authn):
                return self.to_login(state)
            return self.redirect(f"/app/{app.name}/{app.exk}/sso/saml?{urlencode({'state': state})}")
        return self.complete(app, session, waiting, None)

    def complete(self, app, session, waiting, state):
        user = self.idp.users[session.login]
        if waiting.request is not None and waiting.request.force_authn and not waiting.fresh:
            return self.to_login(state)
        if not app.assigned(user):
            raise Refused(403, "403 App Not Assigned",
                          f"{user.login} is not assigned to {app.label}. Ask your administrator for access.")
        # The waiting sign-on stays: Back and reload bring a new Response, as at Okta.
        return self.idp.answer(app, user, session, waiting)

    def page_login(self, query, form):
        state = (form if self.command == "POST" else query).get("state", "")
        with self.idp.lock:
            waiting = self.idp.pending.get(state) if state else None
            users = list(self.idp.users.values())
        if state and waiting is None:
            raise Refused(400, "This sign-in is over", "Start again from the app.")
        label = self.idp.apps[waiting.exk].label if waiting else ""
        if self.command != "POST":
            return Reply(body=pages.sign_in(state, users, label, org=self.idp.org()))
        user = self.idp.users.get(form.get("account") or form.get("username", "").strip())
        given = form.get("password", "")
        if user is None or not ("account" in form or hmac.compare_digest(given.encode(), user.password.encode())):
            page = pages.sign_in(state, users, label, "Unable to sign in: unknown user or wrong password.",
                                 form.get("username", ""), self.idp.org())
            return Reply(401, page)
        sid = secrets.token_urlsafe(24)
        with self.idp.lock:
            self.idp.sessions.pop(self.cookie(), None)
            self.idp.sessions[sid] = Session(user.login, time.time())
            if waiting is not None:
                waiting.fresh = True
        target = "/"
        if waiting is not None:
            app = self.idp.apps[waiting.exk]
            target = f"/app/{app.name}/{app.exk}/sso/saml?{urlencode({'state': state})}"
        return self.redirect(target, [("Set-Cookie", self.set_cookie(sid))])

    def page_tiles(self):
        session = self.session()
        if session is None:
            return self.to_login("")
        user = self.idp.users[session.login]
        apps = [app for app in self.idp.apps.values() if app.assigned(user)]
        return Reply(body=pages.tiles(user, apps, self.idp.org()))

    def page_provisioning(self, form):
        said, users = "", list(self.idp.users.values())
        if self.command == "POST":
            if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
                raise Refused(403, "Refused", "This page is not for other sites.")
            try:
                said = self.idp.scim.act(form.get("action"), self.idp.users[form.get("user")], users)
            except provisioning.Refused as error:
                said = str(error)
        return Reply(body=pages.provisioning(users, said, self.idp.scim.log, self.idp.org()))

    def page_sign_out(self):
        with self.idp.lock:
            self.idp.sessions.pop(self.cookie(), None)
        return Reply(body=pages.signed_out(self.idp.org()),
                     headers=[("Set-Cookie", f"{self.cookie_name()}=; Path=/; Max-Age=0")])

    def to_login(self, state):
        return self.redirect("/login" + (f"?{urlencode({'state': state})}" if state else ""))

    @staticmethod
    def redirect(target, headers=()):
        return Reply(303, "", "text/plain", [("Location", target), *headers])

    def cookie_name(self):
        # Cookies do not tell ports apart; several stand-ins may run on one address.
        return f"standin{urlsplit(self.idp.base_url).port or ''}"

    def cookie(self):
        try:
            jar = SimpleCookie(self.headers.get("Cookie") or "")
        except CookieError:
            return None
        return jar[self.cookie_name()].value if self.cookie_name() in jar else None

    def set_cookie(self, sid):
        site = "; SameSite=None; Secure" if self.idp.base_url.startswith("https:") else ""
        return f"{self.cookie_name()}={sid}; Path=/; HttpOnly{site}"

    def session(self):
        with self.idp.lock:
            session = self.idp.sessions.get(self.cookie())
            if session is None or time.time() - session.since > SESSION_SECONDS or session.login not in self.idp.users:
                return None
            return session

    def send(self, reply):
        body = reply.body.encode("utf-8")
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format, *args):
        if not self.server.quiet:
            # Without the query: it holds requests and states, and the demo's terminal is to be read.
            line = format % args
            if hasattr(self, "path"):
                line = line.replace(self.path, urlsplit(self.path).path)
            sys.stderr.write(f"okta: {line}\n")


class Server(serving.Server):
    def __init__(self, address, idp, tls=None, quiet=False):
        super().__init__(address, Handler, tls)
        self.idp, self.quiet = idp, quiet


def parse_listen(value):
    host, _, port = value.rpartition(":")
    return host or "127.0.0.1", int(port)


def arguments(argv):
    parser = argparse.ArgumentParser(description="A local stand-in for Okta")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="PEM files; serve HTTPS")
    parser.add_argument("--plain-listen", metavar="HOST:PORT", help="also serve http here (for fetching metadata)")
    parser.add_argument("--base-url", metavar="URL", help="the outside URL; default: what --listen says")
    parser.add_argument("--state", required=True, metavar="DIR", help="where the signing keys are kept")
    parser.add_argument("--config", metavar="FILE", help="JSON: {apps: [...], users: [...]}")
    parser.add_argument("--acs", metavar="URL", help="without --config: the organization acme with this ACS URL")
    parser.add_argument("--audience", metavar="URI", help="with --acs; default: the ACS URL with /metadata/ for /acs/")
    parser.add_argument("--scim", nargs=2, metavar=("URL", "TOKEN"), help="an app's SCIM base URL and token, for the page /provisioning")
    parser.add_argument("--ca", metavar="FILE", help="the authority of that URL's certificate")
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    apps, users = config.load(args.config) if args.config else ([], config.default_users())
    if args.acs:
        apps.append(config.default_app(args.acs, args.audience))
    idp = Okta(args.state, "http://127.0.0.1", apps, users)
    servers = [Server(parse_listen(args.listen), idp, args.tls, args.quiet)]
    host, port = servers[0].server_address[:2]
    idp.base_url = (args.base_url or f"{'https' if args.tls else 'http'}://{host}:{port}").rstrip("/")
    if args.scim:
        idp.scim = provisioning.Provisioning(*args.scim, cafile=args.ca)
    if args.plain_listen:
        servers.append(Server(parse_listen(args.plain_listen), idp, None, args.quiet))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    print(f"ready {idp.base_url} on port {port}", flush=True)
    stop.wait()
    for server in servers:
        server.shutdown()
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
