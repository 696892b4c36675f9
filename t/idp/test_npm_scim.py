"""SCIM's PATCH and filters beside npm's scimmy, scim-patch and scim2-parse-filter: what they and we make of the same JSON."""

import datetime
import hashlib
import http.client
import json
import subprocess
import urllib.parse

import harness
import pytest

TOKEN = "of-the-oracles"
CONF = "".join(f"""
<OktaSSOOrg {org}>
    OktaSSOIdPMetadata "{{dir}}/idp.xml"
    OktaSSOSCIMToken sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}
</OktaSSOOrg>
""" for org in ("patches", "filters"))
USER, GROUP = "urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
REFUSED = "refused"


class Client:
    """One connection, to one organization."""

    def __init__(self, server, org):
        self.connection, self.base = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30), f"/sso/okta/scim/{org}/v2"

    def call(self, method, path, body=None):
        """(status, JSON)"""
        self.connection.request(method, self.base + path, body and json.dumps(body),
                                {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"})
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def make(self, kind, resource):
        status, made = self.call("POST", f"/{kind}s", resource)
        assert status == 201, made
        return made

    def patched(self, kind, resource, operations):
        """What a resource of its own looks like when it was patched; REFUSED: it was not."""
        path = f"/{kind}s/{self.make(kind, resource)['id']}"
        try:
            status, told = self.call("PATCH", path, {"schemas": [PATCH_OP], "Operations": operations})
            after = self.call("GET", path)[1]
            assert status in (200, 400) and (status == 400 or told == after), told
            assert status == 200 or normal(after) == normal(resource), "a refused PATCH changes nothing"
            return after if status == 200 else REFUSED
        finally:
            assert self.call("DELETE", path)[0] == 204


@pytest.fixture(scope="module")
def server(backend_port):
    server = harness.Httpd(CONF, backend_port=backend_port)
    try:
        (server.dir / "idp.xml").write_bytes((harness.ROOT / "t/vectors/okta/metadata.xml").read_bytes())
        yield server.start()
    finally:
        server.close()


def ask(npm, questions):
    """The oracles' answers, from one process."""
    asked = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run(["node", "scim_oracle.mjs"], input=asked, capture_output=True, text=True, cwd=npm, timeout=120)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == len(questions), done.stderr
    return said


def normal(value):
    """As RFC 7643 lets things be said in several ways: what is unassigned, `primary` and the order of values (2.4, 2.5); and less what
    a service provider says of its own."""
    if isinstance(value, list):
        return sorted((each for each in map(normal, value) if each not in ({}, None)), key=lambda each: json.dumps(each, sort_keys=True))
    if not isinstance(value, dict):
        return value
    kept = {name: normal(each) for name, each in value.items()
            if name not in ("schemas", "id", "meta") and each is not None and not (name == "primary" and each is False)}
    if "members" in value:
        kept["members"] = sorted(each["value"] for each in value["members"] or [])
    return {name: each for name, each in kept.items() if each not in ({}, [])}


# ---- PATCH ----

def add(path, value):
    return {"op": "add", "path": path, "value": value}


def replace(path, value):
    return {"op": "replace", "path": path, "value": value}


def remove(path, *value):
    return {"op": "remove", "path": path, **({"value": value[0]} if value else {})}


def add_all(**value):
    return {"op": "add", "value": value}


def replace_all(**value):
    return {"op": "replace", "value": value}


def email(value, kind=None, primary=None):
    return {"value": value, **({"type": kind} if kind else {}), **({} if primary is None else {"primary": primary})}


BARE = {"schemas": [USER], "userName": "bare", "active": True}
BABS = {
    "schemas": [USER, ENTERPRISE], "userName": "babs", "externalId": "701984", "active": True, "displayName": "Babs Jensen", "nickName": "Babs",
    "name": {"formatted": "Ms. Barbara J Jensen", "familyName": "Jensen", "givenName": "Barbara"},
    "emails": [{"value": "bjensen@acme.example", "type": "work", "primary": True}, {"value": "babs@jensen.example", "type": "home"}],
    "phoneNumbers": [{"value": "555-5555", "type": "work"}, {"value": "555-4444", "type": "mobile"}],
    "addresses": [{"type": "work", "streetAddress": "100 Universal City Plaza", "locality": "Hollywood", "country": "US", "primary": True},
                  {"type": "home", "streetAddress": "456 Hollywood Blvd", "locality": "Hollywood", "country": "US"}],
    "roles": [{"value": "guide"}, {"value": "driver", "display": "Drives"}],
    ENTERPRISE: {"employeeNumber": "701984", "department": "Tour Operations", "manager": {"value": "26118915"}},
}
WORK, HOME = 'emails[type eq "work"]', 'emails[type eq "home"]'
NEW = {"value": "new@acme.example", "type": "other"}

CASES = {
    # an attribute
    "add an attribute": (BARE, add("nickName", "B")),
    "add an attribute that has a value": (BABS, add("nickName", "B")),
    "add the same value": (BABS, add("nickName", "Babs")),
    "add a boolean": (BABS, add("active", False)),
    "replace an attribute": (BABS, replace("nickName", "B")),
    "replace an attribute that has no value": (BARE, replace("nickName", "B")),
    "replace a boolean": (BABS, replace("active", False)),
    "replace the userName": (BABS, replace("userName", "barbara")),
    "replace with an empty text": (BABS, replace("nickName", "")),
    "replace with null": (BABS, replace("nickName", None)),
    "remove an attribute": (BABS, remove("nickName")),
    "remove an attribute that has no value": (BARE, remove("nickName")),
    "remove what is required": (BABS, remove("userName")),
    "remove an unknown attribute": (BABS, remove("shoeSize")),
    "add an unknown attribute": (BABS, add("shoeSize", "9")),
    "replace externalId": (BABS, replace("externalId", "1")),
    "add what is read-only": (BABS, add("groups", [{"value": "1"}])),
    "replace the id": (BABS, replace("id", "1")),
    "an object for a text": (BABS, replace("nickName", {"a": "b"})),
    "a text for a boolean": (BABS, replace("active", "perhaps")),
    "a number for a text": (BABS, replace("nickName", 7)),
    # a complex attribute, and its sub-attributes
    "add a complex attribute": (BARE, add("name", {"givenName": "Barbara", "familyName": "Jensen"})),
    "add to a complex attribute": (BABS, add("name", {"middleName": "Jane"})),
    "add over a complex attribute": (BABS, add("name", {"givenName": "B", "middleName": "Jane"})),
    "replace a complex attribute": (BABS, replace("name", {"givenName": "B", "familyName": "J", "formatted": "B J"})),
    "replace a part of a complex attribute": (BABS, replace("name", {"familyName": "J"})),
    "replace a complex attribute that has no value": (BARE, replace("name", {"familyName": "J"})),
    "remove a complex attribute": (BABS, remove("name")),
    "add a sub-attribute": (BABS, add("name.middleName", "Jane")),
    "add a sub-attribute of what has no value": (BARE, add("name.middleName", "Jane")),
    "replace a sub-attribute": (BABS, replace("name.familyName", "J")),
    "replace a sub-attribute that has no value": (BABS, replace("name.middleName", "Jane")),
    "replace a sub-attribute of what has no value": (BARE, replace("name.familyName", "J")),
    "remove a sub-attribute": (BABS, remove("name.familyName")),
    "remove a sub-attribute that has no value": (BABS, remove("name.middleName")),
    "remove a sub-attribute of what has no value": (BARE, remove("name.familyName")),
    "remove all sub-attributes": (BABS, remove("name.familyName"), remove("name.givenName"), remove("name.formatted")),
    "an unknown sub-attribute": (BABS, replace("name.shoeSize", "9")),
    "a sub-attribute of a text": (BABS, replace("nickName.value", "9")),
    "a text for a complex attribute": (BABS, replace("name", "Barbara")),
    # a multi-valued attribute
    "add one value": (BABS, add("emails", [NEW])),
    "add one value without a list": (BABS, add("emails", NEW)),
    "add two values": (BABS, add("emails", [NEW, {"value": "two@acme.example", "type": "other"}])),
    "add the first value": (BARE, add("emails", [NEW])),
    "add a value that is there": (BABS, add("emails", [BABS["emails"][1]])),
    "add a value that is there and a new one": (BABS, add("emails", [BABS["emails"][1], NEW])),
    "add a value that is there without a list": (BABS, add("emails", BABS["emails"][1])),
    "add no values": (BABS, add("emails", [])),
    "add a value that differs in its type": (BABS, add("emails", [{"value": "babs@jensen.example", "type": "other"}])),
    "add more about a value": (BABS, add("phoneNumbers", [{"value": "555-5555", "type": "work", "display": "Desk"}])),
    "add an address": (BABS, add("addresses", [{"type": "other", "locality": "Köln"}])),
    "add an address that is there": (BABS, add("addresses", [BABS["addresses"][0]])),
    "add a role": (BABS, add("roles", [{"value": "boss"}])),
    "replace all values": (BABS, replace("emails", [NEW])),
    "replace all values without a list": (BABS, replace("emails", NEW)),
    "replace what has no values": (BARE, replace("emails", [NEW])),
    "replace with no values": (BABS, replace("emails", [])),
    "replace with the same values": (BABS, replace("emails", BABS["emails"])),
    "remove all values": (BABS, remove("emails")),
    "remove values that are not there": (BARE, remove("emails")),
    "remove by value": (BABS, remove("emails", [{"value": "babs@jensen.example", "type": "home"}])),
    "remove by value without a list": (BABS, remove("emails", {"value": "babs@jensen.example", "type": "home"})),
    "remove by a part of the value": (BABS, remove("emails", [{"value": "babs@jensen.example"}])),
    "remove by a value that is not there": (BABS, remove("emails", [{"value": "nobody@acme.example"}])),
    "remove all by value": (BABS, remove("roles", [{"value": "guide"}, {"value": "driver", "display": "Drives"}])),
    # primary
    "add a primary value": (BABS, add("emails", [{**NEW, "primary": True}])),
    "add a primary value that is there": (BABS, add("emails", [{**BABS["emails"][1], "primary": True}])),
    "add a primary value beside one that is not": (BABS, add("phoneNumbers", [{"value": "555-3333", "primary": True}])),
    "move primary by a filter": (BABS, replace(HOME + ".primary", True)),
    "move primary in two steps": (BABS, replace(WORK + ".primary", False), replace(HOME + ".primary", True)),
    "move primary by adding": (BABS, add(HOME, {"primary": True})),
    "replace the primary value": (BABS, replace("emails[primary eq true]", {**NEW, "primary": True})),
    "replace the primary value's address": (BABS, replace("emails[primary eq true].value", "new@acme.example")),
    "remove the primary value": (BABS, remove("emails[primary eq true]")),
    "remove primary": (BABS, remove(WORK + ".primary")),
    "two primary values in one list": (BABS, replace("emails", [{**NEW, "primary": True}, {"value": "two@acme.example", "primary": True}])),
    # values that a filter finds
    "filter: replace": (BABS, replace(HOME, NEW)),
    "filter: replace a part": (BABS, replace(HOME, {"value": "new@acme.example"})),
    "filter: add": (BABS, add(HOME, {"display": "At home"})),
    "filter: remove": (BABS, remove(HOME)),
    "filter: remove all one by one": (BABS, remove(HOME), remove(WORK)),
    "filter: remove all at once": (BABS, remove("emails[value pr]")),
    "filter: remove what is not there": (BABS, remove('emails[type eq "other"]')),
    "filter: remove where nothing is": (BARE, remove(HOME)),
    "filter: replace what is not there": (BABS, replace('emails[value eq "nobody@acme.example"]', NEW)),
    "filter: and": (BABS, remove('emails[type eq "home" and value ew "jensen.example"]')),
    "filter: and that finds nothing": (BABS, remove('emails[type eq "home" and value ew "acme.example"]')),
    "filter: or": (BABS, remove('emails[type eq "home" or type eq "work"]')),
    "filter: not": (BABS, remove('emails[not (type eq "home")]')),
    "filter: ne": (BABS, remove('emails[type ne "home"]')),
    "filter: co": (BABS, remove('emails[value co "jensen.ex"]')),
    "filter: sw": (BABS, remove('emails[value sw "babs@"]')),
    "filter: pr": (BABS, remove("roles[display pr]")),
    "filter: not pr": (BABS, remove("roles[not (display pr)]")),
    "filter: a boolean": (BABS, remove("addresses[primary eq true]")),
    "filter: a dot in the text": (BABS, remove('emails[value eq "babs@jensen.example"]')),
    "filter: brackets in the text": (BABS, add("roles", [{"value": "a[1]"}]), remove('roles[value eq "a[1]"]')),
    "filter: a quotation mark in the text": (BABS, add("roles", [{"value": 'a "b"'}]), remove('roles[value eq "a \\"b\\""]')),
    "filter: brackets and a dot in the text": (BABS, add("roles", [{"value": "a].b"}]), replace('roles[value eq "a].b"].display', "D")),
    "filter: blanks": (BABS, remove('emails[ type eq "home" ]')),
    "filter: parentheses": (BABS, remove('emails[(type eq "home") and (value pr)]')),
    "filter: add what is not there": (BABS, add('emails[type eq "other"]', {"value": "new@acme.example"})),
    "filter: add where nothing is": (BARE, add(WORK, {"value": "new@acme.example"})),
    "filter: without its end": (BABS, remove('emails[type eq "home"')),
    "filter: without an operator": (BABS, remove("emails[type]")),
    "filter: an empty one": (BABS, remove("emails[]")),
    "filter: on a single value": (BABS, replace('name[familyName eq "Jensen"]', {"familyName": "J"})),
    # sub-attributes of values that a filter finds
    "filter.sub: replace": (BABS, replace(HOME + ".value", "new@acme.example")),
    "filter.sub: replace what has no value": (BABS, replace(HOME + ".display", "At home")),
    "filter.sub: replace in an address": (BABS, replace('addresses[type eq "home"].locality', "Köln")),
    "filter.sub: add": (BABS, add(HOME + ".display", "At home")),
    "filter.sub: add over a value": (BABS, add(HOME + ".value", "new@acme.example")),
    "filter.sub: remove": (BABS, remove('roles[value eq "driver"].display')),
    "filter.sub: remove what has no value": (BABS, remove('roles[value eq "guide"].display')),
    "filter.sub: remove where nothing is found": (BABS, remove('roles[value eq "boss"].display')),
    "filter.sub: several values": (BABS, replace('addresses[country eq "US"].country', "DE")),
    "filter.sub: and": (BABS, replace('addresses[country eq "US" and type eq "home"].country', "DE")),
    "filter.sub: an unknown one": (BABS, replace(HOME + ".shoeSize", "9")),
    "filter.sub: replace what is not there": (BABS, replace('emails[type eq "other"].value', "new@acme.example")),
    "filter.sub: replace where nothing is": (BARE, replace(WORK + ".value", "new@acme.example")),
    "filter.sub: add what is not there": (BABS, add('emails[type eq "other"].value', "new@acme.example")),
    "filter.sub: add where nothing is": (BARE, add(WORK + ".value", "new@acme.example")),
    "filter.sub: add two parts where nothing is": (BARE, add('addresses[type eq "work"].country', "DE"), add('addresses[type eq "work"].locality',
    "Köln")),
    "filter.sub: replace with null": (BABS, replace('roles[value eq "driver"].display', None)),
    "filter.sub: a text for a boolean": (BABS, replace(HOME + ".primary", "perhaps")),
    "filter.sub: add by a filter that makes no value": (BABS, add('emails[type sw "oth"].value', "new@acme.example")),
    # sub-attributes of all values
    "replace a sub-attribute of all values": (BABS, replace("addresses.country", "DE")),
    "add a sub-attribute of all values": (BABS, add("emails.display", "D")),
    "remove a sub-attribute of all values": (BABS, remove("emails.type")),
    # URNs
    "URN: core attribute": (BABS, replace(USER + ":nickName", "B")),
    "URN: core sub-attribute": (BABS, replace(USER + ":name.familyName", "J")),
    "URN: core filter": (BABS, remove(USER + ":" + HOME)),
    "URN: core filter.sub": (BABS, replace(USER + ":" + HOME + ".value", "new@acme.example")),
    "URN: remove a core attribute": (BABS, remove(USER + ":nickName")),
    "URN: add to the extension": (BABS, add(ENTERPRISE + ":costCenter", "4130")),
    "URN: add the extension's first attribute": (BARE, add(ENTERPRISE + ":costCenter", "4130")),
    "URN: replace in the extension": (BABS, replace(ENTERPRISE + ":department", "D")),
    "URN: replace what the extension has not": (BABS, replace(ENTERPRISE + ":costCenter", "4130")),
    "URN: remove from the extension": (BABS, remove(ENTERPRISE + ":department")),
    "URN: remove what the extension has not": (BABS, remove(ENTERPRISE + ":costCenter")),
    "URN: remove from an extension that is not there": (BARE, remove(ENTERPRISE + ":costCenter")),
    "URN: an extension's sub-attribute": (BABS, replace(ENTERPRISE + ":manager.value", "1")),
    "URN: an extension's sub-attribute where nothing is": (BARE, add(ENTERPRISE + ":manager.value", "1")),
    "URN: an extension's complex attribute": (BABS, replace(ENTERPRISE + ":manager", {"value": "1"})),
    "URN: remove an extension's complex attribute": (BABS, remove(ENTERPRISE + ":manager")),
    "URN: remove an extension's sub-attribute": (BABS, remove(ENTERPRISE + ":manager.value")),
    "URN: remove an extension's last attribute": (BABS, remove(ENTERPRISE + ":manager"), remove(ENTERPRISE + ":department"),
                                                  remove(ENTERPRISE + ":employeeNumber")),
    "URN: add a whole extension": (BARE, add(ENTERPRISE, {"costCenter": "4130"})),
    "URN: add to a whole extension": (BABS, add(ENTERPRISE, {"costCenter": "4130"})),
    "URN: replace a whole extension": (BABS, replace(ENTERPRISE, {"employeeNumber": "1", "department": "D", "manager": {"value": "1"}})),
    "URN: replace a part of an extension": (BABS, replace(ENTERPRISE, {"department": "D"})),
    "URN: remove a whole extension": (BABS, remove(ENTERPRISE)),
    "URN: unknown": (BABS, replace("urn:example:other:2.0:User:department", "D")),
    # no path
    "no path: add": (BARE, add_all(nickName="B", title="T")),
    "no path: add over a value": (BABS, add_all(nickName="B")),
    "no path: add a complex attribute": (BARE, add_all(name={"familyName": "J"})),
    "no path: add to a complex attribute": (BABS, add_all(name={"middleName": "Jane"})),
    "no path: add a value": (BABS, add_all(emails=[NEW])),
    "no path: add a value that is there": (BABS, add_all(emails=[BABS["emails"][1]])),
    "no path: replace": (BABS, replace_all(nickName="B", active=False)),
    "no path: replace what has no value": (BARE, replace_all(nickName="B")),
    "no path: replace all values": (BABS, replace_all(emails=[NEW])),
    "no path: replace with no values": (BABS, replace_all(emails=[])),
    "no path: replace a complex attribute": (BABS, replace_all(name={"formatted": "B J", "familyName": "J", "givenName": "B"})),
    "no path: replace a part of a complex attribute": (BABS, replace_all(name={"familyName": "J"})),
    "no path: the extension": (BABS, replace_all(**{ENTERPRISE: {"employeeNumber": "1", "department": "D", "manager": {"value": "1"}}})),
    "no path: a part of the extension": (BABS, replace_all(**{ENTERPRISE: {"department": "D"}})),
    "no path: add the extension": (BARE, add_all(**{ENTERPRISE: {"department": "D"}})),
    "no path: dots in a name": (BABS, replace_all(**{"name.familyName": "J"})),
    "no path: a URN in a name": (BABS, replace_all(**{f"{ENTERPRISE}:department": "D"})),
    "no path: a filter in a name": (BABS, replace_all(**{HOME + ".value": "new@acme.example"})),
    "no path: an unknown name": (BABS, replace_all(shoeSize="9", nickName="B")),
    "no path: null": (BABS, replace_all(nickName=None)),
    "no path: a password": (BABS, replace_all(password="secret", nickName="B")),
    "no path: remove": (BABS, {"op": "remove"}),
    "no path: no object": (BABS, {"op": "replace", "value": "text"}),
    "no value": (BABS, {"op": "add", "path": "nickName"}),
    # several operations
    "several: one after the other": (BABS, add("title", "T"), replace("title", "U"), remove("nickName")),
    "several: add and remove": (BARE, add("title", "T"), remove("title")),
    "several: remove and add": (BABS, remove("emails"), add("emails", [NEW])),
    "several: add and change": (BARE, add("emails", [NEW]), replace('emails[type eq "other"].value', "two@acme.example")),
    "several: the first is good, the second is not": (BABS, replace("nickName", "B"), replace("shoeSize", "9")),
    "several: of everything": (BABS, replace_all(displayName="D"), add(HOME + ".display", "At home"), remove('phoneNumbers[type eq "work"]'),
                               replace(ENTERPRISE + ":department", "D"), remove("name.formatted")),
    # Entra's capitals and Okta's habits
    "Entra: Add": (BABS, {"op": "Add", "path": "nickName", "value": "B"}),
    "Entra: Replace": (BABS, {"op": "Replace", "path": "name.familyName", "value": "J"}),
    "Entra: Remove": (BABS, {"op": "Remove", "path": "nickName"}),
    "Entra: Remove by value": (BABS, {"op": "Remove", "path": "roles", "value": [{"value": "guide"}]}),
    "Entra: False": (BABS, {"op": "Replace", "path": "active", "value": "False"}),
    "Entra: the manager as a text": (BABS, {"op": "Add", "path": ENTERPRISE + ":manager", "value": "1"}),
    "names in capitals": (BABS, replace("NICKNAME", "B")),
    "a filter in capitals": (BABS, remove('emails[TYPE EQ "home"]')),
    "a text in other capitals": (BABS, remove('emails[type eq "Home"]')),
    "Okta: deactivate": (BABS, replace_all(active=False)),
    # what is no operation
    "no operations": (BABS,),
    "no operation": (BABS, {"op": "sing", "path": "nickName", "value": "B"}),
    "a path that is no text": (BABS, {"op": "add", "path": 7, "value": "B"}),
}

# Members of groups; {one}, {two} and {three} are users.
TWO = {"schemas": [GROUP], "displayName": "Two", "members": [{"value": "{one}"}, {"value": "{two}"}]}
NONE = {"schemas": [GROUP], "displayName": "None"}
GROUP_CASES = {
    "members: add": (TWO, add("members", [{"value": "{three}"}])),
    "members: add without a list": (TWO, add("members", {"value": "{three}"})),
    "members: add the first": (NONE, add("members", [{"value": "{one}"}])),
    "members: add one that is there": (TWO, add("members", [{"value": "{one}"}])),
    "members: add one that is there and a new one": (TWO, add("members", [{"value": "{one}"}, {"value": "{three}"}])),
    "members: replace": (TWO, replace("members", [{"value": "{three}"}])),
    "members: replace with nobody": (TWO, replace("members", [])),
    "members: remove one": (TWO, remove('members[value eq "{one}"]')),
    "members: remove one that is not there": (TWO, remove('members[value eq "{three}"]')),
    "members: remove all": (TWO, remove("members")),
    "members: remove by value": (TWO, remove("members", [{"value": "{one}"}])),
    "members: remove two by value": (TWO, remove("members", [{"value": "{one}"}, {"value": "{two}"}])),
    "members: remove and add": (TWO, remove('members[value eq "{one}"]'), add("members", [{"value": "{three}"}])),
    "members: remove all and add": (TWO, remove("members"), add("members", [{"value": "{three}"}])),
    "members: without a path": (TWO, replace_all(members=[{"value": "{three}"}])),
    "members: add without a path": (TWO, add_all(members=[{"value": "{three}"}])),
    "members: rename": (TWO, replace("displayName", "Three")),
    "members: rename without a path": (TWO, replace_all(displayName="Three")),
    "members: remove the name": (TWO, remove("displayName")),
    "members: URN": (TWO, add(GROUP + ":members", [{"value": "{three}"}])),
}

# Where an oracle and we differ: who, why, in which cases. RFC 7643 and 7644 decide; "open" is what they leave so.
KNOWN = [
    ("scim-patch", "it knows no schema: RFC 7644 3.12, invalidPath and invalidValue", [
        "remove an unknown attribute", "add an unknown attribute", "an unknown sub-attribute", "filter.sub: an unknown one", "URN: unknown",
        "no path: an unknown name", "several: the first is good, the second is not", "an object for a text", "a text for a boolean",
        "a number for a text",
        "a text for a complex attribute", "filter.sub: a text for a boolean"]),
    ("scim-patch", "it knows no schema: RFC 7644 3.5.2.2, a required attribute cannot be removed", ["remove what is required",
    "members: remove the name"]),
    ("scim-patch", "it knows no schema: RFC 7643 7, a password is never returned; we keep none", ["no path: a password"]),
    ("scim-patch", "it knows no schema: RFC 7644 3.5.2, mutability", ["add what is read-only", "replace the id"]),
    ("scimmy", "it hides the read-only attribute, or takes the value for the service provider's: RFC 7644 3.5.2, mutability",
     ["add what is read-only", "replace the id"]),
    ("scim-patch", "RFC 7643 2.1: attribute names have no case", ["names in capitals"]),
    ("scimmy", "RFC 7643 2.1: attribute names have no case", ["names in capitals"]),
    ("scim-patch", "RFC 7643 2.2: caseExact is false by default", ["a text in other capitals"]),
    ("scimmy", "RFC 7643 2.2: caseExact is false by default", ["a text in other capitals"]),
    ("scim-patch", "RFC 7644 3.5.2, RFC 7643 2.4: a new primary value takes the place of the old one", [
        "add a primary value", "add a primary value that is there", "move primary by a filter", "move primary by adding",
        "two primary values in one list"]),
    ("scimmy", "RFC 7644 3.5.2, RFC 7643 2.4: a new primary value takes the place of the old one", [
        "add a primary value", "add a primary value that is there", "move primary by a filter", "move primary by adding",
        "two primary values in one list"]),
    ("scimmy", "RFC 7644 3.5.2.1: a value that exists already is not added again", [
        "add a value that is there", "add a value that is there and a new one", "add a value that is there without a list",
        "add an address that is there", "no path: add a value that is there", "members: add one that is there",
        "members: add one that is there and a new one"]),
    ("scim-patch", "RFC 7644 3.5.2.1: a value that exists already is not added again", ["no path: add a value that is there"]),
    ("scimmy", "RFC 7643 2.4: type and value together are there once", ["add more about a value"]),
    ("scim-patch", "RFC 7643 2.4: type and value together are there once", ["add more about a value"]),
    ("scimmy", "RFC 7644 3.5.2.3: sub-attributes that are not named stay", ["replace a part of a complex attribute"]),
    ("scim-patch", "RFC 7644 3.5.2.1 and 3.5.2.3: sub-attributes that are not named stay", [
        "no path: add to a complex attribute", "no path: replace a part of a complex attribute"]),
    ("scimmy", "RFC 7644 3.5.2.3: replace takes the old values away, with a path or without", [
        "no path: replace all values", "no path: replace with no values", "members: without a path"]),
    ("scim-patch", "RFC 7644 3.5.2.3: replace takes the old values away, also when there is one new one", ["replace all values without a list"]),
    ("scim-patch", "RFC 7644 3.5.2.3: a value that a filter finds is replaced as a whole", ["filter: replace a part"]),
    ("scimmy", "RFC 7644 3.5.2.3: a filter that finds nothing is noTarget", ["filter: replace what is not there"]),
    ("scim-patch", "RFC 7644 3.5.2.3: a filter that finds nothing is noTarget", ["filter.sub: replace what is not there",
    "filter.sub: replace where nothing is"]),
    ("scimmy", "open: an addition to a value that is not there; Entra wants it made", [
        "filter: add what is not there", "filter: add where nothing is", "filter.sub: add what is not there", "filter.sub: add where nothing is",
        "filter.sub: add two parts where nothing is"]),
    ("scim-patch", "open, as it does it itself for a sub-attribute: an addition to a value that is not there", [
        "filter: add what is not there", "filter: add where nothing is"]),
    ("scim-patch", "open: a removal that finds nothing (SECURITY.md 32)", ["filter: remove where nothing is",
    "filter.sub: remove where nothing is found"]),
    ("scim-patch", "open: remove with a value; Entra's members have but their value", ["remove by a part of the value"]),
    ("scim-patch", "RFC 7644 3.5.2: a text in a filter may have any characters", ["filter: brackets in the text"]),
    ("scimmy", "RFC 7644 3.4.2.2: a text is JSON's, with its escapes", ["filter: a quotation mark in the text"]),
    ("scimmy", "RFC 7644 3.5.2: PATH's ABNF wants a filter in the brackets", ["filter: without an operator", "filter: an empty one"]),
    ("scimmy", "open: brackets behind a complex attribute with one value", ["filter: on a single value"]),
    ("scimmy", "RFC 7644 3.5.2.3: all values that a filter finds are changed", ["filter.sub: several values", "filter.sub: and"]),
    ("scimmy", "RFC 7644 3.5.2: PATH may be attrPath, with its sub-attribute, of several values too", [
        "replace a sub-attribute of all values", "add a sub-attribute of all values", "remove a sub-attribute of all values"]),
    ("scimmy", "RFC 7644 3.10: the core schema's URN may stand before a name", [
        "URN: core attribute", "URN: core sub-attribute", "URN: core filter", "URN: core filter.sub", "URN: remove a core attribute",
        "members: URN"]),
    ("scimmy", "RFC 7644 3.10: a sub-attribute may follow an extension's attribute", [
        "URN: an extension's sub-attribute", "URN: an extension's sub-attribute where nothing is"]),
    ("scimmy", "open: an extension's URN alone as a path", ["URN: remove a whole extension"]),
    ("scim-patch", "open: an extension's URN alone as a path", [
        "URN: add a whole extension", "URN: add to a whole extension", "URN: replace a whole extension", "URN: replace a part of an extension",
        "URN: remove a whole extension"]),
    ("scim-patch", "RFC 7643 3.3: an extension's attributes stand in an object under its URN", [
        "no path: the extension", "no path: a part of the extension", "no path: add the extension"]),
    ("scimmy", "open: what nobody knows is passed over without a path, since Okta sends more than we know", ["no path: an unknown name"]),
    ("scim-patch", "open: paths as names, as Entra sends them", ["no path: a filter in a name"]),
    ("scimmy", "open: Entra's False as a text, and its manager", ["Entra: False", "Entra: the manager as a text"]),
    ("scim-patch", "open: Entra's False as a text, and its manager", ["Entra: False", "Entra: the manager as a text"]),
]
# Where no oracle agrees: what we make of it. None: it is gone.
OURS = {
    "add what is read-only": REFUSED, "replace the id": REFUSED,
    "names in capitals": {"nickName": "B"}, "a text in other capitals": {"emails": BABS["emails"][:1]},
    "add a primary value": {"emails": [email("bjensen@acme.example", "work"), BABS["emails"][1], {**NEW, "primary": True}]},
    "add a primary value that is there": {"emails": [email("bjensen@acme.example", "work"), {**BABS["emails"][1], "primary": True}]},
    "move primary by a filter": {"emails": [email("bjensen@acme.example", "work"), {**BABS["emails"][1], "primary": True}]},
    "move primary by adding": {"emails": [email("bjensen@acme.example", "work"), {**BABS["emails"][1], "primary": True}]},
    "two primary values in one list": {"emails": [NEW, {"value": "two@acme.example", "primary": True}]},
    "no path: add a value that is there": {},
    "add more about a value": {"phoneNumbers": [{"value": "555-5555", "type": "work", "display": "Desk"}, BABS["phoneNumbers"][1]]},
    "filter: add what is not there": {"emails": [*BABS["emails"], NEW]}, "filter: add where nothing is": {"emails": [email("new@acme.example",
    "work")]},
    "URN: remove a whole extension": {ENTERPRISE: None}, "no path: an unknown name": {"nickName": "B"},
    "Entra: False": {"active": False}, "Entra: the manager as a text": {ENTERPRISE: {**BABS[ENTERPRISE], "manager": {"value": "1"}}},
}


def reasons(table, names):
    """{(oracle, case): reason}; each names cases that there are, once."""
    found = {}
    for oracle, reason, cases in table:
        for case in cases:
            assert case in names and (oracle, case) not in found, (oracle, case)
            found[oracle, case] = reason
    return found


def judge(case, ours, said, known, alone):
    """Each oracle says what we say, or it is known why not; where none does, `alone` has our answer."""
    agree = {oracle for oracle, theirs in said.items() if theirs == ours}
    for oracle, theirs in said.items():
        reason = known.get((oracle, case))
        assert (oracle in agree) is (reason is None), f"{oracle}: {theirs}\nours: {ours}\nknown: {reason}"
    assert agree or case in alone, "nobody agrees: our answer belongs into the table"
    assert not agree or case not in alone, "somebody agrees"
    assert agree or ours == alone[case]


@pytest.fixture(scope="module")
def patched(npm, server):
    """{case: (kind, resource, operations, {oracle: its result})}"""
    client, rows = Client(server, "patches"), {}
    ids = {name: client.make("User", {"userName": name})["id"] for name in ("one", "two", "three")}
    for kind, cases in (("User", CASES), ("Group", GROUP_CASES)):
        for case, (resource, *operations) in cases.items():
            text = json.dumps([resource, operations])
            for name, each in ids.items():
                text = text.replace("{" + name + "}", each)
            rows[case] = (kind, *json.loads(text))
    said = ask(npm, [{"kind": kind, "resource": resource, "Operations": operations} for kind, resource, operations in rows.values()])
    return {case: (*row, {oracle: result(theirs) for oracle, theirs in answers.items()}) for (case, row), answers in zip(rows.items(), said)}


def result(theirs):
    return normal(theirs) if isinstance(theirs, dict) and REFUSED not in theirs else REFUSED


def with_changes(resource, changes):
    return changes if changes == REFUSED else normal({**resource, **changes})


@pytest.mark.parametrize("case", [*CASES, *GROUP_CASES])
def test_patch(server, patched, case):
    kind, resource, operations, said = patched[case]
    with server.judge():
        ours = Client(server, "patches").patched(kind, resource, operations)
        if ours == REFUSED:
            server.expect(r"OKS0001: refused .*scim\.")
        alone = {case: with_changes(resource, OURS[case])} if case in OURS else {}
        judge(case, ours if ours == REFUSED else normal(ours), said, reasons(KNOWN, {*CASES, *GROUP_CASES}), alone)


# ---- Filters ----

def person(user_name, **fields):
    return {"schemas": [USER, ENTERPRISE] if ENTERPRISE in fields else [USER], "userName": user_name, "active": True, **fields}


PEOPLE = [
    person("ann@acme.example", title="Boss", nickName="Ann", name={"givenName": "Ann", "familyName": "O'Brien", "formatted": "Ann O'Brien"},
           emails=[email("ann@acme.example", "work", True), email("ann@home.example", "home")], externalId="00A",
           **{ENTERPRISE: {"department": "R&D", "employeeNumber": "1", "manager": {"value": "26118915"}}}),
    person("bob@acme.example", title="Clerk", active=False, name={"givenName": "Bob", "familyName": "Builder"},
           emails=[email("bob@acme.example", "work", True)], externalId="00B", **{ENTERPRISE: {"department": "Sales", "employeeNumber": "2"}}),
    person("carl@acme.example", title="Clerk", nickName="C", name={"familyName": "Carlson"}, emails=[email("carl@home.example", "home", True)]),
    person("dora@acme.example", nickName='the "D"', displayName="Dora \\ D", externalId="00a",
           addresses=[{"type": "work", "country": "DE", "locality": "Köln"}]),
    person("eve@acme.example", title="Chief", addresses=[{"type": "work", "country": "US"}, {"type": "home", "country": "DE"}]),
    person("fred", displayName="Fred (the first)", phoneNumbers=[{"value": "555-1", "type": "work"}, {"value": "555-2", "type": "mobile"}]),
    person("gus", displayName="Gus [2]", phoneNumbers=[{"value": "555-2", "type": "work"}]),
    person("hal", active=False, roles=[{"value": "admin", "display": "Administrator"}, {"value": "user"}]),
    person("ida", locale="de-DE", preferredLanguage="de", timezone="Europe/Berlin", roles=[{"value": "user"}]),
    person("jo", locale="de-AT", profileUrl="https://acme.example/jo", photos=[{"value": "https://acme.example/jo.png", "type": "photo"}]),
    person("åsa@acme.example", displayName="Åsa Østergård", title="Ærlig"),
    person("zoe", title="true", displayName="and or not", nickName="a b  c", **{ENTERPRISE: {"department": "R&D", "costCenter": "4130"}}),
]
# {created}: when the first of them was made.
FILTERS = [
    # every operator
    'userName eq "fred"', 'userName ne "fred"', 'userName co "acme"', 'userName sw "a"', 'userName ew ".example"', 'userName gt "eve@acme.example"',
    'userName ge "eve@acme.example"', 'userName lt "eve@acme.example"', 'userName le "eve@acme.example"', "title pr", "nickName pr", "externalId pr",
    'title eq "Clerk"', 'title ne "Clerk"', 'title co "er"', 'title sw "C"', 'title ew "k"', 'title gt "Clerk"', 'title ge "Clerk"',
    'title lt "Clerk"', 'displayName co "("', 'displayName co "the first)"', 'displayName co "]"', 'title eq ""', 'title co ""', 'nickName eq "a b  c"',
    # booleans
    "active eq true", "active eq false", "active ne true", "active ne false", "active pr", 'active eq "false"', 'active eq "False"',
    "active gt false",
    # null
    "title eq null", "title ne null", "emails eq null", "emails ne null",
    # case: of names, of operators, of values as caseExact says
    'USERNAME eq "fred"', 'userName EQ "fred"', 'userName eq "FRED"', 'title eq "BOSS"', 'title co "OS"', 'externalId eq "00A"',
    'externalId eq "00a"', 'title gt "clerk"', 'title le "chief"', 'title eq "Boss" AND active eq true',
    'title eq "Boss" Or userName eq "fred"', "NOT (title pr)", 'displayName sw "åsa"', 'userName eq "ÅSA@acme.example"',
    'profileUrl eq "https://ACME.example/jo"', 'id eq "{id}"', 'id eq "nobody"',
    # escapes
    'nickName eq "the \\"D\\""', 'displayName eq "Dora \\\\ D"', 'name.familyName eq "O\'Brien"', 'title eq "\\u0042oss"', 'displayName eq "Gus [2]"',
    'displayName co "and or not"', 'displayName eq "Fred (the first)"',
    # sub-attributes
    'name.familyName eq "Builder"', 'name.familyName sw "C"', "name.familyName pr", "name.givenName pr", "name pr", 'name.familyName ne "Builder"',
    # several values
    'emails.value eq "ann@home.example"', 'emails eq "ann@home.example"', 'emails co "home"', 'emails.type eq "home"', "emails pr",
    "emails.primary eq true",
    'emails.type ne "home"', 'phoneNumbers.value eq "555-2"', 'phoneNumbers.type eq "work" and phoneNumbers.value eq "555-2"',
    'roles.value eq "user"',
    "roles.display pr", 'photos.type eq "photo"', "addresses pr", 'addresses.country eq "DE"',
    # value paths
    'emails[type eq "home"]', 'emails[type eq "work" and value co "home"]', 'emails[type eq "home" and value co "home"]',
    'emails[type eq "home" and primary eq true]',
    'emails[type eq "home" or type eq "work"]', 'emails[not (type eq "work")]', 'phoneNumbers[type eq "work" and value eq "555-2"]',
    "roles[display pr]",
    'addresses[type eq "work" and country eq "DE"]', 'addresses[type eq "home" and (country eq "DE" or country eq "US")]',
    'name[familyName eq "Builder"]',
    'emails[value pr] and title eq "Boss"', 'emails[type eq "home"] or roles[value eq "user"]', 'not (emails[type eq "home"])',
    # and, or, not, grouping
    'title eq "Clerk" and active eq true', 'title eq "Boss" or title eq "Clerk"', 'title eq "Boss" or title eq "Clerk" and active eq false',
    '(title eq "Boss" or title eq "Clerk") and active eq false', 'active eq false and (title eq "Boss" or title eq "Clerk")', "not (title pr)",
    'not (title eq "Clerk")', 'not (title eq "Clerk" and active eq false)', 'not (title eq "Clerk" or active eq false)',
    'title pr and not (title eq "Clerk")', 'not (not (title pr))', '((title eq "Boss"))', 'title eq "Clerk" and active eq true and nickName pr',
    'title eq "nothing" or nickName eq "C" or active eq false', '(title pr and nickName pr) or (roles pr and active eq false)',
    "title pr and nickName pr and emails pr",
    'userName sw "a" and (title eq "Boss" or (nickName pr and not (active eq false)))',
    # the extension, and URNs of the core
    f'{ENTERPRISE}:department eq "R&D"', f'{ENTERPRISE}:department ne "R&D"', f"{ENTERPRISE}:costCenter pr",
    f'{ENTERPRISE}:manager.value eq "26118915"',
    f'{ENTERPRISE}:department eq "R&D" and title pr', f'{USER}:title eq "Clerk"', f'{USER}:name.familyName eq "Builder"',
    f'{USER}:emails[type eq "home"]',
    f"not ({ENTERPRISE}:department pr)",
    # times
    'meta.created ge "{created}"', 'meta.created lt "{created}"', 'meta.created eq "{created}"', 'meta.created le "{created}"',
    'meta.created gt "2020-01-01T00:00:00Z"',
    'meta.created lt "2020-01-01T00:00:00+02:00"', 'meta.created ge "{created+2}"', 'meta.created le "{created+2}"', 'meta.lastModified pr',
    'meta.resourceType eq "User"', 'meta.created sw "20"',
    # what nobody has
    "shoeSize pr", 'shoeSize eq "9"', 'shoeSize ne "9"', "not (shoeSize pr)", 'title eq "Clerk" or shoeSize eq "9"', "name.shoeSize pr",
    # numbers for texts
    "title eq 7", "title eq -7.5", "title ne 7", "title eq true",
    # no filters
    "title", "title eq", 'eq "Boss"', 'title is "Boss"', 'title eq "Boss', 'title eq "Boss" and', 'and title eq "Boss"', '(title eq "Boss"',
    'title eq "Boss")',
    'title eq "Boss" title pr', "not title pr", 'emails[type eq "home"', 'emails[type eq "home"] pr', "emails[]", 'title eq Boss', "title pr pr",
    '""', "()",
]

KNOWN_FILTERS = [
    ("scimmy", "RFC 7643 2.2: caseExact is false by default", [
        'userName eq "FRED"', 'title eq "BOSS"', 'title co "OS"', 'title le "chief"', 'displayName sw "åsa"']),
    ("scim2-parse-filter", "RFC 7643 2.2: caseExact is false by default", [
        'userName eq "FRED"', 'title eq "BOSS"', 'title co "OS"', 'title le "chief"', 'displayName sw "åsa"']),
    ("scim2-parse-filter", "RFC 7643 2.5, RFC 7644 3.4.2.2: what has no value is null, and not equal to a text", [
        'title ne "Clerk"', "title eq null", "emails eq null", 'name.familyName ne "Builder"', f'{ENTERPRISE}:department ne "R&D"',
        'shoeSize ne "9"', "title ne 7"]),
    ("scimmy", "RFC 7643 2.5, RFC 7644 3.4.2.2: what has no value is null, and not equal to a text", ['name.familyName ne "Builder"',
    "emails ne null"]),
    ("scimmy", "open: ne of several values; for us none is equal, and there may be none", ['emails.type ne "home"']),
    ("scim2-parse-filter", "open: ne of several values; for us none is equal, and there may be none", ['emails.type ne "home"']),
    ("scimmy", "it takes what has no value for the text undefined", ['title co ""']),
    ("scim2-parse-filter", "open: Entra's true and false as texts", ['active eq "false"', 'active eq "False"']),
    ("scimmy", "RFC 7644 3.4.2.2: booleans have no order, invalidFilter", ["active gt false"]),
    ("scim2-parse-filter", "RFC 7644 3.4.2.2: booleans have no order, invalidFilter", ["active gt false"]),
    ("scimmy", "RFC 7644 3.4.2.2: a text is JSON's, with its escapes", ['nickName eq "the \\"D\\""', 'displayName eq "Dora \\\\ D"',
    'title eq "\\u0042oss"']),
    ("scim2-parse-filter", "RFC 7644 3.4.2.2: a text is JSON's, with its escapes", ['displayName eq "Dora \\\\ D"', 'title eq "\\u0042oss"']),
    ("scimmy", "RFC 7644 3.4.2.2: pr, and in its examples emails co, of several values", [
        'emails eq "ann@home.example"', 'emails co "home"', "emails pr", "addresses pr",
        "(title pr and nickName pr) or (roles pr and active eq false)",
        "title pr and nickName pr and emails pr"]),
    ("scim2-parse-filter", "RFC 7644 3.4.2.2: in its examples emails co", ['emails eq "ann@home.example"', 'emails co "home"']),
    ("scimmy", "RFC 7644 3.4.2.2: without brackets the parts may be of different values",
    ['phoneNumbers.type eq "work" and phoneNumbers.value eq "555-2"']),
    ("scim2-parse-filter", "RFC 7644 3.4.2.2: what stands in brackets is asked of one value", [
        'emails[type eq "work" and value co "home"]', 'emails[type eq "home" and primary eq true]', 'emails[not (type eq "work")]',
        'phoneNumbers[type eq "work" and value eq "555-2"]', 'addresses[type eq "work" and country eq "DE"]']),
    ("scimmy", "it does not find the way through these brackets", [
        'addresses[type eq "home" and (country eq "DE" or country eq "US")]', 'emails[type eq "home"] or roles[value eq "user"]',
        'not (emails[type eq "home"])']),
    ("scimmy", "it denies each part and keeps and and or between them", [
        'not (title eq "Clerk" and active eq false)', 'not (title eq "Clerk" or active eq false)']),
    ("scimmy", "RFC 7644 3.4.2.2: parentheses may stand in parentheses", [
        "not (not (title pr))", '((title eq "Boss"))', 'userName sw "a" and (title eq "Boss" or (nickName pr and not (active eq false)))']),
    ("scim2-parse-filter", "RFC 7644 3.4.2.2: times are compared as such, whatever their zone", ['meta.created ge "{created+2}"']),
    ("scimmy", "RFC 7644 3.4.2.2, the ABNF: no such filter", [
        "title eq", 'eq "Boss"', 'title eq "Boss" and', "not title pr", 'emails[type eq "home"] pr', "emails[]", "title eq Boss", "title pr pr",
        "()"]),
    ("scim2-parse-filter", "RFC 7644 3.4.2.2, the ABNF: not wants parentheses", ["not title pr"]),
]
# Where no oracle agrees: whom we find.
OUR_FILTERS = {
    'userName eq "FRED"': ["fred"], 'title eq "BOSS"': ["ann@acme.example"], 'title co "OS"': ["ann@acme.example"],
    'title le "chief"': ["ann@acme.example", "eve@acme.example"],
    'displayName sw "åsa"': ["åsa@acme.example"],
    'name.familyName ne "Builder"': [each["userName"] for each in PEOPLE if each["userName"] != "bob@acme.example"],
    'emails.type ne "home"': [each["userName"] for each in PEOPLE if each["userName"] not in ("ann@acme.example", "carl@acme.example")],
    "active gt false": REFUSED, 'displayName eq "Dora \\\\ D"': ["dora@acme.example"], 'title eq "\\u0042oss"': ["ann@acme.example"],
    'emails eq "ann@home.example"': ["ann@acme.example"], 'emails co "home"': ["ann@acme.example", "carl@acme.example"], "not title pr": REFUSED,
}


@pytest.fixture(scope="module")
def found(npm, server):
    """{filter: (as it is sent, {oracle: the names that it finds})}, among people that are there."""
    client = Client(server, "filters")
    for each in PEOPLE:
        client.make("User", each)
    people = client.call("GET", "/Users?count=100")[1]["Resources"]
    names = {each["id"]: each["userName"] for each in people}
    created = people[0]["meta"]["created"]
    elsewhere = datetime.datetime.fromisoformat(created.replace("Z", "+00:00")).astimezone(datetime.timezone(datetime.timedelta(hours=2)))
    sent = {each: each.replace("{id}", people[3]["id"]).replace("{created}", created).replace("{created+2}",
    elsewhere.isoformat()) for each in FILTERS}
    said = ask(npm, [{"resources": people, "filter": each} for each in sent.values()])
    told = [{oracle: sorted(names[each] for each in theirs) if isinstance(theirs, list) else REFUSED for oracle, theirs in row.items()} for row in said]
    return {case: (text, row) for (case, text), row in zip(sent.items(), told)}


@pytest.mark.parametrize("case", FILTERS)
def test_filter(server, found, case):
    sent, said = found[case]
    with server.judge():
        status, answer = Client(server, "filters").call("GET", "/Users?count=100&filter=" + urllib.parse.quote(sent))
        if status == 400:
            assert answer["scimType"] == "invalidFilter"
            server.expect(r"OKS0001: refused .*scim\.filter\.invalid")
        ours = sorted(each["userName"] for each in answer["Resources"]) if status == 200 else REFUSED
        alone = {name: wanted if wanted == REFUSED else sorted(wanted) for name, wanted in OUR_FILTERS.items()}
        judge(case, ours, said, reasons(KNOWN_FILTERS, FILTERS), alone)
