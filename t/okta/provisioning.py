"""What Okta's SCIM client does for a custom app (OKTA.md B.3): assign, update, deactivate, reactivate, push a group."""

import http.client
import json
import ssl
import urllib.parse

USER, GROUP = "urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Refused(Exception):
    """The service provider's answer was an error."""


class Provisioning:
    def __init__(self, base, token, cafile=None):
        self.url, self.token, self.log = urllib.parse.urlsplit(base.rstrip("/")), token, []
        self.context = ssl.create_default_context(cafile=cafile)

    def connect(self):
        """*.localhost is this machine, which not every resolver knows."""
        host, tls = self.url.hostname, self.url.scheme == "https"
        port = self.url.port or (443 if tls else 80)
        connection = http.client.HTTPConnection("127.0.0.1" if host.endswith(".localhost") else host, port, timeout=60)
        connection.connect()
        if tls:
            connection.sock = self.context.wrap_socket(connection.sock, server_hostname=host)
        return connection

    def call(self, method, path, body=None):
        headers = {"Host": self.url.netloc, "Authorization": f"Bearer {self.token}", "Accept": "application/scim+json",
                   "User-Agent": "Okta SCIM Client 1.0.0", "Content-Type": "application/scim+json; charset=utf-8"}
        try:
            connection = self.connect()
            connection.request(method, self.url.path + path, None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read().decode()
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            status, text = 0, str(error)
        self.log = [*self.log[-19:], (method, urllib.parse.unquote(path), status)]
        if not 200 <= status < 300:
            raise Refused(f"{method} {path}: {status} {text[:300]}")
        return json.loads(text) if text else {}

    def find(self, kind, attribute, value):
        query = urllib.parse.urlencode({"filter": f'{attribute} eq "{value}"', "startIndex": 1, "count": 100}, quote_via=urllib.parse.quote)
        found = self.call("GET", f"/{kind}?{query}")["Resources"]
        return found[0] if found else None

    def assign(self, user):
        known = self.find("Users", "userName", user.login)
        body = {"schemas": [USER], "userName": user.login, "name": {"givenName": user.first_name, "familyName": user.last_name},
                "emails": [{"primary": True, "value": user.email, "type": "work"}], "displayName": user.display_name, "active": True}
        return self.call("PUT", f"/Users/{known['id']}", {**known, **body}) if known else self.call("POST", "/Users", body)

    def update(self, user, **changes):
        """As Okta does: its answer of before, with what is new, comes back as a PUT."""
        known = self.find("Users", "userName", user.login)
        return self.call("PUT", f"/Users/{known['id']}", {**known, **changes}) if known else self.assign(user)

    def push_group(self, name, users):
        members = [{"value": each["id"], "display": each["userName"]} for each in (self.find("Users", "userName", user.login) for user in users) if each]
        known = self.find("Groups", "displayName", name)
        if not known:
            return self.call("POST", "/Groups", {"schemas": [GROUP], "displayName": name, "members": members})
        return self.call("PATCH", f"/Groups/{known['id']}", {"schemas": [PATCH_OP], "Operations": [
            {"op": "replace", "path": "members", "value": members}]})

    def act(self, action, user, users):
        """One button of the page; what was done, in words."""
        if action == "assign":
            self.assign(user)
            return f"{user.login} is assigned."
        if action in ("deactivate", "reactivate"):
            self.update(user, active=action == "reactivate")
            return f"{user.login} is {action}d."
        if action == "update":
            self.update(user, displayName=f"{user.display_name} (renamed)", name={"givenName": user.first_name, "familyName": f"{user.last_name}-New"})
            return f"The profile of {user.login} was pushed with another last name."
        group = next((group for group in user.groups if group != "Everyone"), "Everyone")
        self.push_group(group, [each for each in users if group in each.groups])
        return f"The group {group} was pushed."
